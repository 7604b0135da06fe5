"""Embedders that remember: what was embedded once is read from .cache, by the hash of model and text.

Invariant: what is remembered is what the model gave (as float16, as the app stores it); another model or another
text has another key.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from coach_core.search.meaning import Embedder

CACHE = Path(__file__).resolve().parent.parent / ".cache"
F32 = NDArray[np.float32]


class Remembering:
    """`embedder`, asked only for what is not in `file` yet."""

    def __init__(self, embedder: Embedder, file: Path = CACHE / "vectors.db") -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.dim = embedder.name, embedder.dim
        self._embedder = embedder
        self._gate = threading.Lock()
        self._db = sqlite3.connect(file, timeout=60, check_same_thread=False)
        self._db.execute("CREATE TABLE IF NOT EXISTS vectors(key TEXT PRIMARY KEY, vector BLOB) WITHOUT ROWID")

    def passages(self, texts: Sequence[str]) -> F32:
        keys = [hashlib.sha256(f"{self.name}\0{text}".encode()).hexdigest() for text in texts]
        with self._gate:
            known = {key: found for key in keys if (found := self._read(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            rows = self._embedder.passages(list(missing.values())).astype(np.float16)
            new = {key: row.tobytes() for key, row in zip(missing, rows, strict=True)}
            with self._gate, self._db:
                self._db.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", new.items())
            known |= new
        blob = b"".join(known[key] for key in keys)
        return np.frombuffer(blob, np.float16).reshape(len(keys), self.dim).astype(np.float32)

    def query(self, text: str) -> F32:
        return self._embedder.query(text)

    def _read(self, key: str) -> bytes | None:
        row = self._db.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None
