"""Passages and their vectors as rows: written in parts, found by words, loaded by generation.

Invariant: only chunks of a version that its document names are found, and only in the collections
asked for. The full text index holds a chunk exactly as long as the chunk's row is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.dialects import postgresql, sqlite

from coach_core.store import collections
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import ChunkRow, DocumentRow, RemovalRow, TrashRow, VectorRow

CHUNKS = table_of(ChunkRow)
VECTORS = table_of(VectorRow)
_DOCUMENTS = table_of(DocumentRow)
_REMOVALS = table_of(RemovalRow)
_TRASH = table_of(TrashRow)
BATCH = 200
PART = 20_000  # vectors that are loaded at once
_VISIBLE = sa.and_(_DOCUMENTS.c.id == CHUNKS.c.document_id, _DOCUMENTS.c.version_id == CHUNKS.c.version_id)

_INDEX = (
    "INSERT INTO chunk_words(rowid, scope, words) SELECT number, scope, words FROM chunks "
    "WHERE version_id = :version AND position BETWEEN :first AND :last"
)
_UNINDEX = (
    "INSERT INTO chunk_words(chunk_words, rowid, scope, words) "
    "SELECT 'delete', number, scope, words FROM chunks WHERE number BETWEEN :first AND :last AND version_id = :version"
)


_VECTORS_OF = sa.text(
    "SELECT v.chunk_number, v.vector FROM json_each(:numbers) AS n "
    "CROSS JOIN vectors AS v ON v.chunk_number = n.value AND v.model = :model"
)


def scope(collection_id: UUID, document_id: UUID) -> str:
    """The tokens by which a search is kept to a collection or a document."""
    return f"c{collection_id.hex} d{document_id.hex}"


def add(connection: Connection, version_id: UUID, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write chunks of a version, in order of their positions, and their words."""
    connection.execute(sa.insert(CHUNKS), [dict(row) for row in rows])
    if connection.dialect.name == "sqlite":
        places = {"first": rows[0]["position"], "last": rows[-1]["position"]}
        connection.execute(_text(_INDEX), {"version": version_id, **places})


def count(connection: Connection, version_id: UUID) -> int:
    query = sa.select(sa.func.count()).select_from(CHUNKS).where(CHUNKS.c.version_id == version_id)
    return connection.execute(query).scalar_one()


def drop_some(connection: Connection, version_id: UUID) -> int:
    """Delete up to BATCH chunks of a version that no document names, with their words and vectors; how many."""
    seen = sa.or_(*(sa.exists().where(t.c.version_id == version_id) for t in (_DOCUMENTS, _TRASH)))
    mine = sa.select(CHUNKS.c.number).where(CHUNKS.c.version_id == version_id, sa.not_(seen))
    mine = mine.order_by(CHUNKS.c.number)
    numbers = list(connection.execute(mine.limit(BATCH)).scalars())
    if not numbers:
        return 0
    between = {"first": numbers[0], "last": numbers[-1], "version": version_id}
    if connection.dialect.name == "sqlite":
        connection.execute(_text(_UNINDEX), between)
    connection.execute(sa.delete(VECTORS).where(VECTORS.c.chunk_number.in_(numbers)))
    connection.execute(sa.delete(CHUNKS).where(CHUNKS.c.number.in_(numbers)))
    return len(numbers)


def rows_of(connection: Connection, numbers: Sequence[int], within: Sequence[UUID]) -> dict[int, Row[Any]]:
    """Visible chunks of `numbers` in the collections `within`, with their documents' title and hash."""
    query = _joined().where(CHUNKS.c.number.in_(numbers), CHUNKS.c.collection_id.in_(within))
    return {row.number: row for row in connection.execute(query)}


def words_of(connection: Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The tokens of the chunks `numbers`, as full text search has them."""
    rows = connection.execute(sa.select(CHUNKS.c.number, CHUNKS.c.words).where(CHUNKS.c.number.in_(numbers)))
    return {row.number: row.words for row in rows}


def row_of(connection: Connection, chunk_id: UUID) -> Row[Any] | None:
    return connection.execute(_joined().where(CHUNKS.c.id == chunk_id)).first()


def of_document(connection: Connection, document_id: UUID) -> list[Row[Any]]:
    """The document's visible chunks in their order, with its title and hash."""
    query = _joined().where(_DOCUMENTS.c.id == document_id).order_by(CHUNKS.c.position)
    return list(connection.execute(query))


def version_of(connection: Connection, document_id: UUID) -> UUID | None:
    return connection.execute(sa.select(_DOCUMENTS.c.version_id).where(_DOCUMENTS.c.id == document_id)).scalar()


def anything(connection: Connection) -> bool:
    """Whether there is any passage at all."""
    return connection.execute(sa.select(_DOCUMENTS.c.id).where(_DOCUMENTS.c.chunks > 0).limit(1)).first() is not None


def unembedded(
    connection: Connection,
    model: str,
    limit: int,
    after: int = 0,
    languages: Sequence[str] = (),
    sizes: tuple[int, int] | None = None,
) -> list[Row[Any]]:
    """Visible chunks beyond number `after` that have no vector of `model`, in order; of documents in `languages`, of
    more passages than the first of `sizes` and at most the second."""
    there = sa.exists().where(VECTORS.c.chunk_number == CHUNKS.c.number, VECTORS.c.model == model)
    columns = [CHUNKS.c[n] for n in ("number", "version_id", "collection_id", "text", "section", "row")]
    query = sa.select(*columns, _DOCUMENTS.c.title).join(_DOCUMENTS, _VISIBLE)
    query = query.where(CHUNKS.c.number > after, sa.not_(there))
    if languages:
        query = query.where(_DOCUMENTS.c.language.in_(languages))
    if sizes:
        query = query.where(_DOCUMENTS.c.chunks > sizes[0], _DOCUMENTS.c.chunks <= sizes[1])
    return list(connection.execute(query.order_by(CHUNKS.c.number).limit(limit)))


def add_vectors(connection: Connection, model: str, rows: Sequence[tuple[int, UUID, UUID, bytes]]) -> None:
    """Write (chunk number, version, collection, float16 bytes) of chunks that are still visible."""
    numbers = [number for number, *_ in rows]
    query = sa.select(CHUNKS.c.number).join(_DOCUMENTS, _VISIBLE).where(CHUNKS.c.number.in_(numbers))
    still = set(connection.execute(query).scalars())
    generation: dict[UUID, int] = {}
    values: list[dict[str, Any]] = []
    for number, version_id, collection_id, vector in rows:
        if number not in still:
            continue
        if collection_id not in generation:
            generation[collection_id] = collections.raise_generation(connection, collection_id)
        names = ("chunk_number", "model", "version_id", "collection_id", "generation", "vector")
        row = (number, model, version_id, collection_id, generation[collection_id], vector)
        values.append(dict(zip(names, row, strict=True)))
    if values:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(insert(VECTORS).on_conflict_do_nothing(), values)


def vector_counts(connection: Connection, model: str) -> tuple[int, int]:
    """(visible chunks with a vector of `model`, visible chunks)."""
    total = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(_DOCUMENTS.c.chunks), 0))).scalar_one()
    done = (
        sa.select(sa.func.count())
        .select_from(VECTORS)
        .join(_DOCUMENTS, _DOCUMENTS.c.version_id == VECTORS.c.version_id)
        .where(VECTORS.c.model == model)
    )
    return connection.execute(done).scalar_one(), int(total)


