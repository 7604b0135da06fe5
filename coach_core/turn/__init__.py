"""One turn: gather what the question needs, stream the answer, run the tools it asks for, cite.

Invariant: `run_turn` yields `start` first and exactly one terminal event last, numbered 1, 2, 3 ...; it
stores nothing. Another backend, or the same one asked anew, takes over only before the first text; what
tools have done by then stays done. A citation is yielded before the text that mentions it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from coach_core.backends import Backend, Request
from coach_core.turn.cite import Citer, Resolve, citation_of
from coach_core.types import Citation, Event, ToolSpec

__all__ = ["Choice", "Citer", "Clock", "Times", "ToolOutcome", "Tools", "Turn", "citation_of", "run_turn"]


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    text: str
    error: str = ""


class Tools(Protocol):
    """The tools this turn may use, already bound to the actor."""

    def specs(self) -> Sequence[ToolSpec]: ...

    def call(self, name: str, arguments: Mapping[str, Any], key: str) -> ToolOutcome:
        """Run it. `key` is the idempotency key of this call; failures come back as `error`."""
        ...


@dataclass(frozen=True, slots=True)
class Times:
    """How long to wait, in seconds: for the first word, between two pieces, for the whole answer."""

    first_token: float = 25.0
    between_tokens: float = 30.0
    turn: float = 180.0


def _nothing() -> None:
    return None


def _unheard(_request: Request) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend to ask, with what goes with it and with no other.

    `name` is what threads and settings call it. `state` gives what it knows of the conversation, asked for
    only when the choice is. `parameters` and `times` stand in for the request's. `stores` are searched at
    the API instead of the passages; `resolve` finds out what a citation of its own leads to; `unsearched` is
    called when a search there failed or found nothing. Without `tools` its server takes none. `notices`
    (source, sentence) are said when it is asked. `about` goes into the `start` event.
    """

    backend: Backend
    name: str = ""
    model: str = ""
    arm: str = ""
    state: Callable[[], Mapping[str, str] | None] = _nothing
    parameters: Mapping[str, Any] | None = None
    times: Times | None = None
    stores: tuple[str, ...] = ()
    resolve: Resolve | None = None
    unsearched: Callable[[], None] = _nothing
    tools: bool = True
    notices: Sequence[tuple[str, str]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Clock:
    """Parts of the turn's time in ms from its beginning, filled in as it goes."""

    began: float = field(default_factory=time.perf_counter)
    parts: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        self.parts.setdefault(name, (time.perf_counter() - self.began) * 1000)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn is made of. `choices` are tried in order; `request` lacks only what is gathered.

    `notices` (source, sentence) are said first; `calls` (tool_call events) are run before the model is
    asked. `so_far` is the text of an answer that is gone on with and `cited` what it has cited; their
    numbers stay. Of that text request.resume_from is what came after its last tool. `hosted_instructions`
    stand in for the request's where the API searches the documents itself. `left_out` counts the older
    messages that request.history lacks. `referral` is shown first of all, `told` is told with the question,
    `late` gives a notice that may come while the answer does. `asked` is called with each request as a backend is
    given it.
    """

    id: UUID
    request: Request
    choices: Sequence[Choice]
    sources: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    tools: Tools | None = None
    calls: Sequence[Event] = ()
    deadline: float = 0.4
    tool_rounds: int = 8
    notices: Sequence[tuple[str, str]] = ()
    hosted_instructions: str = ""
    so_far: str = ""
    cited: Sequence[Citation] = ()
    left_out: int = 0
    referral: Event | None = None
    told: str = ""
    late: Callable[[], Event | None] = _nothing
    asked: Callable[[Request], None] = _unheard


def run_turn(turn: Turn, cancel: threading.Event, clock: Clock | None = None) -> Iterator[Event]:
    """The events of one turn, from `start` to `done` or `error`."""
    from coach_core.turn.play import Play

    for seq, event in enumerate(Play(turn, cancel, clock or Clock()).events(), 1):
        yield replace(event, turn=turn.id, seq=seq)
