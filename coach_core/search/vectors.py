"""Vectors in memory: one byte a number and a scale a row, searched whole by numkong.

Invariant: a search sees each row that was added and not removed, and no other; it may run while rows
are added or removed by another thread. Rows are only marked when removed; above DEAD_SHARE of them the
matrix is rebuilt. The scores are close (about 0.005): the best are to be scored again from float16.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

DEAD_SHARE = 0.2
_GROWTH = 1.25
_PART = 8192
F32 = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Arrays that are only ever written beyond `count`, or in `alive`."""

    levels: NDArray[np.int8]
    scales: F32
    numbers: Numbers
    alive: NDArray[np.bool_]
    count: int


class Matrix:
    """Rows of vectors, each with a number and an owner by which they are removed together."""

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._gate = threading.Lock()
        self._rows = _empty(dim, 0)
        self._owned: dict[Hashable, list[NDArray[np.intp]]] = {}
        self._dead = 0
        self._sum = np.zeros(dim, np.float64)

    def __len__(self) -> int:
        return self._rows.count - self._dead

    def mean(self) -> F32:
        """About the mean of the rows; of those that were removed too until the next rebuild."""
        return (self._sum / max(self._rows.count, 1)).astype(np.float32)

    def add(self, owner: Hashable, numbers: Numbers, vectors: NDArray[np.floating]) -> None:
        """Add `vectors`, normalised rows called `numbers`."""
        levels, scales = quantise(vectors.astype(np.float32))
        with self._gate:
            rows, new = self._rows, len(numbers)
            if rows.count + new > len(rows.numbers):
                rows = _grown(rows, rows.count + new)
            here = slice(rows.count, rows.count + new)
            rows.levels[here], rows.scales[here] = levels, scales
            rows.numbers[here], rows.alive[here] = numbers, True
            self._owned.setdefault(owner, []).append(np.arange(here.start, here.stop))
            self._rows = _Rows(rows.levels, rows.scales, rows.numbers, rows.alive, here.stop)
            self._sum += vectors.sum(axis=0, dtype=np.float64)

    def remove(self, owner: Hashable) -> None:
        """Forget all rows of `owner`."""
        with self._gate:
            for places in self._owned.pop(owner, []):
                self._rows.alive[places] = False
                self._dead += len(places)
            if self._dead > DEAD_SHARE * max(self._rows.count, 1):
                self._rebuild()

    def search(self, query: F32, k: int, owner: Hashable | None = None) -> tuple[Numbers, F32]:
        """(numbers, cosines) of the `k` nearest rows, best first; of one owner's rows when given."""
        with self._gate:
            rows = self._rows
            places = None if owner is None else _joined(self._owned.get(owner, []))
        if not rows.count or (places is not None and not len(places)):
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        levels, scales, numbers, alive = rows.levels, rows.scales, rows.numbers, rows.alive
        chosen = slice(0, rows.count) if places is None else places
        asked, unit = quantise(query.reshape(1, -1).astype(np.float32))
        dots = np.asarray(numkong.cdist(asked, np.ascontiguousarray(levels[chosen]), "dot"))[0]
        scores = dots.astype(np.float32) * scales[chosen] * unit[0]
        scores = np.where(alive[chosen], scores, -np.inf)
        best = np.argpartition(scores, -k)[-k:] if k < len(scores) else np.arange(len(scores))
        best = best[np.isfinite(scores[best])]
        best = best[np.argsort(-scores[best], kind="stable")]
        return numbers[chosen][best], scores[best]

    def _rebuild(self) -> None:
        """Close the gaps, in new arrays: a search that runs goes on in the old ones."""
        old = self._rows
        kept = np.flatnonzero(old.alive[: old.count])
        moved = np.cumsum(old.alive[: old.count]) - 1
        rows = _empty(self.dim, len(kept))
        rows.levels[:], rows.scales[:] = old.levels[kept], old.scales[kept]
        rows.numbers[:], rows.alive[:] = old.numbers[kept], True
        self._owned = {owner: [moved[p] for p in places] for owner, places in self._owned.items()}
        self._rows = _Rows(rows.levels, rows.scales, rows.numbers, rows.alive, len(kept))
        self._dead = 0
        self._sum = _total(rows)


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


def _joined(places: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    return np.concatenate(places) if places else np.zeros(0, np.intp)


def _empty(dim: int, size: int) -> _Rows:
    return _Rows(
        np.zeros((size, dim), np.int8),
        np.zeros(size, np.float32),
        np.zeros(size, np.int64),
        np.zeros(size, np.bool_),
        0,
    )


def _grown(rows: _Rows, needed: int) -> _Rows:
    bigger = _empty(rows.levels.shape[1], max(needed, int(len(rows.numbers) * _GROWTH)))
    n = rows.count
    bigger.levels[:n], bigger.scales[:n] = rows.levels[:n], rows.scales[:n]
    bigger.numbers[:n], bigger.alive[:n] = rows.numbers[:n], rows.alive[:n]
    return _Rows(bigger.levels, bigger.scales, bigger.numbers, bigger.alive, n)
