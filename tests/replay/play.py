"""Play recorded requests of the Chat Completions and the Responses wire through our adapters.

Invariant: an adapter is asked as the app asks it: with a Request and, between the messages of a recorded
conversation, with what it said itself in `done.ids`. All it sends is held against the recording.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from coach_core.backends import Backend, Endpoint, Request, build
from coach_core.types import Event
from tests.replay.asked import Asked, asked_of, messages_of
from tests.replay.bodies import faults_of, left_out, not_offered
from tests.replay.compare import Difference, Got, differences
from tests.replay.exchanges import Exchange
from tests.replay.group import CreateStage, Group, conversation_of, head_of
from tests.replay.kinds import CHAT, RESPONSES, Kind
from tests.replay.recorded import Said, list_of
from tests.replay.recorded_chat import said_in_chat
from tests.replay.recorded_responses import said_in_response
from tests.replay.server import ReplayServer, Slot
from tests.replay.spoken import Saying

_SPEC_PATHS = {CHAT: "/chat/completions", RESPONSES: "/responses"}
KEY = "sk-replayed-00000000"


@dataclass(frozen=True)
class Outcome:
    """`why` is "" for an exchange that was run; `differs` is empty where it passed."""

    exchange: Exchange
    wire: str
    why: str = ""
    differs: tuple[Difference, ...] = ()


@dataclass
class Player:
    """Backends at addresses of the server, kept as long as they have learnt nothing from an error."""

    server: ReplayServer
    _kept: dict[str, tuple[Backend, Slot]] = field(default_factory=dict)

    def play(self, wire: str, prefix: str, asked: Asked, stage: Any, apart: str = "", *, fresh: bool = False) -> Got:
        key = f"{wire} {prefix} {sorted(asked.facts.items(), key=str)} {apart}"
        if fresh:
            self.drop(key)
        if key not in self._kept:
            slot = self.server.slot()
            endpoint = Endpoint("replayed", slot.url + prefix, KEY, asked.request.model or "recorded", asked.facts)
            self._kept[key] = build(wire, endpoint), slot
        backend, slot = self._kept[key]
        slot.stage = stage
        got = ask(backend, asked.request)
        if fresh or got.error is not None:
            self.drop(key)
        return got

    def drop(self, key: str) -> None:
        if kept := self._kept.pop(key, None):
            kept[0].close()

    def close(self) -> None:
        for key in list(self._kept):
            self.drop(key)


class _Hurried(threading.Event):
    """A cancel that is never set and does not wait long: the pauses between looks at a run pass at once."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(min(timeout or 0.0, 0.002))


def ask(backend: Backend, request: Request) -> Got:
    events: list[Event] = []
    try:
        for event in backend.stream(request, _Hurried()):
            events.append(event)
    except Exception as error:  # whatever it is, it is told as a difference
        return Got(events, error)
    return Got(events)


def play_chat(player: Player, exchange: Exchange, kind: Kind) -> Outcome:
    asked = asked_of(exchange)
    stage = CreateStage(exchange, kind, Group([(exchange, kind)]))
    got = player.play(CHAT, kind.prefix, asked, stage)
    found = [*differences(said_in_chat(exchange), got), *bodies(exchange, asked.said, stage, CHAT, ())]
    return Outcome(exchange, CHAT, differs=tuple(found))


def play_responses(player: Player, group: Group, apart: str) -> Iterator[Outcome]:
    """Every response of a group in its order, then what of the group nobody asked for."""
    conversation = _Conversation(group)
    for exchange, kind in group.members:
        if kind.operation == "create":
            yield conversation.play(player, exchange, kind, apart)
    for exchange, kind in group.members:
        if kind.operation != "create":
            yield conversation.other(player, exchange, kind)


