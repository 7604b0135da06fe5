"""The Chat Completions wire, for its vendor and every compatible server.

Invariant: a tool call is yielded once and whole, after its last fragment; a stream without a finish
reason was cut. What a vendor does not take is a fact of its profile (`sdk.Profile`), not a branch here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import openai

from coach_core.backends import Endpoint, Request
from coach_core.backends.items import GO_ON, Asked, Call, Item, Resumed, Told, as_text, data_url, is_image, items_of
from coach_core.backends.line import Watch
from coach_core.backends.sdk import Wire, estimate, parameters
from coach_core.errors import Refused, StreamCut
from coach_core.types import Event, Part, ToolSpec, Usage

_ROLE = re.compile(r"messages\[\d+\]\.role")
_NEXT_ROLE = {"developer": "system", "system": "user"}


class OpenAIChat(Wire):
    name = "openai_chat"

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._roles: dict[str, str] = {}  # model -> role of the instructions, where learnt

    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        gathered = _Gathered()
        stream = self.open(self.client.chat.completions.create, self._body(request), watch)
        with closing(self.read(stream, watch)) as chunks:
            for chunk in chunks:
                for event in gathered.take(chunk):
                    watch.token()
                    if event.kind == "text":
                        said.append(event.text)
                    yield event
        yield from gathered.end(request, said)

    def _body(self, request: Request) -> dict[str, Any]:
        profile, model = self.profile, request.model or self.model
        names = {"temperature": "temperature", "top_p": "top_p", "reasoning_effort": "reasoning_effort"}
        body: dict[str, Any] = {
            "model": model,
            "messages": self._messages(request, model),
            **parameters(request, model, names | {"max_output_tokens": profile.max_tokens}),
        }
        if request.tools and profile.tools:
            body["tools"] = [_tool(t) for t in request.tools]
        if profile.stream_options:
            body["stream_options"] = {"include_usage": True}
        if profile.body:
            body["extra_body"] = dict(profile.body)
        return body

    def _learn(self, error: openai.BadRequestError, sent: Mapping[str, Any], model: str) -> bool:
        first = sent["messages"][0]
        role = _NEXT_ROLE.get(first["role"])
        if error.code == "unsupported_value" and role and _ROLE.fullmatch(error.param or ""):
            self._roles[model] = first["role"] = role
            return True
        return super()._learn(error, sent, model)

    def _messages(self, request: Request, model: str) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        if request.instructions:
            out.append({"role": self._roles.get(model, self.profile.role), "content": request.instructions})
        for item in items_of(request):
            self._add(out, item, request)
        return out

    def _add(self, out: list[dict[str, Any]], item: Item, request: Request) -> None:
        match item:
            case Asked():
                out.append({"role": "user", "content": self._content(item.parts, request)})
            case Told():
                out.append({"role": "assistant", "content": item.text})
            case Resumed():
                out.append({"role": "assistant", "content": item.text})
                if not self.profile.prefill:
                    out.append({"role": "user", "content": GO_ON})
            case Call() if self.profile.tools:
                if not out or out[-1]["role"] != "assistant":
                    out.append({"role": "assistant", "content": None})
                function = {"name": item.name, "arguments": item.arguments}
                call = {"id": item.call_id, "type": "function", "function": function}
                out[-1].setdefault("tool_calls", []).append(call)
            case Call():
                pass
            case _ if self.profile.tools:
                out.append({"role": "tool", "tool_call_id": item.call_id, "content": item.text})
            case _:
                out.append({"role": "assistant", "content": f"({item.name}: {item.text})"})

    def _content(self, parts: tuple[Part, ...], request: Request) -> Any:
        content = [self._part(p, request) for p in parts]
        if all(c["type"] == "text" for c in content):
            return "\n\n".join(c["text"] for c in content)
        return content

    def _part(self, part: Part, request: Request) -> dict[str, Any]:
        if is_image(part) and self.profile.images and (url := data_url(part, request)):
            return {"type": "image_url", "image_url": {"url": url}}
        pdf = part.kind == "file" and part.media_type == "application/pdf" and not part.text
        if pdf and self.profile.files and (url := data_url(part, request)):
            return {"type": "file", "file": {"filename": part.name or "file.pdf", "file_data": url}}
        return {"type": "text", "text": as_text(part)}


@dataclass(slots=True)
class _Fragment:
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Gathered:
    """What the chunks of one stream add up to."""

    calls: dict[int, _Fragment] = field(default_factory=dict)
    finish: str = ""
    usage: Usage | None = None
    refused: bool = False
    ids: dict[str, str] = field(default_factory=dict)

    def take(self, chunk: Any) -> Iterator[Event]:
        if chunk.id and not self.ids:
            self.ids["completion_id"] = chunk.id
        if chunk.usage:
            self.usage = usage_of(chunk.usage)
        for choice in (getattr(chunk, "choices", None) or ())[:1]:
            self.finish = choice.finish_reason or self.finish
            if (delta := getattr(choice, "delta", None)) is not None:
                yield from self._delta(delta)

    def _delta(self, delta: Any) -> Iterator[Event]:
        if extra := delta.model_extra:
            # not in the SDK's types: reasoning_content (DeepSeek, llama.cpp, vLLM), reasoning (OpenRouter, Groq)
            thought = extra.get("reasoning_content") or extra.get("reasoning")
            if isinstance(thought, str) and thought:
                yield Event("reasoning", text=thought)
        if delta.content:
            yield Event("text", text=delta.content)
        if delta.refusal:
            self.refused = True
            yield Event("text", text=delta.refusal)
        for piece in delta.tool_calls or ():
            self._fragment(piece)

    def _fragment(self, piece: Any) -> None:
        index = getattr(piece, "index", None)
        if index is None:  # some servers leave it out: a new id begins a new call
            index = len(self.calls) if piece.id or not self.calls else len(self.calls) - 1
        call = self.calls.setdefault(index, _Fragment())
        call.call_id = call.call_id or piece.id or ""
        if piece.function:
            call.name = call.name or piece.function.name or ""
            call.arguments += piece.function.arguments or ""

    def end(self, request: Request, said: list[str]) -> Iterator[Event]:
        if not self.finish:
            raise StreamCut
        if self.finish == "content_filter" and not said:
            raise Refused
        calls = [c for _, c in sorted(self.calls.items()) if c.name]
        incomplete = self.finish in {"length", "content_filter"}
        if not incomplete:
            for number, call in enumerate(calls):
                call_id = call.call_id or f"call_{len(request.exchange)}_{number}"
                yield Event("tool_call", call_id=call_id, name=call.name, arguments=arguments_of(call.arguments))
        yield Event(
            "done",
            status="incomplete" if incomplete else "completed",
            usage=self.usage or estimate(request, said),
            finish_reason=self._reason(bool(calls)),
            ids=self.ids or None,
        )

    def _reason(self, called: bool) -> str:
        if self.finish in {"length", "content_filter"}:
            return self.finish
        if called:
            return "tool_calls"
        return "refusal" if self.refused else self.finish


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def arguments_of(text: str) -> Mapping[str, Any]:
    """A call's arguments; what is no JSON object is handed on under `malformed`, for the tool to refuse."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"malformed": text}


def usage_of(usage: Any) -> Usage:
    told, answered = getattr(usage, "prompt_tokens_details", None), getattr(usage, "completion_tokens_details", None)
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cached_tokens=getattr(told, "cached_tokens", 0) or 0,
        reasoning_tokens=getattr(answered, "reasoning_tokens", 0) or 0,
    )


def build(endpoint: Endpoint, **_: object) -> OpenAIChat:
    return OpenAIChat(endpoint)
