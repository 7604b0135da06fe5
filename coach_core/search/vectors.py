"""Vectors in memory: one byte a number and a scale a row, searched whole by numkong.

Invariant: a search sees each row that was added and not removed, and no other; it may run while rows
are added or removed by another thread. Rows are only marked when removed; above DEAD_SHARE of them the
matrix is rebuilt. The scores are close (about 0.005): the best are to be scored again from float16.
A search kept to some owners looks at their rows alone, so that it gives as many as there are.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

DEAD_SHARE = 0.2
_GROWTH = 1.25
_PART = 16384  # rows a look: their scores stay in the processor's cache
_FEW = 0.1  # of the rows: so few are copied out rather than passed over
F32 = NDArray[np.float32]
Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Arrays that are only ever written beyond `count`, or in `alive`. `owners` are codes, one an owner."""

    levels: NDArray[np.int8]
    scales: F32
    numbers: Numbers
    owners: NDArray[np.int32]
    alive: Mask
    count: int


class Matrix:
    """Rows of vectors, each with a number and an owner by which they are removed together."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._gate = threading.Lock()
        self._rows = _empty(dim, 0)
        self._codes: dict[Hashable, int] = {}
        self._next = 0
        self._dead = 0
        self._sum = np.zeros(dim, np.float64)
        self._sorted = True  # as they mostly are: passages are numbered as they come and embedded in that order
        self._order: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return self._rows.count - self._dead

    @property
    def nbytes(self) -> int:
        rows = self._rows
        return sum(a.nbytes for a in (rows.levels, rows.scales, rows.numbers, rows.owners, rows.alive))

    def mean(self) -> F32:
        """About the mean of the rows; of those that were removed too until the next rebuild."""
        return (self._sum / max(self._rows.count, 1)).astype(np.float32)

    def reserve(self, more: int) -> None:
        """Make room for `more` rows at once, rather than by growing again and again."""
        with self._gate:
            if self._rows.count + more > len(self._rows.numbers):
                self._rows = _grown(self._rows, self._rows.count + more)

    def add(self, owner: Hashable, numbers: Numbers, vectors: NDArray[np.floating]) -> None:
        """Add `vectors`, normalised rows called `numbers`."""
        self.add_each([owner] * len(numbers), numbers, vectors)

    def add_each(self, owners: Sequence[Hashable], numbers: Numbers, vectors: NDArray[np.floating]) -> None:
        """Add rows each of which has an owner of its own."""
        levels, scales = quantise(vectors.astype(np.float32))
        with self._gate:
            rows, new = self._rows, len(numbers)
            if rows.count + new > len(rows.numbers):
                rows = _grown(rows, max(rows.count + new, int(len(rows.numbers) * _GROWTH)))
            here = slice(rows.count, rows.count + new)
            before = rows.numbers[here.start - 1] if here.start else -1
            self._sorted = self._sorted and bool((np.diff(numbers, prepend=before) > 0).all())
            self._order = None
            rows.levels[here], rows.scales[here] = levels, scales
            rows.numbers[here], rows.alive[here] = numbers, True
            rows.owners[here] = [self._code(owner) for owner in owners]
            self._rows = _Rows(rows.levels, rows.scales, rows.numbers, rows.owners, rows.alive, here.stop)
            self._sum += vectors.sum(axis=0, dtype=np.float64)

    def remove(self, owner: Hashable) -> None:
        """Forget all rows of `owner`."""
        with self._gate:
            code = self._codes.pop(owner, None)
            if code is None:
                return
            rows = self._rows
            places = np.flatnonzero(rows.owners[: rows.count] == code)
            rows.alive[places] = False
            self._dead += len(places)
            if self._dead > DEAD_SHARE * max(rows.count, 1):
                self._rebuild()

    def search(self, query: F32, k: int, owners: Collection[Hashable] | None = None) -> tuple[Numbers, F32]:
        """(numbers, cosines) of the `k` nearest rows, best first; of the rows of `owners` alone when given."""
        with self._gate:
            rows = self._rows
            alive = rows.alive[: rows.count] if owners is None else self._of(owners)
        asked, unit = quantise(query.reshape(1, -1).astype(np.float32))
        levels, scales, numbers = rows.levels[: rows.count], rows.scales, rows.numbers
        if owners is not None:
            places = np.flatnonzero(alive)
            if len(places) < _FEW * rows.count:
                levels, scales, numbers = np.ascontiguousarray(levels[places]), scales[places], numbers[places]
                alive = np.ones(len(places), np.bool_)
        best, scores = _best(asked, levels, scales, alive, k)
        order = np.argsort(-scores, kind="stable")
        return numbers[best[order]], scores[order] * unit[0]

    def rows_of(self, numbers: Numbers) -> tuple[Numbers, F32]:
        """Those of `numbers` that are here, and their rows: each within a thousandth of the vector that was added."""
        with self._gate:
            rows = self._rows
            if self._order is None and not self._sorted:
                self._order = np.argsort(rows.numbers[: rows.count], kind="stable")
            order = self._order
        held = rows.numbers[: rows.count]
        # the last of a number: a passage that came back is there twice
        at = np.searchsorted(held, numbers, side="right", sorter=order) - 1
        places = at[at >= 0] if order is None else order[at[at >= 0]]
        asked = numbers[at >= 0]
        there = (held[places] == asked) & rows.alive[places]
        places = places[there]
        return asked[there], rows.levels[places] * rows.scales[places][:, None]

    def _code(self, owner: Hashable) -> int:
        if owner not in self._codes:
            self._codes[owner] = self._next
            self._next += 1
        return self._codes[owner]

    def _of(self, owners: Collection[Hashable]) -> Mask:
        """Which rows are alive and of `owners`."""
        rows = self._rows
        wanted = np.zeros(max(self._next, 1), np.bool_)
        wanted[[code for o in owners if (code := self._codes.get(o)) is not None]] = True
        return wanted[rows.owners[: rows.count]] & rows.alive[: rows.count]

    def _rebuild(self) -> None:
        """Close the gaps, in new arrays: a search that runs goes on in the old ones."""
        old = self._rows
        kept = np.flatnonzero(old.alive[: old.count])
        rows = _empty(self.dim, len(kept))
        rows.levels[:], rows.scales[:] = old.levels[kept], old.scales[kept]
        rows.numbers[:], rows.owners[:], rows.alive[:] = old.numbers[kept], old.owners[kept], True
        self._rows = _Rows(rows.levels, rows.scales, rows.numbers, rows.owners, rows.alive, len(kept))
        self._dead = 0
        self._order = None
        self._sum = _total(rows)


def _best(asked: NDArray[np.int8], levels: NDArray[np.int8], scales: F32, alive: Mask, k: int) -> tuple[Numbers, F32]:
    """(places, scores) of the `k` best, in parts: what is no better than the k-th so far is passed over at once."""
    places, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
    least = np.float32(-np.inf)
    dots = np.empty((1, _PART), np.float32)
    for at in range(0, len(levels), _PART):
        part = levels[at : at + _PART]
        here = dots[:, : len(part)]
        numkong.cdist(asked, part, "dot", out=here)
        said = here[0]
        said *= scales[at : at + len(part)]
        better = np.flatnonzero(said > least)
        better = better[alive[at + better]]
        if not len(better):
            continue
        places, scores = np.concatenate([places, better + at]), np.concatenate([scores, said[better]])
        if len(scores) > 2 * k or at + _PART >= len(levels):
            places, scores = _cut(places, scores, k)
            least = scores.min() if len(scores) == k else least
    return _cut(places, scores, k)


def _cut(places: Numbers, scores: F32, k: int) -> tuple[Numbers, F32]:
    if len(scores) <= k:
        return places, scores
    kept = np.argpartition(scores, -k)[-k:]
    return places[kept], scores[kept]


def _total(rows: _Rows) -> NDArray[np.float64]:
    """The sum of all rows, in parts, so that they are never all in memory as floats."""
    total = np.zeros(rows.levels.shape[1], np.float64)
    for at in range(0, rows.count, _PART):
        part = slice(at, min(at + _PART, rows.count))
        total += rows.scales[part].astype(np.float64) @ rows.levels[part]
    return total


def quantise(vectors: F32) -> tuple[NDArray[np.int8], F32]:
    """(levels, scales): vectors are about levels * scales[:, None]."""
    scales = np.maximum(np.abs(vectors).max(axis=1), 1e-12) / 127
    levels = np.rint(vectors / scales[:, None]).astype(np.int8)
    return np.ascontiguousarray(levels), scales.astype(np.float32)


def _empty(dim: int, size: int) -> _Rows:
    return _Rows(
        np.zeros((size, dim), np.int8),
        np.zeros(size, np.float32),
        np.zeros(size, np.int64),
        np.zeros(size, np.int32),
        np.zeros(size, np.bool_),
        0,
    )


def _grown(rows: _Rows, size: int) -> _Rows:
    bigger = _empty(rows.levels.shape[1], size)
    n = rows.count
    bigger.levels[:n], bigger.scales[:n] = rows.levels[:n], rows.scales[:n]
    bigger.numbers[:n], bigger.owners[:n], bigger.alive[:n] = rows.numbers[:n], rows.owners[:n], rows.alive[:n]
    return _Rows(bigger.levels, bigger.scales, bigger.numbers, bigger.owners, bigger.alive, n)
