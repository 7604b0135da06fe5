"""Of a recorded request, what the app would have asked: a Request and the facts of its endpoint.

Invariant: all that was said is in the Request, in the recording's order; what no request of the app can
hold (several answers at once, the server's own tools, sound) is left unasked, and only that.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_to_bytes
from uuid import UUID, uuid5

from coach_core.backends import Request
from coach_core.types import Message, Part, Speaker, ToolSpec
from tests.replay.exchanges import Exchange
from tests.replay.recorded import json_object, list_of
from tests.replay.spoken import Media, Saying, form, sayings, tools

_SPACE = UUID("00000000-0000-4000-8000-000000000000")
_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_GO_ON = "Go on."
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")


@dataclass
class Asked:
    """`facts` are the endpoint's profile. `said` is what must be found in the body that is sent."""

    request: Request
    facts: dict[str, Any] = field(default_factory=dict)
    said: list[Saying] = field(default_factory=list)


def asked_of(exchange: Exchange) -> Asked:
    body = exchange.request if isinstance(exchange.request, dict) else {}
    files: dict[UUID, bytes] = {}
    said = sayings(body)
    history, question, after = _split([s for s in said if s.role != "system"])
    parts = tuple(_parts(question, files)) if question else ()
    text = question.text if question else ("" if said else _GO_ON)
    request = Request(
        _message("user", parts or (Part("text", text),), 0),
        instructions="\n\n".join(s.text for s in said if s.role == "system"),
        history=tuple(messages_of(history, files)),
        exchange=tuple(messages_of(after, files)),
        tools=tuple(ToolSpec(t.name, t.description, t.parameters) for t in tools(body)),
        model=str(body.get("model") or ""),
        parameters=_parameters(body),
        read_file=files.__getitem__,
        schema=form(body),
        first_token_timeout=10.0,
        token_timeout=10.0,
        total_timeout=30.0,
    )
    return Asked(request, facts_of(exchange, body), said)


def facts_of(exchange: Exchange, body: dict[str, Any]) -> dict[str, Any]:
    """What the recording shows of its server."""
    roles = {str(m.get("role")) for m in list_of(body.get("messages"))}
    options = body.get("stream_options")
    facts: dict[str, Any] = {
        "stream": exchange.sse or (bool(body.get("stream")) and exchange.status >= 400),
        "stream_options": isinstance(options, dict) and bool(options.get("include_usage")),
        "role": "developer" if "developer" in roles else "system",
        "max_tokens": "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens",
        "files": True,
    }
    if exchange.query:
        facts["query"] = dict(exchange.query)
    return facts


def _split(said: Sequence[Saying]) -> tuple[Sequence[Saying], Saying | None, Sequence[Saying]]:
    """What was said before the last question, the question, and what came after it."""
    last = max((i for i, s in enumerate(said) if s.role == "user"), default=-1)
    if last < 0:
        return (), None, said
    return said[:last], said[last], said[last + 1 :]


def _parameters(body: dict[str, Any]) -> dict[str, Any]:
    reasoning = body.get("reasoning")
    effort = body.get("reasoning_effort") or (reasoning.get("effort") if isinstance(reasoning, dict) else None)
    longest = next((body[k] for k in ("max_output_tokens", "max_completion_tokens", "max_tokens") if body.get(k)), None)
    given = {"temperature": body.get("temperature"), "top_p": body.get("top_p"), "max_output_tokens": longest}
    return {k: v for k, v in (given | {"reasoning_effort": effort}).items() if v is not None}


def messages_of(said: Sequence[Saying], files: dict[UUID, bytes]) -> Iterator[Message]:
    """Sayings as the app keeps them: calls stand in the assistant's message, results in one of their own."""
    gathered: list[Part] = []
    for number, saying in enumerate(_paired(said)):
        if saying.role in ("user", "result") and gathered:
            yield _message("assistant", tuple(gathered), number)
            gathered = []
        match saying.role:
            case "user":
                yield _message("user", tuple(_parts(saying, files)), number)
            case "result":
                result = Part("tool_result", text=saying.text, call_id=saying.call_id, name=saying.name)
                yield _message("tool", (result,), number)
            case "call":
                arguments = json_object(saying.text or "{}")
                arguments = {"malformed": saying.text} if arguments is None else arguments
                gathered.append(Part("tool_call", call_id=saying.call_id, name=saying.name, arguments=arguments))
            case _:
                gathered += _parts(saying, files)
    if gathered:
        yield _message("assistant", tuple(gathered), len(said))


def _paired(said: Sequence[Saying]) -> Iterator[Saying]:
    """Every result behind its call, by the call's id or, where a server knows no ids, by its turn; a result
    whose call the recording has lost gets one."""
    waiting: list[Saying] = []
    for saying in said:
        if saying.role == "call":
            waiting.append(saying)
        elif saying.role == "result":
            call = next((c for c in waiting if c.call_id == saying.call_id), None)
            if call is None and saying.call_id.startswith("legacy_") and waiting:
                call = waiting[0]
            if call is None:
                call = Saying("call", ("{}",), saying.call_id, saying.name or "tool")
                yield call
            else:
                waiting.remove(call)
            saying = replace(saying, call_id=call.call_id, name=call.name)
        yield saying


def _message(speaker: Speaker, parts: tuple[Part, ...], number: int) -> Message:
    text = "\n\n".join(p.text for p in parts if p.kind == "text")
    name = uuid5(_SPACE, f"{speaker}{number}{text}")
    return Message(name, _SPACE, None, speaker, parts, text, "complete", _THEN)


def _parts(saying: Saying, files: dict[UUID, bytes]) -> Iterator[Part]:
    for piece in saying.pieces:
        yield Part("text", text=piece) if isinstance(piece, str) else _media(piece, files)


def _media(media: Media, files: dict[UUID, bytes]) -> Part:
    kind, data = _data(media.url)
    if data is None:
        return Part("text", text=f"[{media.kind}: {media.url or media.name or 'kept by the server'}]")
    file_id = uuid5(_SPACE, media.url[:400] + str(len(media.url)))
    files[file_id] = data
    part = Part("file", file_id=file_id, name=media.name or media.kind, media_type=kind)
    if kind in _IMAGES:
        return replace(part, kind="image")
    return replace(part, text=data.decode("utf-8", "replace")) if kind.startswith("text/") else part


def _data(url: str) -> tuple[str, bytes | None]:
    """The kind and the bytes of a data URL; None where there are none here."""
    if not url.startswith("data:"):
        return "", None
    head, _, rest = url[5:].partition(",")
    kind, _, coding = head.partition(";")
    try:
        data = base64.b64decode(rest) if coding.endswith("base64") else unquote_to_bytes(rest)
    except (ValueError, binascii.Error):
        return kind, None
    return kind, data
