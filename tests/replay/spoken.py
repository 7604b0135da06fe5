"""What a request's body says: who said what, in order, with the tools offered and the form asked for.

Invariant: the same reading is used on the recorded body and on the one that an adapter sent, so that the
two can be held against each other; nothing of coach_core is used. What only the server itself can read
(reasoning, its own tools' items) is no saying.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from tests.replay.recorded import list_of

Role = Literal["system", "user", "assistant", "call", "result"]
_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "human": "user",
                           "assistant": "assistant", "model": "assistant", "ai": "assistant"}  # fmt: skip


@dataclass(frozen=True)
class Media:
    """An image or a file: `url` is a data URL, an address, or "" where only the server has it."""

    kind: Literal["image", "file", "audio"]
    url: str
    name: str = ""


@dataclass(frozen=True)
class Saying:
    """One piece: texts and media of a message, a tool's call (`text` holds its arguments) or its result."""

    role: Role
    pieces: tuple[str | Media, ...] = ()
    call_id: str = ""
    name: str = ""

    @property
    def text(self) -> str:
        return "\n\n".join(p for p in self.pieces if isinstance(p, str))


@dataclass(frozen=True)
class Tool:
    name: str
    description: str
    parameters: dict[str, Any]


def sayings(body: Any) -> list[Saying]:
    """All that is said in a body of any of the wires."""
    if not isinstance(body, dict):
        return []
    out: list[Saying] = []
    for key in ("instructions", "system", "additional_instructions"):
        if isinstance(body.get(key), str) and body[key]:
            out.append(Saying("system", (body[key],)))
    for message in list_of(body.get("messages")):
        out += _message(message, len(out))
    given = body.get("input")
    if isinstance(given, str):
        out.append(Saying("user", (given,)))
    calls = [(str(i.get("call_id")), str(i.get("type"))) for i in list_of(given)]
    theirs = {call_id for call_id, kind in calls if kind.endswith("_call")}
    theirs -= {call_id for call_id, kind in calls if kind in ("function_call", "custom_tool_call")}
    for number, item in enumerate(given if isinstance(given, list) else ()):
        if isinstance(item, str):
            out.append(Saying("user", (item,)))
        elif isinstance(item, dict) and str(item.get("call_id")) not in theirs:
            out += _item(item, number)
    for message in list_of(body.get("additional_messages")):
        out += _message(message, len(out))
    if "messages" not in body and "role" in body:
        out += _message(body, 0)
    for result in list_of(body.get("tool_outputs")):
        out.append(Saying("result", (_flat(result.get("output")),), str(result.get("tool_call_id") or "")))
    return out


def _message(message: dict[str, Any], number: int) -> Iterator[Saying]:
    role = str(message.get("role") or "user")
    if role in ("tool", "function"):
        call_id = str(message.get("tool_call_id") or f"legacy_{message.get('name')}")
        yield Saying("result", (_flat(message.get("content")),), call_id, str(message.get("name") or ""))
        return
    if pieces := tuple(_pieces(message.get("content"))):
        yield Saying(_ROLES.get(role, "user"), pieces)
    elif role == "assistant" and isinstance(message.get("refusal"), str) and message["refusal"]:
        yield Saying("assistant", (message["refusal"],))
    for at, call in enumerate(list_of(message.get("tool_calls"))):
        function = call.get("function")
        if isinstance(function, dict):
            yield _call(str(call.get("id") or f"call_{number}_{at}"), function)
    legacy = message.get("function_call")
    if isinstance(legacy, dict):
        yield _call(f"legacy_{legacy.get('name')}", legacy)


def _item(item: dict[str, Any], number: int) -> Iterator[Saying]:
    match item.get("type") or ("message" if "role" in item else ""):
        case "message":
            yield from _message(item, number)
        case "function_call":
            yield _call(str(item.get("call_id") or item.get("id") or ""), item)
        case "custom_tool_call":
            yield _call(str(item.get("call_id") or ""), {**item, "arguments": {"input": item.get("input") or ""}})
        case "function_call_output" | "custom_tool_call_output":
            yield Saying("result", (_flat(item.get("output")),), str(item.get("call_id") or ""))
        case _:
            pass


def _call(call_id: str, function: dict[str, Any]) -> Saying:
    arguments = function.get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return Saying("call", (text,), call_id, str(function.get("name") or ""))


def _flat(content: Any) -> str:
    """A tool's result as text: what of it is text, or else as it stands."""
    if isinstance(content, str):
        return content
    if texts := [p for p in _pieces(content) if isinstance(p, str)]:
        return "\n\n".join(texts)
    return "" if content in (None, [], {}) else json.dumps(content, ensure_ascii=False)


def _pieces(content: Any) -> Iterator[str | Media]:
    if isinstance(content, str) and content:
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            yield from _piece(part)


def _piece(part: dict[str, Any]) -> Iterator[str | Media]:
    kind = str(part.get("type") or ("text" if "text" in part else ""))
    inner = part.get(kind) if isinstance(part.get(kind), dict) else part
    match kind:
        case "text" | "input_text" | "output_text":
            text = part.get("text")
            text = text.get("value") if isinstance(text, dict) else text
            if isinstance(text, str) and text:
                yield text
        case "refusal":
            yield str(part.get("refusal") or "")
        case "image_url" | "input_image":
            url = part.get("image_url")
            url = url.get("url") if isinstance(url, dict) else url
            yield Media("image", str(url or ""))
        case "file" | "input_file":
            url = str(inner.get("file_data") or inner.get("file_url") or "")
            yield Media("file", url, str(inner.get("filename") or ""))
        case "input_audio":
            data = inner.get("data")
            yield Media("audio", str(data or ""), f"audio.{inner.get('format') or 'wav'}")
        case _:
            pass


def tools(body: Any) -> list[Tool]:
    """The functions offered, wherever a body keeps them, each name once."""
    if not isinstance(body, dict):
        return []
    found: dict[str, Tool] = {}
    nested = [i for i in list_of(body.get("input")) if i.get("type") in ("additional_tools", "tool_search_output")]
    for holder in (body, *nested):
        for given in _functions(holder.get("tools")):
            found.setdefault(given.name, given)
    for function in list_of(body.get("functions")):
        found.setdefault(str(function.get("name") or ""), _tool(function))
    return [t for t in found.values() if t.name]


def _functions(given: Any) -> Iterator[Tool]:
    for tool in list_of(given):
        if tool.get("type") == "namespace":
            yield from _functions(tool.get("tools"))
        elif tool.get("type", "function") == "function":
            yield _tool(tool.get("function") if isinstance(tool.get("function"), dict) else tool)


def _tool(function: dict[str, Any]) -> Tool:
    parameters = function.get("parameters")
    plain = parameters if isinstance(parameters, dict) and parameters else {"type": "object", "properties": {}}
    return Tool(str(function.get("name") or ""), str(function.get("description") or ""), plain)


def form(body: Any) -> dict[str, Any] | None:
    """The JSON Schema that the answer must follow, if one is asked for."""
    if not isinstance(body, dict):
        return None
    text = body.get("text")
    for place in (body.get("response_format"), text.get("format") if isinstance(text, dict) else None):
        if isinstance(place, dict) and place.get("type") == "json_schema":
            inner = place.get("json_schema") if isinstance(place.get("json_schema"), dict) else place
            schema = inner.get("schema")
            return schema if isinstance(schema, dict) else None
    return None