def part_of(connection: Connection, collection_id: UUID, model: str, after: int, now: int) -> int:
    """The generation up to which about PART vectors follow generation `after`; `now` where there are fewer."""
    mine = sa.and_(VECTORS.c.collection_id == collection_id, VECTORS.c.model == model)
    beyond = sa.select(VECTORS.c.generation).where(mine, VECTORS.c.generation > after)
    last = connection.execute(beyond.order_by(VECTORS.c.generation).offset(PART).limit(1)).scalar()
    return min(int(last), now) if last is not None else now


def vectors_in(connection: Connection, collection_id: UUID, model: str) -> int:
    """How many vectors of `model` the collection holds, those of versions that went too."""
    mine = sa.and_(VECTORS.c.collection_id == collection_id, VECTORS.c.model == model)
    return int(connection.execute(sa.select(sa.func.count()).select_from(VECTORS).where(mine)).scalar_one())


def fresh_vectors(
    connection: Connection, collection_id: UUID, model: str, after: int, upto: int
) -> Iterator[tuple[list[UUID], list[int], list[bytes]]]:
    """Visible vectors written after generation `after` up to `upto`, in parts: (versions, numbers, vectors)."""
    between = VECTORS.c.generation.between(after + 1, upto)
    query = (
        sa.select(sa.type_coerce(VECTORS.c.version_id, sa.String), VECTORS.c.chunk_number, VECTORS.c.vector)
        .join(_DOCUMENTS, _DOCUMENTS.c.version_id == VECTORS.c.version_id)
        .where(VECTORS.c.collection_id == collection_id, VECTORS.c.model == model, between)
        .execution_options(yield_per=5000)
    )
    known: dict[Any, UUID] = {}  # a million rows of few versions: each id is read once
    for rows in connection.execute(query).partitions():
        for raw, _, _ in rows:
            if raw not in known:
                known[raw] = raw if isinstance(raw, UUID) else UUID(raw)
        yield [known[r[0]] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def removed_since(connection: Connection, collection_id: UUID, after: int) -> list[UUID]:
    """Versions that left the collection after generation `after`."""
    mine = sa.and_(_REMOVALS.c.collection_id == collection_id, _REMOVALS.c.generation > after)
    return list(connection.execute(sa.select(_REMOVALS.c.version_id).where(mine)).scalars())


def _joined() -> sa.Select[Any]:
    return sa.select(
        *(CHUNKS.c[n] for n in ("number", "id", "version_id", "document_id", "collection_id", "position", "text")),
        *(CHUNKS.c[n] for n in ("section", "page", "row", "start_char", "end_char", "tokens")),
        _DOCUMENTS.c.title,
        _DOCUMENTS.c.sha256,
        _DOCUMENTS.c.language,
    ).join(_DOCUMENTS, _VISIBLE)


def _text(statement: str) -> sa.TextClause:
    return sa.text(statement).bindparams(sa.bindparam("version", type_=sa.Uuid()))


def numbers_of(connection: Connection, version_id: UUID) -> list[int]:
    """The numbers of a version's chunks, in their order."""
    mine = sa.select(CHUNKS.c.number).where(CHUNKS.c.version_id == version_id)
    return list(connection.execute(mine.order_by(CHUNKS.c.position)).scalars())


def vectors_of(connection: Connection, numbers: Sequence[int], model: str) -> dict[int, bytes]:
    """The vectors of `model` that chunks have. As one value, since hundreds of parameters take longer than the rows."""
    if connection.dialect.name == "sqlite":
        found = connection.execute(_VECTORS_OF, {"model": model, "numbers": json.dumps(list(numbers))})
        return {row[0]: row[1] for row in found.all()}
    query = sa.select(VECTORS.c.chunk_number, VECTORS.c.vector)
    mine = query.where(VECTORS.c.chunk_number.in_(numbers), VECTORS.c.model == model)
    return {row.chunk_number: row.vector for row in connection.execute(mine)}
