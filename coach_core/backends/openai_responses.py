"""The Responses wire: typed events, state kept by the server when it can be.

Invariant: local history is the truth. `previous_response_id` only spares telling it again: when the server
does not know the id any more, the same turn tells everything, with a notice. Between the rounds of one
turn the id of the round before is used in the same way, so that the model keeps its own reasoning.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from coach_core.backends import Endpoint, Request
from coach_core.backends.items import GO_ON, Asked, Call, Item, Result, Told, as_text, data_url, is_image, items_of
from coach_core.backends.line import Watch
from coach_core.backends.openai_chat import arguments_of
from coach_core.backends.sdk import Wire, estimate, parameters
from coach_core.backends.sdk_errors import mapped, said
from coach_core.errors import Refused, StateLost, StreamCut
from coach_core.types import Event, Part, Usage

_REMEMBERED = 512
_NAMES = {"temperature": "temperature", "top_p": "top_p", "max_output_tokens": "max_output_tokens"}
_STARTED = frozenset({"response.created", "response.queued", "response.in_progress"})


class OpenAIResponses(Wire):
    name = "openai_responses"

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._made: OrderedDict[str, str] = OrderedDict()  # tool call -> response that made it

    def _answer(self, request: Request, watch: Watch, said: list[str]) -> Iterator[Event]:
        previous, items = self._start(request)
        try:
            with mapped(self.endpoint):
                stream = self._open(request, items, previous, watch)
        except StateLost as lost:
            if not previous:
                raise
            yield Event("notice", source="state", text=lost.sentence)
            stream = self._open(request, items_of(request), "", watch)
        gathered = _Gathered(self.endpoint)
        with closing(self.read(stream, watch)) as events:
            for raw in events:
                if raw.type not in _STARTED:
                    watch.token()
                for event in gathered.take(raw):
                    if event.kind == "text":
                        said.append(event.text)
                    yield event
        yield from self._end(request, gathered, said)

    def _end(self, request: Request, gathered: _Gathered, said: list[str]) -> Iterator[Event]:
        response = gathered.response
        if response is None:
            raise StreamCut
        if gathered.reason == "content_filter" and not said:
            raise Refused
        ids = {"response_id": response.id} if self.profile.state and response.id else None
        for call_id in gathered.calls if ids else ():
            self._made[call_id] = response.id
            if len(self._made) > _REMEMBERED:
                self._made.popitem(last=False)
        yield Event(
            "done",
            status="incomplete" if gathered.reason else "completed",
            usage=usage_of(response.usage) if response.usage else estimate(request, said),
            finish_reason=gathered.reason or gathered.finish,
            ids=ids,
        )

    def _start(self, request: Request) -> tuple[str, list[Item]]:
        """The response to go on from, and what its server has not heard yet."""
        if not self.profile.state:
            return "", items_of(request)
        results = [p for m in _trailing_results(request) for p in m.parts if p.kind == "tool_result"]
        made = {self._made.get(p.call_id, "") for p in results}
        if len(made) == 1 and (previous := made.pop()) and not request.resume_from:
            return previous, [Result(p.call_id, p.name, p.error or p.text) for p in results]
        previous = (request.provider_state or {}).get("response_id", "")
        return previous, items_of(request, history=not previous)

    def _open(self, request: Request, items: Sequence[Item], previous: str, watch: Watch) -> Any:
        return self.open(self.client.responses.create, self._body(request, items, previous), watch)

    def _body(self, request: Request, items: Sequence[Item], previous: str) -> dict[str, Any]:
        model = request.model or self.model
        body: dict[str, Any] = {
            "model": model,
            "input": [i for item in items for i in self._input(item, request)],
            "store": self.profile.state,
            **parameters(request, model, _NAMES),
        }
        if request.instructions:
            body["instructions"] = request.instructions
        if previous:
            body["previous_response_id"] = previous
        if effort := request.parameters.get("reasoning_effort"):
            body["reasoning"] = {"effort": effort, "summary": "auto"}
        if request.tools and self.profile.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "name": t.name,
                    "description": t.description,
                    "parameters": dict(t.parameters),
                    "strict": False,
                }
                for t in request.tools
            ]
        if self.profile.body:
            body["extra_body"] = dict(self.profile.body)
        return body

    def _input(self, item: Item, request: Request) -> list[dict[str, Any]]:
        match item:
            case Asked():
                return [{"role": "user", "content": [self._part(p, request) for p in item.parts]}]
            case Told():
                return [{"role": "assistant", "content": item.text}]
            case Call():
                call = {"type": "function_call", "call_id": item.call_id}
                return [{**call, "name": item.name, "arguments": item.arguments}]
            case Result():
                return [{"type": "function_call_output", "call_id": item.call_id, "output": item.text}]
            case _:
                return [{"role": "assistant", "content": item.text}, {"role": "user", "content": GO_ON}]

    def _part(self, part: Part, request: Request) -> dict[str, Any]:
        if is_image(part) and self.profile.images and (url := data_url(part, request)):
            return {"type": "input_image", "image_url": url, "detail": "auto"}
        pdf = part.kind == "file" and part.media_type == "application/pdf" and not part.text
        if pdf and self.profile.files and (url := data_url(part, request)):
            return {"type": "input_file", "filename": part.name or "file.pdf", "file_data": url}
        return {"type": "input_text", "text": as_text(part)}


@dataclass(slots=True)
class _Gathered:
    """What the events of one stream add up to. `response` is set by the terminal event only."""

    endpoint: Endpoint
    response: Any = None
    reason: str = ""
    calls: list[str] = field(default_factory=list)
    _spoke: int | None = None
    _thought: tuple[int, int] | None = None
    _refused: bool = False

    @property
    def finish(self) -> str:
        return "tool_calls" if self.calls else "refusal" if self._refused else "stop"

    def take(self, event: Any) -> Iterator[Event]:
        match event.type:
            case "response.output_text.delta" | "response.refusal.delta":
                self._refused = self._refused or event.type == "response.refusal.delta"
                yield from self._text(event.output_index, event.delta)
            case "response.reasoning_summary_text.delta":
                yield self._reasoning((event.output_index, event.summary_index), event.delta)
            case "response.reasoning_text.delta":
                yield self._reasoning((event.output_index, event.content_index), event.delta)
            case "response.output_item.done":
                yield from self._item(event.item)
            case "response.completed" | "response.incomplete":
                self.response = event.response
                if event.type == "response.incomplete":
                    self.reason = _reason(event.response)
                yield from self._missed(event.response)
            case "response.failed" | "response.cancelled":
                fault = event.response.error
                raise said(fault and fault.code, fault and fault.message, self.endpoint)
            case "error":
                raise said(event.code, event.message, self.endpoint)
            case _:
                pass

    def _text(self, index: int, delta: str) -> Iterator[Event]:
        if delta:
            between = "" if self._spoke in {None, index} else "\n\n"
            self._spoke = index
            yield Event("text", text=between + delta)

    def _reasoning(self, place: tuple[int, int], delta: str) -> Event:
        between = "" if self._thought in {None, place} else "\n\n"
        self._thought = place
        return Event("reasoning", text=between + delta)

    def _item(self, item: Any) -> Iterator[Event]:
        if item.type == "function_call" and item.call_id not in self.calls and item.status != "incomplete":
            self.calls.append(item.call_id)
            arguments: Mapping[str, Any] = arguments_of(item.arguments)
            yield Event("tool_call", call_id=item.call_id, name=item.name, arguments=arguments)

    def _missed(self, response: Any) -> Iterator[Event]:
        """What a server that sends few events tells only at the end."""
        output: Sequence[Any] = response.output or ()
        for index, item in enumerate(output):
            yield from self._item(item)
            if item.type == "message" and self._spoke is None:
                text = "".join(getattr(c, "text", "") or getattr(c, "refusal", "") or "" for c in item.content)
                yield from self._text(index, text)


def _trailing_results(request: Request) -> Iterator[Any]:
    for message in reversed(request.exchange):
        if message.speaker != "tool":
            return
        yield message


def _reason(response: Any) -> str:
    reason = getattr(response.incomplete_details, "reason", "") or "incomplete"
    return "length" if reason == "max_output_tokens" else reason


def usage_of(usage: Any) -> Usage:
    told, answered = getattr(usage, "input_tokens_details", None), getattr(usage, "output_tokens_details", None)
    return Usage(
        input_tokens=usage.input_tokens or 0,
        output_tokens=usage.output_tokens or 0,
        cached_tokens=getattr(told, "cached_tokens", 0) or 0,
        reasoning_tokens=getattr(answered, "reasoning_tokens", 0) or 0,
    )


def build(endpoint: Endpoint, **_: object) -> OpenAIResponses:
    return OpenAIResponses(endpoint)
