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
_MOST = 200  # hits of one question
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
        for at in range(len(self.entries)):
            for other in (at - 1, at + 1):
                if self._joined(min(at, other), max(at, other)):
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
        self._at = np.asarray([e.at.timestamp() for e in self.entries], np.float64)
        self._weights = np.asarray([e.weight for e in self.entries], np.float32)
        none = len(self.entries)  # the place of no neighbour
        beside = [
            (at - 1 if self._joined(at - 1, at) else none, at + 1 if self._joined(at, at + 1) else none)
            for at in range(none)
        ]
        self._before = np.asarray([b for b, _ in beside], np.int64)
        self._after = np.asarray([a for _, a in beside], np.int64)
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
        within = self._within(times)
        fused = self._lend(self._fused(readings, said, sides))
        scores = fused + self._weights + _IN_TIME * within
        known = ~np.isnan(sides[0]) if sides else np.zeros(len(self), np.bool_)
        found = np.flatnonzero((said > 0) | known | (within > 0))
        best = found[np.argsort(-scores[found], kind="stable")[:_MOST]]
        return [
            Hit(int(i), float(scores[i]), float(said[i]), float(sides[0][i]) if known[i] else None, bool(within[i]))
            for i in best
        ]

    def _fused(self, readings: Sequence[Mapping[str, int]], said: F32, sides: Sequence[F32]) -> F32:
        """As fuse.fuse() does it: words count as much as meaning where some entry says all that is asked."""
        most = float(said.max(initial=0.0))
        by_words = said / most if most > 0 else said
        if not sides:
            return by_words
        likeness = _together(sides)
        low, high = float(np.nanmin(likeness)), float(np.nanmax(likeness))
        near = np.nan_to_num((likeness - low) / (high - low)) if high > low else np.ones(len(self), np.float32)
        top = int(said.argmax()) if most > 0 else 0
        share = 1 / (1 + self._covered(readings, {top: most})) if most > 0 else 1.0
        return (share * near + (1 - share) * by_words).astype(np.float32)

    def beside(self, at: int) -> list[int]:
        """The neighbours of an entry in its talk: what it answers first, then what answers it."""
        return [other for other in (at - 1, at + 1) if self._joined(min(at, other), max(at, other))]

    def _joined(self, one: int, other: int) -> bool:
        """Whether two places that follow each other are of one talk."""
        if one < 0 or other >= len(self.entries):
            return False
        group = self.entries[one].group
        return group is not None and group == self.entries[other].group

    def _covered(self, readings: Sequence[Mapping[str, int]], bm25: Mapping[int, float]) -> float:
        return fuse.coverage(bm25, readings, self._holding, len(self.entries)) if bm25 else 1.0

    def _lend(self, scores: F32) -> F32:
        """A part of each score is that of the better neighbour: what is asked and answered belongs together."""
        padded = np.append(scores, np.float32(-1.0))
        lent = np.maximum(padded[self._before], padded[self._after])
        lent = np.where(lent < 0, scores, lent)
        return ((1 - _LENT) * scores + _LENT * lent).astype(np.float32)

    def _within(self, times: Sequence[tuple[datetime, datetime]]) -> F32:
        out = np.zeros(len(self), np.float32)
        for start, end in times:
            out[(self._at >= start.timestamp()) & (self._at < end.timestamp())] = 1.0
        return out


def _together(sides: Sequence[F32]) -> F32:
    """One likeness out of those of several models, each in its own units of spread."""
    if len(sides) == 1:
        return sides[0]
    scaled = [(s - np.nanmean(s)) / (float(np.nanstd(s)) or 1.0) for s in sides]
    count = np.sum([~np.isnan(s) for s in scaled], axis=0)
    total = np.sum([np.nan_to_num(s) for s in scaled], axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _mean(rows: F32) -> F32:
    known = rows[~np.isnan(rows).any(axis=1)]
    return known.mean(axis=0).astype(np.float32) if len(known) else np.zeros(rows.shape[1], np.float32)
