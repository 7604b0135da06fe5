"""Passages and their vectors as rows: written in parts, found by words, loaded by generation.

Invariant: only chunks of a version that its document names are found, and only in the collections
asked for. The full text index holds a chunk exactly as long as the chunk's row is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.dialects import postgresql, sqlite

from coach_core.store import collections
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import ChunkRow, DocumentRow, RemovalRow, VectorRow

CHUNKS = table_of(ChunkRow)
VECTORS = table_of(VectorRow)
_DOCUMENTS = table_of(DocumentRow)
_REMOVALS = table_of(RemovalRow)
BATCH = 200
MOST_TIMES = 5
LONGEST_TOKEN = 100  # longer ones are no words; PostgreSQL refuses lexemes beyond 2 kB
_VISIBLE = sa.and_(_DOCUMENTS.c.id == CHUNKS.c.document_id, _DOCUMENTS.c.version_id == CHUNKS.c.version_id)

_INDEX = (
    "INSERT INTO chunk_words(rowid, scope, words) SELECT number, scope, words FROM chunks "
    "WHERE version_id = :version AND position BETWEEN :first AND :last"
)
_UNINDEX = (
    "INSERT INTO chunk_words(chunk_words, rowid, scope, words) "
    "SELECT 'delete', number, scope, words FROM chunks WHERE number BETWEEN :first AND :last AND version_id = :version"
)
_FTS5 = """
SELECT f.rowid AS number, -f.rank AS score
FROM (SELECT rowid, rank FROM chunk_words
      WHERE chunk_words MATCH :wanted AND rank MATCH 'bm25(0.0, 1.0)' ORDER BY rank LIMIT :most) AS f
