"""Documents and collections that were deleted, kept for a while: back with one click, or gone for good.

Invariant: what lies here is in none of the tables that searches, lists and copies read, from the transaction
on that put it here. Its passages and its file stay until `purge`; what answers cite is theirs and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from coach_core.errors import CollectionNotFound, DocumentNotFound, NameTaken
from coach_core.store import Database, collections, documents, files
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.knowledge import (
    CollectionRow,
    DocumentRow,
    HostedStoreRow,
    RemovalRow,
    TrashRow,
    VectorRow,
)
from coach_core.types import Deleted, now

TRASH = table_of(TrashRow)
_DOCUMENTS = table_of(DocumentRow)
_COLLECTIONS = table_of(CollectionRow)
_HOSTED = table_of(HostedStoreRow)
_REMOVALS = table_of(RemovalRow)
_VECTORS = table_of(VectorRow)
_PART = 200  # documents of one transaction
_TIMES = {"created_at", "updated_at", "dated_at"}
_IDS = {"id", "collection_id", "version_id", "file_id"}


def put_document(db: Database, document_id: UUID, by: str = "") -> None:
    if not put_documents(db, [document_id], by):
        raise DocumentNotFound()


def put_documents(db: Database, ids: Sequence[UUID], by: str = "") -> list[UUID]:
    """Many, some hundreds in one transaction; those that were there."""

    def work(connection: Connection, some: Sequence[UUID]) -> list[UUID]:
        rows = connection.execute(sa.select(_DOCUMENTS).where(_DOCUMENTS.c.id.in_(some))).mappings().all()
        if not rows:
            return []
        homes = sorted({r["collection_id"] for r in rows})  # always in one order: two writers never wait in a ring
        generations = {c: collections.raise_generation(connection, c) for c in homes}
        connection.execute(sa.insert(TRASH), [_kept(r, by) for r in rows])
        connection.execute(sa.delete(_DOCUMENTS).where(_DOCUMENTS.c.id.in_([r["id"] for r in rows])))
        for r in rows:
            documents.note_removal(connection, r["collection_id"], generations[r["collection_id"]], r["version_id"])
        return [r["id"] for r in rows]

    parts = (ids[at : at + _PART] for at in range(0, len(ids), _PART))
    return [i for part in parts for i in db.write(lambda c, part=part: work(c, part)).result()]


def put_collection(db: Database, collection_id: UUID, by: str = "") -> None:
    """With its documents, which come back with it."""

    def work(connection: Connection) -> None:
        collections.raise_generation(connection, collection_id)
        row = connection.execute(sa.select(_COLLECTIONS).where(_COLLECTIONS.c.id == collection_id)).mappings().one()
        mine = sa.select(_DOCUMENTS).where(_DOCUMENTS.c.collection_id == collection_id)
        inside = connection.execute(mine).mappings().all()
        if inside:
            connection.execute(sa.insert(TRASH), [_kept(d, by, collection_id) for d in inside])
        connection.execute(sa.insert(TRASH).values(**_kept(row, by)))
        for table in (_DOCUMENTS, _HOSTED):
            connection.execute(sa.delete(table).where(table.c.collection_id == collection_id))
        connection.execute(sa.delete(_COLLECTIONS).where(_COLLECTIONS.c.id == collection_id))

    db.write(work).result()


def list_deleted(db: Database, limit: int | None = None) -> list[Deleted]:
    """What can come back, the newest first; documents that went with their collection are counted there."""
    inside = TRASH.alias()
    counted = sa.select(sa.func.count()).where(inside.c.with_id == TRASH.c.id).scalar_subquery()
    passages = sa.select(sa.func.coalesce(sa.func.sum(inside.c.chunks), 0)).where(inside.c.with_id == TRASH.c.id)
    query = (
        sa.select(TRASH, counted.label("inside"), passages.scalar_subquery().label("passages"))
        .where(TRASH.c.with_id.is_(None))
        .order_by(TRASH.c.deleted_at.desc(), TRASH.c.id)
        .limit(limit)
    )
    with db.read() as connection:
        return [
            Deleted(
                r.id, r.kind, r.collection_id, r.name, r.by, r.chunks + int(r.passages), r.deleted_at, int(r.inside)
            )
            for r in connection.execute(query)
        ]


def bring_back(db: Database, *deleted_ids: UUID) -> None:
    """Raises NameTaken when its place is taken meanwhile, NotFound when it is gone for good."""

    def work(connection: Connection, some: Sequence[UUID]) -> None:
        rows = {r.id: r for r in connection.execute(sa.select(TRASH).where(TRASH.c.id.in_(some)))}
        if len(rows) < len(some):
            raise DocumentNotFound("This was deleted for good, or is back already.")
        for row in (rows[i] for i in some):
            if row.kind == "collection":
                _restore_collection(connection, row)
            else:
                _restore_document(connection, row)

    for at in range(0, len(deleted_ids), _PART):
        db.write(lambda connection, some=deleted_ids[at : at + _PART]: work(connection, some)).result()


def purge(db: Database, before: datetime | None = None, *, only: UUID | None = None) -> int:
    """Take what was deleted before `before` (or `only` that) away for good, with passages and files; how many."""
    which = TRASH.c.id == only if only is not None else TRASH.c.deleted_at <= (before or now())
    with db.read() as connection:
        rows = list(connection.execute(sa.select(TRASH).where(which)))
        gone = [r.id for r in rows if r.kind == "collection"]
        beside = sa.or_(TRASH.c.with_id.in_(gone), sa.and_(TRASH.c.collection_id.in_(gone), TRASH.c.id.not_in(gone)))
        rows += connection.execute(sa.select(TRASH).where(beside, sa.not_(which))) if gone else []
    for row in rows:
        db.write(lambda c, row=row: c.execute(sa.delete(TRASH).where(TRASH.c.id == row.id))).result()
        if row.kind == "collection":
            drop = sa.delete(_REMOVALS).where(_REMOVALS.c.collection_id == row.id)
            db.write(lambda c, drop=drop: c.execute(drop)).result()
        if row.version_id is not None:
            documents.sweep(db, now(), only=row.version_id)
        if row.file_id is not None:
            _drop_file(db, row.file_id)
    return len(rows)


# -- within a transaction ---------------------------------------------------------------------------------


def _kept(row: Mapping[Any, Any], by: str, with_id: UUID | None = None) -> dict[str, Any]:
    """The row of a document or of a collection as a row of the trash."""
    document = "version_id" in row
    return {
        "id": row["id"],
        "kind": "document" if document else "collection",
        "collection_id": row["collection_id"] if document else row["id"],
        "version_id": row.get("version_id"),
        "file_id": row.get("file_id"),
        "with_id": with_id,
        "name": row.get("title") or row["name"],
        "by": by,
        "chunks": row.get("chunks", 0),
        "row": {name: _plain(name, value) for name, value in row.items()},
        "deleted_at": now(),
    }


def _plain(name: str, value: Any) -> Any:
    """A value as JSON has it."""
    if value is None:
        return None
    return value.isoformat() if name in _TIMES else str(value) if name in _IDS else value


def _row(row: AnyRow, table: sa.Table) -> dict[str, Any]:
    """The row as it was; a column that came since has its default."""
    told = {k: v for k, v in row.row.items() if k in table.c}
    return {
        k: datetime.fromisoformat(v) if k in _TIMES and v else UUID(v) if k in _IDS and v else v
        for k, v in told.items()
    }


def _restore_document(connection: Connection, row: AnyRow) -> None:
    try:
        generation = collections.raise_generation(connection, row.collection_id)
    except CollectionNotFound as error:
        raise CollectionNotFound("Its collection was deleted too. Bring that back first.") from error
    try:
        connection.execute(sa.insert(_DOCUMENTS).values(**_row(row, _DOCUMENTS)))
    except IntegrityError as error:
        raise NameTaken(f"{row.name} is there already: the same file was added again meanwhile.") from error
    fresh = sa.update(_VECTORS).where(_VECTORS.c.version_id == row.version_id)
    connection.execute(fresh.values(generation=generation))  # other processes have forgotten them
    connection.execute(sa.delete(TRASH).where(TRASH.c.id == row.id))


def _restore_collection(connection: Connection, row: AnyRow) -> None:
    values = _row(row, _COLLECTIONS)
    try:
        connection.execute(sa.insert(_COLLECTIONS).values(**values))
    except IntegrityError as error:
        text = f"There is another collection called {row.name} now. Rename that one first."
        raise NameTaken(text) from error
    inside = connection.execute(sa.select(TRASH).where(TRASH.c.with_id == row.id)).all()
    if inside:
        connection.execute(sa.insert(_DOCUMENTS), [_row(d, _DOCUMENTS) for d in inside])
    collections.raise_generation(connection, row.id)
    connection.execute(sa.delete(TRASH).where(sa.or_(TRASH.c.id == row.id, TRASH.c.with_id == row.id)))


def _drop_file(db: Database, file_id: UUID) -> None:
    """The file, unless another document holds the same one, there or in the trash."""
    with db.read() as connection:
        for table in (_DOCUMENTS, TRASH):
            if connection.execute(sa.select(table.c.id).where(table.c.file_id == file_id).limit(1)).first():
                return
    files.drop(db, file_id)
