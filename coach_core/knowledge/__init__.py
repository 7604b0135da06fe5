"""Documents as passages that can be found and cited.

Invariant: a document is there whole or not at all, and its words find it the moment it is there;
meaning follows as `embed_pending` catches up. A search sees the collections it is given and no other,
and never fails because there is no embedder (yet): words alone answer then.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock, Timeout

from coach_core.errors import CoachError
from coach_core.knowledge import chunk
from coach_core.knowledge.embedding import Lazy
from coach_core.knowledge.extract import Extractor
from coach_core.knowledge.finding import Finding
from coach_core.knowledge.intake import Intake, Progress
from coach_core.search import e5, english, finder, meaning, words
from coach_core.search.index import packed
from coach_core.store import Database, chunks, collections, documents
from coach_core.types import Check, Collection, Document, Passage, now

log = logging.getLogger(__name__)
_EMBED_AT_ONCE = 64
_SWEEP_AFTER = timedelta(hours=1)  # no ingestion takes longer between its first row and its last
_REMEMBERED = 2000


class Knowledge:
    """Made once a process by coach.py. `embedder` is a spec of search/meaning, or give a factory."""

    def __init__(
        self,
        db: Database,
        *,
        home: Path | None = None,
        embedder: str = "",
        embedder_factory: Callable[[], meaning.Embedder] | None = None,
        english_factory: Callable[[], meaning.Embedder] | None = None,
    ) -> None:
        self._db = db
        self.extractor = Extractor()
        self._intake = Intake(db, self.extractor, self.document)
        self._home = home or db.home
        self._factory = embedder_factory or partial(meaning.open_embedder, self._home, embedder)
        self._bundled = embedder_factory is None and embedder in ("", "bundled")
        self._sides: dict[str, finder.Side] = {}  # of the opened embedders, by their names
        self._embedder = Lazy(lambda: self._opened(self._factory()))
        if english_factory is None and self._bundled and english.there():
            english_factory = english.open_english
        self._english = (
            Lazy(lambda: self._opened(english_factory(), english.LANGUAGES)) if english_factory is not None else None
        )
        self._finding = Finding(db, self._asked_of)
        self._gate = threading.Lock()
        self._swept = False
        self._vectors: dict[str, Any] = {}  # of sentences that were scored lately

    def warm(self, wait: float = 0.0) -> bool:
        """Begin to open the embedder; whether it is there within `wait` seconds."""
        there = self._embedder.ready(wait) is not None
        if self._english is not None:
            self._english.ready(wait if there else 0.0)
        return there

    def close(self) -> None:
        self.extractor.close()
        for lazy in self._lazies():
            lazy.close()
        self._sides = {}

    # collections and documents

    def collections(self) -> list[Collection]:
        return collections.list_collections(self._db)

    def create_collection(self, name: str, description: str = "", licence: str = "") -> Collection:
        return collections.create(self._db, name, description, licence)

    def delete_collection(self, collection_id: UUID) -> None:
        collections.drop(self._db, collection_id)
        documents.sweep(self._db, now(), within=collection_id)

    def documents(self, collection_id: UUID) -> list[Document]:
        collections.get(self._db, collection_id)
        return documents.list_documents(self._db, collection_id, self._model())

    def document(self, document_id: UUID) -> Document:
        return documents.get(self._db, document_id, self._model())

    def text_of(self, document_id: UUID) -> tuple[str, list[tuple[str, int, int]]]:
        return documents.text_of(self._db, document_id)

    def add(
        self,
        collection_id: UUID,
        name: str,
        source: Path | bytes,
        *,
        by: str = "",
        progress: Progress | None = None,
    ) -> Document:
        """Take a file in. The same bytes again give the document there is, with duplicate=True in progress."""
        collections.get(self._db, collection_id)
        return self._intake.take(collection_id, name, source, by, progress)

    def replace(
        self, document_id: UUID, name: str, source: Path | bytes, *, by: str = "", progress: Progress | None = None
    ) -> Document:
        """Put a file in a document's place, in one moment: searches find the old one or the new one."""
        return self._intake.take(self.document(document_id).collection_id, name, source, by, progress, document_id)

    def delete(self, document_id: UUID) -> None:
        documents.drop(self._db, document_id)
        documents.sweep(self._db, now(), of=document_id)

    # search

    def find(
        self,
        text: str,
        collections: Sequence[UUID],
        *,
        k: int = 8,
        document_id: UUID | None = None,
        wait: float = 0.0,
    ) -> list[Passage]:
        """The best `k` passages of `collections` (or of one document there), best first.

        `wait` is how many seconds to wait for the embedder while it is being opened.
        """
        return self._finding.find(text, collections, k=k, document_id=document_id, wait=wait)

    def ranked(self, text: str, collections: Sequence[UUID], by: finder.By = "both") -> list[Passage]:
        """All candidates of a search by words, by meaning or both, alike ones too; to measure it by."""
        return self._finding.ranked(text, collections, by)

    def passage(self, chunk_id: UUID) -> Passage | None:
        """A passage by its id, or None when its document was deleted or replaced."""
        return self._finding.passage(chunk_id)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """How near each of `texts` is to `question` (cosines); [] where there is no embedder."""
        embedder = self._embedder.ready(1.0)  # while it is being made, words alone must do
        vector = self._asked(embedder, question)
        if embedder is None or vector is None:
            return []
        with self._gate:
            missing = [t for t in dict.fromkeys(texts) if t not in self._vectors]
        new = dict(zip(missing, embedder.passages(missing), strict=True)) if missing else {}
        with self._gate:
            known = self._vectors | new
            self._vectors = dict(list(known.items())[-_REMEMBERED:])
        return [float(known[t] @ vector) for t in texts]

    # embedding

    def pending(self) -> tuple[int, int]:
        """(passages that meaning finds, all passages)."""
        with self._db.read() as connection:
            return chunks.vector_counts(connection, self._model())

    def embed_pending(self, stop: threading.Event, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed what waits until nothing does or `stop` is set. One process a home does so at a time."""
        if not self._swept:
            self._swept = True
            documents.sweep(self._db, now() - _SWEEP_AFTER)
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
        self._sides[embedder.name] = finder.Side(embedder, languages)
        return embedder

    def _lazies(self) -> list[Lazy]:
        return [lazy for lazy in (self._embedder, self._english) if lazy is not None]

    def _asked_of(self, text: str, wait: float) -> list[finder.Asked]:
        """The question to each model that is open and speaks its language."""
        language = words.language_of(text)
        out: list[finder.Asked] = []
        for lazy in self._lazies():
            embedder = lazy.ready(wait)
            side = self._sides.get(embedder.name) if embedder is not None else None
            if embedder is None or side is None or not side.speaks(language):
                continue
            vector = self._asked(embedder, text)
            if vector is not None:
                out.append(finder.Asked(side, vector))
        return out

    def _asked(self, embedder: meaning.Embedder | None, text: str) -> Any:
        """The question's vector; None where the embedder fails (an endpoint may)."""
        try:
            return embedder.query(text) if embedder is not None else None
        except CoachError as error:
            log.warning("the question could not be embedded: %s", error.sentence)
            return None

    def _model(self) -> str:
        """The name beside the vectors that count; of another embedder it is known once that is open."""
        opened = self._embedder.ready()
        return opened.name if opened is not None else e5.NAME if self._bundled else ""
