"""The events of a stream as plain dicts, read as leniently as real servers write them.

Format: server-sent events (WHATWG HTML, 9.2.6). Invariant: one dict an event, in the order they came; an
event that is no JSON object, or larger than MOST, ends the stream as MalformedStream. More lenient than
the format: an event's name may stand apart from its data, and a bare line of JSON counts as data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from coach_core.errors import MalformedStream

#: Bytes of one event. A generated image comes as one event; nothing of a conversation is larger.
MOST = 32 * 1024 * 1024
_DONE = b"[DONE]"


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
        size = 0
        for line in self._lines():
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                size += len(value)
                if size > self._most:
                    raise self._damaged("an event that is too large")
                data.append(value)
            elif not line:
                if data:
                    yield from self._parsed(name, data)
                    if self.finished:
                        return
                    name, data, size = b"", [], 0
            elif line.startswith(b"event:"):
                name = line[6:].strip()
            elif line[:1] == b"{":
                data.append(line)
        if data:  # the last blank line is missing: what came is whole or it does not parse
            yield from self._parsed(name, data)

    def _lines(self) -> Iterator[bytes]:
        """Lines without their ends (LF, CRLF or CR), however the network cut them."""
        rest: list[bytes] = []
        held = 0
        first = True
        for chunk in self._chunks:
            if first:
                chunk, first = chunk.removeprefix(b"\xef\xbb\xbf"), False
            if b"\n" not in chunk and b"\r" not in chunk:
                held += len(chunk)
                if held > self._most:
                    raise self._damaged("an event that is too large")
                rest.append(chunk)
                continue
            lines = (b"".join(rest) + chunk).splitlines(keepends=True)
            rest, held = [], 0
            if not lines[-1].endswith(b"\n"):  # a lone CR may be half of a CRLF
                rest, held = [lines.pop()], len(lines[-1]) if lines else 0
            for line in lines:
                yield line.rstrip(b"\r\n")
        if rest:
            yield b"".join(rest).rstrip(b"\r\n")
            yield b""

    def _parsed(self, name: bytes, data: list[bytes]) -> Iterator[dict[str, Any]]:
        text = data[0] if len(data) == 1 else b"\n".join(data)
        if text[:6] == _DONE:
            self.finished = True
            return
        if not text.strip():
            return
        try:
            values = [json.loads(text)]
        except ValueError:
            values = [self._each(line) for line in data] if len(data) > 1 else [self._each(text)]
        for value in values:
            if not isinstance(value, dict):
                raise self._damaged("something that is no event")
            if name and "type" not in value:
                value["type"] = name.decode("utf-8", "replace")
            yield value

    def _each(self, line: bytes) -> Any:
        try:
            return json.loads(line)
        except ValueError as error:
            raise self._damaged("something damaged") from error

    def _damaged(self, what: str) -> MalformedStream:
        return MalformedStream(f"{self._host} sent {what}. What had arrived is kept; press Continue.")
