"""What a recording says came back: text, calls, citations, usage and how it ended, read without the adapters.

Invariant: nothing of coach_core is used here. A reading takes the recording at its word; what it does not
tell (no usage, no title) is None or "" and is not compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.replay.exchanges import Exchange

#: status -> the kinds of error that may be told for it
_KINDS: dict[int, frozenset[str]] = {
    400: frozenset({"bad_request"}),
    401: frozenset({"auth_failed"}),
    402: frozenset({"rate_limited", "auth_failed", "bad_request"}),
    403: frozenset({"auth_failed"}),
    404: frozenset({"model_not_found", "not_an_api", "bad_request", "state_lost"}),
    405: frozenset({"not_an_api"}),
    408: frozenset({"timed_out", "server_failed", "bad_request", "overloaded"}),
    409: frozenset({"bad_request", "overloaded", "state_lost"}),
    413: frozenset({"context_too_long", "bad_request"}),
    429: frozenset({"rate_limited"}),
    503: frozenset({"overloaded", "server_failed"}),
    529: frozenset({"overloaded", "server_failed"}),
}
_CODES = (
    ("context_length_exceeded", "context_too_long"),
    ("exceed_context_size", "context_too_long"),
    ("string_above_max_length", "context_too_long"),
    ("model_not_found", "model_not_found"),
    ("deploymentnotfound", "model_not_found"),
    ("insufficient_quota", "rate_limited"),
    ("rate_limit", "rate_limited"),
    ("too_many_requests", "rate_limited"),
    ("invalid_api_key", "auth_failed"),
    ("authentication_error", "auth_failed"),
    ("content_filter", "refused"),
    ("content_policy", "refused"),
    ("invalid_prompt", "refused"),
    ("policy_violation", "refused"),
    ("overloaded", "overloaded"),
    ("slow_down", "overloaded"),
    ("previous_response_not_found", "state_lost"),
    ("conversation_not_found", "state_lost"),
    ("conversation_locked", "state_lost"),
    ("invalid_encrypted_content", "state_lost"),
    ("vector_store_timeout", "hosted_search_failed"),
)
_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"context (?:length|window|size)|prompt is too long|exceeds? the available", "context_too_long"),
        (r"without its required (?:following|preceding)|no tool output found", "state_lost"),
        (r"\b(?:response|conversation|thread)\b.{0,90}(?:not found|does not exist|must match)", "state_lost"),
        (r"\bmodel\b.{0,90}(?:not found|does not exist|not exist)", "model_not_found"),
    )
)
_MARKER = re.compile(r"[ \t]*【(?:\d+:\d+|[^】\n]*†)[^】\n]*】|\ue200[^\ue201]{0,200}\ue201|[ \t]*<\|file-[\w-]+\|>")
_MADE = re.compile(r"\[([^\]\n]*)\]\(sandbox:[^)\s]*\)|sandbox:(?:/[\w.-]+)*/([\w.-]*\w)")
_FINISH = dict.fromkeys(("max_tokens", "model_length", "max_output_tokens"), "length") | dict.fromkeys(
    ("function_call", "tool_calls", "end_turn", "eos", "eos_token", "stop_sequence"), "stop"
)
_FINISH |= {"safety": "content_filter", "recitation": "content_filter"}


@dataclass(frozen=True)
class Called:
    """`arguments` as recorded: the text of a JSON object, as a rule. `call_id` is "" where none is told."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Cited:
    """`target` is the url or the file's id."""

    kind: str
    target: str
    title: str


@dataclass(frozen=True)
class Tokens:
    input: int
    output: int
    cached: int
    reasoning: int


@dataclass
class Said:
    """`end` is completed, incomplete, failed, cut or waiting (the run goes on elsewhere).

    `texts` are joined by what the adapter puts between messages. `errors` are the kinds that may be told for a
    failed one, `words` what the server said of it.
    """

    texts: list[str] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    cited: list[Cited] = field(default_factory=list)
    usage: Tokens | None = None
    end: str = "completed"
    finish: str = "stop"
    errors: frozenset[str] = frozenset()
    words: str = ""
    response_id: str = ""
    retry_after: float | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True)
class Frame:
    """One event of a stream: its name and its data, None where that is no JSON object."""

    event: str
    data: dict[str, Any] | None


