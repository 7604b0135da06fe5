"""Questions that the documents did not hold, so that an admin knows what to write next.

Invariant: a row says what was asked, of which persona, how often and when last; never who asked. The same
question of the same persona is one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Row

from coach_core.errors import NotFound
from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import DocumentRow, UnansweredRow
from coach_core.types import Unanswered, UnansweredStatus, UnansweredVerdict, clean_text, new_id

UNANSWERED = table_of(UnansweredRow)
_DOCUMENTS = table_of(DocumentRow)
_GONE = "This question is not in the list any more."


def record(
    db: Database,
    moment: datetime,
    *,
    key: str,
    text: str,
    language: str,
    persona_id: UUID,
    collections: Sequence[UUID],
    verdict: UnansweredVerdict,
) -> None:
    """Asked once more. One that was answered is open again; one that was dismissed stays so."""
    mine = sa.and_(UNANSWERED.c.key == key, UNANSWERED.c.persona_id == persona_id)
    told = {"verdict": verdict, "collections": [str(c) for c in collections], "last_at": moment}

    def work(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":  # two processes that hear it at once make one row
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(key))))
        row = connection.execute(sa.select(UNANSWERED.c.id, UNANSWERED.c.status).where(mine)).first()
        if row is None:
            first = {"id": new_id(), "key": key, "text": clean_text(text), "language": language, "status": "open"}
            values = {**first, "persona_id": persona_id, "times": 1, "created_at": moment, **told}
            connection.execute(sa.insert(UNANSWERED).values(values))
            return
        again: dict[str, Any] = {"times": UNANSWERED.c.times + 1, **told}
        if row.status == "answered":
            again |= {"status": "open", "document_id": None}
        connection.execute(sa.update(UNANSWERED).where(UNANSWERED.c.id == row.id).values(again))

    db.write(work).result()


def list_questions(
    db: Database, statuses: Sequence[UnansweredStatus] = (), *, since: datetime | None = None, limit: int = 2000
) -> list[Unanswered]:
    """Those asked most often first, then the latest."""
    query = sa.select(UNANSWERED).order_by(UNANSWERED.c.times.desc(), UNANSWERED.c.last_at.desc(), UNANSWERED.c.id)
    if statuses:
        query = query.where(UNANSWERED.c.status.in_(statuses))
    if since is not None:
        query = query.where(UNANSWERED.c.last_at >= since)
    with db.read() as connection:
        return [_question(row) for row in connection.execute(query.limit(limit))]


def get(db: Database, question_id: UUID) -> Unanswered:
    with db.read() as connection:
        row = connection.execute(sa.select(UNANSWERED).where(UNANSWERED.c.id == question_id)).first()
    if row is None:
        raise NotFound(_GONE)
    return _question(row)


def change(db: Database, question_id: UUID, status: UnansweredStatus, document_id: UUID | None = None) -> None:
    _update(db, question_id, {"status": status, "document_id": document_id})


def erase(db: Database, question_id: UUID | None = None, *, before: datetime | None = None) -> int:
    """Take one away, those not asked since `before`, or all; how many."""
    drop = sa.delete(UNANSWERED)
    if question_id is not None:
        drop = drop.where(UNANSWERED.c.id == question_id)
    if before is not None:
        drop = drop.where(UNANSWERED.c.last_at < before)
    return db.write(lambda connection: connection.execute(drop).rowcount).result()


def newest_change(db: Database) -> datetime | None:
    """When the newest document came or was replaced."""
    newest = sa.select(_DOCUMENTS.c.updated_at).order_by(_DOCUMENTS.c.updated_at.desc()).limit(1)
    with db.read() as connection:
        return connection.execute(newest).scalar()


def changed_since(db: Database, document_ids: Sequence[UUID], moment: datetime) -> set[UUID]:
    """Which of these documents came or were replaced after `moment`."""
    query = sa.select(_DOCUMENTS.c.id).where(_DOCUMENTS.c.id.in_(document_ids), _DOCUMENTS.c.updated_at > moment)
    with db.read() as connection:
        return set(connection.execute(query).scalars())


def _update(db: Database, question_id: UUID, values: Mapping[str, Any]) -> None:
    update = sa.update(UNANSWERED).where(UNANSWERED.c.id == question_id).values(**values)
    if not db.write(lambda connection: connection.execute(update).rowcount).result():
        raise NotFound(_GONE)


def _question(row: Row[Any]) -> Unanswered:
    return Unanswered(
        row.id,
        row.text,
        row.language,
        row.persona_id,
        tuple(UUID(c) for c in row.collections or ()),
        row.verdict or "nothing",
        row.status,
        row.times,
        row.created_at,
        row.last_at or row.created_at,
        row.document_id,
    )
