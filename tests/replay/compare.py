"""What an adapter yielded, held against what the recording says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coach_core.errors import BackendError
from coach_core.types import Citation, Event
from tests.replay.recorded import Called, Cited, Said, json_object, without_markers

_SHOWN = 300
#: Kinds of error whose sentence quotes the server.
_QUOTING = frozenset({"bad_request", "server_failed"})


@dataclass(frozen=True)
class Difference:
    what: str
    expected: Any
    got: Any

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, "expected": _short(self.expected), "got": _short(self.got)}


@dataclass
class Got:
    """All that came of one request: the events, and the error where it ended in one."""

    events: list[Event]
    error: BaseException | None = None

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if e.kind == "text")

    @property
    def calls(self) -> list[Event]:
        return [e for e in self.events if e.kind == "tool_call"]

    @property
    def citations(self) -> list[Citation]:
        return [e.citation for e in self.events if e.kind == "citation" and e.citation is not None]

    @property
    def done(self) -> Event | None:
        return next((e for e in self.events if e.kind == "done"), None)


def differences(said: Said, got: Got) -> Iterator[Difference]:
    if said.end in ("failed", "cut"):
        yield from _failure(said, got)
        return
    if got.error is not None:
        yield Difference("status", said.end, _named(got.error))
        return
    yield from _text(said, got)
    yield from _calls(said, got.calls)
    yield from _citations(said.cited, got.citations)
    yield from _end(said, got.done)


def _failure(said: Said, got: Got) -> Iterator[Difference]:
    kinds = sorted(said.errors)
    if not isinstance(got.error, BackendError):
        yield Difference("error", kinds, _named(got.error) if got.error else "no error")
        return
    if got.error.kind not in said.errors:
        yield Difference("error", kinds, _named(got.error))
    elif said.words and got.error.kind in _QUOTING and not _quoted(said.words, got.error.sentence):
        yield Difference("the server's words", said.words, got.error.sentence)
    if said.retry_after is not None and got.error.kind in ("rate_limited", "overloaded"):
        asked = getattr(got.error, "retry_after", None)
        if asked is None or abs(asked - said.retry_after) > 1:  # it may be told in milliseconds too
            yield Difference("retry_after", said.retry_after, asked)
    yield from _text(said, got)


def _quoted(words: str, sentence: str) -> bool:
    """Whether the sentence says what the server said; secrets may be blotted out of it."""
    first = re.findall(r"\w{3,}", words)[:12]
    return sum(word in sentence for word in first) >= 0.7 * len(first)


def _text(said: Said, got: Got) -> Iterator[Difference]:
    told = {"\n\n".join(said.texts), said.text}
    if got.text not in told and got.text not in {without_markers(text) for text in told}:
        yield Difference("text", *_around("\n\n".join(said.texts), got.text))


def _around(expected: str, got: str) -> tuple[str, str]:
    """Both texts from a little before the place where they part."""
    at = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got)))
    start = max(0, at - 40)
    return f"at {at}: {expected[start : at + 80]!r}", f"at {at}: {got[start : at + 80]!r}"


def _calls(said: Said, got: Sequence[Event]) -> Iterator[Difference]:
    expected = said.calls
    if said.end == "incomplete":  # a call of an answer that was cut need not be made
        expected = expected[: len(got)]
    if len(expected) != len(got):
        yield Difference("tool calls", [c.name for c in expected], [e.name for e in got])
        return
    for call, event in zip(expected, got, strict=True):
        if call.name != event.name:
            yield Difference("tool call's name", call.name, event.name)
        if not _same_arguments(call, event):
            yield Difference(f"arguments of {call.name}", call.arguments, event.arguments)
        if call.call_id != event.call_id if call.call_id else not event.call_id:
            yield Difference(f"id of {call.name}", call.call_id, event.call_id)


def _same_arguments(call: Called, event: Event) -> bool:
    told = json_object(call.arguments or "{}")
    given = dict(event.arguments or {})
    return given == told if told is not None else call.arguments in given.values()


def _citations(expected: Sequence[Cited], got: Sequence[Citation]) -> Iterator[Difference]:
    targets = [citation.url or citation.external_id for citation in got]
    if Counter(c.target for c in expected) != Counter(targets):
        yield Difference("citations", [c.target for c in expected], targets)
        return
    titles = {(citation.url or citation.external_id, citation.title) for citation in got}
    for cited in expected:
        if cited.title and (cited.target, cited.title) not in titles:
            yield Difference("citation's title", cited.title, sorted(t for url, t in titles if url == cited.target))
    if wrong := [citation.number for citation in got if citation.number]:
        yield Difference("citation's number", 0, wrong)


def _end(said: Said, done: Event | None) -> Iterator[Difference]:
    if done is None:
        yield Difference("status", said.end, "no done")
        return
    if done.status != said.end:
        yield Difference("status", said.end, done.status)
    if done.finish_reason != said.finish:
        yield Difference("finish_reason", said.finish, done.finish_reason)
    yield from _usage(said, done)
    told = (done.ids or {}).get("response_id", "")
    if said.response_id and told and told != said.response_id:
        yield Difference("response_id", said.response_id, told)


def _usage(said: Said, done: Event) -> Iterator[Difference]:
    usage = done.usage
    if usage is None:
        yield Difference("usage", said.usage, None)
    elif said.usage is None:
        if not usage.estimated:
            yield Difference("usage", "none is told: estimated", usage)
    else:
        got = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens, usage.estimated)
        wanted = (said.usage.input, said.usage.output, said.usage.cached, said.usage.reasoning, False)
        if got != wanted:
            yield Difference("usage (input, output, cached, reasoning, estimated)", wanted, got)


def _named(error: BaseException | None) -> str:
    if isinstance(error, BackendError):
        return f"{error.kind}: {error.sentence}"
    return f"{type(error).__name__}: {error}"


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _SHOWN:
        return value[:_SHOWN] + "…"
    if isinstance(value, list | tuple):
        return [_short(v) for v in value]
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)
