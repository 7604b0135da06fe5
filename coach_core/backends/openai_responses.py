"""The Responses wire: typed events, and three ways to keep a conversation.

Invariant: local history is the truth. What the server keeps (the response before, a conversation, or
nothing but its own reasoning, handed back opaque) only spares telling it again: when the server does not
know it any more, the same turn tells everything, with a notice. Between the rounds of one turn it is used
in the same way, so that the model keeps its own reasoning.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import httpx2

from coach_core.backends import Endpoint, Remotes, Request
from coach_core.backends.items import GO_ON, Asked, Call, Item, Result, Told, as_text, data_url, is_image, items_of
from coach_core.backends.line import Cancelled, Watch
from coach_core.backends.responses_events import ENDED, STARTED, Gathered, usage_of
from coach_core.backends.retries import aloud
from coach_core.backends.sdk import Reply, Wire, estimate, parameters
from coach_core.backends.sdk_errors import mapped
from coach_core.errors import BackendError, BadRequest, NotAnApi, Refused, StateLost, StreamCut
from coach_core.types import Event, Message, Part

log = logging.getLogger(__name__)
_REMEMBERED = 512
_RESULTS = 8  # passages that a hosted search hands the model
_FOLLOWS = 4  # times that a cut line is taken up again
_NAMES = {"temperature": "temperature", "top_p": "top_p", "max_output_tokens": "max_output_tokens"}
_WAITING = frozenset({"queued", "in_progress"})
Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is told, and what of the server's own is leant on."""

    items: Sequence[Item]
    previous: str = ""
    conversation: str = ""
    opaque: bool = False

    @property
    def leans(self) -> bool:
        return bool(self.previous or self.conversation or self.opaque)


@dataclass(frozen=True, slots=True, eq=False)
class _Made:
    """The response that made a tool call: its id, its conversation, and its items as they came."""

    response: str
    conversation: str
    items: tuple[Raw, ...]


