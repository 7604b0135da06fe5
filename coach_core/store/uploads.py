"""Files on their way in, as rows: what waits, what is in work, what ended, however often the app was started.

Invariant: a file is in work for one worker at a time, which a look at the row tells whether it still is wanted;
what ended, was paused or was cancelled meanwhile is never overwritten by the worker that lost it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection
from sqlalchemy.exc import IntegrityError

from coach_core.errors import CollectionNotFound
from coach_core.store import Database
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.knowledge import UploadRow
from coach_core.types import IngestProgress, clean_text, now

_UPLOADS = table_of(UploadRow)
WORKING = ("reading", "chunking")
ENDED = ("ready", "failed")
_COUNTED = (_UPLOADS.c.id, _UPLOADS.c.collection_id, _UPLOADS.c.name, _UPLOADS.c.size, _UPLOADS.c.stage)
_TIMED = (_UPLOADS.c.done, _UPLOADS.c.total, _UPLOADS.c.duplicate, _UPLOADS.c.started_at, _UPLOADS.c.ended_at)
_FRESH: dict[str, Any] = {
    "stage": "queued", "done": 0, "total": 0, "document_id": None, "duplicate": False, "error": "",
    "attempts": 0, "started_at": None, "ended_at": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was handed over; `path` is `place`/name, where a place is one folder of one machine."""

    id: UUID
    collection_id: UUID
    user_id: UUID
    by: str
    name: str
    path: str
    size: int
    replaces: UUID | None = None
    attempts: int = 0
    begun_at: datetime | None = None  # when it was first begun, if it was broken off since


@dataclass(frozen=True, slots=True)
class Timed:
    """What an estimate needs to know of an upload."""

    id: UUID
    collection_id: UUID
    name: str
    size: int
    stage: str
    done: int
    total: int
    duplicate: bool
    started_at: datetime | None
    ended_at: datetime | None


def add(db: Database, uploads: Sequence[Upload], errors: Mapping[UUID, str], *, instead_of: UUID | None = None) -> bool:
    """They wait now, or have failed at once with one of `errors`.

    `instead_of` one in work, which goes; False, and nothing is done, when it is not in work any more.
    Raises CollectionNotFound.
    """
    moment = now()
    rows = [
        _FRESH
        | {
            "id": u.id,
            "collection_id": u.collection_id,
            "user_id": u.user_id,
            "by": u.by,
            "name": clean_text(u.name),
            "path": u.path,
            "size": u.size,
            "replaces": u.replaces,
            "created_at": moment,
        }
        | ({"stage": "failed", "error": errors[u.id], "ended_at": moment} if u.id in errors else {})
        for u in uploads
    ]

    def work(connection: Connection) -> bool:
        if instead_of is not None:
            gone = sa.delete(_UPLOADS).where(_in_work(instead_of)).returning(_UPLOADS.c.id)
            if connection.execute(gone).first() is None:
                return False
        try:
            connection.execute(sa.insert(_UPLOADS), rows)
        except IntegrityError as fault:
            raise CollectionNotFound() from fault
        return True

    return db.write(work).result()


def waits(db: Database, place: str) -> bool:
    with db.read() as connection:
        return connection.execute(sa.select(_UPLOADS.c.id).where(_queued(place)).limit(1)).first() is not None


def claim(db: Database, place: str) -> Upload | None:
    """The next that waits at `place`, in work from now on.

    One whose reading was cut off by the end of the app comes last and alone: if it is what ended the app,
    no other is beside it then.
    """
    if not waits(db, place):
        return None
    return db.write(lambda connection: _claim(connection, place)).result()


def _claim(connection: Connection, place: str) -> Upload | None:
    in_work = sa.select(_UPLOADS.c.attempts).where(_at(place), _UPLOADS.c.stage.in_(WORKING))
    beside = list(connection.execute(in_work).scalars())
    query = sa.select(*_UPLOADS.c).where(_queued(place)).order_by(_UPLOADS.c.attempts, _UPLOADS.c.id).limit(1)
    row = connection.execute(query).first()
    if row is None or any(attempts > 1 for attempts in beside) or (row.attempts and beside):
        return None
    begun = {"stage": "reading", "done": 0, "total": 0, "error": "", "attempts": row.attempts + 1, "started_at": now()}
    connection.execute(sa.update(_UPLOADS).where(_UPLOADS.c.id == row.id).values(**begun))
    return _upload(row)


def tell(db: Database, upload_id: UUID, stage: str, done: int, total: int) -> bool:
    """Note how far a file in work is; whether it still is wanted."""
    values = {"stage": stage, "done": done, "total": total}
    return _change(db, _in_work(upload_id), values) > 0


def wanted(db: Database, upload_id: UUID) -> bool:
    with db.read() as connection:
        return connection.execute(sa.select(_UPLOADS.c.id).where(_in_work(upload_id))).first() is not None


def is_in(db: Database, upload_id: UUID, document_id: UUID, chunks: int, duplicate: bool) -> None:
    values: dict[str, Any] = {"stage": "ready", "done": chunks, "total": chunks, "ended_at": now()}
    _change(db, _in_work(upload_id), values | {"document_id": document_id, "duplicate": duplicate})


