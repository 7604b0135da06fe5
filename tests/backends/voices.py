"""One answer as the server of each wire streams it, in parts that a test can cut, break or leave out.

Invariant: `begin` holds no token, `words` one piece of TEXT each, `end` what closes the answer; the lines are
those that the wire's own server writes. A frame is (event's name, its object); the name is "" where the wire
has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.backends.fake_api import FakeApi, Piece, Reply, json_reply
from tests.backends.fake_assistants import FakeAssistants

Json = dict[str, Any]
Frame = tuple[str, Json]
PIECES = ("Sleep ", "begins ", "with ", "a fixed ", "hour. ", "Grüße ☀ 👩‍👩‍👧 — 早睡!")
TEXT = "".join(PIECES)
HEARD = 3  # pieces that come before what goes wrong in the middle
BEGUN = "".join(PIECES[:HEARD])
TOOL = "look_up"
_ARGUMENTS = ('{"topic"', ': "sleep', '"}')


@dataclass(frozen=True)
class Voice:
    """How one wire's server speaks. `document` is the whole answer told at once; `call` are the frames of a
    tool call, the last one closing it; `refusal` says TEXT as a refusal; `stopped` ends an answer for the
    reasons "length" and "content_filter"; `misshaped` is JSON that no event of this wire looks like."""

    wire: str
    begin: Sequence[Frame]
    words: Sequence[Frame]
    end: Sequence[Frame]
    call: Sequence[Frame]
    document: Json
    refusal: Sequence[Frame]
    stopped: Mapping[str, Sequence[Frame]]
    misshaped: Frame
    last: bytes = b""
    indexes: frozenset[str] = frozenset()

    @property
    def frames(self) -> list[Frame]:
        return [*self.begin, *self.words, *self.end]

    @property
    def heard(self) -> list[Frame]:
        return [*self.begin, *self.words[:HEARD]]

    def lines(self, frames: Sequence[Frame], *, over: bool = False) -> list[Piece]:
        """The frames as they are written, one piece each; with `over` also what says that the stream is."""
        out: list[Piece] = [write(frame) for frame in frames]
        return [*out, self.last] if over and self.last else out

    def error(self, code: str, message: str) -> Frame:
        if self.wire == "openai_responses":
            return "error", {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 99}
        told = {"code": code, "message": message, "type": code, "param": None}
        return ("error", told) if self.wire == "openai_assistants" else ("", {"error": told})

    def api(self, *replies: Reply, keeps: Literal["answer", "call", "nothing"] = "answer") -> FakeApi:
        """A server of this wire whose answers to a question are `replies`. Where a run goes on at the server,
        what it comes to there is what it `keeps`."""
        if self.wire != "openai_assistants":
            return FakeApi(*replies)
        api = FakeAssistants(*replies)
        api.polls["run_1"] = [self.call[-1][1] if keeps == "call" else self.document]
        messages = [self.end[0][1]] if keeps == "answer" else []
        written = json.dumps({"object": "list", "data": messages, "has_more": False})
        api.once("GET .*/messages", *[json_reply(200, written)] * 3)
        return api


def write(frame: Frame, end: str = "\n") -> bytes:
    name, value = frame
    head = f"event: {name}{end}" if name else ""
    return f"{head}data: {json.dumps(value, ensure_ascii=False)}{end}{end}".encode()


def error_reply(status: int, message: str, code: str = "", **headers: str) -> Reply:
    return json_reply(status, json.dumps({"error": {"message": message, "code": code or None}}), **headers)


def _chat() -> Voice:
    def chunk(delta: Json, finish: str | None = None) -> Frame:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return "", {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m1", "choices": [choice]}

    def fragment(arguments: str, **fields: Any) -> Frame:
        call = {"index": 0, "function": {"arguments": arguments, **fields.pop("function", {})}, **fields}
        return chunk({"tool_calls": [call]})

    usage = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
    told = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m1", "choices": [], "usage": usage}
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    first = fragment("", id="call_1", type="function", function={"name": TOOL})
    return Voice(
        "openai_chat",
        begin=[chunk({"role": "assistant", "content": ""})],
        words=[chunk({"content": text}) for text in PIECES],
        end=[chunk({}, "stop"), ("", told)],
        call=[first, *map(fragment, _ARGUMENTS), chunk({}, "tool_calls")],
        document={"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage},
        refusal=[*(chunk({"refusal": text}) for text in PIECES), chunk({}, "stop")],
        stopped={reason: [chunk({}, reason), ("", told)] for reason in ("length", "content_filter")},
        misshaped=("", {"choices": [{"delta": {"content": 7, "tool_calls": "look_up"}}]}),
        last=b"data: [DONE]\n\n",
        indexes=frozenset({"index"}),
    )


def _responses() -> Voice:
    place = {"output_index": 0, "content_index": 0, "item_id": "msg_1"}
    part = {"type": "output_text", "text": TEXT, "annotations": []}
    item = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    usage = {"input_tokens": 9, "output_tokens": 8, "total_tokens": 17}
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "m1", "output": []}
    whole = {**response, "status": "completed", "output": [item], "usage": usage}
    called = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": TOOL, "arguments": ""}
    done = {**called, "arguments": "".join(_ARGUMENTS), "status": "completed"}
    begin = [
        ("response.created", {"response": response}),
        ("response.in_progress", {"response": response}),
    ]
    words = [
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**place, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**place, "delta": text}) for text in PIECES),
    ]
    end = [
        ("response.output_text.done", {**place, "text": TEXT}),
        ("response.content_part.done", {**place, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": whole}),
    ]
    refused = {**item, "content": [{"type": "refusal", "refusal": TEXT}]}
    refusal = [
        *(("response.refusal.delta", {**place, "delta": text}) for text in PIECES),
        ("response.refusal.done", {**place, "refusal": TEXT}),
        ("response.completed", {"response": {**whole, "output": [refused]}}),
    ]
    call = [
        ("response.output_item.added", {"output_index": 0, "item": called}),
        *(("response.function_call_arguments.delta", {"output_index": 0, "delta": text}) for text in _ARGUMENTS),
        ("response.output_item.done", {"output_index": 0, "item": done}),
        ("response.completed", {"response": {**whole, "output": [done]}}),
    ]
    told = _numbered([*begin, *words, *end])

    def stopped(reason: str) -> list[Frame]:
        details = {"status": "incomplete", "incomplete_details": {"reason": reason}}
        name = "response.incomplete"
        return [(name, {"type": name, "sequence_number": 99, "response": {**whole, **details, "output": []}})]

    return Voice(
        "openai_responses",
        begin=told[:4],
        words=told[4 : 4 + len(PIECES)],
        end=told[4 + len(PIECES) :],
        call=_numbered([*begin, *words[:2], *call])[4:],
        document=whole,
        refusal=_numbered([*begin, *words[:2], *refusal])[4:],
        stopped={"length": stopped("max_output_tokens"), "content_filter": stopped("content_filter")},
        misshaped=("", {"type": "response.output_text.delta", "output_index": [], "delta": "x"}),
        indexes=frozenset({"output_index", "content_index", "sequence_number", "item_id"}),
    )


def _assistants() -> Voice:
    run: Json = {"id": "run_1", "object": "thread.run", "assistant_id": "asst_1", "thread_id": "thread_2"}
    message: Json = {"id": "msg_a", "object": "thread.message", "run_id": "run_1", "role": "assistant"}
    usage = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
    whole = [{"type": "text", "text": {"value": TEXT, "annotations": []}}]
    told = [{"id": "call_1", "type": "function", "function": {"name": TOOL, "arguments": "".join(_ARGUMENTS)}}]
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": told}}
    step: Json = {"id": "step_1", "object": "thread.run.step.delta"}

    def at(status: str, **fields: Any) -> Frame:
        return f"thread.run.{status}", {**run, "status": status, **fields}

    def word(part: Json) -> Frame:
        part = {"index": 0, **part}
        return "thread.message.delta", {"id": "msg_a", "object": "thread.message.delta", "delta": {"content": [part]}}

    def fragment(text: str) -> Frame:
        call = {"index": 0, "type": "function", "function": {"arguments": text}}
        details = {"type": "tool_calls", "tool_calls": [call]}
        return "thread.run.step.delta", {**step, "delta": {"step_details": details}}

    return Voice(
        "openai_assistants",
        begin=[at("created"), at("queued"), at("in_progress")],
        words=[word({"type": "text", "text": {"value": text}}) for text in PIECES],
        end=[
            ("thread.message.completed", {**message, "status": "completed", "content": whole}),
            at("completed", usage=usage),
        ],
        call=[*map(fragment, _ARGUMENTS), at("requires_action", required_action=action)],
        document={**run, "status": "completed", "usage": usage},
        refusal=[*(word({"type": "refusal", "refusal": text}) for text in PIECES), at("completed", usage=usage)],
        stopped={
            "length": [at("incomplete", incomplete_details={"reason": "max_completion_tokens"}, usage=usage)],
            "content_filter": [at("incomplete", incomplete_details={"reason": "content_filter"}, usage=usage)],
        },
        misshaped=word({"type": "text", "text": [7]}),
        last=b"event: done\ndata: [DONE]\n\n",
        indexes=frozenset({"index"}),
    )


def _numbered(frames: Sequence[Frame]) -> list[Frame]:
    return [(name, {"type": name, "sequence_number": n, **value}) for n, (name, value) in enumerate(frames)]


VOICES: Mapping[str, Voice] = {voice.wire: voice for voice in (_responses(), _chat(), _assistants())}