class OpenAIResponses(Wire):
    name = "openai_responses"
    MARKS = frozenset({"output", "status"})

    def __init__(self, endpoint: Endpoint, remotes: Remotes | None = None) -> None:
        super().__init__(endpoint, remotes)
        self._made: OrderedDict[str, _Made] = OrderedDict()  # tool call -> response that made it
        self._has_conversations = self.profile.conversations

    def holds_history(self, request: Request) -> bool:
        plan = self._plan(request)
        return bool(plan.previous or plan.conversation)

    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        plan, begun = self._plan(request), False
        try:
            with closing(self._told(request, plan, watch, said)) as events:
                for event in events:
                    begun = begun or event.kind != "notice"
                    yield event
            return
        except StateLost as lost:  # some servers say so by status, some in the first event of the stream
            if begun or not plan.leans:
                raise
            yield Event("notice", source="state", text=lost.sentence)
        yield from self._told(request, _Plan(items_of(request)), watch, said)

    def _told(self, request: Request, plan: _Plan, watch: Watch, said: list[str]) -> Generator[Event]:
        """One exchange: what the plan tells the server, and the events of its answer."""
        with mapped(self.endpoint):
            plan = self._conversing(request, plan, watch)
            reply = yield from aloud(watch, lambda: self._open(request, plan, watch))
        gathered = Gathered(self.endpoint, must_find=bool(request.stores))
        with closing(self._frames(reply, request, watch)) as frames:
            for raw in frames:
                if raw.get("type") not in STARTED:
                    watch.token()
                for event in gathered.take(raw):
                    if event.kind == "text":
                        said.append(event.text)
                    yield event
        yield from self._end(request, plan, gathered, reply, said)

    # -- what is told -------------------------------------------------------------------------------

    def _state(self, request: Request) -> str:
        if not self.profile.state:
            return "stateless"
        wanted = request.parameters.get("state") or "previous_response"
        return "previous_response" if wanted == "conversation" and not self._has_conversations else wanted

    def _plan(self, request: Request) -> _Plan:
        """What the server has not heard yet, and what it is known by."""
        kept = request.provider_state or {}
        state = self._state(request)
        if state == "stateless":
            opaque = self._recall(kept.get("items", "")) or any(c in self._made for c in _calls(request))
            return _Plan(items_of(request), opaque=opaque)
        results = [p for m in _trailing_results(request) for p in m.parts if p.kind == "tool_result"]
        made = {self._made.get(p.call_id) for p in results}
        if len(made) == 1 and (before := made.pop()) and not request.resume_from:
            told = [Result(p.call_id, p.name, p.error or p.text) for p in results]
            if state == "conversation" and before.conversation:
                return _Plan(told, conversation=before.conversation)
            if before.response:
                return _Plan(told, previous=before.response)
        name = "conversation_id" if state == "conversation" else "response_id"
        known = kept.get(name, "")
        items = items_of(request, history=not known)
        return _Plan(items, conversation=known) if state == "conversation" else _Plan(items, previous=known)

    def _conversing(self, request: Request, plan: _Plan, watch: Watch) -> _Plan:
        """The plan with a conversation of its own, where that is how it is kept and there is none yet."""
        if plan.leans or self._state(request) != "conversation":
            return plan
        try:
            with mapped(self.endpoint):
                made = self.call("post", "/conversations", watch, {"metadata": {"made_by": "coach"}})
        except (NotAnApi, BadRequest):  # a server that has responses, but no conversations
            self._has_conversations = False
            return plan
        return replace(plan, conversation=str(made.get("id") or ""))

    def _open(self, request: Request, plan: _Plan, watch: Watch) -> Reply:
        return self.ask("/responses", self._body(request, plan), watch)

    def _body(self, request: Request, plan: _Plan) -> dict[str, Any]:
        model, stateless = self.model_of(request), self._state(request) == "stateless"
        body: dict[str, Any] = {
            "model": model,
            "input": self._input(request, plan),
            "store": not stateless,
            **parameters(request, model, _NAMES),
        }
        if instructions := self.instructions(request):
            body["instructions"] = instructions
        if plan.previous:
            body["previous_response_id"] = plan.previous
        if plan.conversation:
            body["conversation"] = plan.conversation
        if effort := request.parameters.get("reasoning_effort"):
            body["reasoning"] = {"effort": effort, "summary": "auto"}
        if tools := self._tools(request):
            body["tools"] = tools
        if include := _include(request, stateless):
            body["include"] = include
        if request.schema is not None and self.profile.schema:
            schema = {"type": "json_schema", "name": "answer", "schema": dict(request.schema), "strict": False}
            body["text"] = {"format": schema}
        if request.parameters.get("background") and not stateless:
            body["background"] = True
        return body

    def _tools(self, request: Request) -> list[dict[str, Any]]:
        tools: list[dict[str, Any]] = []
        if request.tools and self.takes_tools(request):
            tools = [
                {
                    "type": "function",
                    "name": t.name,
                    "description": t.description,
                    "parameters": dict(t.parameters),
                    "strict": False,
                }
                for t in request.tools
            ]
        if request.stores:
            stores = list(request.stores)
            tools.append({"type": "file_search", "vector_store_ids": stores, "max_num_results": _RESULTS})
        return tools

    def _input(self, request: Request, plan: _Plan) -> list[Raw]:
        out: list[Raw] = []
        told: set[str] = set()
        last = max((i for i, item in enumerate(plan.items) if isinstance(item, Told)), default=-1)
        kept = self._kept_answer(request) if plan.opaque else ()
        before_question = len(plan.items) - len(items_of(replace(request, history=()))) if kept else 0
        for index, item in enumerate(plan.items):
            if plan.opaque and isinstance(item, Call) and (made := self._made.get(item.call_id)):
                if item.call_id not in told:
                    self._hand_back(out, made.items, told)
            elif kept and index == last and index < before_question:
                out += kept
            else:
                out += self._item(item, request)
        return out

    def _hand_back(self, out: list[Raw], items: Sequence[Raw], told: set[str]) -> None:
        """A response of before as it came, in place of what was told of it here."""
        if out and out[-1].get("role") == "assistant" and any(i.get("type") == "message" for i in items):
            out.pop()
        out += items
        told.update(str(i.get("call_id")) for i in items if i.get("call_id"))

    def _item(self, item: Item, request: Request) -> list[Raw]:
        match item:
            case Asked():
                return [{"role": "user", "content": [self._part(p, request) for p in item.parts]}]
            case Told():
                return [{"role": "assistant", "content": item.text}]
            case Call() if self.takes_tools(request):
                call = {"type": "function_call", "call_id": item.call_id}
                return [{**call, "name": item.name, "arguments": item.arguments}]
            case Call():
                return []
            case Result() if self.takes_tools(request):
                return [{"type": "function_call_output", "call_id": item.call_id, "output": item.text}]
            case Result():
                return [{"role": "assistant", "content": f"({item.name}: {item.text})"}]
            case _:
                return [{"role": "assistant", "content": item.text}, {"role": "user", "content": GO_ON}]

    def _part(self, part: Part, request: Request) -> dict[str, Any]:
        if is_image(part) and self.profile.images and (url := data_url(part, request)):
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        pdf = part.kind == "file" and part.media_type == "application/pdf" and not part.text
        if pdf and self.profile.files and (url := data_url(part, request)):
            return {"type": "input_file", "filename": part.name or "file.pdf", "file_data": url}
        return {"type": "input_text", "text": as_text(part)}

    # -- what comes back ----------------------------------------------------------------------------

    def _frames(self, reply: Reply, request: Request, watch: Watch) -> Generator[Raw]:
        """The events of a response. One that runs on at the server is taken up again where the line was
        cut, and stopped there when the person stops it."""
        response_id, seen, at_server = "", -1, bool(request.parameters.get("background"))
        try:
            for _ in range(_FOLLOWS + 1):
                try:
                    with closing(reply):
                        for raw in reply:
                            inner: Raw = raw.get("response") or (raw if raw.get("object") == "response" else {})
                            response_id = response_id or str(inner.get("id") or "")
                            seen = raw.get("sequence_number", seen)
                            if "type" not in raw and inner.get("status") in _WAITING:
                                yield self._waited(response_id, watch)
                                return
                            yield raw
                            if raw.get("type", "error") in ENDED:
                                reply.said_all()
                                return
                except (httpx2.TransportError, StreamCut):
                    if not at_server or not response_id:
                        raise
                if not at_server or not response_id:
                    return
                watch.wait(0.2)
                query = {"stream": "true", "starting_after": seen}
                reply = self.follow(f"/responses/{response_id}", watch, query)
        except Cancelled:
            if at_server and response_id:
                self._stop(response_id)
            raise

    def _waited(self, response_id: str, watch: Watch) -> Raw:
        """A response that is told in one piece, asked for until it has ended."""
        pause = 0.25
        while True:
            watch.only_whole()
            watch.wait(pause)
            raw = self.call("get", f"/responses/{response_id}", watch)
            if raw.get("status") not in _WAITING:
                return raw
            pause = min(pause * 1.5, 3.0)

    def _stop(self, response_id: str) -> None:
        try:
            with mapped(self.endpoint):
                self.call("post", f"/responses/{response_id}/cancel", timeout=3.0, once=True)
        except BackendError as error:
            log.info("a response was not stopped at the server: %s", error.kind)

    def _end(self, request: Request, plan: _Plan, gathered: Gathered, reply: Reply, said: list[str]) -> Iterator[Event]:
        response = gathered.response
        if response is None:
            raise StreamCut
        if gathered.reason == "content_filter" and not said:
            raise Refused
        conversation = plan.conversation or str((response.get("conversation") or {}).get("id") or "")
        made = _Made(str(response.get("id") or ""), conversation, _opaque(response))
        self._remember(made, gathered.calls)
        ids = {
            "response_id": made.response,
            "conversation_id": conversation,
            "items": self._carried(request, made) if self._state(request) == "stateless" else "",
            "request_id": reply.request_id,
        }
        usage = response.get("usage")
        yield Event(
            "done",
            status="incomplete" if gathered.reason else "completed",
            usage=usage_of(usage) if usage else estimate(request, said),
            finish_reason=gathered.reason or gathered.finish,
            ids={k: v for k, v in ids.items() if v} or None,
            retries=reply.retries,
        )

    # -- what is kept of the model's own --------------------------------------------------------------

    def _remember(self, made: _Made, calls: Sequence[str]) -> None:
        for call_id in calls:
            self._made[call_id] = made
            self._made.move_to_end(call_id)
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)

    def _carried(self, request: Request, made: _Made) -> str:
        """The turn's responses as JSON, for the next turn to hand back; "" when the model did not think."""
        rounds: list[Sequence[Raw]] = []
        for call_id in _calls(request):
            if (before := self._made.get(call_id)) and before.items not in rounds:
                rounds.append(before.items)
        rounds.append(made.items)
        thought = any(item.get("type") == "reasoning" for items in rounds for item in items)
        return json.dumps(rounds, ensure_ascii=False) if thought else ""

    def _recall(self, carried: str) -> bool:
        for items in _rounds(carried):
            calls = [str(i["call_id"]) for i in items if i.get("call_id")]
            self._remember(_Made("", "", tuple(items)), [c for c in calls if c not in self._made])
        return bool(carried)

    def _kept_answer(self, request: Request) -> Sequence[Raw]:
        """The last answer of the history as its response told it, its reasoning with it."""
        rounds = _rounds((request.provider_state or {}).get("items", ""))
        return rounds[-1] if rounds and not any(i.get("call_id") for i in rounds[-1]) else ()