def fail(db: Database, upload_id: UUID, error: str) -> None:
    _change(db, _in_work(upload_id), {"stage": "failed", "error": error, "ended_at": now()})


def put_back(db: Database, place: str) -> None:
    """What is in work at `place` waits again: the app ends, and it is not to blame."""
    less = _UPLOADS.c.attempts - 1
    _change(db, sa.and_(_at(place), _UPLOADS.c.stage.in_(WORKING)), {"stage": "queued", "attempts": less})


def recover(db: Database, place: str, most: int, sentence: str, gone: str) -> None:
    """What was in work at `place` when its process died waits again, and has failed when that happened `most` times.

    With SQLite there is no place but this: a row of another came with a backup, its file is `gone`.
    """
    cut_off = sa.and_(_at(place), _UPLOADS.c.stage.in_(WORKING))
    failed = {"stage": "failed", "ended_at": now(), "error": sentence}
    _change(db, sa.and_(cut_off, _UPLOADS.c.attempts >= most), failed)
    _change(db, cut_off, {"stage": "queued", "done": 0, "total": 0})
    if db.sqlite:
        elsewhere = sa.and_(sa.not_(_at(place)), _UPLOADS.c.stage.not_in(ENDED))
        _change(db, elsewhere, {"stage": "failed", "ended_at": now(), "error": gone})


def pause(db: Database, collection_id: UUID | None) -> int:
    """Those that wait are left alone until `resume`; what is in work goes on to its end."""
    return _change(db, sa.and_(_of(collection_id), _UPLOADS.c.stage == "queued"), {"stage": "paused"})


def resume(db: Database, collection_id: UUID | None) -> int:
    return _change(db, sa.and_(_of(collection_id), _UPLOADS.c.stage == "paused"), {"stage": "queued", "attempts": 0})


def retry(db: Database, collection_id: UUID | None, upload_id: UUID | None = None) -> int:
    """Those that failed wait again (or the one)."""
    one = sa.true() if upload_id is None else _UPLOADS.c.id == upload_id
    return _change(db, sa.and_(_of(collection_id), one, _UPLOADS.c.stage == "failed"), _FRESH)


def take_off(
    db: Database,
    stages: Sequence[str],
    *,
    collection_id: UUID | None = None,
    upload_id: UUID | None = None,
    before: datetime | None = None,
) -> list[str]:
    """Take off the list what is in one of `stages`; the paths that nobody needs any more."""
    which = [_of(collection_id), _UPLOADS.c.stage.in_(stages)]
    if upload_id is not None:
        which.append(_UPLOADS.c.id == upload_id)
    if before is not None:
        which.append(_UPLOADS.c.ended_at <= before)
    gone = sa.delete(_UPLOADS).where(*which).returning(_UPLOADS.c.path)
    return db.write(lambda connection: list(connection.execute(gone).scalars())).result()


def listed(
    db: Database,
    collection_id: UUID | None = None,
    stages: Sequence[str] = (),
    limit: int | None = None,
    offset: int = 0,
) -> list[tuple[UUID, IngestProgress]]:
    """Where each stands, the oldest first."""
    query = sa.select(*_UPLOADS.c).where(_of(collection_id)).order_by(_UPLOADS.c.id).limit(limit).offset(offset)
    if stages:
        query = query.where(_UPLOADS.c.stage.in_(stages))
    with db.read() as connection:
        return [(row.id, _progress(row)) for row in connection.execute(query)]


def timed(db: Database) -> list[Timed]:
    """All of them, the oldest first."""
    with db.read() as connection:
        query = sa.select(*_COUNTED, *_TIMED).order_by(_UPLOADS.c.id)
        return [Timed(*row) for row in connection.execute(query)]


def paths(db: Database, place: str) -> set[str]:
    """Where the bytes lie that somebody still needs."""
    with db.read() as connection:
        return set(connection.execute(sa.select(_UPLOADS.c.path).where(_at(place))).scalars())


def _change(db: Database, which: ColumnElement[bool], values: dict[str, Any]) -> int:
    update = sa.update(_UPLOADS).where(which).values(**values)
    return db.write(lambda connection: connection.execute(update).rowcount).result()


def _of(collection_id: UUID | None) -> ColumnElement[bool]:
    return sa.true() if collection_id is None else _UPLOADS.c.collection_id == collection_id


def _at(place: str) -> ColumnElement[bool]:
    return _UPLOADS.c.path.startswith(f"{place}/")


def _queued(place: str) -> ColumnElement[bool]:
    return sa.and_(_at(place), _UPLOADS.c.stage == "queued")


def _in_work(upload_id: UUID) -> ColumnElement[bool]:
    return sa.and_(_UPLOADS.c.id == upload_id, _UPLOADS.c.stage.in_(WORKING))


def _upload(row: AnyRow) -> Upload:
    return Upload(
        row.id,
        row.collection_id,
        row.user_id,
        row.by,
        row.name,
        row.path,
        row.size,
        row.replaces,
        row.attempts + 1,
        row.started_at,
    )


def _progress(row: AnyRow) -> IngestProgress:
    return IngestProgress(row.document_id, row.name, row.stage, row.done, row.total, row.error, duplicate=row.duplicate)
