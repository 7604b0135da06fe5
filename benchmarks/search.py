"""What a search costs at any size: `python -m benchmarks search --chunks 10000,100000`.

Each size is filled with made-up passages and vectors (benchmarks/chunks.py) and asked made-up questions through the
app's own search, the question's embedding by the real models included; beside it, turn by turn, FTS5 (porter) and
sqlite-vec over the same texts and the first model's vectors, fused by reciprocal ranks, the question embedded by
the first model alone. Peers are loaded through apsw, since many Pythons load no extensions.

JSON on standard output, progress on standard error.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks import chunks, tables
from benchmarks.answers import machine
from benchmarks.cached import CACHE
from coach_core.knowledge import Knowledge
from coach_core.search import finder
from coach_core.search.meaning import Embedder
from coach_core.search.vectors import Matrix
from coach_core.store import Database

_ASKED = 100
_RECALLED, _KEPT = 50, 10


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks search", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", default="10000,100000", help="sizes, by commas")
    parser.add_argument("--questions", type=int, default=_ASKED)
    parser.add_argument("--no-peer", action="store_true", help="without FTS5 and sqlite-vec beside it")
    parser.add_argument("--folder", type=Path, help="where the collections are made; a temporary folder unless told")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    chosen = parser.parse_args(arguments)
    result: dict[str, Any] = {"machine": machine(), "sizes": {}}
    for size in (int(n) for n in chosen.chunks.split(",")):
        with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
            result["sizes"][size] = measure(Path(folder), size, chosen.questions, peer=not chosen.no_peer)
        _say(json.dumps(result["sizes"][size]))
    if chosen.write:
        tables.put(chosen.write, "search", table(result))
    print(json.dumps(result, indent=2))


def measure(home: Path, size: int, asked: int, *, peer: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    database = Database.open(f"sqlite:///{home}/coach.db", home)
    knowledge = Knowledge(database, home=CACHE)
    try:
        collection = knowledge.create_collection(f"Measured {size}")
        knowledge.warm(120.0)
        sides = list(knowledge.embedding.sides.values())
        models = [chunks.Vectors(side.embedder.name, side.embedder.dim) for side in sides]
        out["models"] = [m.name for m in models]
        started = time.perf_counter()
        chunks.write(database, collection.id, size, models, lambda done: _say(f"{done:,} of {size:,}", end="\r"))
        out["index_seconds"] = round(time.perf_counter() - started, 1)
        out["disk_mb"] = _megabytes(home)
        knowledge.find(chunks.question(0), [collection.id])
        out |= _memory(database, sides, size)
        out["recall@10"] = _recall(database, sides, models, collection.id)
        out |= _vector_part(sides)
        questions = [f"What is the {chunks.question(number)}" for number in range(1, asked + 1)]
        ours = _Timed(lambda text: knowledge.find(text, [collection.id]))
        other = None
        if peer:
            other = _Peer(home / "peer.db", database, collection.id, sides[0].embedder)
            out["peer_index_seconds"], out["peer_disk_mb"] = round(other.took, 1), _size(home / "peer.db")
        theirs = _Timed(other.find) if other else None
        for text in [*questions[:5], *questions]:  # the first few warm both up
            ours(text)
            if theirs:
                theirs(text)
        out["ms"] = ours.told(skip=5)
        if theirs:
            out["peer_ms"] = theirs.told(skip=5)
            out["p95_of_peer"] = round(out["ms"]["p95"] / out["peer_ms"]["p95"], 3)
    finally:
        knowledge.close()
        database.close()
    return out


class _Timed:
    """A search with a memory of how long it took."""

    def __init__(self, find: Callable[[str], object]) -> None:
        self._find, self._took = find, list[float]()

    def __call__(self, text: str) -> None:
        started = time.perf_counter()
        self._find(text)
        self._took.append((time.perf_counter() - started) * 1000)

    def told(self, skip: int) -> dict[str, float]:
        p50, p95 = np.percentile(self._took[skip:], [50, 95])
        return {"p50": round(float(p50), 1), "p95": round(float(p95), 1)}


class _Peer:
    """FTS5 and sqlite-vec, as a small program of one's own would use them."""

    def __init__(self, file: Path, database: Database, collection_id: UUID, embedder: Embedder) -> None:
        import apsw  # type: ignore[import-not-found]
        import sqlite_vec  # type: ignore[import-not-found]

        self._embedder = embedder
        self._db = apsw.Connection(str(file))
        self._db.enable_load_extension(True)
        self._db.load_extension(sqlite_vec.loadable_path())
        self._run = self._db.execute
        self._run("PRAGMA journal_mode=WAL")
        self._run("CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='porter unicode61')")
        self._run(f"CREATE VIRTUAL TABLE near USING vec0(embedding float[{embedder.dim}] distance_metric=cosine)")
        started = time.perf_counter()
        for at, rows in enumerate(_stored(database, collection_id, embedder.name)):
            with self._db:
                self._db.executemany("INSERT INTO texts(rowid, text) VALUES (?, ?)", [(n, t) for n, t, _ in rows])
                vectors = [(n, np.frombuffer(v, np.float16).astype(np.float32).tobytes()) for n, _, v in rows]
                self._db.executemany("INSERT INTO near(rowid, embedding) VALUES (?, ?)", vectors)
            _say(f"peer: {at * chunks.PART:,}", end="\r")
        self.took = time.perf_counter() - started

    def find(self, text: str) -> list[str]:
        vector = self._embedder.query(text).astype(np.float32).tobytes()
        any_of = " OR ".join(f'"{word}"' for word in text.split() if word.lower() not in ("what", "is", "the"))
        said = self._run("SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank LIMIT 200", (any_of,))
        near = "SELECT rowid FROM near WHERE embedding MATCH ? AND k = 200 ORDER BY distance"
        scores: dict[int, float] = {}
        for found in (said.fetchall(), self._run(near, (vector,)).fetchall()):
            for rank, (number,) in enumerate(found):
                scores[number] = scores.get(number, 0.0) + 1 / (60 + rank)
        best = sorted(scores, key=lambda n: -scores[n])[:8]
        return [self._run("SELECT text FROM texts WHERE rowid = ?", (number,)).fetchone()[0] for number in best]


