"""The models by which passages are found by their meaning, and the embedding of what waits for it.

Invariant: what is asked here never fails because there is no model (yet): nothing is found by meaning then.
One process a home embeds at a time, and what was embedded is stored batch by batch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from coach_core.errors import CoachError
from coach_core.knowledge import chunk
from coach_core.knowledge.lazy import Lazy
from coach_core.search import e5, english, finder, meaning, words
from coach_core.search.index import packed
from coach_core.store import Database, chunks
from coach_core.types import Check

log = logging.getLogger(__name__)
Factory = Callable[[], meaning.Embedder]
_EMBED_AT_ONCE = 64
_REMEMBERED = 2000


class Embedding:
    """`spec` is one of search/meaning, or give a factory."""

    def __init__(
        self, db: Database, home: Path, spec: str = "", factory: Factory | None = None, english_: Factory | None = None
    ) -> None:
        self._db = db
        self._home = home
        self._bundled = factory is None and spec in ("", "bundled")
        factory = factory or partial(meaning.open_embedder, home, spec)
        self.sides: dict[str, finder.Side] = {}  # of the opened embedders, by their names
        self._embedder = Lazy(lambda: self._opened(factory()))
        if english_ is None and self._bundled and english.there():
            english_ = english.open_english
        self._english = Lazy(lambda: self._opened(english_(), english.LANGUAGES)) if english_ is not None else None
        self._gate = threading.Lock()
        self._vectors: dict[str, Any] = {}  # of sentences that were scored lately

    def warm(self, wait: float = 0.0) -> bool:
        """Begin to open the models; whether the first is there within `wait` seconds."""
        there = self._embedder.ready(wait) is not None
        if self._english is not None:
            self._english.ready(wait if there else 0.0)
        return there

    def close(self) -> None:
        for lazy in self._lazies():
            lazy.close()
        self.sides = {}

    def asked(self, text: str, wait: float = 0.0) -> list[finder.Asked]:
        """The question to each model that is open and speaks its language."""
        language = words.language_of(text)
        out: list[finder.Asked] = []
        for lazy in self._lazies():
            embedder = lazy.ready(wait)
            side = self.sides.get(embedder.name) if embedder is not None else None
            if embedder is None or side is None or not side.speaks(language):
                continue
            vector = _query(embedder, text)
            if vector is not None:
                out.append(finder.Asked(side, vector))
        return out

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """How near each of `texts` is to `question` (cosines); [] where there is no embedder."""
        embedder = self._embedder.ready(1.0)  # while it is being made, words alone must do
        vector = _query(embedder, question)
        if embedder is None or vector is None:
            return []
        with self._gate:
            missing = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        new = dict(zip(missing, embedder.passages(missing), strict=True)) if missing else {}
        with self._gate:
            known = self._vectors | new
            self._vectors = dict(list(known.items())[-_REMEMBERED:])
        return [float(known[t] @ vector) for t in texts]

    def model(self) -> str:
        """The name beside the vectors that count; of another embedder it is known once that is open."""
        opened = self._embedder.ready()
        return opened.name if opened is not None else e5.NAME if self._bundled else ""

    def pending(self) -> tuple[int, int]:
        """(passages that meaning finds, all passages)."""
        with self._db.read() as connection:
            return chunks.vector_counts(connection, self.model())

    def embed_pending(self, stop: threading.Event, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed what waits until nothing does or `stop` is set."""
        with self._db.read() as connection:
            if not chunks.anything(connection):
                return
        embedder = self._embedder.get()
        try:
            with FileLock(self._home / "embedding.lock", timeout=0):
                self._embed(embedder, stop, progress)
                if self._english is not None and self._waits_for_english():
                    self._embed(self._english.get(), stop, None, english.LANGUAGES)
        except Timeout:
            log.debug("another process is embedding")

    def check(self) -> Check:
        """Whether passages are found by meaning, for `doctor`."""
        try:
            embedder = self._embedder.get()
        except CoachError as error:
            mend = "Search goes by words alone until then. Run `make setup`, or set COACH_EMBEDDER."
            return Check("embeddings", "warn", error.sentence, mend)
        return Check("embeddings", "ok", f"{embedder.name}, {embedder.dim} numbers a passage")

    def _waits_for_english(self) -> bool:
        with self._db.read() as connection:
            return bool(chunks.unembedded(connection, english.NAME, 1, languages=english.LANGUAGES))

    def _embed(
        self,
        embedder: meaning.Embedder,
        stop: threading.Event,
        progress: Callable[[int, int], None] | None,
        languages: Sequence[str] = (),
    ) -> None:
        last = 0
        done, total = self.pending()
        while not stop.is_set():
            with self._db.read() as connection:
                rows = chunks.unembedded(connection, embedder.name, _EMBED_AT_ONCE, last, languages)
            if not rows:
                return
            vectors = packed(embedder.passages([chunk.in_context(r.title, r.section, r.row, r.text) for r in rows]))
            stored = [(r.number, r.version_id, r.collection_id, v) for r, v in zip(rows, vectors, strict=True)]
            self._db.write(lambda c, stored=stored: chunks.add_vectors(c, embedder.name, stored)).result()
            last, done = rows[-1].number, done + len(rows)
            if progress is not None:
                progress(min(done, total), total)

    def _opened(self, embedder: meaning.Embedder, languages: Sequence[str] = ()) -> meaning.Embedder:
        self.sides[embedder.name] = finder.Side(embedder, languages)
        return embedder

    def _lazies(self) -> list[Lazy]:
        return [lazy for lazy in (self._embedder, self._english) if lazy is not None]


def _query(embedder: meaning.Embedder | None, text: str) -> Any:
    """The question's vector; None where the embedder fails (an endpoint may)."""
    try:
        return embedder.query(text) if embedder is not None else None
    except CoachError as error:
        log.warning("the question could not be embedded: %s", error.sentence)
        return None