@dataclass
class Stream:
    frames: list[Frame]
    done: bool = False

    def take(self, event: str, data: list[str]) -> None:
        """One event's lines; where they make no object together, each is one of its own."""
        whole = "\n".join(data)
        if json_object(whole) is None and len(data) > 1:
            for line in data:
                self.take(event, [line])
        elif whole.strip() == "[DONE]":
            self.done = True
        elif whole.strip() and not self.done:
            self.frames.append(Frame(event, json_object(whole)))


def frames_of(body: str) -> Stream:
    """The events of a stream. A name may stand apart from its data, with a blank line between."""
    stream = Stream([])
    event, data = "", list[str]()
    for line in [*re.split(r"\r\n|\r|\n", body), ""]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event" and value:
            event = value
        elif name == "data":
            data.append(value)
        elif not line and data:
            stream.take(event, data)
            event, data = "", []
    return stream


def json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def failure(exchange: Exchange) -> Said | None:
    """What an answer that is none says: a status of an error, a page, or an error in the body's place."""
    value = json_object(exchange.body)
    if exchange.status >= 400:
        return _failed(value or {}, exchange)
    if exchange.sse:
        return None
    if value is None:
        html = exchange.body.lstrip()[:1] == "<" or "html" in exchange.headers.get("content-type", "")
        kinds = {"not_an_api"} if html else {"not_an_api", "stream_cut", "malformed_stream", "server_failed"}
        return Said(end="failed", errors=frozenset(kinds))
    if value.get("error") and not {"object", "choices", "output"} & value.keys():
        return _failed(value, exchange)
    return None


def _failed(value: dict[str, Any], exchange: Exchange) -> Said:
    error = value.get("error", value)
    error = error if isinstance(error, dict) else {"message": error if isinstance(error, str) else ""}
    said = error_of(error, exchange.status if exchange.status >= 400 else 0)
    wait = exchange.headers.get("retry-after", "")
    said.retry_after = float(wait) if wait.replace(".", "", 1).isdigit() else None
    return said


def error_of(error: dict[str, Any], status: int = 0) -> Said:
    """The end that an error object spells out; a status of 0 is one told in the middle of a stream."""
    words = str(error.get("message") or error.get("detail") or "")
    codes = f"{error.get('code') or ''} {error.get('type') or ''} {error.get('innererror') or ''}".lower()
    kinds = {kind for code, kind in _CODES if code in codes}
    if not kinds:
        number = str(error.get("code") or "")
        status = status or (int(number) if number.isdecimal() and len(number) == 3 else 0)
        kinds = set(_KINDS.get(status, {"bad_request"} if 0 < status < 500 else {"server_failed", "overloaded"}))
    if not kinds & {"auth_failed", "rate_limited", "refused"}:  # what the words say of it is as good
        kinds |= {kind for pattern, kind in _WORDS if pattern.search(words)}
    return Said(end="failed", errors=frozenset(kinds), words=words)


def without_markers(text: str) -> str:
    """The text as a person should see it: the marks of citations cut out, files that were made by their names."""
    return _MADE.sub(lambda m: m[1] or m[2] or "", _MARKER.sub("", text))


def cited_of(annotation: dict[str, Any]) -> Cited | None:
    """What an annotation cites; one that leads nowhere cites nothing."""
    kind = str(annotation.get("type") or "")
    inner = annotation.get(kind) if isinstance(annotation.get(kind), dict) else annotation
    if kind == "url_citation" and inner.get("url"):
        return Cited(kind, str(inner.get("url") or ""), str(inner.get("title") or ""))
    if kind in ("file_citation", "container_file_citation", "file_path") and inner.get("file_id"):
        return Cited(kind, str(inner.get("file_id") or ""), str(inner.get("filename") or inner.get("title") or ""))
    return None


def cited_in(annotations: Iterable[dict[str, Any]]) -> list[Cited]:
    """What a text's annotations cite; one that is told twice for the same place counts once."""
    places = {}
    for note in annotations:
        if cited := cited_of(note):
            place = [note.get(k) for k in ("text", "start_index", "end_index", "index")]
            places[cited.kind, cited.target, str(place)] = cited
    return list(places.values())


def list_of(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list that may be missing, null or hold other things."""
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item


def finish_of(reason: Any) -> str:
    return _FINISH.get(str(reason or "").lower(), str(reason or ""))


def count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) else 0


def detail(usage: dict[str, Any], name: str, key: str) -> int:
    details = usage.get(name)
    return count(details.get(key)) if isinstance(details, dict) else 0
