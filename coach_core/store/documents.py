"""Documents and their versions: written hidden, shown in one small transaction, swept when unseen.

Invariant: a document always names one whole version. What is written before `show` is found by nobody;
if the writer dies, `sweep` takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from coach_core.errors import DocumentNotFound, StoreError
from coach_core.store import Database, chunks, collections
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import DocumentRow, DocumentVersionRow, RemovalRow, TrashRow, VectorRow
from coach_core.types import Document, now

DOCUMENTS = table_of(DocumentRow)
VERSIONS = table_of(DocumentVersionRow)
_REMOVALS = table_of(RemovalRow)
_VECTORS = table_of(VectorRow)
_TRASH = table_of(TrashRow)
Mark = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Holding:
    """A document as another place may hold a copy of it."""

    id: UUID
    sha256: str
    name: str
    media_type: str
    size: int
    file_id: UUID | None


class Known(Exception):
    """The collection holds a document with the same bytes; `document_id` names it."""

    def __init__(self, document_id: UUID) -> None:
        self.document_id = document_id


def list_documents(db: Database, collection_id: UUID, model: str = "") -> list[Document]:
    """The collection's documents by name; `model` is the one whose vectors count as embedded."""
    with db.read() as connection:
        found = connection.execute(_with_embedded(model).where(DOCUMENTS.c.collection_id == collection_id))
        return sorted(map(_document, found), key=lambda d: (d.name.casefold(), d.created_at))


def some(connection: Connection, ids: Sequence[UUID], model: str = "") -> list[Document]:
    """Those of `ids` that are there, in no order."""
    return [_document(row) for row in connection.execute(_with_embedded(model).where(DOCUMENTS.c.id.in_(ids)))]


def get(db: Database, document_id: UUID, model: str = "") -> Document:
    with db.read() as connection:
        row = connection.execute(_with_embedded(model).where(DOCUMENTS.c.id == document_id)).first()
    if row is None:
        raise DocumentNotFound()
    return _document(row)


def holdings(db: Database, collection_ids: Sequence[UUID]) -> tuple[dict[UUID, int], list[Holding]]:
    """The generation of each of these collections, and what they hold at that very moment, by id."""
    columns = [DOCUMENTS.c[name] for name in Holding.__dataclass_fields__]
    query = sa.select(*columns).where(DOCUMENTS.c.collection_id.in_(collection_ids)).order_by(DOCUMENTS.c.id)
    with db.read() as connection:
        generations = collections.generations(connection, collection_ids)
        return generations, [Holding(*row) for row in connection.execute(query)]


def known(db: Database, collection_id: UUID, sha256: str) -> UUID | None:
    """The document of the collection that has these bytes."""
    same = sa.and_(DOCUMENTS.c.collection_id == collection_id, DOCUMENTS.c.sha256 == sha256)
    with db.read() as connection:
        return connection.execute(sa.select(DOCUMENTS.c.id).where(same)).scalar()


def languages(connection: Connection, collection_ids: Sequence[UUID]) -> list[str]:
    """The languages of the documents there, the commonest first."""
    query = (
        sa.select(DOCUMENTS.c.language)
        .where(DOCUMENTS.c.collection_id.in_(collection_ids), DOCUMENTS.c.language != "")
        .group_by(DOCUMENTS.c.language)
        .order_by(sa.func.count().desc(), DOCUMENTS.c.language)
    )
    return list(connection.execute(query).scalars())


def text_of(db: Database, document_id: UUID) -> tuple[str, list[Mark]]:
    """The text as it was extracted, and its marks (page, row or section, start, end)."""
    query = (
        sa.select(VERSIONS.c.text, VERSIONS.c.marks)
        .join(DOCUMENTS, DOCUMENTS.c.version_id == VERSIONS.c.id)
        .where(DOCUMENTS.c.id == document_id)
    )
    with db.read() as connection:
        row = connection.execute(query).first()
    if row is None:
        raise DocumentNotFound()
    return row.text, [(label, start, end) for label, start, end in row.marks]


def text_between(connection: Connection, document_id: UUID, sha256: str, start: int, end: int) -> str | None:
    """The document's text from `start` to `end`; None when it has other bytes by now."""
    query = (
        sa.select(sa.func.substr(VERSIONS.c.text, start + 1, end - start))
        .join(DOCUMENTS, DOCUMENTS.c.version_id == VERSIONS.c.id)
        .where(DOCUMENTS.c.id == document_id, DOCUMENTS.c.sha256 == sha256)
    )
    return connection.execute(query).scalar()


