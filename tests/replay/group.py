"""The exchanges of one recorded test or program, as our adapter meets them: one stage for each request.

Invariant: the stage answers from the recording alone; what the adapter asks beyond it gets a plain answer
that a server of that kind would give, or a 404, and is kept in `beyond`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.replay.exchanges import Exchange
from tests.replay.kinds import Kind, kind_of_path
from tests.replay.recorded import frames_of, json_object, list_of
from tests.replay.server import Sent, Served

_GONE = '{"error":{"message":"The recording holds nothing of this.","type":"invalid_request_error","code":"not_found"}}'


@dataclass
class Group:
    """`served` are the lines of the exchanges that were asked for; `outputs` are responses' items by id."""

    members: Sequence[tuple[Exchange, Kind]]
    served: set[int] = field(default_factory=set)
    outputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    told: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for exchange, kind in self.members:
            if kind.operation in ("create", "retrieve") and (response := last_response(exchange)):
                self.outputs[str(response.get("id"))] = list(list_of(response.get("output")))

    def of(self, operation: str, **ids: str) -> list[Exchange]:
        return [
            e for e, k in self.members if k.operation == operation and all(k.ids.get(n) == v for n, v in ids.items())
        ]

    def items(self) -> Iterable[dict[str, Any]]:
        for output in self.outputs.values():
            yield from output


@dataclass
class CreateStage:
    """Answers the request that `exchange` records; `known` is what its server had heard before."""

    exchange: Exchange
    kind: Kind
    group: Group
    sent: list[Sent] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    _followed: int = 0

    def answer(self, sent: Sent) -> Served:
        asked = kind_of_path(sent.method, sent.path)
        match asked.operation if asked else "":
            case "create":
                self.sent.append(sent)
                self.group.served.add(self.exchange.line)
                return served(self.exchange)
            case "retrieve" if asked and (later := self.group.of("retrieve", response=asked.ids["response"])):
                return self._follow(later, sent)
            case "conversation_create":
                return self._conversation()
            case "cancel":
                return served(self.exchange)
            case _:
                self.beyond.append(f"{sent.method} {sent.path}")
                return Served(_GONE, 404, {"content-type": "application/json"})

    def _follow(self, later: list[Exchange], sent: Sent) -> Served:
        exchange = later[min(self._followed, len(later) - 1)]
        self._followed += 1
        self.group.served.add(exchange.line)
        after = sent.query.get("starting_after", "")
        if exchange.sse and after.lstrip("-").isdigit():
            return Served(_from(exchange.body, int(after)), exchange.status, exchange.headers, True)
        return served(exchange)

    def _conversation(self) -> Served:
        wanted = conversation_of(self.exchange)
        for made in self.group.of("conversation_create"):
            if not wanted or (json_object(made.body) or {}).get("id") == wanted:
                self.group.served.add(made.line)
                return served(made)
        made_up = {"id": wanted or "conv_replay", "object": "conversation", "created_at": 0, "metadata": {}}
        return Served(json.dumps(made_up), 200, {"content-type": "application/json"})


def served(exchange: Exchange) -> Served:
    """The answer as it was, under a type that its body has: recorders do not always keep the type."""
    headers = dict(exchange.headers)
    if exchange.sse and "json" in headers.get("content-type", ""):
        headers["content-type"] = "text/event-stream"
    return Served(exchange.body, exchange.status, headers, exchange.sse)


def _from(body: str, after: int) -> str:
    """The rest of a stream that a client has read up to the event numbered `after`."""
    frames = [f for f in frames_of(body).frames if f.data and f.data.get("sequence_number", after + 1) > after]
    return "".join(f"event: {f.event}\ndata: {json.dumps(f.data)}\n\n" for f in frames)


def head_of(body: str, until: str) -> str:
    """What a client has read of a stream that it left at the event numbered `until`, or when it had begun."""
    last = int(until) if until.isdigit() else 1
    frames = [f for f in frames_of(body).frames if f.data and f.data.get("sequence_number", 0) <= last]
    return "".join(f"event: {f.event}\ndata: {json.dumps(f.data)}\n\n" for f in frames)


def conversation_of(exchange: Exchange) -> str:
    given = exchange.request.get("conversation") if isinstance(exchange.request, dict) else None
    return str(given.get("id") or "") if isinstance(given, dict) else str(given or "")


def last_response(exchange: Exchange) -> dict[str, Any] | None:
    """The response as it last stood in an exchange of the Responses wire."""
    if not exchange.sse:
        value = json_object(exchange.body)
        return value if value and "output" in value else None
    found = [f.data["response"] for f in frames_of(exchange.body).frames if f.data and f.data.get("response")]
    items = [f.data["item"] for f in frames_of(exchange.body).frames
             if f.data and f.data.get("type") == "response.output_item.done" and f.data.get("item")]  # fmt: skip
    return {**found[-1], "output": found[-1].get("output") or items} if found else None
