"""The Chat Completions wire, for its vendor and every compatible server.

Invariant: a tool call is yielded once and whole, after its last fragment; a stream without a finish
reason was cut, unless it said itself that it is done. What a vendor does not take is a fact of its
profile (`sdk.Profile`), not a branch here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import openai

from coach_core.backends import Endpoint, Remotes, Request
from coach_core.backends.items import (
    GO_ON,
    Asked,
    Call,
    Item,
    Resumed,
    Told,
    arguments_of,
    as_text,
    data_url,
    is_image,
    items_of,
)
from coach_core.backends.line import Watch
from coach_core.backends.retries import aloud
from coach_core.backends.sdk import Wire, estimate, fault_in, parameters
from coach_core.errors import Refused, StreamCut
from coach_core.types import Citation, Event, Part, ToolSpec, Usage

_ROLE = re.compile(r"messages\[\d+\]\.role")
_NEXT_ROLE = {"developer": "system", "system": "user"}
_REMEMBERED = 512
_RANDOM = 4  # characters of padding that do not come twice by chance
#: Reasons to end that other vendors give, by the name this app knows.
_REASONS = {
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "recitation": "content_filter",
    "end_turn": "stop",
    "eos": "stop",
    "function_call": "tool_calls",
}


class OpenAIChat(Wire):
    name = "openai_chat"
    MARKS = frozenset({"choices"})

    def __init__(self, endpoint: Endpoint, remotes: Remotes | None = None) -> None:
        super().__init__(endpoint, remotes)
        self._roles: dict[str, str] = {}  # model -> role of the instructions, where learnt
        self._thoughts: OrderedDict[str, str] = OrderedDict()  # tool call -> the reasoning before it

    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        gathered = _Gathered(self.endpoint)
        reply = yield from aloud(watch, lambda: self.ask("/chat/completions", self._body(request), watch))
        with closing(reply):
            for chunk in reply:
                fragments = gathered.fragments
                for event in gathered.take(chunk):
                    watch.token()
                    if event.kind == "text":
                        said.append(event.text)
                    yield event
                if gathered.fragments > fragments:  # a long call shows nothing until it is whole
                    watch.token()
        if not gathered.finish and reply.finished and (said or gathered.calls):
            gathered.finish = "stop"  # some servers only say [DONE]
        if self.profile.reasoning and gathered.thought:
            self._remember(gathered)
        yield from gathered.end(request, said, reply.retries, reply.request_id)

    def _remember(self, gathered: _Gathered) -> None:
        for call in gathered.calls.values():
            self._thoughts[call.call_id] = "".join(gathered.thought)
            if len(self._thoughts) > _REMEMBERED:
                self._thoughts.popitem(last=False)

    def _body(self, request: Request) -> dict[str, Any]:
        profile, model = self.profile, self.model_of(request)
        names = {"temperature": "temperature", "top_p": "top_p", "reasoning_effort": "reasoning_effort"}
        body: dict[str, Any] = {
            "model": model,
            "messages": self._messages(request, model),
            **parameters(request, model, names | {"max_output_tokens": profile.max_tokens}),
        }
        if request.tools and self.takes_tools(request):
            body["tools"] = [_tool(t) for t in request.tools]
        if request.schema is not None and profile.schema:
            schema = {"name": "answer", "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if profile.stream_options:
            body["stream_options"] = {"include_usage": True}
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
        if instructions := self.instructions(request):
            out.append({"role": self._roles.get(model, self.profile.role), "content": instructions})
        tools = self.takes_tools(request)
        for item in items_of(request):
            self._add(out, item, request, tools)
        return out

    def _add(self, out: list[dict[str, Any]], item: Item, request: Request, tools: bool) -> None:
        match item:
            case Asked():
                out.append({"role": "user", "content": self._content(item.parts, request)})
            case Told():
                out.append({"role": "assistant", "content": item.text})
            case Resumed():
                out.append({"role": "assistant", "content": item.text})
                if not self.profile.prefill:
                    out.append({"role": "user", "content": GO_ON})
            case Call() if tools:
                if not out or out[-1]["role"] != "assistant":
                    out.append({"role": "assistant", "content": None})
                if self.profile.reasoning and (thought := self._thoughts.get(item.call_id)):
                    out[-1][self.profile.reasoning] = thought
                function = {"name": item.name, "arguments": item.arguments}
                call = {"id": self._call_id(item.call_id), "type": "function", "function": function}
                out[-1].setdefault("tool_calls", []).append(call)
            case Call():
                pass
            case _ if tools:
                out.append({"role": "tool", "tool_call_id": self._call_id(item.call_id), "content": item.text})
            case _:
                out.append({"role": "assistant", "content": f"({item.name}: {item.text})"})

    def _call_id(self, call_id: str) -> str:
        """The id as this server takes it; a call made by another may have one of another length."""
        length = self.profile.call_id_length
        if not length or (len(call_id) == length and call_id.isalnum()):
            return call_id
        return hashlib.sha256(call_id.encode()).hexdigest()[:length]

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
    custom: bool = False

    def parsed(self) -> Mapping[str, Any]:
        return {"input": self.arguments} if self.custom else arguments_of(self.arguments)


@dataclass(slots=True)
class _Gathered:
    """What the chunks of one stream add up to; a whole answer counts as one chunk."""

    endpoint: Endpoint
    calls: dict[int, _Fragment] = field(default_factory=dict)
    finish: str = ""
    usage: Usage | None = None
    refused: bool = False
    completion_id: str = ""
    thought: list[str] = field(default_factory=list)
    fragments: int = 0
    _told: list[str] = field(default_factory=list)
    _before: Mapping[str, Any] = field(default_factory=dict[str, Any])
    _placed: dict[int, int] = field(default_factory=dict)  # a server's index -> the call's place here

    def take(self, chunk: Mapping[str, Any]) -> Iterator[Event]:
        if fault := fault_in(chunk, self.endpoint):
            raise fault
        if len(chunk.get("obfuscation") or "") >= _RANDOM and chunk == self._before:
            return  # padded at random, so no two are alike: it came twice
        self._before = chunk
        self.completion_id = self.completion_id or chunk.get("id") or ""
        if usage := chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage"):
            self.usage = usage_of(usage)
        for choice in chunk.get("choices") or ():
            if choice.get("index"):  # only the first of several is asked for
                continue
            if fault := fault_in(choice, self.endpoint):
                raise fault
            if reason := choice.get("finish_reason"):
                self.finish = _REASONS.get(str(reason).lower(), str(reason))
            message, delta = choice.get("message"), choice.get("delta")
            if message and (not delta or chunk.get("object") == "chat.completion"):  # Perplexity tells both
                yield from self._delta(self._missed(message))
            elif delta:
                yield from self._delta(delta)

    def _missed(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the pieces have missed of a message that is told whole."""
        content: Any = message.get("content")
        known = {"reasoning_content", "reasoning"} if self.thought else set[str]()
        known |= {"tool_calls", "function_call"} if self.calls else set()
        if so_far := "".join(self._told):
            whole = content if isinstance(content, str) else ""
            content = whole[len(so_far) :] if whole.startswith(so_far) else ""
            known.add("refusal")
        return {**{k: v for k, v in message.items() if k not in known}, "content": content}

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Event]:
        # reasoning_content: DeepSeek, llama.cpp, vLLM; reasoning: OpenRouter, Groq, Ollama
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            self.thought.append(thought)
            yield Event("reasoning", text=thought)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                self._told.append(content)
                yield Event("text", text=content)
        elif content:
            yield from self._pieces(content)
        if refusal := delta.get("refusal"):
            self.refused = True
            self._told.append(refusal)
            yield Event("text", text=refusal)
        if (audio := delta.get("audio")) and audio.get("transcript"):
            yield Event("text", text=audio["transcript"])
        for piece in delta.get("tool_calls") or ():
            self._fragment(piece)
        if function := delta.get("function_call"):  # what tools were called before they were tools
            self._fragment({"index": 0, "id": "call_function", "function": function})
        for note in delta.get("annotations") or ():
            if cited := citation_of(note):
                yield Event("citation", citation=cited)

    def _pieces(self, content: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        """Content in typed pieces, as Mistral streams it when the model thinks."""
        for piece in content:
            if piece.get("type") == "thinking":
                inner = piece.get("thinking") or ()
                thought = inner if isinstance(inner, str) else "".join(p.get("text") or "" for p in inner)
                if thought:
                    self.thought.append(thought)
                    yield Event("reasoning", text=thought)
            elif text := piece.get("text"):
                self._told.append(text)
                yield Event("text", text=text)

    def _fragment(self, piece: Mapping[str, Any]) -> None:
        self.fragments += 1
        custom = piece.get("custom")
        function = piece.get("function") or custom
        index = piece.get("index")
        if index is None:  # some servers leave it out: a new id, or a name where there is one, begins a new call
            known = [place for place, call in self.calls.items() if call.call_id and call.call_id == piece.get("id")]
            named = bool((function or {}).get("name")) and any(c.name for c in list(self.calls.values())[-1:])
            goes_on = not piece.get("id") and not named and bool(self.calls)
            index = known[0] if known else len(self.calls) - goes_on
        call = self.calls.get(self._placed.get(index, index))
        if call and call.call_id and piece.get("id") not in {None, "", call.call_id} and (function or {}).get("name"):
            self._placed[index] = len(self.calls)  # Ollama and Gemini give every call the same index
        call = self.calls.setdefault(self._placed.setdefault(index, index), _Fragment())
        call.call_id = call.call_id or piece.get("id") or ""
        if custom:
            call.custom = True
        if function:
            call.name = call.name or function.get("name") or ""
            told = function.get("arguments") or function.get("input") or ""
            told = told if isinstance(told, str) else json.dumps(told)
            twice = told == call.arguments and piece.get("id") == call.call_id and _is_whole(told)
            call.arguments += "" if twice else told

    def end(self, request: Request, said: list[str], retries: int, request_id: str) -> Iterator[Event]:
        if not self.finish:
            raise StreamCut
        if self.finish == "content_filter" and not said:
            raise Refused
        calls = [c for _, c in sorted(self.calls.items()) if c.name]
        incomplete = self.finish in {"length", "content_filter"}
        if not incomplete:
            for number, call in enumerate(calls):
                call_id = call.call_id or f"call_{len(request.exchange)}_{number}"
                yield Event("tool_call", call_id=call_id, name=call.name, arguments=call.parsed())
        ids = {"completion_id": self.completion_id, "request_id": request_id}
        yield Event(
            "done",
            status="incomplete" if incomplete else "completed",
            usage=self.usage or estimate(request, said),
            finish_reason=self._reason(bool(calls)),
            ids={k: v for k, v in ids.items() if v} or None,
            retries=retries,
        )

    def _reason(self, called: bool) -> str:
        if self.finish in {"length", "content_filter"}:
            return self.finish
        if called:
            return "tool_calls"
        return "refusal" if self.refused else "stop" if self.finish == "tool_calls" else self.finish


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments), dict)
    except ValueError:
        return False


def citation_of(note: Mapping[str, Any]) -> Citation | None:
    """What an annotation cites: a page of the web, or a file that the API searched. None for what cites nothing."""
    kind = str(note.get("type"))
    about: Any = note.get(kind) if isinstance(note.get(kind), Mapping) else note
    if kind == "url_citation" and about.get("url"):
        return Citation(0, about.get("title") or about["url"], about.get("content") or "", url=about["url"])
    if kind in {"file_citation", "container_file_citation", "file_path"} and about.get("file_id"):
        quote = about.get("quote") or ""
        return Citation(0, about.get("filename") or "", quote, quote=quote, external_id=about["file_id"])
    return None


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def usage_of(usage: Mapping[str, Any]) -> Usage:
    told, answered = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return Usage(
        input_tokens=usage.get("prompt_tokens") or 0,
        output_tokens=usage.get("completion_tokens") or 0,
        cached_tokens=told.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        reasoning_tokens=answered.get("reasoning_tokens") or usage.get("reasoning_tokens") or 0,
    )


def build(endpoint: Endpoint, remotes: Remotes | None = None, **_: object) -> OpenAIChat:
    return OpenAIChat(endpoint, remotes)
