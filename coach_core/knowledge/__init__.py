"""Documents as passages that can be found and cited.

Invariant: a document is there whole or not at all, and its words find it the moment it is there;
meaning follows as `embed_pending` catches up. A search sees the collections it is given and no other,
and never fails because there is no embedder (yet): words alone answer then.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock, Timeout

from coach_core.errors import CoachError, InputError
from coach_core.knowledge import chunk, loaders
from coach_core.knowledge.embedding import Lazy
from coach_core.knowledge.extract import Extractor
from coach_core.search import e5, english, finder, fuse, meaning, words
from coach_core.search.index import packed
from coach_core.store import Database, chunks, collections, documents, files
from coach_core.types import Check, Collection, Document, IngestProgress, Passage, clean_text, new_id, now

log = logging.getLogger(__name__)
Progress = Callable[[IngestProgress], None]
_EMBED_AT_ONCE = 64
_LONGEST_QUESTION = 4000
_LANGUAGES = 4  # of the documents, in which the words of a question are looked for
_SAME = 0.85  # of their words in common: two passages that say the same
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
        return self._take_in(collection_id, name, source, by, progress, None)

    def replace(
        self, document_id: UUID, name: str, source: Path | bytes, *, by: str = "", progress: Progress | None = None
    ) -> Document:
        """Put a file in a document's place, in one moment: searches find the old one or the new one."""
        return self._take_in(self.document(document_id).collection_id, name, source, by, progress, document_id)

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
        found = self._ranked(text, collections, k, document_id=document_id, wait=wait)
        return _distinct(iter(found), k)

    def ranked(self, text: str, collections: Sequence[UUID], by: finder.By = "both") -> list[Passage]:
        """All candidates of a search by words, by meaning or both, alike ones too; to measure it by."""
        return self._ranked(text, collections, 4 * finder.CANDIDATES, wait=60.0, by=by)

    def _ranked(
        self,
        text: str,
        collections: Sequence[UUID],
        k: int,
        *,
        document_id: UUID | None = None,
        wait: float = 0.0,
        by: finder.By = "both",
    ) -> list[Passage]:
        within = list(dict.fromkeys(collections))
        text = clean_text(text)[:_LONGEST_QUESTION].strip()
        if not text or not within or k <= 0:
            return []
        asked = self._asked_of(text, wait) if by != "words" else []
        with self._db.read() as connection:
            readings = words.query_readings(text, documents.languages(connection, within)[:_LANGUAGES])
            found = finder.find(connection, readings, asked, within, document_id, by)[: 4 * k + 20]
            rows = chunks.rows_of(connection, [f.number for f in found], within)
        return [_passage(rows[f.number], f) for f in found if f.number in rows]

    def passage(self, chunk_id: UUID) -> Passage | None:
        """A passage by its id, or None when its document was deleted or replaced."""
        with self._db.read() as connection:
            row = chunks.row_of(connection, chunk_id)
        return _passage(row) if row is not None else None

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
            vectors = packed(embedder.passages([_in_context(r.title, r.section, r.row, r.text) for r in rows]))
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

    # ingestion

    def _take_in(
        self,
        collection_id: UUID,
        name: str,
        source: Path | bytes,
        by: str,
        progress: Progress | None,
        replaced: UUID | None,
    ) -> Document:
        name = loaders.safe_name(name)
        tell = _Teller(progress, name)
        tell("reading")
        data = source.read_bytes() if isinstance(source, Path) else source
        sha256 = hashlib.sha256(data).hexdigest()
        there = documents.known(self._db, collection_id, sha256)
        if there is not None:
            return self._there(there, replaced, tell)
        found = self.extractor.read(data, name)
        loaded, pieces = found.loaded, found.chunks
        tell("chunking")
        text, starts = chunk.joined(loaded.blocks)
        document_id, version_id = replaced or new_id(), new_id()
        values = {
            "collection_id": collection_id,
            "name": name,
            "title": loaded.title,
            "media_type": loaded.media_type,
            "size": len(data),
            "sha256": sha256,
            "pages": loaded.pages,
            "chunks": len(pieces),
            "language": loaded.language,
            "added_by": by,
        }
        with self._hidden(version_id):
            marks = chunk.marks(loaded.blocks, starts)
            documents.hide(self._db, version_id, document_id, collection_id, text, marks)
            rows = _rows(pieces, text, loaded, version_id, document_id, collection_id)
            for at in range(0, len(pieces), chunks.BATCH):
                batch = [row for _, row in zip(range(chunks.BATCH), rows, strict=False)]
                self._db.write(lambda c, batch=batch: chunks.add(c, version_id, batch)).result()
                tell("chunking", at + len(batch), len(pieces), document_id)
            values["file_id"] = files.put(self._db, name, loaded.media_type, data, None).id
            try:
                documents.show(self._db, document_id, version_id, values, new=replaced is None)
            except documents.Known as known:  # another upload of the same bytes was faster
                documents.sweep(self._db, now(), of=document_id)
                return self._there(known.document_id, replaced, tell)
        if replaced is not None:
            documents.sweep(self._db, now(), of=document_id)
        tell("ready", len(pieces), len(pieces), document_id)
        return self.document(document_id)

    def _there(self, document_id: UUID, replaced: UUID | None, tell: _Teller) -> Document:
        found = self.document(document_id)
        if replaced is not None and replaced != document_id:
            raise InputError(f"The collection holds this file already, as {found.name}.")
        tell("ready", found.chunks, found.chunks, found.id, duplicate=True)
        return found

    @contextmanager
    def _hidden(self, version_id: UUID) -> Iterator[None]:
        """What was written under a version that was never shown is taken away again."""
        try:
            yield
        except BaseException:
            try:
                documents.sweep(self._db, now(), only=version_id)
            except CoachError:
                log.warning("what a failed file left is cleared later")
            raise


