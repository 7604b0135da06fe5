"""Recordings as other servers and other people's tools make them: read right, and played without a difference.

What each says is written here by hand, so that the tool's own reading is held against it too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay.exchanges import Exchange, read
from tests.replay.kinds import CHAT, kind_of
from tests.replay.recorded import Said, Tokens
from tests.replay.recorded_chat import said_in_chat
from tests.replay.recorded_responses import said_in_response
from tests.replay.report import replay

Json = dict[str, Any]
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
TOOL = {"name": "f", "description": "Does.", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}
HELLO = {"role": "user", "content": "Hello"}
STOP = {"index": 0, "delta": {}, "finish_reason": "stop"}


def chunk(delta: Json, finish: str | None = None, **more: Any) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more}


def sse(*events: Json, done: bool = True, end: str = "\n\n") -> str:
    return "".join(f"data: {json.dumps(e)}{end}" for e in events) + (f"data: [DONE]{end}" if done else "")


def whole(message: Json, finish: str | None = "stop", **more: Any) -> str:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": USAGE, **more})


def call(call_id: str, arguments: Any, index: int | None = 0) -> Json:
    made: Json = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}
    return made if index is None else {"index": index, **made}


def response(*output: Json, **more: Any) -> Json:
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    return {"id": "r", "object": "response", "status": "completed", "output": [*output], "usage": usage, **more}


def message(text: str) -> Json:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}


def told(text: str = "", end: str = "completed", *calls: str, usage: bool = True) -> tuple[Any, ...]:
    """What a case must say: text, end, the calls' arguments, and whether usage is told."""
    return text, end, calls, usage


FILTERED = {"error": {"code": "content_filter", "message": "The response was filtered due to the prompt.",
                      "innererror": {"code": "ResponsibleAIPolicyViolation"}}}  # fmt: skip
