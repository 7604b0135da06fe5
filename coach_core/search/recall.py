"""What comes to mind for a question among things said by one person or about one: by words, meaning and time.

Invariant: a shelf holds what belongs to one person and ranks that alone; how rare a word is, is counted on the
shelf too, so that nobody else's words weigh in. Vectors are of length one; an entry without one is found by words.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from coach_core.search import fuse, hubs

F32 = NDArray[np.float32]
_K1, _B = 1.2, 0.5
_BESIDE = 0.3  # of a neighbour's words, in a talk where an answer says nothing of what was asked
_IN_TIME = 0.3  # for what lies in the time that the question names
_LENT = 0.15  # of its neighbours' score


@dataclass(frozen=True, slots=True)
class Entry:
    """Something said, or remembered. `group` is the talk it stands in; neighbours lie in the same."""

    key: UUID
    group: UUID | None
    at: datetime
    words: tuple[str, ...]
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Hit:
    """An entry's place on the shelf and its score; which sides found it."""

    at: int
    score: float
    words: float = 0.0
    near: float | None = None
    in_time: bool = False


@dataclass
class Shelf:
    """Entries in the order in which they were said, group by group, with their vectors by model."""

    entries: Sequence[Entry]
    vectors: Mapping[str, F32] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._postings: dict[str, tuple[NDArray[np.int64], F32]] = {}
        own = [Counter(e.words) for e in self.entries]
        counts: list[dict[str, float]] = [dict(c) for c in own]
        for at, entry in enumerate(self.entries):
            for other in (at - 1, at + 1):
                if 0 <= other < len(own) and entry.group is not None and self.entries[other].group == entry.group:
                    for token, n in own[other].items():
                        counts[at][token] = counts[at].get(token, 0.0) + _BESIDE * n
        self._lengths = np.asarray([sum(c.values()) for c in counts], np.float32)
        mean = float(self._lengths.mean()) if len(self.entries) else 1.0
        self._norm = _K1 * (1 - _B + _B * self._lengths / max(mean, 1e-6))
        places: dict[str, list[tuple[int, float]]] = {}
        for at, count in enumerate(counts):
            for token, n in count.items():
                places.setdefault(token, []).append((at, n))
        self._postings = {
            t: (np.asarray([p for p, _ in found], np.int64), np.asarray([n for _, n in found], np.float32))
            for t, found in places.items()
        }
        self._holding = Counter(t for c in own for t in c)
        self._means = {name: _mean(rows) for name, rows in self.vectors.items()}

    def __len__(self) -> int:
        return len(self.entries)

    def by_words(self, tokens: Mapping[str, int]) -> F32:
        """bm25 of every entry, its neighbours' words counting a part."""
        scores = np.zeros(len(self.entries), np.float32)
        for token, asked in tokens.items():
            found = self._postings.get(token)
            if found is None:
                continue
            places, n = found
            idf = math.log(1 + (len(self.entries) - self._holding[token] + 0.5) / (self._holding[token] + 0.5))
            scores[places] += asked**0.5 * idf * n * (_K1 + 1) / (n + self._norm[places])
        return scores

    def near(self, name: str, query: F32, shared: F32) -> F32 | None:
        """The likeness of every entry to a question under one model; NaN where an entry has no vector."""
        rows = self.vectors.get(name)
        if rows is None or not len(rows):
            return None
        return np.asarray(rows @ hubs.away(query, shared, self._means[name]), np.float32)

    def rank(
        self,
        readings: Sequence[Mapping[str, int]],
        asked: Sequence[tuple[str, F32, F32]] = (),
        times: Sequence[tuple[datetime, datetime]] = (),
    ) -> list[Hit]:
        """All entries with a say, best first. `asked` is (model, question's vector, what all questions share)."""
        if not self.entries:
            return []
        said = np.max([self.by_words(r) for r in readings], axis=0) if readings else np.zeros(len(self), np.float32)
        sides = [s for name, query, shared in asked if (s := self.near(name, query, shared)) is not None]
        likeness = fuse.together([{i: float(v) for i, v in enumerate(s) if not math.isnan(v)} for s in sides])
        bm25 = {int(i): float(said[i]) for i in np.flatnonzero(said > 0)}
        scores = np.zeros(len(self), np.float32)
        found = fuse.fuse(likeness, bm25, self._covered(readings, bm25))
        for f in found:
            scores[f.number] = f.score
        scores = self._lend(scores)
        within = self._within(times)
        scores += np.asarray([e.weight for e in self.entries], np.float32) + _IN_TIME * within
        raw = sides[0] if sides else np.full(len(self), np.nan, np.float32)
        places = dict.fromkeys([*(f.number for f in found), *map(int, np.flatnonzero(within))])
        hits = [
            Hit(i, float(scores[i]), float(said[i]), None if math.isnan(raw[i]) else float(raw[i]), bool(within[i]))
            for i in places
        ]
        return sorted(hits, key=lambda h: (-h.score, h.at))

    def beside(self, at: int) -> list[int]:
        """The neighbours of an entry in its talk: what it answers first, then what answers it."""
        group = self.entries[at].group
        return [
            other
            for other in (at - 1, at + 1)
            if group is not None and 0 <= other < len(self.entries) and self.entries[other].group == group
        ]

    def _covered(self, readings: Sequence[Mapping[str, int]], bm25: Mapping[int, float]) -> float:
        return fuse.coverage(bm25, readings, self._holding, len(self.entries)) if bm25 else 1.0

    def _lend(self, scores: F32) -> F32:
        """A part of each score is that of the better neighbour: what is asked and answered belongs together."""
        lent = np.zeros_like(scores)
        for at in range(len(self)):
            beside = self.beside(at)
            lent[at] = max((scores[o] for o in beside), default=scores[at])
        return ((1 - _LENT) * scores + _LENT * lent).astype(np.float32)

    def _within(self, times: Sequence[tuple[datetime, datetime]]) -> F32:
        return np.asarray([any(a <= e.at < b for a, b in times) for e in self.entries], np.float32)


def _mean(rows: F32) -> F32:
    known = rows[~np.isnan(rows).any(axis=1)]
    return known.mean(axis=0).astype(np.float32) if len(known) else np.zeros(rows.shape[1], np.float32)
