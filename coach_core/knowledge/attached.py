"""Files attached to a question: checked when they come, their fitting passages found when asked.

Invariant: an attached file belongs to its thread alone; it enters no collection and no index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import log
from uuid import UUID, uuid5

from coach_core.errors import EmptyFile, FileTooLarge, UnsupportedFile
from coach_core.knowledge import chunk, loaders
from coach_core.knowledge.extract import Extract, extract
from coach_core.search import words
from coach_core.store import Database, files
from coach_core.types import Part, Passage

MOST_PASSAGES = 6
_IMAGES = {b"\x89PNG\r\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


class Attached:
    """Reads attached files from the store; the last few stay read."""

    def __init__(self, db: Database, read: Callable[[bytes, str], Extract] = extract) -> None:
        self._db, self._extract = db, read
        self._read = lru_cache(maxsize=32)(self._passages)

    def check(self, name: str, data: bytes, *, most_bytes: int) -> str:
        """The file's media type, once it is known that it can be read. Raises FileError."""
        if not data:
            raise EmptyFile()
        if len(data) > most_bytes:
            raise FileTooLarge(f"The file has {len(data) / 1e6:.1f} MB; {most_bytes / 1e6:.0f} MB is the most.")
        if image := _image_type(data):
            return image
        if not loaders.readable(name):
            raise UnsupportedFile(f"This kind of file cannot be read. Use {', '.join(loaders.SAID)}, ZIP or an image.")
        return self._extract(data, name).loaded.media_type

    def find(self, question: str, parts: Sequence[Part]) -> list[Passage]:
        """The passages of the attached files that share most with the question, best first."""
        found = [p for part in parts if part.file_id for p in self._read(part.file_id, part.name)]
        wanted = set(words.query_words(question))
        held = [Counter(words.tokenise(p.text, p.language).split()) for p in found]
        rarity = {w: log(1 + len(held) / (1 + sum(w in h for h in held))) for w in wanted}
        scores = [sum(rarity[w] * min(h[w], 3) for w in wanted if w in h) for h in held]
        best = sorted(range(len(found)), key=lambda i: (-scores[i], i))[:MOST_PASSAGES]
        top = max(max(scores, default=0.0), 1e-9)
        return [
            replace(found[i], score=scores[i] / top, rank_words=rank if scores[i] else None)
            for rank, i in enumerate(best, 1)
        ]

    def _passages(self, file_id: UUID, name: str) -> tuple[Passage, ...]:
        file = files.get(self._db, file_id)
        found = self._extract(files.read(self._db, file_id), name)
        loaded = found.loaded
        text, _ = chunk.joined(loaded.blocks)
        return tuple(
            Passage(
                chunk_id=uuid5(file_id, str(c.start)),
                document_id=file_id,
                collection_id=file_id,
                document_hash=file.sha256,
                title=name,
                text=text[c.start : c.end],
                section=c.section,
                page=c.page,
                row=c.row,
                start=c.start,
                end=c.end,
                language=loaded.language,
            )
            for c in found.chunks
        )


def _image_type(data: bytes) -> str:
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), "")