#: name -> (response body, what it says, changes of the exchange)
CHATS: dict[str, tuple[str, tuple[Any, ...], Json]] = {
    "ollama: every call has index 0": (
        sse(chunk({"tool_calls": [call("a", '{"a": 1}')]}), chunk({"tool_calls": [call("b", '{"a": 2}')]}),
            chunk({}, "stop")),
        told("", "completed", '{"a": 1}', '{"a": 2}', usage=False), {}),
    "calls in fragments without index": (
        sse(chunk({"tool_calls": [call("a", '{"a"', None)]}),
            chunk({"tool_calls": [{"function": {"arguments": ": 1}"}}]}),
            chunk({"tool_calls": [call("b", "{}", None)]}), chunk({}, "tool_calls")),
        told("", "completed", '{"a": 1}', "{}", usage=False), {}),
    "vllm: arguments as an object, nulls everywhere": (
        whole({"content": None, "tool_calls": [call("a", {"a": 1})], "function_call": None, "reasoning_content": None},
              "tool_calls", usage={**USAGE, "prompt_tokens_details": None}),
        told("", "completed", '{"a": 1}'), {}),
    "openrouter: comments, usage beside a choice": (
        ": OPENROUTER PROCESSING\n\n" + sse(chunk({"content": "Hel"}), chunk({"content": "lo"}),
            chunk({"content": ""}, "stop"), chunk({}, usage={**USAGE, "cost": 0.1})),
        told("Hello"), {"path": "/api/v1/chat/completions"}),
    "openrouter: an error in the middle": (
        sse(chunk({"content": "Hel"}), {**chunk({}, "error"), "error": {"code": 502, "message": "Provider left"}}),
        told("Hel", "failed"), {}),
    "openrouter: an error in a choice": (
        json.dumps({"object": "chat.completion",
                    "choices": [{"error": {"code": 429, "message": "Too many"}, "finish_reason": "error"}]}),
        told("", "failed"), {}),
    "mistral: typed pieces, thinking": (
        sse(chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}),
            chunk({"content": [{"type": "text", "text": "Hi"}]}), chunk({"content": " you"}, "stop", usage=USAGE)),
        told("Hi you"), {}),
    "mistral: its own reason to end": (sse(chunk({"content": "Hi"}), chunk({}, "model_length", usage=USAGE)),
        told("Hi", "incomplete"), {}),
    "mistral: detail of a fault": (
        json.dumps({"object": "error", "message": {"detail": [{"msg": "Field required", "loc": ["body"]}]}}),
        told("", "failed"), {"status": 422}),
    "groq: usage under x_groq": (
        sse(chunk({"content": "Hi"}), chunk({}, "stop", x_groq={"usage": USAGE})), told("Hi"),
        {"path": "/openai/v1/chat/completions"}),
    "groq: wait": (json.dumps({"error": {"message": "Please try again in 2.5s.", "code": "rate_limit_exceeded"}}),
        told("", "failed"), {"status": 429, "response_headers": {"Retry-After": "3", "Content-Type": "text/json"}}),
    "deepseek: reasoning, cache hits": (
        ": keep-alive\n\n" + sse(chunk({"content": None, "reasoning_content": "hm"}), chunk({"content": "Hi"}),
            chunk({}, "stop", usage={**USAGE, "prompt_cache_hit_tokens": 3})),
        told("Hi"), {"path": "/chat/completions"}),
    "deepseek: no balance": (
        json.dumps({"error": {"message": "Insufficient Balance", "code": "invalid_request_error"}}),
        told("", "failed"), {"status": 402}),
    "xai: reasoning at the top": (
        sse(chunk({"content": "Hi"}), chunk({}, "stop", usage={**USAGE, "reasoning_tokens": 4})), told("Hi"), {}),
    "perplexity: message and delta": (
        json.dumps({"object": "chat.completion", "citations": ["https://a.example"], "usage": USAGE, "choices": [
            {"index": 0, "message": {"content": "Hi [1]"}, "delta": {"content": ""}, "finish_reason": "stop"}]}),
        told("Hi [1]"), {}),
    "gemini: faults in a list": (json.dumps([{"error": {"code": 429, "message": "Quota"}}]), told("", "failed"),
        {"status": 429}),
    "azure: a first chunk of filters": (
        sse({"choices": [], "id": "", "object": "", "prompt_filter_results": []}, chunk({"content": "Hi"}),
            chunk({}, "stop")),
        told("Hi", usage=False), {"path": "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21"}),
    "azure: filtered": (json.dumps(FILTERED), told("", "failed"), {"status": 400}),
    "azure: no key": (json.dumps({"statusCode": 401, "message": "Unauthorized"}), told("", "failed"), {"status": 401}),
    "a gateway's page": ("<html>502 Bad Gateway</html>", told("", "failed"),
        {"status": 502, "response_headers": {"content-type": "text/html"}}),
    "CRLF and a byte order mark": (
        "\ufeff" + sse(chunk({"content": "Hi"}), {"choices": [STOP]}, end="\r\n\r\n"), told("Hi", usage=False), {}),
    "data without a blank": (
        f"data:{json.dumps(chunk({'content': 'Hi'}))}\n\ndata:{json.dumps({'choices': [STOP]})}\n\n",
        told("Hi", usage=False), {}),
    "a letter in two halves": (
        sse(chunk({"content": "\ud83d"}), chunk({"content": "\ude00!"}), {"choices": [STOP]}),
        told("\ud83d\ude00!", usage=False), {}),
    "usage that adds up": (
        sse(chunk({"content": "Hi"}, usage={**USAGE, "completion_tokens": 1}), chunk({}, "stop", usage=USAGE)),
        told("Hi"), {}),
    "cut between events": (sse(chunk({"content": "Hi"}), done=False), told("Hi", "cut"), {}),
    "cut in an event": (
        sse(chunk({"content": "Hi"}), chunk({"content": " you"}), done=False)[:-9], told("Hi", "cut"), {}),
    "cut JSON": (whole({"content": "Hi"})[:-20], told("", "failed"), {}),
    "nothing at all": ("", told("", "cut"), {"sse": True}),
    "functions, as they were": (
        whole({"content": None, "function_call": {"name": "f", "arguments": '{"a": 3}'}}, "function_call"),
        told("", "completed", '{"a": 3}'),
        {"request_body": {"model": "m", "functions": [TOOL], "messages": [
            HELLO, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "2"}, {"role": "user", "content": "Again"}]}}),
    "several answers": (
        json.dumps({"usage": USAGE, "choices": [
            {"index": 1, "message": {"content": "B"}, "finish_reason": "stop"},
            {"index": 0, "message": {"content": "A"}, "finish_reason": "stop"}]}),
        told("A"), {"request_body": {"model": "m", "messages": [HELLO], "n": 2, "logprobs": True}}),
    "a result without its call": (whole({"content": "Hi"}), told("Hi"),
        {"request_body": {"model": "m", "messages": [{"role": "tool", "tool_call_id": "x", "content": "2"}, HELLO]}}),
    "an effort of its own": (whole({"content": "Hi"}), told("Hi"),
        {"request_body": {"model": "m", "messages": [HELLO], "reasoning_effort": "default"}}),
    "a call without arguments": (whole({"content": "Hi"}), told("Hi"),
        {"request_body": {"model": "m", "messages": [HELLO,
            {"role": "assistant", "content": None, "tool_calls": [call("a", "")]},
            {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "2"}]}]}}),
    "two waits": (json.dumps({"error": {"message": "Slow down", "code": "429"}}), told("", "failed"),
        {"status": 429, "response_headers": {"retry-after": "20", "retry-after-ms": "19500"}}),
    "results without ids": (whole({"content": "Hi"}), told("Hi"),
        {"request_body": {"model": "m", "messages": [HELLO,
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "content": "2"}]}}),
}  # fmt: skip
ITEM_DONE = {"type": "response.output_item.done", "output_index": 0, "item": message("Hello")}
RESPONSES: dict[str, tuple[str, tuple[Any, ...], Json]] = {
    "a message told whole": (
        sse(ITEM_DONE, {"type": "response.completed", "response": response()}, done=False), told("Hello"), {}),
    "types in the event's name alone": (
        'event: response.output_text.delta\ndata: {"output_index": 0, "content_index": 0, "delta": "Hi"}\n\n'
        f"event: response.completed\ndata: {json.dumps({'response': response(message('Hi'))})}\n\n",
        told("Hi"), {}),
    "a status of its own": (json.dumps(response(message("Hi"), status="complete")), told("Hi"), {}),
    "cut by length": (
        json.dumps(response(message("Hi"), status="incomplete", incomplete_details={"reason": "max_output_tokens"})),
        told("Hi", "incomplete"), {}),
    "failed": (json.dumps(response(status="failed", error={"code": "server_error", "message": "It broke"})),
        told("", "failed", usage=False), {}),
    "an error event": (sse({"type": "error", "code": "rate_limit_exceeded", "message": "Slow"}, done=False),
        told("", "failed", usage=False), {}),
    "cut": (
        sse({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}, done=False),
        told("Hi", "cut", usage=False), {}),
    "a result for a response that is not here": (json.dumps(response(message("42"))), told("42"),
        {"request_body": {"model": "m", "previous_response_id": "r0",
                          "input": [{"type": "function_call_output", "call_id": "c", "output": "42"}],
                          "tools": [{"type": "function", **TOOL, "strict": True}]}}),
    "pictures, papers and what only the server has": (json.dumps(response(message("Seen"))), told("Seen"),
        {"request_body": {"model": "m", "input": [{"type": "item_reference", "id": "rs"}, {"role": "user", "content": [
            {"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": "data:image/png;base64,UE5H"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,UERG"},
            {"type": "input_file", "file_id": "file-1"}]}]}}),
    "azure": (json.dumps(response(message("Hi"))), told("Hi"),
        {"path": "/openai/responses?api-version=2025-03-01-preview"}),
}  # fmt: skip


def entry(wire: str, body: str, changed: Json) -> Json:
    asked = {"model": "m", "messages": [HELLO]} if wire == "chat" else {"model": "m", "input": "Hello"}
    path = "/v1/chat/completions" if wire == "chat" else "/v1/responses"
    return {"source": "made", "file": "made", "i": 0, "path": path, "request_body": asked, "status": 200,
            "response_body": body, **changed}  # fmt: skip


def holds(said: Said, wanted: tuple[Any, ...]) -> bool:
    text, end, calls, usage = wanted
    if end in {"failed", "cut"}:
        return (said.text, said.end) == (text, end)
    found = (said.text, said.end, [json.loads(c.arguments) for c in said.calls], said.usage is not None)
    return found == (text, end, [json.loads(c) for c in calls], usage)


@pytest.mark.parametrize("case", [*CHATS, *RESPONSES])
def test_what_other_servers_do(case: str, tmp_path: Path) -> None:
    wire = "chat" if case in CHATS else "responses"
    body, wanted, changed = (CHATS if case in CHATS else RESPONSES)[case]
    path = tmp_path / "made.jsonl"
    path.write_text(json.dumps(entry(wire, body, changed)) + "\n")
    exchange = next(iter(read([path])))
    assert isinstance(exchange, Exchange)
    said = said_in_chat(exchange) if kind_of(exchange).wire == CHAT else said_in_response(exchange)
    assert holds(said, wanted), said
    result = replay([path])[f"openai_{wire}"]
    assert (result["differs"], result["run"], result["passed"]) == ([], 1, 1)


def test_usage_of_other_vendors() -> None:
    def usage_in(name: str) -> Tokens | None:
        return said_in_chat(Exchange("x", 1, body=CHATS[name][0], sse=True)).usage

    assert usage_in("xai: reasoning at the top") == Tokens(5, 2, 0, 4)
    assert usage_in("deepseek: reasoning, cache hits") == Tokens(5, 2, 3, 0)
    assert usage_in("usage that adds up") == Tokens(5, 2, 0, 0)
