"""What a recorded answer of the Responses wire says."""

from __future__ import annotations

import json
from typing import Any

from tests.replay.exchanges import Exchange
from tests.replay.recorded import (
    Called,
    Said,
    Tokens,
    cited_in,
    count,
    detail,
    error_of,
    failure,
    finish_of,
    frames_of,
    json_object,
    list_of,
)

_LAST = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}


def said_in_response(exchange: Exchange) -> Said:
    if (failed := failure(exchange)) is not None:
        return failed
    if not exchange.sse:
        return _whole(json_object(exchange.body) or {})
    told = _Streamed()
    for frame in frames_of(exchange.body).frames:
        if frame.data is None:
            return Said([told.text()], told.calls(), end="cut", errors=frozenset({"malformed_stream", "stream_cut"}))
        kind = str(frame.data.get("type") or frame.event)
        if kind == "error" or (kind == "" and frame.data.get("error")):
            error = frame.data.get("error")
            said = error_of(error if isinstance(error, dict) else frame.data)
            said.texts = [told.text()]
            return said
        told.take(kind, frame.data)
        if kind in _LAST:
            return told.ended(frame.data)
    return Said([told.text()], told.calls(), end="cut", errors=frozenset({"stream_cut"}), response_id=told.id)


class _Streamed:
    """What the events of a stream add up to."""

    def __init__(self) -> None:
        self.id = ""
        self.last = ""
        self.deltas: dict[tuple[int, int], str] = {}
        self.refused = False
        self.items: dict[int, dict[str, Any]] = {}
        self.annotations: list[dict[str, Any]] = []

    def take(self, kind: str, data: dict[str, Any]) -> None:
        self.last = kind
        response = data.get("response")
        if isinstance(response, dict):
            self.id = str(response.get("id") or self.id)
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            place = (count(data.get("output_index")), count(data.get("content_index")))
            self.deltas[place] = self.deltas.get(place, "") + str(data.get("delta") or "")
            self.refused = self.refused or kind == "response.refusal.delta"
        elif kind in ("response.output_text.done", "response.refusal.done"):
            self.refused = self.refused or kind == "response.refusal.done"
            self._whole_text(data)
        elif kind == "response.output_item.done" and isinstance(data.get("item"), dict):
            self.items[count(data.get("output_index"))] = data["item"]
        elif kind == "response.output_text.annotation.added" and isinstance(data.get("annotation"), dict):
            self.annotations.append(data["annotation"])

    def _whole_text(self, data: dict[str, Any]) -> None:
        """A text told again at its end; a fixture may have lost some of its pieces."""
        place = (count(data.get("output_index")), count(data.get("content_index")))
        whole = str(data.get("text") or data.get("refusal") or "")
        if whole.startswith(self.deltas.get(place, "")):
            self.deltas[place] = whole

    def text(self) -> str:
        return "".join(text for _, text in sorted(self.deltas.items()))

    def calls(self) -> list[Called]:
        return _calls([item for _, item in sorted(self.items.items())])

    def ended(self, data: dict[str, Any]) -> Said:
        response = data.get("response") if isinstance(data.get("response"), dict) else {}
        output = list(list_of(response.get("output"))) or [item for _, item in sorted(self.items.items())]
        said = _whole({"status": self.last.removeprefix("response."), **response, "output": output})
        if self.deltas:
            said.texts = _texts_by_item(self.deltas)
        if not said.cited:
            said.cited = cited_in(self.annotations)
        if said.end == "completed":
            refused = self.refused or said.finish == "refusal"
            said.finish = "tool_calls" if said.calls else "refusal" if refused else "stop"
        return said


def _texts_by_item(deltas: dict[tuple[int, int], str]) -> list[str]:
    out: dict[int, str] = {}
    for (item, _), text in sorted(deltas.items()):
        out[item] = out.get(item, "") + text
    return list(out.values())


def _whole(response: dict[str, Any]) -> Said:
    output = list(list_of(response.get("output")))
    parts = [list(list_of(item.get("content"))) for item in output if item.get("type") == "message"]
    refused = any(p.get("type") == "refusal" for ps in parts for p in ps)
    said = Said(
        [text for ps in parts if (text := "".join(_text(p) for p in ps))],
        _calls(output),
        [cited for ps in parts for p in ps for cited in cited_in(list_of(p.get("annotations")))],
        _tokens(response.get("usage")),
        response_id=str(response.get("id") or ""),
    )
    return _with_end(said, response, refused)


def _with_end(said: Said, response: dict[str, Any], refused: bool) -> Said:
    status = response.get("status") or "completed"
    if status in ("failed", "cancelled"):
        error = response.get("error")
        failed = error_of(error if isinstance(error, dict) else {})
        said.end, said.errors, said.words = "failed", failed.errors, failed.words
    elif status in ("queued", "in_progress"):
        said.end = "waiting"
    elif status == "incomplete":
        details = response.get("incomplete_details")
        reason = finish_of(details.get("reason")) if isinstance(details, dict) else ""
        said.end, said.finish = "incomplete", reason or "incomplete"
        if reason == "content_filter" and not said.text.strip():
            said.end, said.errors = "failed", frozenset({"refused"})
    else:
        said.finish = "tool_calls" if said.calls else "refusal" if refused else "stop"
    return said


def _text(part: dict[str, Any]) -> str:
    if part.get("type") == "refusal":
        return str(part.get("refusal") or "")
    return str(part.get("text") or "")


def _calls(output: list[dict[str, Any]]) -> list[Called]:
    """The calls that wait for the app: the server's own tools are none of them."""
    return [
        Called(str(item.get("call_id") or item.get("id") or ""), str(item.get("name") or ""), _arguments(item))
        for item in output
        if item.get("type") in ("function_call", "custom_tool_call") and item.get("status") != "incomplete"
    ]


def _arguments(item: dict[str, Any]) -> str:
    if item.get("type") == "custom_tool_call":
        return json.dumps({"input": item.get("input") or ""})
    return str(item.get("arguments") or "")


def _tokens(usage: Any) -> Tokens | None:
    if not isinstance(usage, dict) or not {"input_tokens", "output_tokens"} & usage.keys():
        return None
    return Tokens(
        count(usage.get("input_tokens")),
        count(usage.get("output_tokens")),
        detail(usage, "input_tokens_details", "cached_tokens"),
        detail(usage, "output_tokens_details", "reasoning_tokens"),
    )
