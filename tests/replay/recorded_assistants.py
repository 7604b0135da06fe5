"""What a recorded run of the Assistants wire says, streamed or polled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.replay.exchanges import Exchange
from tests.replay.kinds import Kind
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
    without_markers,
)

Member = tuple[Exchange, Kind]
Deltas = dict[str, dict[int, str]]  # message -> its parts' texts
Notes = dict[str, list[dict[str, Any]]]  # message -> its annotations
#: What stands in the text for a picture, which the app does not show.
PICTURE = "[image]"
_STARTS = {"run_create", "thread_run", "submit"}
_REASONS = {"max_completion_tokens": "length", "max_prompt_tokens": "length"}


def said_in_run(start: Exchange, polls: Sequence[Exchange], messages: Sequence[dict[str, Any]]) -> Said:
    """What the run says from `start` (its creation, or the handing in of results) up to its next halt.

    `polls` are the later looks at it; `messages` are the thread's, as lists told them, in order.
    """
    if (failed := failure(start)) is not None:
        return failed
    if start.sse:
        return _streamed(start)
    run = json_object(start.body) or {}
    for poll in polls:
        run = json_object(poll.body) or run
    said = _halted(run)
    if said.end in ("completed", "incomplete", "cancelled") and not said.calls:
        for message in answers_of(run, messages):
            _add_message(said, message)
    return said


def answers_of(run: dict[str, Any], messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages that a run made; by their time where they do not name their run."""
    answers = [m for m in messages if m.get("role") == "assistant"]
    if any(m.get("run_id") for m in answers):
        return [m for m in answers if m.get("run_id") == run.get("id")]
    return [m for m in answers if count(m.get("created_at")) >= count(run.get("created_at"))]


def _streamed(start: Exchange) -> Said:
    stream = frames_of(start.body)
    deltas: Deltas = {}
    whole: dict[str, dict[str, Any]] = {}
    noted: Notes = {}
    for frame in stream.frames:
        data = frame.data
        if data is None:
            return Said([_joined(deltas)], end="cut", errors=frozenset({"malformed_stream", "stream_cut"}))
        if frame.event == "error" or (data.get("error") and "object" not in data):
            error = data.get("error")
            said = error_of(error if isinstance(error, dict) else data)
            said.texts = [_joined(deltas)]
            return said
        kind = str(data.get("object") or "")
        if kind == "thread.message.delta":
            _take_delta(data, deltas, noted)
        elif kind == "thread.message" and data.get("status") in ("completed", "incomplete"):
            whole[str(data.get("id"))] = data
        elif kind == "thread.run" and data.get("status") not in ("queued", "in_progress", "cancelling"):
            return _with_messages(_halted(data), deltas, whole, noted)
    return Said([_joined(deltas)], end="cut", errors=frozenset({"stream_cut"}))


def _take_delta(
    data: dict[str, Any], deltas: dict[str, dict[int, str]], noted: dict[str, list[dict[str, Any]]]
) -> None:
    delta = data.get("delta")
    for part in list_of(delta.get("content") if isinstance(delta, dict) else None):
        text = part.get("text")
        places = deltas.setdefault(str(data.get("id")), {})
        index = count(part.get("index"))
        if part.get("type") in ("image_file", "image_url"):
            places[index] = PICTURE
        elif isinstance(text, dict):
            places[index] = places.get(index, "") + str(text.get("value") or "")
            noted.setdefault(str(data.get("id")), []).extend(list_of(text.get("annotations")))


def _with_messages(
    said: Said,
    deltas: Deltas,
    whole: dict[str, dict[str, Any]],
    noted: Notes,
) -> Said:
    for name in dict.fromkeys([*deltas, *whole]):
        before = len(said.cited)
        if name in deltas:
            said.texts += [without_markers(text) for _, text in sorted(deltas[name].items())]
        if name in whole:
            spoken = Said()
            _add_message(spoken, whole[name])
            said.cited += spoken.cited
            if name not in deltas:
                said.texts += spoken.texts
        if len(said.cited) == before:
            said.cited += cited_in(noted.get(name, ()))
    return said


def _add_message(said: Said, message: dict[str, Any]) -> None:
    for part in list_of(message.get("content")):
        text = part.get("text")
        if part.get("type") == "text":
            value = text.get("value") if isinstance(text, dict) else text
            said.texts.append(without_markers(str(value or "")))
            notes = text.get("annotations") if isinstance(text, dict) else None
            said.cited += cited_in(list_of(notes))
        elif part.get("type") == "refusal":
            said.texts.append(str(part.get("refusal") or ""))
            said.finish = "refusal"
        elif part.get("type") in ("image_file", "image_url"):
            said.texts.append(PICTURE)


def _halted(run: dict[str, Any]) -> Said:
    """How a run stands, by its own object."""
    status = run.get("status")
    said = Said(usage=_tokens(run.get("usage")), response_id=str(run.get("id") or ""))
    if status == "requires_action":
        action = run.get("required_action")
        outputs = action.get("submit_tool_outputs") if isinstance(action, dict) else None
        for call in list_of(outputs.get("tool_calls") if isinstance(outputs, dict) else None):
            function = call.get("function") if isinstance(call.get("function"), dict) else {}
            arguments = function.get("arguments")
            told = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
            said.calls.append(Called(str(call.get("id") or ""), str(function.get("name") or ""), told))
        said.finish = "tool_calls"
    elif status == "incomplete":
        details = run.get("incomplete_details")
        reason = str(details.get("reason") or "") if isinstance(details, dict) else ""
        said.end, said.finish = "incomplete", _REASONS.get(reason, finish_of(reason) or "incomplete")
    elif status == "cancelled":
        said.end = said.finish = "cancelled"
    elif status in ("failed", "expired"):
        error = run.get("last_error")
        failed = error_of(error if isinstance(error, dict) else {})
        said.end, said.errors, said.words = "failed", failed.errors, failed.words
        if status == "expired":
            said.errors |= {"timed_out"}
    elif status != "completed":
        said.end = "waiting"
    return said


def _joined(deltas: Deltas) -> str:
    return "\n\n".join(without_markers(text) for places in deltas.values() for _, text in sorted(places.items()))


def _tokens(usage: Any) -> Tokens | None:
    if not isinstance(usage, dict) or not {"prompt_tokens", "completion_tokens"} & usage.keys():
        return None
    return Tokens(
        count(usage.get("prompt_tokens")),
        count(usage.get("completion_tokens")),
        detail(usage, "prompt_token_details", "cached_tokens")
        or detail(usage, "prompt_tokens_details", "cached_tokens"),
        detail(usage, "completion_tokens_details", "reasoning_tokens"),
    )


def thread_messages(members: Sequence[Member]) -> list[dict[str, Any]]:
    """The thread's messages that its lists and streams tell, oldest first, each once."""
    found: dict[str, dict[str, Any]] = {}
    for exchange, kind in members:
        if kind.operation == "messages_list":
            value = json_object(exchange.body) or {}
            for message in list_of(value.get("data")):
                found[str(message.get("id"))] = message
        elif exchange.sse and kind.operation in _STARTS:
            for frame in frames_of(exchange.body).frames:
                if frame.data and frame.data.get("object") == "thread.message" and frame.data.get("content"):
                    found[str(frame.data.get("id"))] = frame.data
    return sorted(found.values(), key=lambda m: count(m.get("created_at")))