def hide(
    db: Database, version_id: UUID, document_id: UUID, collection_id: UUID, text: str, marks: Sequence[Mark]
) -> None:
    """Write a version that no document names yet."""
    values = {
        "id": version_id,
        "document_id": document_id,
        "collection_id": collection_id,
        "text": text,
        "marks": [list(m) for m in marks],
        "created_at": now(),
    }
    db.write(lambda connection: connection.execute(sa.insert(VERSIONS).values(values))).result()


def show(db: Database, document_id: UUID, version_id: UUID, values: Mapping[str, Any], *, new: bool) -> None:
    """Make a version the document's: found from this moment, and the one before no longer.

    Raises Known when the collection got the same bytes meanwhile.
    """
    collection_id = values["collection_id"]

    def work(connection: Connection) -> None:
        generation = collections.raise_generation(connection, collection_id)
        if chunks.count(connection, version_id) != values["chunks"]:
            raise StoreError()  # swept while it was written: somebody replaced the document twice at once
        moment = now()
        stored = {**values, "version_id": version_id, "updated_at": moment}
        try:
            if new:
                connection.execute(sa.insert(DOCUMENTS).values(id=document_id, created_at=moment, **stored))
                return
            old = connection.execute(sa.select(DOCUMENTS.c.version_id).where(DOCUMENTS.c.id == document_id)).scalar()
            if old is None:
                raise DocumentNotFound()
            connection.execute(sa.update(DOCUMENTS).where(DOCUMENTS.c.id == document_id).values(**stored))
        except IntegrityError as error:
            same = sa.and_(DOCUMENTS.c.collection_id == collection_id, DOCUMENTS.c.sha256 == values["sha256"])
            raise _Twice(same) from error
        note_removal(connection, collection_id, generation, old)

    try:
        db.write(work).result()
    except _Twice:
        there = known(db, collection_id, values["sha256"])
        if there is None:
            raise
        raise Known(there) from None


class _Twice(Exception):
    pass


def sweep(
    db: Database,
    before: datetime,
    *,
    only: UUID | None = None,
    of: UUID | None = None,
    within: UUID | None = None,
) -> int:
    """Take away versions made before `before` that no document names, there or in the trash; how many.

    `only` that one, those `of` a document, or `within` a collection, when given.
    """
    unseen = sa.not_(sa.or_(*(sa.exists().where(t.c.version_id == VERSIONS.c.id) for t in (DOCUMENTS, _TRASH))))
    query = sa.select(VERSIONS.c.id).where(VERSIONS.c.created_at <= before, unseen)
    for column, value in (("id", only), ("document_id", of), ("collection_id", within)):
        if value is not None:
            query = query.where(VERSIONS.c[column] == value)
    with db.read() as connection:
        garbage = list(connection.execute(query).scalars())
    for version_id in garbage:
        while db.write(lambda connection, v=version_id: chunks.drop_some(connection, v)).result():
            pass
        gone = sa.delete(VERSIONS).where(VERSIONS.c.id == version_id, unseen)
        db.write(lambda connection, gone=gone: connection.execute(gone)).result()
    return len(garbage)


def note_removal(connection: Connection, collection_id: UUID, generation: int, version_id: UUID) -> None:
    """Tell other processes to forget a version's vectors."""
    values = {"collection_id": collection_id, "generation": generation, "version_id": version_id}
    connection.execute(sa.insert(_REMOVALS).values(values))


def _with_embedded(model: str) -> sa.Select[Any]:
    embedded = (
        sa.select(sa.func.count())
        .where(_VECTORS.c.version_id == DOCUMENTS.c.version_id, _VECTORS.c.model == model)
        .scalar_subquery()
    )
    return sa.select(*DOCUMENTS.c, embedded.label("embedded"))


def _document(row: Row[Any]) -> Document:
    return Document(
        row.id,
        row.collection_id,
        row.name,
        row.title,
        row.media_type,
        row.size,
        row.sha256,
        "ready" if row.embedded >= row.chunks else "embedding",
        row.created_at,
        pages=row.pages,
        chunks=row.chunks,
        embedded=row.embedded,
        language=row.language,
        added_by=row.added_by,
        file_id=row.file_id,
        dated_at=row.dated_at,
    )
