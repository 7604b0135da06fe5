"""A server of the Assistants wire that holds one recorded session.

Invariant: ids, runs and messages are the recorded ones, in whatever order and shape our adapter asks for
them; only envelopes (a list, an empty list, the thread itself) are made here. What the recording cannot
answer is a 404 and kept in `beyond`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.replay.exchanges import Exchange
from tests.replay.group import served
from tests.replay.kinds import kind_of_path
from tests.replay.recorded import count
from tests.replay.recorded_assistants import thread_messages
from tests.replay.server import Sent, Served
from tests.replay.sessions import Round, Run, Session, id_of
from tests.replay.spoken import Saying

_GONE = {"error": {"message": "The recording holds nothing of this.", "type": "invalid_request_error"}}


@dataclass
class SessionStage:
    """`served` are the lines of the exchanges that were asked for; `sent` is all that our adapter asked, with its
    operation; `answers` is what it said last."""

    session: Session
    served: set[int] = field(default_factory=set)
    sent: list[tuple[str, Sent]] = field(default_factory=list)
    beyond: list[str] = field(default_factory=list)
    answers: list[Saying] = field(default_factory=list)
    _run: Run | None = None
    _round: Round | None = None
    _polled: int = 0
    _posted: int = 0

    def begin(self, run: Run) -> None:
        self._run = run

    def turn(self, now: Round) -> None:
        """From now on the run is in this round."""
        self._round = now
        self._polled = 0

    def answer(self, sent: Sent) -> Served:
        kind = kind_of_path(sent.method, sent.path)
        operation = kind.operation if kind else ""
        self.sent.append((operation, sent))
        match operation:
            case "run_create" | "thread_run" | "submit":
                return self._start()
            case "run_retrieve":
                return self._poll()
            case "messages_list":
                return self._messages(sent)
            case "message_create":
                return self._message(sent)
            case "assistant_create" | "assistant_modify" | "assistant_retrieve":
                return self._assistant(operation)
            case "thread_create" | "thread_retrieve" | "thread_modify":
                return self._thread(operation)
            case "runs_list" | "steps_list":
                return self._list(operation)
            case _:
                return self._other(operation, sent)

    def _start(self) -> Served:
        assert self._round is not None
        return self._from(self._round.start)

    def _poll(self) -> Served:
        """The next look at the run; the last one holds."""
        assert self._round is not None
        polls = self._round.polls
        if not polls:  # the recording knows no more of the run
            return Served(json.dumps(_GONE), 404, {"content-type": "application/json"})
        poll = polls[min(self._polled, len(polls) - 1)]
        self._polled += 1
        return self._from(poll)

    def _messages(self, sent: Sent) -> Served:
        """The thread's messages as lists have told them, by run and in the order that is asked for."""
        for exchange, kind in self.session.members:
            if kind.operation == "messages_list":
                self.served.add(exchange.line)
        found = thread_messages(self.session.members)
        if (run := sent.query.get("run_id")) and any(m.get("run_id") for m in found):
            found = [m for m in found if m.get("run_id") == run]
        if sent.query.get("order", "desc") == "desc":
            found = found[::-1]
        names = [m.get("id") for m in found]
        if (after := sent.query.get("after")) in names:
            found = found[names.index(after) + 1 :]
        return _list(found[: count(int(sent.query.get("limit") or 20))])

    def _message(self, sent: Sent) -> Served:
        made = [e for e, k in self.session.members if k.operation == "message_create"]
        if self._posted < len(made):
            self._posted += 1
            return self._from(made[self._posted - 1])
        self._posted += 1
        own = {"id": f"msg_replay{self._posted}", "object": "thread.message", "thread_id": self.session.thread}
        return _plain({**own, "created_at": 0, "role": "user", "content": []})

    def _assistant(self, operation: str) -> Served:
        for wanted in (operation, "assistant_create", "assistant_retrieve"):
            for exchange, kind in self.session.members:
                if kind.operation == wanted and id_of(exchange) == self.session.assistant:
                    return self._from(exchange)
        return _plain({"id": self.session.assistant, "object": "assistant", "model": "recorded", "tools": []})

    def _thread(self, operation: str) -> Served:
        for wanted in (operation, "thread_create"):
            for exchange, kind in self.session.members:
                if kind.operation == wanted:
                    return self._from(exchange)
        return _plain({"id": self.session.thread, "object": "thread", "created_at": 0, "metadata": {}})

    def _list(self, operation: str) -> Served:
        for exchange, kind in self.session.members:
            if kind.operation == operation:
                return self._from(exchange)
        return _list([])

    def _other(self, operation: str, sent: Sent) -> Served:
        for exchange, kind in self.session.members:
            if kind.operation == operation and operation:
                return self._from(exchange)
        self.beyond.append(f"{sent.method} {sent.path}")
        return Served(json.dumps(_GONE), 404, {"content-type": "application/json"})

    def _from(self, exchange: Exchange) -> Served:
        self.served.add(exchange.line)
        return served(exchange)


def _plain(value: Any) -> Served:
    return Served(json.dumps(value), 200, {"content-type": "application/json"})


def _list(data: list[dict[str, Any]]) -> Served:
    names = [d.get("id") for d in data]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return _plain({"object": "list", "data": data, **ends, "has_more": False})
