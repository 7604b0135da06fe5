"""One small live question to a backend: the only proof that it answers.

Invariant: it goes the way of every turn (Backend.stream), never raises, takes at most LONGEST, and what it
says holds no secret.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from coach_core.backends import Backend, Request
from coach_core.errors import (
    ApiSwitchedOff,
    AuthFailed,
    BackendError,
    BadRequest,
    CoachError,
    ModelNotFound,
    NotAnApi,
    RateLimited,
    ServerFailed,
    StreamCut,
    TimedOut,
    Unreachable,
    told_alone,
)
from coach_core.types import Event, Message, Part, Trial, new_id, now

log = logging.getLogger(__name__)
QUESTION = "Reply with: ready"
FIRST, BETWEEN, LONGEST = 15.0, 10.0, 30.0  # seconds
TOKENS = 64  # room for a model that thinks before it speaks
#: What a turn takes from an endpoint's parameters that is not sent, and what a test sets itself.
_NOT_SENT = frozenset({"first_token_timeout", "token_timeout", "turn_timeout", "search", "max_output_tokens"})
_MEND: tuple[tuple[type[BackendError], str], ...] = (
    (Unreachable, "Check the address, that the server runs, and that this machine may reach it."),
    (NotAnApi, "Check the address; it often ends in /v1. Or the server speaks another protocol: choose that."),
    (ModelNotFound, "Choose a model that the server lists, or write the name as its vendor does."),
    (RateLimited, "Wait a moment, or check the plan and billing of the key."),
    (TimedOut, "Try again: a model that is only being loaded answers the second time."),
    (ApiSwitchedOff, "Choose another protocol."),
    (BadRequest, "Look at its facts: what this server does not take can be switched off there."),
    (StreamCut, "Try again; if it stays, switch streaming off in its facts."),
    (ServerFailed, "Try again; the server's own log says more."),
)


def call(
    name: str,
    backend: Backend,
    *,
    parameters: Mapping[str, Any] | None = None,
    key_variable: str = "",
    patience: float = FIRST,
) -> Trial:
    """Ask `backend` once. `parameters` are those a turn would use; `patience` is for a model that loads."""
    sent = {k: v for k, v in (parameters or {}).items() if k not in _NOT_SENT}
    most = max(LONGEST, patience)
    question = Message(new_id(), new_id(), None, "user", (Part("text", QUESTION),), QUESTION, "complete", now())
    request = Request(
        question,
        instructions="Answer with one word.",
        parameters={**sent, "max_output_tokens": TOKENS},
        first_token_timeout=patience,
        token_timeout=BETWEEN,
        total_timeout=most,
        trial=True,
    )
    began = time.perf_counter()
    heard = _Heard(began)
    try:
        events: Any = backend.stream(request, threading.Event())
        with closing(events):
            for event in events:
                heard.take(event)
                if event.kind == "done" or time.perf_counter() - began > most:
                    break
        if heard.done is None:
            raise StreamCut
    except CoachError as error:
        return Trial(
            name,
            "fail",
            told_alone(error),
            _mend(error, key_variable),
            _since(began),
            heard.first,
            backend.model,
            error=error.kind,
        )
    except Exception as error:
        log.exception("the test of %s failed", name)
        detail = f"the test itself failed ({type(error).__name__})"
        return Trial(name, "fail", detail, "See the log.", _since(began), model=backend.model, error="internal")
    return heard.trial(name, backend.model)


def parameters(temperature: float, profile: Mapping[str, Any]) -> dict[str, Any]:
    """What a turn would send: the settings' temperature, over it the endpoint's own parameters."""
    return {"temperature": temperature, **(profile.get("parameters") or {})}


class _Heard:
    """What has come so far."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._texts: list[str] = []
        self.first: float | None = None
        self.done: Event | None = None
        self.took = 0.0

    def take(self, event: Event) -> None:
        if event.kind in {"text", "reasoning"} and self.first is None:
            self.first = _since(self._began)
        if event.kind == "text":
            self._texts.append(event.text)
        elif event.kind == "done":
            self.done, self.took = event, _since(self._began)

    def trial(self, name: str, model: str) -> Trial:
        assert self.done is not None
        text, took, usage = " ".join("".join(self._texts).split()), self.took, self.done.usage
        said = f"says “{text[:80]}{'…' if len(text) > 80 else ''}”" if text else "answers"
        facts = [said, f"{seconds(took)} in all" if self.first is None else f"first word after {seconds(self.first)}"]
        if self.first is not None:
            facts.append(f"{seconds(took)} in all")
        if model:
            facts.append(model)
        if self.done.model and self.done.model != model:
            facts.append(f"answered as {self.done.model[:80]}")
        if usage is not None and (usage.input_tokens or usage.output_tokens):
            about = "about " if usage.estimated else ""
            facts.append(f"{about}{usage.input_tokens} + {usage.output_tokens} tokens")
        state, mend = "ok", ""
        if not text and self.done.status == "completed":
            state, mend = "warn", "It answered without a word. Try another model, or look at its facts."
        elif not text:
            facts[0] = f"answers, but needed more than {TOKENS} tokens for its first word"
        return Trial(name, state, ", ".join(facts), mend, took, self.first, model, usage, text[:200])


def seconds(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _since(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)


def _mend(error: CoachError, key_variable: str) -> str:
    if isinstance(error, AuthFailed):
        if not key_variable:
            return "This server wants a key: put it into .env and name its variable."
        return f"Check the value of {key_variable} in .env: the whole key, of the right project, still valid."
    return next((mend for kind, mend in _MEND if isinstance(error, kind)), "")
