"""The events of a stream as plain dicts, read as leniently as real servers write them.

Format: server-sent events (WHATWG HTML, 9.2.6). Invariant: one dict an event, in the order they came; an
event that is no JSON object, or larger than MOST, ends the stream as MalformedStream, and no more than
about MOST is ever held. A stream that ends within an event was cut. More lenient than the format: an
event's name may stand apart from its data, and JSON may stand bare, on one line or printed over several.
A web page is none, whatever its headers say it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from coach_core.errors import BackendError, MalformedStream, NotAnApi, StreamCut

#: Bytes of one event. A generated image comes as one event; nothing of a conversation is larger.
MOST = 32 * 1024 * 1024
_DONE = b"[DONE]"
_PAGE = re.compile(rb"<(?:!doctype|html|head|body)\b", re.IGNORECASE)
_BOM = b"\xef\xbb\xbf"
_END = b""  # of an event: a blank line


class Frames:
    """Iterate to get the dicts. `finished` says whether the stream ended with its own [DONE]."""

    def __init__(self, chunks: Iterable[bytes], host: str, most: int = MOST) -> None:
        self._chunks = chunks
        self._host = host
        self._most = most
        self.finished = False

    def __iter__(self) -> Iterator[dict[str, Any]]:
        name = b""
        data: list[bytes] = []
        bare = False  # what is gathered is JSON without `data:`
        size = 0
        begun = False
        for line in self._lines():
            if line.startswith(b"data:"):
                data.append(line[6:] if line[5:6] == b" " else line[5:])
                bare = False
            elif line == _END:
                if data:
                    begun = True
                    yield from self._parsed(name, data)
                    if self.finished:
                        return
                    name, data, size = b"", [], 0
                continue
            elif line.startswith(b"event:") and not bare:
                name = line[6:].strip()
                continue
            elif not bare and line[:1] == b"<" and _PAGE.match(line):
                raise self._page(begun=begun)
            elif bare or (line[:1] == b"{" and not data):
                data.append(line)
                bare = True
            else:
                continue
            size += len(line) + 1
            if size > self._most:
                raise _damaged(self._host, "an event that is too large")
            if bare and line[:1] in b"{}" and (value := _json(b"\n".join(data))) is not None:
                yield self._named(name, value)
                name, data, size, bare = b"", [], 0, False
        if data:
            yield from self._parsed(name, data, cut=True)

    def _lines(self) -> Iterator[bytes]:
        """Lines without their ends (LF, CRLF or CR), however the network cut them."""
        lines = self._raw_lines()
        for first in lines:
            yield first.removeprefix(_BOM)
            break
        yield from lines

    def _raw_lines(self) -> Iterator[bytes]:
        rest: list[bytes] = []
        held = 0
        for chunk in self._chunks:
            rest.append(chunk)
            held += len(chunk)
            if b"\n" in chunk or b"\r" in chunk:
                lines = b"".join(rest).splitlines(keepends=True)
                rest = [] if lines[-1].endswith(b"\n") else [lines.pop()]  # a lone CR may be half of a CRLF
                held = sum(map(len, rest))
                for line in lines:
                    yield line.rstrip(b"\r\n")
            if held > self._most:
                raise _damaged(self._host, "an event that is too large")
        yield from b"".join(rest).splitlines()

    def _page(self, *, begun: bool) -> BackendError:
        if begun:
            return _damaged(self._host, "a web page in the middle of the answer")
        return NotAnApi(f"{self._host} answers, but with a web page. Check the base URL; it often ends in /v1.")

    def _parsed(self, name: bytes, data: list[bytes], *, cut: bool = False) -> Iterator[dict[str, Any]]:
        text = data[0] if len(data) == 1 else b"\n".join(data)
        if text[:6] == _DONE:
            self.finished = True
            return
        if not text.strip():
            return
        if (value := _json(text)) is not None:
            yield self._named(name, value)
        elif len(data) > 1:  # one event a line
            for line in data:
                yield from self._parsed(name, [line], cut=cut)
        elif cut:
            raise StreamCut(f"The line to {self._host} was cut. What had arrived is kept; press Continue.")
        else:
            raise _damaged(self._host, "something damaged")

    def _named(self, name: bytes, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _damaged(self._host, "something that is no event")
        if name and "type" not in value:
            value["type"] = name.decode("utf-8", "replace")
        return value


def read_at_most(most: int, chunks: Iterable[bytes], host: str) -> bytes:
    """A whole body, unless it is larger than an event may be."""
    parts: list[bytes] = []
    for chunk in chunks:
        parts.append(chunk)
        most -= len(chunk)
        if most < 0:
            raise _damaged(host, "an answer that is too large")
    return b"".join(parts)


def _damaged(host: str, what: str) -> MalformedStream:
    return MalformedStream(f"{host} sent {what}. What had arrived is kept; press Continue.")


def _json(text: bytes) -> Any:
    """The value, or None where it is no JSON (and for null, which is no event either)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
