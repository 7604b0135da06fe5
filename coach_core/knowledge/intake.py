"""How a file becomes a document: read, cut, written hidden, shown in one moment.

Invariant: whoever searches meanwhile finds the document before or the document after, whole; a file that
fails, and one whose bytes are there already, leaves nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from coach_core.errors import CoachError, InputError
from coach_core.knowledge import chunk, loaders
from coach_core.knowledge.extract import Extract, Extractor
from coach_core.store import Database, chunks, documents, files
from coach_core.types import Document, IngestProgress, new_id, now

log = logging.getLogger(__name__)
Progress = Callable[[IngestProgress], None]


class Intake:
    """`document` gives a document by its id."""

    def __init__(self, db: Database, extractor: Extractor, document: Callable[[UUID], Document]) -> None:
        self._db, self._extractor, self._document = db, extractor, document

    def take(
        self,
        collection_id: UUID,
        name: str,
        source: Path | bytes,
        by: str = "",
        progress: Progress | None = None,
        replaced: UUID | None = None,
    ) -> Document:
        name = loaders.safe_name(name)
        tell = _Teller(progress, name)
        tell("reading")
        data = source.read_bytes() if isinstance(source, Path) else source
        sha256 = hashlib.sha256(data).hexdigest()
        there = documents.known(self._db, collection_id, sha256)
        if there is not None:
            return self._there(there, replaced, tell)
        found = self._extractor.read(data, name, partial(tell, "reading"))
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
            "dated_at": loaded.dated,
            "added_by": by,
        }
        with self._hidden(version_id):
            marks = chunk.marks(loaded.blocks, starts)
            documents.hide(self._db, version_id, document_id, collection_id, text, marks)
            rows = _rows(found, text, version_id, document_id, collection_id)
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
        return self._document(document_id)

    def _there(self, document_id: UUID, replaced: UUID | None, tell: _Teller) -> Document:
        found = self._document(document_id)
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
    found: Extract, text: str, version_id: UUID, document_id: UUID, collection_id: UUID
) -> Iterator[dict[str, Any]]:
    scope = chunks.scope(collection_id, document_id)
    for position, (piece, words) in enumerate(zip(found.chunks, found.words, strict=True)):
        yield {
            "id": new_id(),
            "version_id": version_id,
            "document_id": document_id,
            "collection_id": collection_id,
            "position": position,
            "text": text[piece.start : piece.end],
            "section": piece.section,
            "page": piece.page,
            "row": piece.row,
            "start_char": piece.start,
            "end_char": piece.end,
            "tokens": piece.tokens,
            "words": words,
            "word_count": words.count(" ") + 1 if words else 0,
            "scope": scope,
        }
