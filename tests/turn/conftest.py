"""A question, passages and scripted backends: what a turn is played with here."""

import threading
from collections.abc import Sequence
from typing import Any

from coach_core import backends
from coach_core.backends import Endpoint, Request
from coach_core.turn import Choice, Turn, run_turn
from coach_core.types import Event, Message, Part, Passage, new_id, now


def question(text: str = "How do I begin?") -> Message:
    return message("user", text)


def message(speaker: Any, text: str) -> Message:
    return Message(new_id(), new_id(), None, speaker, (Part("text", text),), text, "complete", now())


def passage(n: int, **more: Any) -> Passage:
    return Passage(new_id(), new_id(), new_id(), f"hash{n}", f"Title {n}", f"Text of passage {n}.", page=n, **more)


def scripted(*steps: Any, **more: Any) -> Any:
    return backends.build("scripted", Endpoint("test"), script={"steps": list(steps), **more})


class Calls:
    """A backend that plays one list of events, or raises one error, a call; keeps its requests."""

    model = "calls-1"

    def __init__(self, *calls: Any, name: str = "calls") -> None:
        self.name = name
        self.requests: list[Request] = []
        self._calls = list(calls)

    def stream(self, request: Request, cancel: threading.Event) -> Any:
        call = self._calls[min(len(self.requests), len(self._calls) - 1)]
        self.requests.append(request)
        for step in call if isinstance(call, list) else [call]:
            if isinstance(step, Exception):
                raise step
            yield Event("text", text=step) if isinstance(step, str) else step


def done(reason: str = "stop", status: Any = "completed", **more: Any) -> Event:
    return Event("done", status=status, finish_reason=reason, **more)


def call(name: str = "look", call_id: str = "c1", **arguments: Any) -> Event:
    return Event("tool_call", call_id=call_id, name=name, arguments=arguments)


def play(*choices: Any, cancel: threading.Event | None = None, **parts: Any) -> list[Event]:
    """The events of a turn; choices are backends or Choices."""
    request = parts.pop("request", None) or Request(question=question())
    asked = [c if isinstance(c, Choice) else Choice(c) for c in choices]
    return list(run_turn(Turn(new_id(), request, asked, **parts), cancel or threading.Event()))


def text_of(events: Sequence[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "text")


def notices(events: Sequence[Event], source: str) -> list[str]:
    return [e.text for e in events if e.kind == "notice" and e.source == source]
