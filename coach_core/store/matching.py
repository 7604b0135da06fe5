"""Passages found by their words: bm25 over the full text index, kept to what a search may see.

Invariant: only chunks of a version that its document names are found, only in the collections asked for and only
in the documents that fit; a filter never makes fewer than there are. Where a question has words that stand
in very many passages, a passage without any of its rarer words is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import CollectionRow, DocumentRow
from coach_core.types import Filter

_DOCUMENTS = table_of(DocumentRow)
_COLLECTIONS = table_of(CollectionRow)
MOST_TIMES = 5
LONGEST_TOKEN = 100  # longer ones are no words; PostgreSQL refuses lexemes beyond 2 kB
_ENOUGH = 8  # times as many rows as are wanted are looked at, before words more frequent than these only add to scores
_EVERYWHERE = 0.08  # of all passages: where rarer words find enough, one that so many hold says nothing
_MANY = 10_000  # rows; fewer are all looked at
_NAMED = 100  # documents that are asked for by name; of more, what is found is looked through
_FEW = 0.25  # of all passages: so small a part is asked for by name

_FITTING = "SELECT d.id, d.version_id, d.chunks FROM documents AS d WHERE d.collection_id IN :collections {fits}"
#: in the order of rank, which the index gives by itself: the joins look up as many rows as are wanted and no more
_FTS5 = """
SELECT f.rowid AS number, -f.rank AS score FROM chunk_words AS f
CROSS JOIN chunks AS c ON c.number = f.rowid
CROSS JOIN documents AS d ON d.id = c.document_id AND d.version_id = c.version_id
WHERE f.chunk_words MATCH :wanted AND f.rank MATCH 'bm25(0.0, 1.0)' AND d.collection_id IN :collections {fits}
ORDER BY f.rank LIMIT :limit
"""
#: BM25 as FTS5 has it (k1 1.2, b 0.75); PostgreSQL's own ranks know nothing of how rare a word is
_BM25 = """
WITH pool AS (
  SELECT c.number, c.word_count, c.words FROM chunks AS c
  JOIN documents AS d ON d.id = c.document_id AND d.version_id = c.version_id
  WHERE d.collection_id IN :collections {fits}
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
_VOCABULARY = sa.text(
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.chunk_vocabulary USING fts5vocab('main', 'chunk_words', 'row')"
)
_COUNTED = sa.text("SELECT term AS token, doc AS held FROM temp.chunk_vocabulary WHERE term IN :tokens").bindparams(
    sa.bindparam("tokens", expanding=True)
)
_GENERATIONS = sa.select(_COLLECTIONS.c.id, _COLLECTIONS.c.generation)
_KEYS = (_DOCUMENTS.c.collection_id, _DOCUMENTS.c.language)
_COUNTS = sa.select(*_KEYS, sa.func.count(), sa.func.sum(_DOCUMENTS.c.chunks)).group_by(*_KEYS)
_COUNTED_EACH = """
SELECT a.token, (SELECT count(*) FROM chunks AS c
                 WHERE to_tsvector('simple', c.words) @@ CAST('''' || a.token || '''' AS tsquery)) AS held
FROM unnest(CAST(:tokens AS text[])) AS a(token)
"""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What fits a filter: documents, their versions, and how many chunks they have together."""

    documents: tuple[UUID, ...]
    versions: frozenset[UUID]
    chunks: int


def narrowed(connection: Connection, within: Sequence[UUID], fits: Filter) -> Narrowed:
    """The documents in the collections `within` that fit."""
    found = _filled(_FITTING, within, fits).columns(id=sa.Uuid(), version_id=sa.Uuid(), chunks=sa.Integer())
    rows = connection.execute(found).all()
    return Narrowed(tuple(r.id for r in rows), frozenset(r.version_id for r in rows), sum(r.chunks for r in rows))


class Census:
    """What is counted of the whole store, at one moment of all collections: counted once, as long as that lasts."""

    def __init__(self, generations: Mapping[UUID, int], rows: Sequence[tuple[UUID, str, int, int]]) -> None:
        self.generations = dict(generations)
        self.sizes: dict[UUID, int] = {}
        self.held: dict[str, int] = {}
        self._documents: dict[UUID, dict[str, int]] = {}
        for collection_id, language, count, passages in rows:
            self.sizes[collection_id] = self.sizes.get(collection_id, 0) + passages
            self._documents.setdefault(collection_id, {})[language] = count
        self.total = sum(self.sizes.values())

    def languages(self, within: Sequence[UUID]) -> list[str]:
        """The languages of the documents there, the commonest first."""
        counts: dict[str, int] = {}
        for collection_id in within:
            for language, count in self._documents.get(collection_id, {}).items():
                counts[language] = counts.get(language, 0) + count
        return sorted((code for code in counts if code), key=lambda code: (-counts[code], code))


def census(connection: Connection, before: Census | None = None) -> Census:
    """`before` where nothing changed since, else counted anew."""
    generations = {row.id: row.generation for row in connection.execute(_GENERATIONS)}
    if before is not None and before.generations == generations:
        return before
    return Census(generations, [(c, code, int(n), int(most)) for c, code, n, most in connection.execute(_COUNTS)])


def holding(connection: Connection, tokens: Sequence[str], known: Census | None = None) -> dict[str, int]:
    """How many chunks hold each of `tokens`, in all collections together."""
    tokens = [t for t in tokens if len(t) <= LONGEST_TOKEN]
    if known is None:
        return _counted(connection, tokens)
    if new := [t for t in tokens if t not in known.held]:
        found = _counted(connection, new)
        known.held.update({t: found.get(t, 0) for t in new})
    return {t: n for t in tokens if (n := known.held[t])}


def _counted(connection: Connection, tokens: Sequence[str]) -> dict[str, int]:
    if connection.dialect.name == "sqlite":
        connection.execute(_VOCABULARY)
        rows = list(connection.execute(_COUNTED, {"tokens": list(tokens)}))
    else:
        statement = sa.text(_COUNTED_EACH).bindparams(sa.bindparam("tokens", tokens, type_=postgresql.ARRAY(sa.Text())))
        rows = list(connection.execute(statement)) if tokens else []
    return {row.token: int(row.held) for row in rows}


def by_words(
    connection: Connection,
    asked: Mapping[str, int],
    within: Sequence[UUID],
    limit: int,
    fits: Filter = Filter(),  # noqa: B008 - it is frozen
    known: Census | None = None,
) -> dict[int, float]:
    """bm25 by chunk number (higher is better) of chunks with any of the tokens `asked`, the best `limit`.

    Each counts as often as it is said, up to MOST_TIMES. `known` is the census of this moment.
    """
    times = {t: max(1, min(n, MOST_TIMES)) for t, n in asked.items() if len(t) <= LONGEST_TOKEN}
    if not times or not within:
        return {}
    if connection.dialect.name == "sqlite":
        return _in_sqlite(connection, times, within, limit, fits, known or census(connection))
    statement = _filled(_BM25, within, fits).bindparams(
        sa.bindparam("tokens", list(times), type_=postgresql.ARRAY(sa.Text())),
        sa.bindparam("times", list(times.values()), type_=postgresql.ARRAY(sa.Integer())),
    )
    rows = connection.execute(statement, {"wanted": " | ".join(f"'{t}'" for t in times), "limit": limit})
    return {row.number: float(row.score) for row in rows}


def _in_sqlite(
    connection: Connection,
    times: Mapping[str, int],
    within: Sequence[UUID],
    limit: int,
    fits: Filter,
    known: Census,
) -> dict[int, float]:
    holding(connection, list(times), known)
    total, mine = max(known.total, 1), sum(known.sizes.get(c, 0) for c in within)
    places = [f"c{c.hex}" for c in within]
    if fits:
        narrow = narrowed(connection, within, fits)
        mine = narrow.chunks
        if len(narrow.documents) <= _NAMED:
            places = [f"d{d.hex}" for d in narrow.documents]
    if not mine:
        return {}
    wanted = f"words : ({_telling(times, known, limit, mine / total)})"
    if places and (mine < _FEW * total):
        wanted = f"scope : ({_any(dict.fromkeys(places, 1))}) AND {wanted}"
    twice = 2 if " AND (" in wanted.partition("words : ")[2] else 1
    statement = _filled(_FTS5, within, fits)
    rows = connection.execute(statement, {"wanted": wanted, "limit": limit})
    return {row.number: float(row.score) / twice for row in rows}


def _telling(times: Mapping[str, int], known: Census, limit: int, share: float) -> str:
    """The query for rows that hold any of the words, or any of the rarer ones where the others are very frequent.

    FTS5 ranks every row that fits and counts every row that holds a word, which takes as long as all the rest of a
    search together. So the rarer words are asked for once as a condition and once for the score, all others
    twice there, so that all count alike; and words that stand nearly everywhere are left out.
    """
    held = known.held
    rarer: dict[str, int] = {}
    seen, rows = 0.0, sum(held.get(t, 0) for t in times) * share
    for token in sorted(times, key=lambda t: held.get(t, 0)):
        if rows > _MANY and seen >= _ENOUGH * limit:
            break
        rarer[token] = times[token]
        seen += held.get(token, 0) * share
    telling = {t: n for t, n in times.items() if t in rarer or held.get(t, 0) < _EVERYWHERE * known.total}
    if len(rarer) == len(telling):
        return _any(rarer)
    scored = {t: 2 * n - 1 if t in rarer else 2 * n for t, n in telling.items()}
    return f"({_any(dict.fromkeys(rarer, 1))}) AND ({_any(scored)})"


def _any(times: Mapping[str, int]) -> str:
    """Any of these, each as often as it counts: FTS5 adds up what is asked twice."""
    return " OR ".join(f'"{t}"' for t, n in times.items() for _ in range(n))


def _filled(statement: str, within: Sequence[UUID], fits: Filter) -> sa.TextClause:
    """`statement` kept to the collections and to documents, called d, that fit."""
    said, given = [""], [_list("collections", within, sa.Uuid())]
    if fits.collections:
        said.append("d.collection_id IN :narrower")
        given.append(_list("narrower", fits.collections, sa.Uuid()))
    if fits.documents:
        said.append("d.id IN :documents")
        given.append(_list("documents", fits.documents, sa.Uuid()))
    if fits.languages:
        said.append("d.language IN :languages")
        given.append(_list("languages", fits.languages, sa.String()))
    moment = _DOCUMENTS.c.created_at.type
    if fits.since is not None:
        said.append("coalesce(d.dated_at, d.created_at) >= :since")
        given.append(sa.bindparam("since", _midnight(fits.since), type_=moment))
    if fits.until is not None:
        said.append("coalesce(d.dated_at, d.created_at) < :until")
        given.append(sa.bindparam("until", _midnight(fits.until + timedelta(days=1)), type_=moment))
    return sa.text(statement.format(fits=" AND ".join(said))).bindparams(*given)


def _list(name: str, values: Sequence[Any], type_: Any) -> sa.BindParameter[Any]:
    return sa.bindparam(name, list(values), type_=type_, expanding=True)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