def _rounds(carried: str) -> list[list[Raw]]:
    try:
        value = json.loads(carried or "[]")
    except ValueError:
        return []
    return value if isinstance(value, list) else []


def _opaque(response: Raw) -> tuple[Raw, ...]:
    """The response's items as they can be handed back: thoughts only where they came encrypted."""
    output: Sequence[Raw] = response.get("output") or ()
    kept = [i for i in output if i.get("type") in {"message", "function_call", "custom_tool_call"} or _sealed(i)]
    return tuple({k: v for k, v in i.items() if v is not None and (k != "status" or _needs_status(i))} for i in kept)


def _needs_status(item: Raw) -> bool:
    """A message is refused without its status; a thought or a call says nothing by it."""
    return item.get("type") == "message"


def _sealed(item: Raw) -> bool:
    return item.get("type") == "reasoning" and bool(item.get("encrypted_content"))


def _include(request: Request, stateless: bool) -> list[str]:
    include = ["reasoning.encrypted_content"] if stateless else []
    return [*include, "file_search_call.results"] if request.stores else include


def _calls(request: Request) -> list[str]:
    return [p.call_id for m in request.exchange for p in m.parts if p.kind == "tool_call"]


def _trailing_results(request: Request) -> list[Message]:
    """The results that the exchange ends in, in the order of their calls."""
    found = list(takewhile(lambda m: m.speaker == "tool", reversed(request.exchange)))
    return found[::-1]


def build(endpoint: Endpoint, remotes: Remotes | None = None, **_: object) -> OpenAIResponses:
    return OpenAIResponses(endpoint, remotes)
