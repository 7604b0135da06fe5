"""A model that says what a test tells it to, behind the peer: real HTTP, and what it was asked is kept.

Invariant: `says` sets the next answers, one a request, the last again and again; `asked` are the bodies of
the chat requests since then. Vectors are counts of words, so that texts with the same words are near.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.backends.fake_api import FakeApi, Piece, Reply, Seen, json_reply, sse

CHAT, EMBED = "told-chat", "told-embed"
DIMENSIONS = 64
USAGE = {"prompt_tokens": 31, "completion_tokens": 7, "total_tokens": 38}
_MODELS = json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in (CHAT, EMBED)]})


@dataclass(frozen=True)
class Call:
    """A tool call that the model makes."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class Told(FakeApi):
    def __init__(self) -> None:
        super().__init__(_spoken(["Yes."]), models=Reply([_MODELS.encode()], 200, "application/json"))

    def says(self, *answers: str | Sequence[str | Call] | Reply) -> None:
        """Each answer is a text, pieces of one, calls, or a reply as it goes over the wire."""
        with self._lock:
            self.replies[:] = [a if isinstance(a, Reply) else _spoken(_pieces(a)) for a in answers]
            self.requests.clear()

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [r.body for r in self.requests]

    def _next(self, seen: Seen) -> Reply:
        if seen.path.endswith("/embeddings"):
            return json_reply(200, json.dumps(_embedded(seen.body)))
        return super()._next(seen)


def endless(*pieces: str) -> Reply:
    """An answer that begins and then neither goes on nor ends."""
    begun = [_chunk({"content": piece}) for piece in pieces]
    held: list[Piece] = [*sse(*begun), "hang"]
    return Reply(held)


def _pieces(answer: str | Sequence[str | Call]) -> Sequence[str | Call]:
    return re.findall(r"\S+\s*", answer) if isinstance(answer, str) else answer


def _spoken(pieces: Sequence[str | Call]) -> Reply:
    chunks: list[dict[str, Any]] = [_chunk({"role": "assistant", "content": ""})]
    calls = 0
    for piece in pieces:
        if isinstance(piece, str):
            chunks.append(_chunk({"content": piece}))
            continue
        call_id = f"call_{hashlib.sha1(repr(pieces).encode()).hexdigest()[:8]}_{calls}"
        whole = json.dumps(piece.arguments)
        parts = ["", whole[: len(whole) // 2], whole[len(whole) // 2 :]]
        first = {"index": calls, "id": call_id, "type": "function"}
        for number, part in enumerate(parts):
            name = {} if number else {"name": piece.name}
            delta = {**(first if number == 0 else {"index": calls}), "function": {**name, "arguments": part}}
            chunks.append(_chunk({"tool_calls": [delta]}))
        calls += 1
    chunks.append(_chunk({}, "tool_calls" if calls else "stop"))
    chunks.append(_chunk(None) | {"usage": USAGE})
    return Reply(sse(*chunks, done=True))


def _chunk(delta: dict[str, Any] | None, finish: str | None = None) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "chatcmpl-told", "object": "chat.completion.chunk", "created": 1, "model": CHAT, "choices": choices}


def _embedded(body: dict[str, Any]) -> dict[str, Any]:
    given: str | list[str] = body["input"]
    texts = [given] if isinstance(given, str) else given
    data = [{"object": "embedding", "index": i, "embedding": _vector(t)} for i, t in enumerate(texts)]
    return {"object": "list", "model": EMBED, "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def _vector(text: str) -> list[float]:
    counts = [0.001] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        counts[hashlib.md5(word.encode()).digest()[0] % DIMENSIONS] += 1.0
    return counts
