"""Reads files in child processes, so that a hostile or broken one costs itself and nothing else.

Invariant: `read` gives text or raises a FileError in bounded time, whatever the bytes are; a child that took
too long, too much memory or crashed is ended and the next file has a new one. Children start with the first
file, end with `close`, and outlive neither this object nor this process (see extract_worker).
"""

from __future__ import annotations

import base64
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from coach_core import errors
from coach_core.errors import CoachError, DamagedFile, FileTooLarge, FileTooSlow
from coach_core.knowledge import chunk, loaders
from coach_core.knowledge.chunk import Chunk
from coach_core.knowledge.loaders import Block, Loaded
from coach_core.knowledge.picture import Picture
from coach_core.search import words

log = logging.getLogger(__name__)
SECONDS = 120.0
MEMORY = 2_000_000_000
_AT_ONCE = 2  # children: a long file in one does not hold up a question's attachment in the other
#: is told how many pages of how many are read, twice a second at least, and may raise to break off
Tell = Callable[[int, int], None]
_BEAT = 0.5
_START = 20.0  # seconds that a child may take to begin
_FILES = 200  # after as many a child gives way to a new one, whatever a library forgot to give back
_PDF = "page.pdf"
_PLAIN = frozenset({"text", "markdown"})
#: bytes of plain text that are read here: going to a child and back takes longer than reading them
_LITTLE = 64_000
#: what a child gets of the environment: no keys
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TESSDATA_PREFIX", "LD_LIBRARY_PATH", "SYSTEMROOT", "TEMP")
_WORKER = Path(__file__).with_name("extract_worker.py")


@dataclass(frozen=True, slots=True)
class Extract:
    """A file's text, and the passages it is cut into."""

    loaded: Loaded
    chunks: tuple[Chunk, ...]
    words: tuple[str, ...]  # of each chunk, as the full text index takes them