class _Conversation:
    """What was played of a group so far: the app's own memory of it."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.requests: dict[str, Request] = {}  # response -> the request it answered
        self.makers: dict[str, str] = {}  # tool call -> the response that made it
        self.conversations: set[str] = set()
        self.sent: dict[str, list[Any]] = {}  # response or conversation -> the bodies told to it

    def play(self, player: Player, exchange: Exchange, kind: Kind, apart: str) -> Outcome:
        said = self._said(exchange)
        if said.end == "waiting":
            return Outcome(exchange, RESPONSES, "the recording ends before the response does")
        whole = replace(exchange, request=self._resolved(exchange.request))
        asked = self._fitted(whole, asked_of(whole))
        stage = CreateStage(exchange, kind, self.group)
        fresh = not self._follows(asked.said)
        got = player.play(RESPONSES, kind.prefix, asked, stage, apart, fresh=fresh)
        known = self._known(stage)
        found = [*differences(said, got), *bodies(whole, asked.said, stage, RESPONSES, known)]
        if not fresh:
            found += self._thoughts_left_out(asked.request, whole, stage)
        self._remember(exchange, asked.request, said, stage, known)
        return Outcome(exchange, RESPONSES, differs=tuple(found))

    def other(self, player: Player, exchange: Exchange, kind: Kind) -> Outcome:
        """An exchange that makes no response: served already, or a response that was taken up again later."""
        if exchange.line in self.group.served:
            return Outcome(exchange, RESPONSES)
        if kind.operation != "retrieve":
            return Outcome(exchange, RESPONSES, f"{kind.operation}: our adapter does not ask this")
        if said_in_response(exchange).end == "waiting":
            return Outcome(exchange, RESPONSES, "the recording ends before the response does")
        for made, of in self.group.members:
            if of.operation == "create" and made.sse and said_in_response(made).response_id == kind.ids["response"]:
                left = replace(made, body=head_of(made.body, exchange.query.get("starting_after", "")))
                return replace(self.play(player, left, of, "taken up"), exchange=exchange)
        return Outcome(exchange, RESPONSES, "retrieve: our adapter does not ask for a response that it has")

    def _said(self, exchange: Exchange) -> Said:
        """What came back, read on in the requests that took a response up again later."""
        said = said_in_response(exchange)
        body = exchange.request if isinstance(exchange.request, dict) else {}
        if said.end == "completed" or not body.get("background"):
            return said
        for later in self.group.of("retrieve", response=said.response_id):
            body = exchange.body + later.body if later.sse and exchange.sse else later.body
            said = said_in_response(replace(later, body=body))
        return said

    def _follows(self, said: Sequence[Saying]) -> bool:
        """Whether the history tells what the responses before it said; an edited one is another conversation."""
        told = "\n".join(s.text for s in said if s.role == "assistant")
        makers = {self.makers[s.call_id] for s in said if s.role == "call" and s.call_id in self.makers}
        items = [i for m in makers for i in self.group.outputs.get(m, ()) if i.get("type") == "message"]
        return all(p.get("text", "") in told for i in items for p in list_of(i.get("content")))

    def _thoughts_left_out(self, request: Request, exchange: Exchange, stage: CreateStage) -> Iterator[Difference]:
        """The model's own sealed reasoning of this turn that the recorded program handed back and we did not."""
        body = stage.sent[0].body if stage.sent and isinstance(stage.sent[0].body, dict) else {}
        if body.get("previous_response_id") or body.get("conversation"):
            return  # its server has them
        calls = {p.call_id for m in request.exchange for p in m.parts if p.kind == "tool_call"}
        makers = {self.makers[c] for c in calls if c in self.makers}
        made = {i.get("encrypted_content") for m in makers for i in self.group.outputs.get(m, ())}
        given = exchange.request.get("input") if isinstance(exchange.request, dict) else None
        handed = {i["encrypted_content"] for i in list_of(given) if i.get("encrypted_content")} & made
        sent = {i.get("encrypted_content") for i in list_of(body.get("input"))}
        for sealed in handed - sent:
            yield Difference("the body hands the model's reasoning back", str(sealed)[:40], "not there")

    def _resolved(self, body: Any) -> Any:
        """The body with items that it only refers to put in their place."""
        given = body.get("input") if isinstance(body, dict) else None
        if not any(i.get("type") == "item_reference" for i in list_of(given)):
            return body
        known = {str(i.get("id")): i for i in self.group.items()}
        return {**body, "input": [known.get(str(i.get("id")), i) if isinstance(i, dict) else i for i in given]}

    def _fitted(self, exchange: Exchange, asked: Asked) -> Asked:
        body = exchange.request if isinstance(exchange.request, dict) else {}
        previous, conversation = str(body.get("previous_response_id") or ""), conversation_of(exchange)
        stateless = body.get("store") is False or "reasoning.encrypted_content" in str(body.get("include"))
        state = "conversation" if conversation else "stateless" if stateless and not previous else "previous_response"
        parameters = {**asked.request.parameters, "state": state, "background": bool(body.get("background"))}
        request = replace(asked.request, parameters=parameters)
        roles = [s.role for s in asked.said if s.role != "system"]
        if roles and set(roles) == {"result"}:
            request = self._continued(request, asked.said, previous, conversation)
        elif (previous or conversation) and not request.history:
            kept = {"conversation_id": conversation} if conversation else {"response_id": previous}
            made_here = conversation and self.group.of("conversation_create") and conversation not in self.conversations
            request = replace(request, provider_state=None if made_here else kept)
        return replace(asked, request=request)

    def _continued(self, request: Request, said: Sequence[Saying], previous: str, conversation: str) -> Request:
        """A round that only brings results: the question before it, with the calls they answer."""
        results = [s for s in said if s.role == "result"]
        maker = next((self.makers[s.call_id] for s in results if s.call_id in self.makers), "")
        calls = [Saying("call", (str(i.get("arguments") or "{}"),), str(i.get("call_id")), str(i.get("name")))
                 for i in self.group.outputs.get(maker, ()) if i.get("type") == "function_call"]  # fmt: skip
        before = self.requests.get(maker)
        if before is None:
            kept = {"conversation_id": conversation} if conversation else {"response_id": previous}
            return replace(request, exchange=tuple(messages_of([*calls, *results], {})), provider_state=kept)
        exchange = (*before.exchange, *messages_of([*calls, *results], {}))
        return replace(before, exchange=exchange, tools=request.tools, parameters=request.parameters)

    def _known(self, stage: CreateStage) -> list[Any]:
        """What the server had heard before, by what the adapter leant on."""
        body = stage.sent[-1].body if stage.sent else {}
        return self.sent.get(str(body.get("previous_response_id") or body.get("conversation") or ""), [])

    def _remember(self, exchange: Exchange, request: Request, said: Said, stage: CreateStage, known: list[Any]) -> None:
        if conversation := conversation_of(exchange):
            self.conversations.add(conversation)
        self.requests[said.response_id] = request
        for call in said.calls:
            self.makers[call.call_id] = said.response_id
        heard = [*known, *(s.body for s in stage.sent[-1:]), {"input": self.group.outputs.get(said.response_id, [])}]
        for name in (said.response_id, conversation):
            if name:
                self.sent[name] = heard


