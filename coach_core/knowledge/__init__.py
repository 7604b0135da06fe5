"""Documents as passages that can be found and cited.

Invariant: a document is there whole or not at all, and its words find it the moment it is there;
meaning follows as `embed_pending` catches up. A search sees the collections it is given and no other,
and never fails because there is no embedder (yet): words alone answer then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace as with_values
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from coach_core.knowledge.embedding import Embedding
from coach_core.knowledge.extract import Extractor
from coach_core.knowledge.finding import Finding
from coach_core.knowledge.intake import Intake, Progress
from coach_core.knowledge.pages import Pages
from coach_core.search import finder, meaning, rerank
from coach_core.store import Database, collections, documents, moves, shelf, trash, uses
from coach_core.types import (
    Check,
    Collection,
    Deleted,
    Document,
    DocumentUse,
    Figures,
    Filter,
    Passage,
    now,
)

_SWEEP_AFTER = timedelta(hours=1)  # no ingestion takes longer between its first row and its last


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
        opener: Callable[[str], meaning.Embedder] | None = None,
        choose: Callable[[], str] | None = None,
        patience: float = 0.25,
        rerank: rerank.Reranking | None = None,
    ) -> None:
        self._db = db
        self.extractor = Extractor()
        self.pages = Pages()
        self._intake = Intake(db, self.extractor, self.document)
        self.embedding = Embedding(
            db,
            home or db.home,
            embedder,
            embedder_factory,
            english_factory,
            opener=opener,
            choose=choose,
            patience=patience,
        )
        self._finding = Finding(db, self.embedding.asked, rerank)
        self._figures: dict[UUID, Figures] = {}
        self._swept = False

    def warm(self, wait: float = 0.0) -> bool:
        """Begin to open the embedder; whether it is there within `wait` seconds."""
        return self.embedding.warm(wait)

    def load(self, wait: float = 0.0) -> None:
        """Take the vectors into memory, once the models are open; searches go by words alone meanwhile."""
        if self.warm(wait):
            for side in self.embedding.sides.values():
                side.index.warm(self._db)

    def close(self) -> None:
        self.extractor.close()
        self.pages.close()
        self.embedding.close()

    # collections and documents

    def collections(self) -> list[Collection]:
        return collections.list_collections(self._db)

    def create_collection(self, name: str, description: str = "", licence: str = "") -> Collection:
        return collections.create(self._db, name, description, licence)

    def update_collection(self, collection_id: UUID, name: str, description: str, licence: str) -> Collection:
        return collections.update(self._db, collection_id, name, description, licence)

    def delete_collection(self, collection_id: UUID, by: str = "") -> None:
        """Out of every search at once; it can be brought back until it is purged."""
        trash.put_collection(self._db, collection_id, by)

    def documents(self, collection_id: UUID) -> list[Document]:
        collections.get(self._db, collection_id)
        return documents.list_documents(self._db, collection_id, self.embedding.model())

    def figures(self, collection_id: UUID) -> Figures:
        """What the collection holds; counted anew only when it has changed."""
        known = self._figures.get(collection_id)
        found = shelf.figures(self._db, collection_id, self.embedding.model(), known)
        self._figures[collection_id] = found
        return found

    def these(self, ids: Sequence[UUID]) -> list[Document]:
        """The documents of these ids that are still there."""
        return shelf.these(self._db, ids, self.embedding.model())

    def document(self, document_id: UUID) -> Document:
        return documents.get(self._db, document_id, self.embedding.model())

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

    def place(self, document_id: UUID, collection_id: UUID, *, copy: bool = False) -> Document:
        """Move a document into another collection, or copy it there; nothing is read or embedded anew."""
        return self.document(moves.place(self._db, document_id, collection_id, copy=copy))

    def delete(self, document_id: UUID, by: str = "") -> None:
        """Out of every search at once; it can be brought back until it is purged."""
        trash.put_document(self._db, document_id, by)

    def delete_many(self, ids: Sequence[UUID], by: str = "") -> list[UUID]:
        """The same with many; those that were there."""
        return trash.put_documents(self._db, ids, by)

    def deleted(self, limit: int | None = None) -> list[Deleted]:
        return trash.list_deleted(self._db, limit)

    def bring_back(self, *deleted_ids: UUID) -> None:
        trash.bring_back(self._db, *deleted_ids)

    def purge(self, before: datetime | None = None, *, only: UUID | None = None) -> int:
        """Take what was deleted before `before`, or `only` that, away for good; how many."""
        return trash.purge(self._db, before, only=only)

    def uses(self, collection_id: UUID | None = None, since: datetime | None = None) -> dict[UUID, DocumentUse]:
        """How often each document that was used was found and cited, from the day of `since` on."""
        return uses.of_documents(self._db, collection_id=collection_id, since=since)

    # search

    def find(
        self,
        text: str,
        collections: Sequence[UUID],
        *,
        k: int = 8,
        document_id: UUID | None = None,
        fits: Filter = Filter(),  # noqa: B008 - it is frozen
        wait: float = 0.0,
    ) -> list[Passage]:
        """The best `k` passages of `collections` (or of one document there) that fit the filter, best first.

        `wait` is how many seconds to wait for the embedder while it is being opened.
        """
        if document_id is not None:
            fits = with_values(fits, documents=(document_id,))
        return self._finding.find(text, collections, k=k, fits=fits, wait=wait)

    def portion(self, text: str, collections: Sequence[UUID], *, k: int, budget: int) -> list[Passage]:
        """What goes with a question: the best passages, neighbours made one, of `budget` tokens together."""
        return self._finding.portion(text, collections, k=k, budget=budget)

    def fitting(self, collections: Sequence[UUID], fits: Filter) -> int:
        """How many documents of `collections` fit."""
        return self._finding.fitting(collections, fits)

    def why(self, text: str, passages: Sequence[Passage]) -> list[list[tuple[int, int]]]:
        """Where in each passage the words of the question stand."""
        return self._finding.why(text, passages)

    def glossed(self, text: str, passages: Sequence[Passage]) -> list[str]:
        """The question's words in English, where English passages were found by them; else none."""
        return self._finding.glossed(text, passages)

    def ranked(self, text: str, collections: Sequence[UUID], by: finder.By = "both") -> list[Passage]:
        """All candidates of a search by words, by meaning or both, alike ones too; to measure it by."""
        return self._finding.ranked(text, collections, by)

    def passage(self, chunk_id: UUID) -> Passage | None:
        """A passage by its id, or None when its document was deleted or replaced."""
        return self._finding.passage(chunk_id)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """How near each of `texts` is to `question` (cosines); [] where there is no embedder."""
        return self.embedding.score(question, texts)

    # embedding

    def pending(self) -> tuple[int, int]:
        """(passages that meaning finds, all passages)."""
        return self.embedding.pending()

    def embed_pending(self, stop: threading.Event, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed what waits until nothing does or `stop` is set. One process a home does so at a time."""
        if not self._swept:
            self._swept = True
            documents.sweep(self._db, now() - _SWEEP_AFTER)
        self.embedding.embed_pending(stop, progress)

    def check(self) -> Check:
        """Whether passages are found by meaning, for `doctor`."""
        return self.embedding.check()
