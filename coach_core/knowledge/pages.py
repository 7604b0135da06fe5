"""Pages of PDFs as pictures, kept for a while: the same page with the same words marked is drawn once.

Invariant: no PDF is opened in this process, and what is kept stays below MOST_KEPT bytes.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

from coach_core.knowledge.extract import Extractor
from coach_core.knowledge.picture import Picture

SECONDS = 20.0
MEMORY = 1_500_000_000
MOST_KEPT = 48_000_000
_LONGEST = 20_000  # letters of a passage that are looked for
_Key = tuple[str, int, str]


class Pages:
    """Made once a process; its child process is there from the first page on."""

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._extractor = Extractor(seconds, memory)
        self._kept: OrderedDict[_Key, Picture] = OrderedDict()
        self._bytes = 0
        self._gate = threading.Lock()

    def draw(self, sha256: str, data: Callable[[], bytes], page: int, text: str) -> Picture:
        """Page `page` of the PDF that has this hash, the words of `text` marked. Raises FileError."""
        text = text[:_LONGEST]
        key = (sha256, page, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())
        with self._gate:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = self._extractor.draw(data(), page, text)
        with self._gate:
            if key not in self._kept:
                self._kept[key] = drawn
                self._bytes += len(drawn.data)
            while self._bytes > MOST_KEPT and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return drawn

    def close(self) -> None:
        self._extractor.close()
        with self._gate:
            self._kept.clear()
            self._bytes = 0