JOIN chunks AS c ON c.number = f.rowid
JOIN documents AS d ON d.id = c.document_id AND d.version_id = c.version_id
ORDER BY f.rank, f.rowid LIMIT :limit
"""
#: BM25 as FTS5 has it (k1 1.2, b 0.75); PostgreSQL's own ranks know nothing of how rare a word is
_BM25 = """
WITH pool AS (
  SELECT c.number, c.word_count, c.words FROM chunks AS c
  JOIN documents AS d ON d.id = c.document_id AND d.version_id = c.version_id
  WHERE c.collection_id = ANY(:collections) AND (CAST(:document AS uuid) IS NULL OR c.document_id = :document)
), size AS (
  SELECT count(*)::float8 AS n, greatest(avg(word_count), 1)::float8 AS mean FROM pool
), said AS (
  SELECT p.number, p.word_count, u.lexeme, cardinality(u.positions)::float8 AS tf
  FROM pool AS p, unnest(to_tsvector('simple', p.words)) AS u
  WHERE to_tsvector('simple', p.words) @@ CAST(:wanted AS tsquery) AND u.lexeme = ANY(:tokens)
), rare AS (
  SELECT lexeme, greatest(ln((size.n - count(*) + 0.5) / (count(*) + 0.5)), 1e-6) AS idf
  FROM said, size GROUP BY lexeme, size.n
)
SELECT number, sum(times * idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * word_count / size.mean))) AS score
FROM said JOIN rare USING (lexeme) JOIN unnest(CAST(:tokens AS text[]), CAST(:times AS integer[])) AS a(lexeme, times)
USING (lexeme), size GROUP BY number ORDER BY score DESC, number LIMIT :limit
"""


#: how many chunks hold a token, which FTS5 tells only through a table of its own; temporary: the schema stays as it is
_VOCABULARY = "CREATE VIRTUAL TABLE IF NOT EXISTS temp.chunk_vocabulary USING fts5vocab('main', 'chunk_words', 'row')"
_COUNTED = "SELECT term AS token, doc AS held FROM temp.chunk_vocabulary WHERE term = :token"
_COUNTED_EACH = """
SELECT a.token, (SELECT count(*) FROM chunks AS c
                 WHERE to_tsvector('simple', c.words) @@ CAST('''' || a.token || '''' AS tsquery)) AS held
FROM unnest(CAST(:tokens AS text[])) AS a(token)
"""


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
    seen = sa.exists().where(_DOCUMENTS.c.version_id == version_id)
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


def by_words(
    connection: Connection, asked: Mapping[str, int], within: Sequence[UUID], document_id: UUID | None, limit: int
) -> dict[int, float]:
    """bm25 by chunk number (higher is better) of chunks with any of the tokens `asked`, the best `limit`.

    Each counts as often as it is said, up to MOST_TIMES.
    """
    tokens = [t for t in asked if len(t) <= LONGEST_TOKEN]
    times = [max(1, min(asked[t], MOST_TIMES)) for t in tokens]
    if not tokens or not within:
        return {}
    if connection.dialect.name == "sqlite":
        places = [f"d{document_id.hex}"] if document_id else [f"c{c.hex}" for c in within]
        said = [t for t, n in zip(tokens, times, strict=True) for _ in range(n)]  # FTS5 adds up what is asked twice
        wanted = f"scope : ({_any(places)}) AND words : ({_any(said)})"
        # hidden versions are in the index too: look further than asked for
        rows = connection.execute(sa.text(_FTS5), {"wanted": wanted, "most": limit * 2, "limit": limit})
    else:
        wanted = " | ".join(f"'{t}'" for t in tokens)
        statement = sa.text(_BM25).bindparams(
            sa.bindparam("collections", list(within), type_=postgresql.ARRAY(sa.Uuid())),
            sa.bindparam("document", document_id, type_=sa.Uuid()),
            sa.bindparam("tokens", tokens, type_=postgresql.ARRAY(sa.Text())),
            sa.bindparam("times", times, type_=postgresql.ARRAY(sa.Integer())),
        )
        rows = connection.execute(statement, {"wanted": wanted, "limit": limit})
    return {row.number: float(row.score) for row in rows}


def holding(connection: Connection, tokens: Sequence[str]) -> tuple[dict[str, int], int]:
    """(how many chunks hold each of `tokens`, of how many), in all collections together."""
    tokens = [t for t in tokens if len(t) <= LONGEST_TOKEN]
    total = connection.execute(sa.select(sa.func.coalesce(sa.func.sum(_DOCUMENTS.c.chunks), 0))).scalar_one()
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text(_VOCABULARY))
        rows = [row for t in tokens for row in connection.execute(sa.text(_COUNTED), {"token": t})]
    else:
        statement = sa.text(_COUNTED_EACH).bindparams(sa.bindparam("tokens", tokens, type_=postgresql.ARRAY(sa.Text())))
        rows = list(connection.execute(statement)) if tokens else []
    return {row.token: int(row.held) for row in rows}, int(total)


def rows_of(connection: Connection, numbers: Sequence[int], within: Sequence[UUID]) -> dict[int, Row[Any]]:
    """Visible chunks of `numbers` in the collections `within`, with their documents' title and hash."""
    query = _joined().where(CHUNKS.c.number.in_(numbers), CHUNKS.c.collection_id.in_(within))
    return {row.number: row for row in connection.execute(query)}


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
    connection: Connection, model: str, limit: int, after: int = 0, languages: Sequence[str] = ()
) -> list[Row[Any]]:
    """Visible chunks beyond number `after` that have no vector of `model`, in order; of documents in `languages`."""
    there = sa.exists().where(VECTORS.c.chunk_number == CHUNKS.c.number, VECTORS.c.model == model)
    columns = [CHUNKS.c[n] for n in ("number", "version_id", "collection_id", "text", "section", "row")]
    query = sa.select(*columns, _DOCUMENTS.c.title).join(_DOCUMENTS, _VISIBLE)
    query = query.where(CHUNKS.c.number > after, sa.not_(there))
    if languages:
        query = query.where(_DOCUMENTS.c.language.in_(languages))
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


def fresh_vectors(
    connection: Connection, collection_id: UUID, model: str, after: int
) -> Iterator[tuple[UUID, list[int], list[bytes]]]:
    """Vectors written after generation `after`, in runs of one version: (version, numbers, vectors)."""
    query = (
        sa.select(VECTORS.c.version_id, VECTORS.c.chunk_number, VECTORS.c.vector)
        .join(_DOCUMENTS, _DOCUMENTS.c.version_id == VECTORS.c.version_id)
        .where(VECTORS.c.collection_id == collection_id, VECTORS.c.model == model, VECTORS.c.generation > after)
        .order_by(VECTORS.c.version_id, VECTORS.c.chunk_number)
        .execution_options(yield_per=5000)
    )
    version: UUID | None = None
    numbers: list[int] = []
    vectors: list[bytes] = []
    for row in connection.execute(query):
        if row.version_id != version or len(numbers) >= 5000:
            if version is not None and numbers:
                yield version, numbers, vectors
            version, numbers, vectors = row.version_id, [], []
        numbers.append(row.chunk_number)
        vectors.append(row.vector)
    if version is not None and numbers:
        yield version, numbers, vectors


def removed_since(connection: Connection, collection_id: UUID, after: int) -> list[UUID]:
    """Versions that left the collection after generation `after`."""
    mine = sa.and_(_REMOVALS.c.collection_id == collection_id, _REMOVALS.c.generation > after)
    return list(connection.execute(sa.select(_REMOVALS.c.version_id).where(mine)).scalars())


def vectors_of(connection: Connection, numbers: Sequence[int], model: str) -> dict[int, bytes]:
    query = sa.select(VECTORS.c.chunk_number, VECTORS.c.vector)
    mine = query.where(VECTORS.c.chunk_number.in_(numbers), VECTORS.c.model == model)
    return {row.chunk_number: row.vector for row in connection.execute(mine)}


def _joined() -> sa.Select[Any]:
    return sa.select(
        *(CHUNKS.c[n] for n in ("number", "id", "version_id", "document_id", "collection_id", "position", "text")),
        *(CHUNKS.c[n] for n in ("section", "page", "row", "start_char", "end_char", "tokens")),
        _DOCUMENTS.c.title,
        _DOCUMENTS.c.sha256,
        _DOCUMENTS.c.language,
    ).join(_DOCUMENTS, _VISIBLE)


def _any(tokens: Sequence[str]) -> str:
    return " OR ".join(f'"{t}"' for t in tokens)


def _text(statement: str) -> sa.TextClause:
    return sa.text(statement).bindparams(sa.bindparam("version", type_=sa.Uuid()))
