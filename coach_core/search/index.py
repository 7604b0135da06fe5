"""The vectors of each collection in memory, kept as fresh as the database.

Invariant: `refresh`, called with the connection a search reads by, leaves the matrices holding what that
connection sees: what is new since the last generation known is loaded, what went is marked.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from coach_core.search.vectors import Matrix
from coach_core.store import Database, chunks, collections

F32 = NDArray[np.float32]


@dataclass
class _Held:
    matrix: Matrix
    generation: int = 0
    gate: threading.Lock = field(default_factory=threading.Lock)


class Index:
    """Matrices by collection, of one embedder's vectors."""

    def __init__(self, model: str, dim: int) -> None:
        self.model = model
        self.dim = dim
        self._held: dict[UUID, _Held] = {}
        self._gate = threading.Lock()
        self._warming = False

    def refresh(self, connection: Connection, ids: Sequence[UUID]) -> bool:
        """Take up what changed; False while all is being loaded, which no search should wait for."""
        if self._warming:
            return False
        now = collections.generations(connection, ids)
        for collection_id in ids:
            if collection_id not in now:
                with self._gate:
                    self._held.pop(collection_id, None)
                continue
            held = self._of(collection_id)
            if held.generation < now[collection_id]:
                with held.gate:
                    while held.generation < now[collection_id]:
                        self._load(connection, collection_id, held, now[collection_id])
        return True

    def warm(self, db: Database) -> None:
        """Load all there is, part by part, each part seen by a transaction of its own: at the start of a process."""
        self._warming = True
        try:
            with db.read() as connection:
                everything = collections.all_ids(connection)
            for collection_id in everything:
                held = self._of(collection_id)
                with held.gate:
                    while self._load_some(db, collection_id, held):
                        pass
        finally:
            self._warming = False

    def forget(self) -> None:
        """Hold nothing; it is loaded again when it is asked for."""
        with self._gate:
            self._held.clear()

    def nbytes(self) -> int:
        """What the matrices hold of memory."""
        with self._gate:
            return sum(held.matrix.nbytes for held in self._held.values())

    def search(self, query: F32, ids: Sequence[UUID], k: int, versions: Collection[UUID] | None = None) -> list[int]:
        """Chunk numbers of the nearest vectors in the collections `ids` (of `versions` alone), nearest first."""
        found: list[tuple[float, int]] = []
        for collection_id in ids:
            held = self._held.get(collection_id)
            if held is not None:
                numbers, scores = held.matrix.search(query, k, versions)
                found += zip((-scores).tolist(), numbers.tolist(), strict=True)
        return [number for _, number in sorted(found)[:k]]

    def mean(self, ids: Sequence[UUID]) -> F32:
        """The mean of the vectors in the collections `ids`; zeros where there is none."""
        with self._gate:
            matrices = [held.matrix for c in ids if (held := self._held.get(c)) is not None and len(held.matrix)]
        if not matrices:
            return np.zeros(self.dim, np.float32)
        sizes = [len(m) for m in matrices]
        return np.average([m.mean() for m in matrices], axis=0, weights=sizes).astype(np.float32)

    def held(self, ids: Sequence[UUID], numbers: Sequence[int]) -> tuple[list[int], F32]:
        """Those of `numbers` that have a vector in memory, and about their rows: no row is read for it."""
        wanted = np.asarray(numbers, np.int64)
        found = [held.matrix.rows_of(wanted) for c in ids if (held := self._held.get(c)) is not None and len(numbers)]
        if not found:
            return [], np.zeros((0, self.dim), np.float32)
        return np.concatenate([n for n, _ in found]).tolist(), np.concatenate([r for _, r in found])

    def rows(self, connection: Connection, numbers: Sequence[int]) -> tuple[list[int], F32]:
        """The float16 rows of those of `numbers` that have a vector, exactly as they are stored.

        Those in memory are at hand, but of ten nearest among 100,000 alike ones they take one for another.
        """
        blobs = chunks.vectors_of(connection, numbers, self.model)
        if not blobs:
            return [], np.zeros((0, self.dim), np.float32)
        rows = np.frombuffer(b"".join(blobs.values()), np.float16).reshape(len(blobs), self.dim)
        return list(blobs), rows.astype(np.float32)

    def _of(self, collection_id: UUID) -> _Held:
        with self._gate:
            return self._held.setdefault(collection_id, _Held(Matrix(self.dim)))

    def _load_some(self, db: Database, collection_id: UUID, held: _Held) -> bool:
        """Load a part; whether there may be more."""
        with db.read() as connection:
            now = collections.generations(connection, [collection_id]).get(collection_id, 0)
            if held.generation < now:
                self._load(connection, collection_id, held, now)
        return held.generation < now

    def _load(self, connection: Connection, collection_id: UUID, held: _Held, now: int) -> None:
        """Take up what changed up to a generation that is at most `now`."""
        after = held.generation
        if after:
            for version_id in chunks.removed_since(connection, collection_id, after):
                held.matrix.remove(version_id)
        upto = chunks.part_of(connection, collection_id, self.model, after, now)
        if not len(held.matrix):
            held.matrix.reserve(chunks.vectors_in(connection, collection_id, self.model))
        for versions, numbers, blobs in chunks.fresh_vectors(connection, collection_id, self.model, after, upto):
            vectors = np.frombuffer(b"".join(blobs), np.float16).reshape(len(blobs), self.dim)
            held.matrix.add_each(versions, np.asarray(numbers, np.int64), vectors)
        held.generation = upto


def packed(vectors: F32) -> list[bytes]:
    """Vectors as they are stored: float16, a row each."""
    return [row.tobytes() for row in vectors.astype(np.float16)]
