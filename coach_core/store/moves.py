"""Documents put into another collection, or copied there: with their passages and vectors, nothing read anew.

Invariant: as with a new version: passages are written hidden under the new place, one small transaction
shows them there (and takes them from where they were), and what they leave behind is swept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from coach_core.errors import DocumentNotFound, NameTaken
from coach_core.store import Database, chunks, collections, documents
from coach_core.types import new_id, now


def place(db: Database, document_id: UUID, collection_id: UUID, *, copy: bool = False) -> UUID:
    """Put the document into `collection_id`; its id there, a new one for a copy. Raises NameTaken when the
    same file is there already."""
    with db.read() as connection:
        query = sa.select(documents.DOCUMENTS).where(documents.DOCUMENTS.c.id == document_id)
        row = connection.execute(query).mappings().first()
    if row is None:
        raise DocumentNotFound()
    if row["collection_id"] == collection_id:
        return document_id
    if documents.known(db, collection_id, row["sha256"]) is not None:
        raise NameTaken(f"{row['title'] or row['name']} is in that collection already.")
    collections.get(db, collection_id)
    placed, version_id = new_id() if copy else document_id, new_id()
    text, marks = documents.text_of(db, document_id)
    documents.hide(db, version_id, placed, collection_id, text, marks)
    try:
        _copy_chunks(db, row["version_id"], version_id, placed, collection_id)
        values = {k: v for k, v in row.items() if k not in {"id", "version_id"}}
        values |= {"collection_id": collection_id, "updated_at": now()}
        _show(db, row, placed, version_id, values)
    except BaseException:
        documents.sweep(db, now(), only=version_id)
        raise
    _copy_vectors(db, row["version_id"], version_id)
    if not copy:
        documents.sweep(db, now(), only=row["version_id"])
    return placed


def _copy_chunks(db: Database, old: UUID, new: UUID, document_id: UUID, collection_id: UUID) -> None:
    table = chunks.CHUNKS
    moved = {"version_id": new, "document_id": document_id, "collection_id": collection_id}
    at = -1
    while True:
        query = sa.select(table).where(table.c.version_id == old, table.c.position > at).order_by(table.c.position)
        with db.read() as connection:
            found = connection.execute(query.limit(chunks.BATCH)).mappings().all()
        if not found:
            return
        scope = chunks.scope(collection_id, document_id)
        rows: list[dict[str, Any]] = [
            {k: v for k, v in r.items() if k != "number"} | moved | {"id": new_id(), "scope": scope} for r in found
        ]
        db.write(lambda connection, rows=rows: chunks.add(connection, new, rows)).result()
        at = found[-1]["position"]


def _show(db: Database, row: Mapping[Any, Any], placed: UUID, version_id: UUID, values: dict[str, Any]) -> None:
    table = documents.DOCUMENTS

    def work(connection: Connection) -> None:
        collections.raise_generation(connection, values["collection_id"])
        here = sa.and_(table.c.id == row["id"], table.c.version_id == row["version_id"])
        try:
            if placed != row["id"]:
                values["created_at"] = values["updated_at"]
                connection.execute(sa.insert(table).values(id=placed, version_id=version_id, **values))
                return
            change = sa.update(table).where(here).values(version_id=version_id, **values)
            if not connection.execute(change).rowcount:
                raise DocumentNotFound()  # replaced or deleted meanwhile
        except IntegrityError as error:
            raise NameTaken(f"{row['title'] or row['name']} is in that collection already.") from error
        generation = collections.raise_generation(connection, row["collection_id"])
        documents.note_removal(connection, row["collection_id"], generation, row["version_id"])

    db.write(work).result()


def _copy_vectors(db: Database, old: UUID, new: UUID) -> None:
    """Meaning finds it at once too: the vectors of the passages it was made from, by their positions."""
    before, after = chunks.CHUNKS.alias(), chunks.CHUNKS.alias()
    query = (
        sa.select(after.c.number, after.c.collection_id, chunks.VECTORS.c.model, chunks.VECTORS.c.vector)
        .join(before, before.c.number == chunks.VECTORS.c.chunk_number)
        .join(after, sa.and_(after.c.version_id == new, after.c.position == before.c.position))
        .where(before.c.version_id == old)
        .order_by(chunks.VECTORS.c.model, after.c.number)
    )
    with db.read() as connection:
        found = connection.execute(query).all()
    for model in dict.fromkeys(r.model for r in found):
        rows = [(r.number, new, r.collection_id, r.vector) for r in found if r.model == model]
        for begin in range(0, len(rows), chunks.BATCH):
            some = rows[begin : begin + chunks.BATCH]
            db.write(lambda connection, m=model, some=some: chunks.add_vectors(connection, m, some)).result()
