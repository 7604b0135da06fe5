"""What a recorded answer of the Chat Completions wire says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.replay.exchanges import Exchange
from tests.replay.recorded import (
    Called,
    Said,
    Tokens,
    cited_of,
    count,
    detail,
    error_of,
    failure,
    finish_of,
    frames_of,
    json_object,
    list_of,
)


def said_in_chat(exchange: Exchange) -> Said:
    if (failed := failure(exchange)) is not None:
        return failed
    if not exchange.sse:
        value = json_object(exchange.body) or {}
        if error := _error_in(value):
            return error_of(error if isinstance(error, dict) else {"message": str(error)})
        told = _Told(value, "message")
        return (
            _ended(told)
            if told.finish or told.said
            else _broken(told, {"stream_cut", "not_an_api", "malformed_stream"})
        )
    stream = frames_of(exchange.body)
    told = _Told({}, "delta")
    for frame in stream.frames:
        if frame.data is None:
            return _broken(told, {"malformed_stream", "stream_cut"})
        if error := _error_in(frame.data):
            said = error_of(error if isinstance(error, dict) else {"message": str(error)})
            said.texts = [told.text]
            return said
        told.take(frame.data)
    if not told.finish and not (stream.done and told.said):
        return _broken(told, {"stream_cut"})
    return _ended(told)


class _Told:
    """The first choice of an answer, added up over its pieces."""

    def __init__(self, value: dict[str, Any], key: str) -> None:
        self.key = key
        self.text = ""
        self.refusal = ""
        self.finish = ""
        self.usage: dict[str, Any] | None = None
        self.annotations: list[dict[str, Any]] = []
        self.calls: dict[Any, list[str]] = {}
        self.same_index = ""
        if value:
            self.take(value)

    @property
    def said(self) -> bool:
        return bool(self.text or self.refusal or self.calls)

    def take(self, value: dict[str, Any]) -> None:
        groq = value.get("x_groq")
        usage = value.get("usage") or (groq.get("usage") if isinstance(groq, dict) else None)
        if isinstance(usage, dict):
            self.usage = usage
        for choice in list_of(value.get("choices")):
            if choice.get("index", 0) in (0, None):
                self.finish = str(choice.get("finish_reason") or self.finish)
                message = choice.get(self.key) or choice.get("message") or choice.get("delta")
                if isinstance(message, dict):
                    self._message(message)

    def _message(self, message: dict[str, Any]) -> None:
        self.text += "".join(_texts(message.get("content")))
        audio = message.get("audio")
        self.text += str(audio.get("transcript") or "") if isinstance(audio, dict) else ""
        self.refusal += message["refusal"] if isinstance(message.get("refusal"), str) else ""
        self.annotations += list_of(message.get("annotations"))
        for piece in list_of(message.get("tool_calls")):
            self._piece(piece)
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            self._piece({"index": "legacy", "function": legacy})

    def _piece(self, piece: dict[str, Any]) -> None:
        key = piece.get("index")
        if key is None:
            last = list(self.calls.values())[-1:]
            named = isinstance(piece.get("function"), dict) and piece["function"].get("name") and last and last[0][1]
            key = f"{len(self.calls)}" if piece.get("id") or not last or named else list(self.calls)[-1]
        if key in self.calls and piece.get("id") not in (None, "", self.calls[key][0]) and self.calls[key][0]:
            key = f"{key}+{len(self.calls)}"  # a server that gives every call the same index
            self.same_index = key
        elif not piece.get("id") and self.same_index.startswith(f"{key}+"):
            key = self.same_index
        call = self.calls.setdefault(key, ["", "", ""])
        custom = piece.get("custom") if isinstance(piece.get("custom"), dict) else None
        function = piece.get("function") if isinstance(piece.get("function"), dict) else custom or {}
        call[0] = call[0] or str(piece.get("id") or "")
        call[1] = call[1] or str(function.get("name") or "")
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            call[2] += json.dumps(arguments)
        elif isinstance(arguments, str):
            call[2] += arguments
        elif custom:
            call[2] += json.dumps({"input": custom.get("input") or ""})


def _error_in(value: dict[str, Any]) -> Any:
    """The error of an event, or of its first choice."""
    choice = next(list_of(value.get("choices")), {})
    return value.get("error") or choice.get("error")


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in list_of(content):
        if part.get("type") in ("text", "output_text"):
            yield str(part.get("text") or "")


def _broken(told: _Told, kinds: set[str]) -> Said:
    return Said([told.text + told.refusal], end="cut", errors=frozenset(kinds))


def _ended(told: _Told) -> Said:
    finish = finish_of(told.finish)
    calls = [Called(*call) for call in told.calls.values() if call[1]]
    said = Said(
        [told.text + told.refusal],
        calls,
        [cited for a in told.annotations if (cited := cited_of(a))],
        _tokens(told.usage),
    )
    if finish in ("length", "content_filter"):
        said.end, said.finish = "incomplete", finish
        if finish == "content_filter" and not said.text.strip():
            said.end, said.errors = "failed", frozenset({"refused"})
    else:
        said.finish = "tool_calls" if calls else "refusal" if told.refusal else finish or "stop"
    return said


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not isinstance(usage, dict) or not {"prompt_tokens", "completion_tokens"} & usage.keys():
        return None
    return Tokens(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        detail(usage, "prompt_tokens_details", "cached_tokens") or count(usage.get("prompt_cache_hit_tokens")),
        detail(usage, "completion_tokens_details", "reasoning_tokens") or count(usage.get("reasoning_tokens")),
    )
