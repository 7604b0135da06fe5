"""What a fake API answers, and what it was told: both wires in one form."""

from __future__ import annotations

import json
from typing import Any

from tests.backends.fake_api import Reply, sse

USAGE = {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34}


def chat(text: str = "", *, call: str = "", query: str = "", end: str = "", cut: bool = False) -> Reply:
    """A streamed Chat Completion: a text, or a call of search_documents under the id `call`."""
    choice: dict[str, Any] = {"role": "assistant", "content": text or None}
    if call:
        function = {"name": "search_documents", "arguments": json.dumps({"query": query})}
        choice["tool_calls"] = [{"index": 0, "id": call, "type": "function", "function": function}]
    events: list[Any] = [_chunk([{"index": 0, "delta": choice, "finish_reason": None}])]
    if cut:
        return Reply([*sse(*events), "cut"])
    finish = end or ("tool_calls" if call else "stop")
    events += [_chunk([{"index": 0, "delta": {}, "finish_reason": finish}]), _chunk([], usage=USAGE)]
    return Reply(sse(*events, done=True), headers={"x-request-id": "req_chat"})


def responses(text: str = "", *, answer: str = "resp_1", call: str = "", query: str = "", cut: bool = False) -> Reply:
    """A streamed Response with the id `answer`."""
    item: dict[str, Any] = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    events: list[Any] = [{"type": "response.created", "response": _response(answer, "in_progress", [])}]
    if text:
        delta = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text}
        events.append({"type": "response.output_text.delta", **delta})
    output = [item] if text else []
    if call:
        arguments = json.dumps({"query": query})
        made = {"type": "function_call", "id": f"fc_{call}", "call_id": call, "name": "search_documents"}
        output.append({**made, "arguments": arguments, "status": "completed"})
    if cut:
        return Reply([*sse(*events), "cut"])
    events += [{"type": "response.output_item.done", "output_index": i, "item": o} for i, o in enumerate(output)]
    events.append({"type": "response.completed", "response": _response(answer, "completed", output)})
    return Reply(sse(*events), headers={"x-request-id": "req_responses"})


def told(body: dict[str, Any]) -> list[tuple[str, str]]:
    """(who, what) of everything in a request, in order: user and assistant texts, calls and their results."""
    out: list[tuple[str, str]] = []
    for item in body.get("messages") or body.get("input") or []:
        kind = item.get("type", "message")
        if kind == "function_call":
            out.append(("call", f"{item['call_id']} {item['arguments']}"))
        elif kind == "function_call_output":
            out.append(("result", item["call_id"]))
        elif item.get("role") == "tool":
            out.append(("result", item["tool_call_id"]))
        elif item.get("role") in {"user", "assistant"}:
            if text := _text(item.get("content")):
                out.append((item["role"], text.rsplit("\n\n", 1)[-1]))
            calls = item.get("tool_calls") or ()
            out += [("call", f"{c['id']} {c['function']['arguments']}") for c in calls]
    return out


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n\n".join(c.get("text", "") for c in content or ())


def _chunk(choices: list[Any], **more: Any) -> dict[str, Any]:
    return {"id": "chatcmpl_1", "object": "chat.completion.chunk", "model": "m1", "choices": choices, **more}


def _response(answer: str, status: str, output: list[Any]) -> dict[str, Any]:
    usage = {"input_tokens": 30, "output_tokens": 4, "total_tokens": 34}
    return {"id": answer, "object": "response", "status": status, "model": "m1", "output": output, "usage": usage}
