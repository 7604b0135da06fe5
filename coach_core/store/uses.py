"""What documents are used for: per document and day, how many answers were given its passages, and cited it.

Invariant: an answer counts a document once, however many of its passages it was given; nothing here says
who asked or what.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from concurrent.futures import Future
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import DocumentRow, DocumentUseRow
from coach_core.types import DocumentUse

USES = table_of(DocumentUseRow)
_DOCUMENTS = table_of(DocumentRow)


def record(db: Database, moment: datetime, found: Collection[UUID], cited: Collection[UUID]) -> Future[None]:
    """One more answer that was given passages of `found` and cited `cited`."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    rows: list[dict[str, Any]] = [
        {"document_id": d, "day": day, "found": int(d in found), "cited": int(d in cited), "last_at": moment}
        for d in sorted({*found, *cited})  # always in one order: two writers never wait for each other in a ring
    ]

    def work(connection: Connection) -> None:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        add = insert(USES)
        more = {
            "found": USES.c.found + add.excluded.found,
            "cited": USES.c.cited + add.excluded.cited,
            "last_at": add.excluded.last_at,
        }
        connection.execute(add.on_conflict_do_update(index_elements=["document_id", "day"], set_=more), rows)

    if rows:
        return db.write(work)
    nothing: Future[None] = Future()
    nothing.set_result(None)
    return nothing


def of_documents(
    db: Database, *, collection_id: UUID | None = None, since: datetime | None = None
) -> dict[UUID, DocumentUse]:
    """The use of each document that was used at all, of one collection or of all, from the day of `since` on."""
    sums = (
        sa.func.sum(USES.c.found),
        sa.func.sum(USES.c.cited),
        sa.func.max(USES.c.last_at, type_=USES.c.last_at.type),
    )
    query = sa.select(USES.c.document_id, *sums).group_by(USES.c.document_id)
    if collection_id is not None:
        query = query.join(_DOCUMENTS, _DOCUMENTS.c.id == USES.c.document_id)
        query = query.where(_DOCUMENTS.c.collection_id == collection_id)
    if since is not None:
        query = query.where(USES.c.day >= since.replace(hour=0, minute=0, second=0, microsecond=0))
    with db.read() as connection:
        rows: Iterable[Any] = connection.execute(query).all()
    return {r[0]: DocumentUse(r[0], int(r[1]), int(r[2]), r[3]) for r in rows}


def forget(db: Database, before: datetime) -> int:
    """Drop days before `before`, and those of documents that are gone for good; how many rows."""
    drop = sa.delete(USES).where(USES.c.day < before)
    return db.write(lambda connection: connection.execute(drop).rowcount).result()