def _stored(database: Database, collection_id: UUID, model: str) -> Any:
    """(number, text, vector) of all passages, in parts."""
    import sqlalchemy as sa

    query = sa.text(
        "SELECT c.number, c.text, v.vector FROM chunks AS c JOIN vectors AS v ON v.chunk_number = c.number "
        "AND v.model = :model WHERE c.number > :after ORDER BY c.number LIMIT :most"
    )
    after = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(query, {"model": model, "after": after, "most": chunks.PART}).all()
        if not rows:
            return
        yield [tuple(row) for row in rows]
        after = rows[-1][0]


def _memory(database: Database, sides: Sequence[Any], size: int) -> dict[str, Any]:
    """What loading all matrices adds to the process's own memory, beside the float16 vectors' bytes."""
    for side in sides:
        side.index.forget()
    _settle()
    before, started = _resident(), time.perf_counter()
    for side in sides:
        side.index.warm(database)
    took = time.perf_counter() - started
    _settle()
    held = _resident() - before
    float16 = sum(2 * side.embedder.dim * size for side in sides)
    return {
        "load_seconds": round(took, 2),
        "vectors_resident_mb": round(held / 1e6, 1),
        "float16_mb": round(float16 / 1e6, 1),
        "resident_of_float16": round(held / float16, 3),
    }