def bodies(
    exchange: Exchange, said: Sequence[Saying], stage: CreateStage, wire: str, known: Sequence[Any]
) -> Iterator[Difference]:
    """What is wrong with what was sent."""
    if not stage.sent:
        yield Difference("request", "one", "none was sent")
        return
    for sent in stage.sent:
        for fault in faults_of(_SPEC_PATHS[wire], sent.body, exchange.request):
            yield Difference("the body follows the description", "", fault)
    first = stage.sent[0]
    for missing in left_out(said, [*known, first.body]):
        yield Difference("the body says all that was said", missing, "not there")
    for missing in not_offered(exchange.request, first.body):
        yield Difference("the body offers the same", missing, "not there, or another")
    if exchange.query and dict(exchange.query) != dict(first.query):
        yield Difference("query", dict(exchange.query), dict(first.query))
    if exchange.path and _plain(first.path) != _plain(exchange.path):
        yield Difference("path", exchange.path, first.path)
    if bool(exchange.sse) != bool(isinstance(first.body, dict) and first.body.get("stream")) and exchange.status < 400:
        yield Difference("stream", exchange.sse, not exchange.sse)
    for beyond in stage.beyond:
        yield Difference("asks no more than the recording", "", beyond)


def _plain(path: str) -> str:
    return re.sub("/+", "/", unquote(path)).rstrip("/")
