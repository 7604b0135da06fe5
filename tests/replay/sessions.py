"""Recorded exchanges of the Assistants wire as sessions: an assistant, a thread and the runs on it.

Invariant: a run is one question of the app, with what was said on the thread since the run before; results
of tools that were handed in begin its next round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.replay.exchanges import Exchange
from tests.replay.kinds import Kind
from tests.replay.recorded import json_object
from tests.replay.recorded_assistants import Member
from tests.replay.spoken import Saying, sayings

STARTS = frozenset({"run_create", "thread_run"})


@dataclass
class Round:
    """From a run's start, or from results handed in, to its next halt."""

    start: Exchange
    kind: Kind
    polls: list[Exchange] = field(default_factory=list)


@dataclass
class Run:
    """One question: what was said before it on the thread since the run before, and its rounds."""

    asked: list[Saying]
    rounds: list[Round]


@dataclass
class Session:
    thread: str
    assistant: str
    members: Sequence[Member]
    runs: list[Run]
    made: dict[str, Any]  # the body that made the assistant; empty where it existed before
    shown: dict[str, Any]  # the assistant as the recording shows it


def sessions_of(members: Sequence[Member]) -> Iterator[Session]:
    """The sessions of a group, one a thread; a thread that nothing ran on makes none."""
    threads = dict.fromkeys(t for member in members if (t := _thread_of(*member)))
    for thread in threads:
        own = [m for m in members if _thread_of(*m) in {thread, ""}]
        if not any(k.operation in STARTS for _, k in own):
            continue
        assistant = next((_assistant_of(e) for e, k in own if k.operation in STARTS), "")
        made = [e for e, k in own if k.operation == "assistant_create" and id_of(e) == assistant]
        shown = [e for e, k in own if k.operation == "assistant_retrieve" and k.ids["assistant"] == assistant]
        body = made[0].request if made and isinstance(made[0].request, dict) else {}
        known = next((v for e in [*made, *shown] if (v := json_object(e.body))), {})
        yield Session(thread, assistant, own, list(_runs(own)), body, known)


def joined(groups: Sequence[list[Member]]) -> list[list[Member]]:
    """Groups of one file with what belongs to their sessions: some record each step as a test of its own.

    What a group without a run holds goes to the one group that runs on its thread or with its assistant.
    """
    runs = [{_thread_of(e, k) for e, k in g if k.operation in STARTS} for g in groups]
    assistants = [{_assistant_of(e) for e, k in g if k.operation in STARTS} for g in groups]
    out = [list(g) if ran else [] for g, ran in zip(groups, runs, strict=True)]
    for number, group in enumerate(groups):
        for exchange, kind in () if runs[number] else group:
            thread = _thread_of(exchange, kind)
            about = id_of(exchange) if kind.operation == "assistant_create" else kind.ids.get("assistant", "")
            homes = [i for i in range(len(groups)) if thread in runs[i] or (about and about in assistants[i])]
            out[homes[0] if len(homes) == 1 else number].append((exchange, kind))
    return [sorted(g, key=lambda m: m[0].line) for g in out if g]


def _thread_of(exchange: Exchange, kind: Kind) -> str:
    """The thread an exchange is about; "" for one about an assistant."""
    if kind.operation == "thread_create":
        return id_of(exchange)
    if kind.operation == "thread_run":
        return str(run_of(exchange).get("thread_id") or "")
    return kind.ids.get("thread", "")


def id_of(exchange: Exchange) -> str:
    return str((json_object(exchange.body) or {}).get("id") or "")


def run_of(exchange: Exchange) -> dict[str, Any]:
    """The run as the answer to its creation tells it."""
    if not exchange.sse:
        return json_object(exchange.body) or {}
    for line in exchange.body.splitlines():
        value = json_object(line.removeprefix("data:")) if line.startswith("data:") else None
        if value and value.get("object") == "thread.run":
            return value
    return {}


def _assistant_of(exchange: Exchange) -> str:
    body = exchange.request if isinstance(exchange.request, dict) else {}
    return str(body.get("assistant_id") or run_of(exchange).get("assistant_id") or "")


def _runs(members: Sequence[Member]) -> Iterator[Run]:
    waiting: list[Saying] = []
    run: Run | None = None
    for exchange, kind in members:
        body = exchange.request if isinstance(exchange.request, dict) else {}
        if kind.operation in ("thread_create", "message_create"):
            waiting += [s for s in sayings(body) if s.role in ("user", "assistant")]
        elif kind.operation in STARTS:
            if run:
                yield run
            thread = body.get("thread") if isinstance(body.get("thread"), dict) else {}
            more = [
                s for part in (thread, {"additional_messages": body.get("additional_messages")}) for s in sayings(part)
            ]
            run = Run([*waiting, *(s for s in more if s.role in ("user", "assistant"))], [Round(exchange, kind)])
            waiting = []
        elif run and kind.operation == "submit":
            run.rounds.append(Round(exchange, kind))
        elif run and kind.operation == "run_retrieve":
            run.rounds[-1].polls.append(exchange)
    if run:
        yield run