class _Teller:
    """Tells where a file stands."""

    def __init__(self, progress: Progress | None, name: str) -> None:
        self._progress, self._name = progress, name

    def __call__(
        self, stage: Any, done: int = 0, total: int = 0, document_id: UUID | None = None, *, duplicate: bool = False
    ) -> None:
        if self._progress is not None:
            step = IngestProgress(document_id, self._name, stage, done, total, duplicate=duplicate)
            self._progress(step)


def _rows(
    pieces: Sequence[chunk.Chunk],
    text: str,
    loaded: loaders.Loaded,
    version_id: UUID,
    document_id: UUID,
    collection_id: UUID,
) -> Iterator[dict[str, Any]]:
    scope = chunks.scope(collection_id, document_id)
    for position, piece in enumerate(pieces):
        said = text[piece.start : piece.end]
        tokens = words.tokenise(_in_context(loaded.title, piece.section, piece.row, said), loaded.language)
        yield {
            "id": new_id(),
            "version_id": version_id,
            "document_id": document_id,
            "collection_id": collection_id,
            "position": position,
            "text": said,
            "section": piece.section,
            "page": piece.page,
            "row": piece.row,
            "start_char": piece.start,
            "end_char": piece.end,
            "tokens": piece.tokens,
            "words": tokens,
            "word_count": tokens.count(" ") + 1 if tokens else 0,
            "scope": scope,
        }


def _in_context(title: str, section: str, row: int | None, text: str) -> str:
    """The passage under its headings, as it is embedded and indexed: alone it may not say what it is about."""
    path = section if row is not None or section.startswith(title) else f"{title}{loaders.SEPARATOR}{section}"
    heading = path.removesuffix(loaders.SEPARATOR)
    last = heading.rsplit(loaders.SEPARATOR, 1)[-1]
    if last and text.startswith(last):  # it stands there already
        heading = heading[: -len(last)].removesuffix(loaders.SEPARATOR)
    return f"{heading}\n{text}" if heading else text


def _passage(row: Any, found: fuse.Found | None = None) -> Passage:
    return Passage(
        row.id,
        row.document_id,
        row.collection_id,
        row.sha256,
        row.title,
        row.text,
        row.section,
        row.page,
        row.row,
        row.start_char,
        row.end_char,
        row.language,
        found.score if found else 0.0,
        found.rank_words if found else None,
        found.rank_meaning if found else None,
        found.score_words if found else None,
        found.score_meaning if found else None,
    )


def _distinct(passages: Iterator[Passage], k: int) -> list[Passage]:
    """The first `k` that do not say the same as one before."""
    kept: list[Passage] = []
    told: list[set[str]] = []
    for passage in passages:
        these = set(passage.text.split())
        if any(len(these & those) >= _SAME * len(these | those) for those in told):
            continue
        kept.append(passage)
        told.append(these)
        if len(kept) == k:
            break
    return kept
