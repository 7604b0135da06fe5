"""Finds rows by words and by the meaning that one or more models see, and puts them in one order.

Invariant: what is found depends on the question, the rows that the connection sees and the models whose vectors
stand beside them; a model without vectors (yet) or without the question's language has no say, and with none
words alone decide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from typing import Literal
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from coach_core.search import fuse, hubs, words
from coach_core.search import gloss as glosses
from coach_core.search.gloss import Gloss
from coach_core.search.index import Index
from coach_core.search.meaning import Embedder
from coach_core.store import chunks, matching
from coach_core.types import Filter

F32 = NDArray[np.float32]
By = Literal["both", "words", "meaning"]
CANDIDATES = 200
READ = 64  # of the best, whose stored vectors are read


class Side:
    """A model, its vectors in memory, and what all questions are near to in it."""

    def __init__(self, embedder: Embedder, languages: Sequence[str] = ()) -> None:
        self.embedder = embedder
        self.index = Index(embedder.name, embedder.dim)
        self._languages = languages
        self.shared = hubs.common(embedder, languages)

    def speaks(self, language: str) -> bool:
        return not self._languages or language in self._languages

    def apart(self, vector: F32, within: Sequence[UUID]) -> F32:
        return hubs.away(vector, self.shared, self.index.mean(within))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to one side."""

    side: Side
    vector: F32
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one side holds of the candidates: their vectors as rows of length one, and their likeness."""

    numbers: list[int]
    rows: F32
    mean: F32
    near: dict[int, float]
    cosines: dict[int, float]
    weight: float


def find(
    connection: Connection,
    readings: Sequence[Mapping[str, int]],
    ask: Callable[[], Sequence[Asked]],
    within: Sequence[UUID],
    fits: Filter = Filter(),  # noqa: B008 - it is frozen
    by: By = "both",
    known: matching.Census | None = None,
    gloss: Gloss | None = None,
) -> list[fuse.Found]:
    """All candidates, best first. `readings` are the question's words with their counts (words.query_readings).

    `ask` gives the question as each model sees it; it is called when the words have been looked for, which may go
    on at the same time. `score_meaning` is the cosine that the first of them sees. What `gloss` says is looked for too.
    """
    asked_for = words.most_of(readings)
    known = known or matching.census(connection)
    said = matching.by_words(connection, asked_for, within, CANDIDATES, fits, known) if by != "meaning" else {}
    versions = matching.narrowed(connection, within, fits).versions if fits else None
    in_gloss = list(gloss.tokens) if gloss is not None and by != "meaning" else []
    if in_gloss:
        more = matching.by_words(connection, dict.fromkeys(in_gloss, 1), within, CANDIDATES, fits, known)
    else:
        more = {}
    sides: list[tuple[Asked, F32]] = []
    pool = dict.fromkeys((*said, *more))
    for asked in ask() if by != "words" and (versions is None or versions) else ():
        index = asked.side.index
        if not index.refresh(connection, within):
            continue
        apart = asked.side.apart(asked.vector, within)
        pool |= dict.fromkeys(index.search(apart, within, CANDIDATES, versions))
        sides.append((asked, apart))
    seen = [_look(asked, apart, list(pool), within) for asked, apart in sides]
    likeness = _together(seen)
    covered = 1.0
    if likeness and said:
        covered = fuse.coverage(said, readings, matching.holding(connection, list(asked_for), known), known.total)
    if gloss is not None and more:
        held = matching.holding(connection, in_gloss, known)
        glossed, share = gloss.scores(chunks.words_of(connection, list(pool)), held, known.total)
        covered = max(covered, share) if said else share
        said = glosses.better(said, glossed)
    if seen:
        scores = fuse.weighed(likeness, said, covered)
        best = nlargest(READ, scores, key=scores.__getitem__)
        seen = [_read(connection, asked, apart, one, best) for (asked, apart), one in zip(sides, seen, strict=True)]
        likeness = _together(seen)
    found = fuse.fuse(likeness, said, covered, seen[0].cosines if seen else {})
    return _lend(found, [s for s in seen if s.numbers])


def _look(ask: Asked, apart: F32, pool: list[int], within: Sequence[UUID]) -> _Seen:
    numbers, rows = ask.side.index.held(within, pool)
    return _Seen(numbers, rows, ask.side.index.mean(within), *_likeness(ask, apart, numbers, rows), ask.weight)


def _read(connection: Connection, ask: Asked, apart: F32, seen: _Seen, best: Sequence[int]) -> _Seen:
    """`seen`, with the likeness of the best as their stored vectors have it: in memory they are a little off."""
    near, cosines = _likeness(ask, apart, *ask.side.index.rows(connection, best))
    return replace(seen, near=seen.near | near, cosines=seen.cosines | cosines)


def _likeness(ask: Asked, apart: F32, numbers: list[int], rows: F32) -> tuple[dict[int, float], dict[int, float]]:
    both = rows @ np.stack([apart, ask.vector], axis=1)
    near, cosines = (dict(zip(numbers, column.tolist(), strict=True)) for column in both.T)
    return near, cosines


def _together(seen: Sequence[_Seen]) -> dict[int, float]:
    return fuse.together([s.near for s in seen], [s.weight for s in seen])


def _lend(found: list[fuse.Found], seen: Sequence[_Seen]) -> list[fuse.Found]:
    """Scores lent among neighbours, as all sides together see who is near to whom.

    Around their mean: e5's vectors lie in a narrow cone, in which everything is near.
    """
    if not seen:
        return found
    best = {f.number for f in found[: fuse.POOL]}
    numbers = list(dict.fromkeys(n for s in seen for n in s.numbers if n in best))
    place = {number: at for at, number in enumerate(numbers)}
    parts: list[F32] = []
    for side in seen:
        mine = [at for at, n in enumerate(side.numbers) if n in best]
        part = np.zeros((len(numbers), side.rows.shape[1]), np.float32)
        part[[place[side.numbers[at]] for at in mine]] = hubs.unit(side.rows[mine] - side.mean)
        parts.append(part)
    return fuse.lend(found, numbers, hubs.unit(np.concatenate(parts, axis=1)))