def _recall(database: Database, sides: Sequence[Any], models: Sequence[chunks.Vectors], collection: UUID) -> float:
    """Share of the exact ten nearest (float32 over the stored vectors) that are found, the worse model's."""
    worst = 1.0
    for side, model in zip(sides, models, strict=True):
        asked = model.some(_RECALLED)
        scores: list[Any] = []
        numbers: list[Any] = []
        for part in _stored(database, collection, model.name):
            rows = np.frombuffer(b"".join(v for _, _, v in part), np.float16).reshape(len(part), model.dim)
            scores.append(asked @ rows.astype(np.float32).T)
            numbers.append([n for n, _, _ in part])
        exact, order = np.concatenate(scores, axis=1), np.concatenate(numbers)
        hits = 0
        for at in range(_RECALLED):
            wanted = set(order[np.argsort(-exact[at], kind="stable")[:_KEPT]].tolist())
            with database.read() as connection:
                near = side.index.search(asked[at], [collection], finder.CANDIDATES)[: finder.READ]
                there, rows = side.index.rows(connection, near)
            best = sorted(zip((rows @ asked[at]).tolist(), there, strict=True), reverse=True)[:_KEPT]
            hits += len(wanted & {n for _, n in best})
        worst = min(worst, hits / (_RECALLED * _KEPT))
    return round(worst, 4)


def _vector_part(sides: Sequence[Any]) -> dict[str, Any]:
    """One search of the largest matrix beside one bare read of its bytes, turn by turn; the better half of each."""
    held: Matrix = max((h.matrix for h in sides[0].index._held.values()), key=len)
    levels = held._rows.levels[: held._rows.count]
    asked = np.random.default_rng(3).standard_normal((20, held.dim)).astype(np.float32)
    read: list[float] = []
    searched: list[float] = []
    for query in asked:
        started = time.perf_counter()
        levels.view(np.int64).max()
        between = time.perf_counter()
        held.search(query, 200)
        read.append(between - started)
        searched.append(time.perf_counter() - between)
    reading, searching = (float(np.percentile(v, 25)) * 1000 for v in (read, searched))
    return {
        "matrix_read_ms": round(reading, 2),
        "matrix_search_ms": round(searching, 2),
        "search_of_read": round(searching / reading, 2),
    }


def _resident() -> int:
    """Bytes of memory that are the process's own: what is mapped from files is left out."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) * 1024


def _settle() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _megabytes(folder: Path) -> float:
    return round(sum(f.stat().st_size for f in folder.glob("coach.db*")) / 1e6, 1)


def _size(file: Path) -> float:
    return round(sum(f.stat().st_size for f in file.parent.glob(f"{file.name}*")) / 1e6, 1)


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    sizes: dict[int, dict[str, Any]] = result["sizes"]
    facts: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("a search, p50 / p95 ms", lambda r: f"{r['ms']['p50']:g} / {r['ms']['p95']:g}"),
        ("FTS5 + sqlite-vec, p50 / p95 ms", lambda r: f"{r['peer_ms']['p50']:g} / {r['peer_ms']['p95']:g}"),
        ("p95 of the peer's", lambda r: f"{r['p95_of_peer']:.2f}"),
        ("recall@10 against exact float32", lambda r: f"{r['recall@10']:.3f}"),
        ("one matrix searched / read once, ms", lambda r: f"{r['matrix_search_ms']:g} / {r['matrix_read_ms']:g}"),
        ("of one read", lambda r: f"{r['search_of_read']:.2f}"),
        ("memory of all vectors, MB", lambda r: f"{r['vectors_resident_mb']:g}"),
        ("of their float16 bytes", lambda r: f"{r['resident_of_float16']:.2f}"),
        ("loading them, s", lambda r: f"{r['load_seconds']:g}"),
        ("disk, MB (peer)", lambda r: f"{r['disk_mb']:g} ({r.get('peer_disk_mb', '–')})"),
        ("index time, s (peer)", lambda r: f"{r['index_seconds']:g} ({r.get('peer_index_seconds', '–')})"),
    ]
    lines = ["| passages | " + " | ".join(f"{n:,}" for n in sizes) + " |"]
    lines.append("| --- |" + " ---: |" * len(sizes))
    for name, told in facts:
        cells = [told(r) if "peer" not in name or "peer_ms" in r or "(" in name else "–" for r in sizes.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    models = ", ".join(next(iter(sizes.values()))["models"])
    return "\n".join([*lines, "", f"Machine: {result['machine']}. Models: {models}."])


def _say(text: str, end: str = "\n") -> None:
    print(text, file=sys.stderr, end=end, flush=True)


if __name__ == "__main__":
    main()