class Extractor:
    """Made once by whoever takes files in. `seconds` and `memory` (bytes) are for each file."""

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._gate = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)

    def read(self, data: bytes, name: str, tell: Tell | None = None) -> Extract:
        """Raises FileError."""
        if not data or not loaders.kind_of(name) or (loaders.kind_of(name) in _PLAIN and len(data) <= _LITTLE):
            return extract(data, name)
        with self._slots:
            try:
                answer = self._asked(data, name, tell)
            except _Worn:
                answer = self._asked(data, name, tell)
        return _told(answer)

    def draw(self, data: bytes, page: int, text: str) -> Picture:
        """A PDF's page as a picture, the words of `text` marked in it. Raises FileError."""
        order = {"page": page, "text": text}
        with self._slots:
            try:
                answer = self._asked(data, _PDF, None, order)
            except _Worn:
                answer = self._asked(data, _PDF, None, order)
        _raised(answer)
        return Picture(
            base64.b64decode(answer["data"]),
            *(answer[name] for name in ("media_type", "width", "height", "page", "pages")),
            boxes=tuple((a, b, c, d) for a, b, c, d in answer["boxes"]),
        )

    def pids(self) -> list[int]:
        """Of the children there are."""
        with self._gate:
            return [child.pid for child in (*self._idle, *self._busy)]

    def close(self) -> None:
        """End all children; what is being read breaks off. A file read later has a new child."""
        with self._gate:
            ended = [*self._idle, *self._busy]
            self._idle.clear()
            self._busy.clear()
        for child in ended:
            child.end()

    def _asked(
        self, data: bytes, name: str, tell: Tell | None, more: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        child = self._taken()
        try:
            answer = child.ask(data, name, tell, more or {})
        except BaseException:
            self._let_go(child, keep=False)
            raise
        self._let_go(child, keep=child.files < _FILES)
        return answer

    def _taken(self) -> _Child:
        with self._gate:
            child = self._idle.pop() if self._idle else None
            if child is not None and child.well():
                self._busy.add(child)
                return child
        made = _Child(self._seconds, self._memory)
        with self._gate:
            self._busy.add(made)
        return made

    def _let_go(self, child: _Child, *, keep: bool) -> None:
        with self._gate:
            there = child in self._busy  # not after close()
            self._busy.discard(child)
            if there and keep:
                self._idle.append(child)
                return
        child.end()


def extract(data: bytes, name: str) -> Extract:
    """Read and cut here, without bounds."""
    loaded = loaders.load(data, name)
    text, starts = chunk.joined(loaded.blocks)
    pieces = tuple(chunk.chunks(loaded.blocks, text, starts))
    return Extract(loaded, pieces, tuple(_words(piece, text, loaded) for piece in pieces))


def _words(piece: Chunk, text: str, loaded: Loaded) -> str:
    said = chunk.in_context(loaded.title, piece.section, piece.row, text[piece.start : piece.end])
    return words.tokenise(said, loaded.language)


class _Worn(Exception):
    """A child that had read other files broke off; a new one is to try, for this file may not be why."""


class _Child:
    """One running worker."""

    def __init__(self, seconds: float, memory: int) -> None:
        self.files = 0
        self._far, self._tell = (0, 0), None
        self._seconds, self._memory = seconds, memory
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={key: os.environ[key] for key in _PASSED if key in os.environ} | {"OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # so that what it started (Tesseract) ends with it
        )
        self._finish = weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def well(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._finish()

    def ask(self, data: bytes, name: str, tell: Tell | None, more: Mapping[str, Any]) -> Mapping[str, Any]:
        self.files += 1
        self._far, self._tell = (0, 0), tell
        order = {"name": name, "size": len(data), "seconds": self._seconds, "memory": self._memory, **more}
        until = time.monotonic() + self._seconds + (_START if self.files == 1 else 0.0)  # the first one starts it too
        try:
            self._send(json.dumps(order).encode() + b"\n")
            self._send(data)
            while (line := self._line(until)).startswith(b"+"):
                done, _, total = line[1:].partition(b"/")
                self._far = (int(done), int(total))
            size = int(line)
            return json.loads(self._bytes(size, until))
        except (OSError, EOFError, ValueError) as error:
            ended = self._ended(name)
            if self.files > 1 and not isinstance(ended, FileTooSlow):
                raise _Worn from error
            raise ended from error

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        while view:
            view = view[self._process.stdin.write(view) or 0 :]

    def _line(self, until: float) -> bytes:
        out = b""
        while not out.endswith(b"\n"):
            out += self._bytes(1, until)
        return out

    def _bytes(self, count: int, until: float) -> bytes:
        assert self._process.stdout is not None
        out = bytearray()
        while len(out) < count:
            while not _readable(self._process.stdout, min(_BEAT, until - time.monotonic())):
                if time.monotonic() >= until:
                    raise FileTooSlow()
                if self._tell is not None:
                    self._tell(*self._far)
            got = os.read(self._process.stdout.fileno(), min(count - len(out), 1 << 20))
            if not got:
                raise EOFError
            out += got
        return bytes(out)

    def _ended(self, name: str) -> CoachError:
        """Why a child that was reading `name` is no more."""
        try:
            code = self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            code = None
        log.warning("reading a .%s ended its process (%s)", name.rpartition(".")[2][:10], code)
        if code == -getattr(signal, "SIGXCPU", 0) and code:
            return FileTooSlow()
        return DamagedFile("Reading the file broke off. Save it again, or in another form, and upload that.")


def _readable(stream: Any, seconds: float) -> bool:
    if seconds <= 0:
        return False
    if sys.platform == "win32":  # select takes no pipes there; the child's own clock ends it
        return True
    return bool(select.select([stream], [], [], seconds)[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        if process.poll() is not None:
            pass  # its number may be another's by now
        elif hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except OSError:
        pass
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                pass
    process.wait()


def _told(answer: Mapping[str, Any]) -> Extract:
    _raised(answer)
    loaded = answer["loaded"]
    dated = datetime.fromisoformat(loaded["dated"]) if loaded["dated"] else None
    blocks = tuple(Block(text, section, page, row) for text, section, page, row in loaded["blocks"])
    of = Loaded(loaded["title"], blocks, loaded["language"], loaded["pages"], loaded["media_type"], dated)
    return Extract(of, tuple(Chunk(*values) for values in answer["chunks"]), tuple(answer["words"]))


def _raised(answer: Mapping[str, Any]) -> None:
    if "error" in answer:
        kind = getattr(errors, str(answer["error"]), DamagedFile)
        raise kind(str(answer["sentence"]))


def told(found: Extract | Picture | CoachError) -> dict[str, Any]:
    """What a child answers, as JSON has it."""
    if isinstance(found, CoachError):
        return {"error": type(found).__name__, "sentence": found.sentence}
    if isinstance(found, Picture):
        return asdict(found) | {"data": base64.b64encode(found.data).decode()}
    of = found.loaded
    return {
        "loaded": {
            "title": of.title,
            "blocks": [(b.text, b.section, b.page, b.row) for b in of.blocks],
            "language": of.language,
            "pages": of.pages,
            "media_type": of.media_type,
            "dated": of.dated.isoformat() if of.dated else None,
        },
        "chunks": [(c.start, c.end, c.tokens, c.section, c.page, c.row) for c in found.chunks],
        "words": found.words,
    }


def too_much() -> FileTooLarge:
    return FileTooLarge("Reading the file takes more memory than is allowed. Split it into parts.")
