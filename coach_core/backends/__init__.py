"""What a backend is, and the table of those there are: adding one is one file and one line here.

Contract, held by tests/backends/test_contract.py over every backend: `stream` yields events without
turn and seq (`text`, `reasoning`, `tool_call` whole, `citation`, `notice`) and ends in exactly one
`done`, or raises a BackendError. A stream that just ends is a StreamCut. A round that called tools
ends in done(status="completed", finish_reason="tool_calls"). A `citation` stands at the place in the text
that it supports, without a mark and with number 0: the turn numbers it; passages of the prompt are cited
as [n] in the text instead. A backend never yields `start`, `error` or `retract`, never runs a tool, never
touches the database.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol
from uuid import UUID

from coach_core.errors import BadSetting
from coach_core.types import Check, Event, Message, Passage, ToolSpec


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model is served. `key` is a secret: it never leaves this value but in a request header; sentences
    name the variable it stands in, "" where none is stated."""

    name: str
    base_url: str = ""
    key: str = field(default="", repr=False)
    model: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)
    key_variable: str = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class Request:
    """One question with all that goes with it.

    Prompt order: `instructions` (persona, citation rules; stable), `summary` (what was said before `history`, in
    short; told with it, so never where a server holds the conversation), then `history` (oldest first), then
    `context` (memory and numbered passages, rendered; volatile) and the last user message, `question`.
    `exchange` is what came after it in this turn: assistant messages whose parts are tool calls, each
    followed by tool messages with their results; it is sent after the question.
    `passages[i]` is cited as [i + 1]; with `unsearched` there are none because the search was late or failed.
    `resume_from` is the partial answer to go on from, or "".
    `provider_state` is what this backend yielded in `done.ids` for the message before, or None.
    `referral` is what the person is shown of help lines beside the answer: who cannot speak for itself says that alone.
    `stores` are hosted vector stores that the API searches itself; then `context` holds no passages.
    `schema` is the JSON Schema that the answer must follow. Timeouts are seconds. `trial`: nobody will go on
    from it, so a conversation and an assistant that are made for it at the API are deleted again.

    `parameters` may hold temperature, top_p, max_output_tokens, reasoning_effort; `state`, how a
    conversation is kept at the API (previous_response, conversation or stateless); `background`, whether
    it runs on there when the line is cut; `assistant_id`, an assistant that exists already.
    """

    question: Message
    instructions: str = ""
    summary: str = ""
    history: tuple[Message, ...] = ()
    context: str = ""
    exchange: tuple[Message, ...] = ()
    passages: tuple[Passage, ...] = ()
    unsearched: bool = False
    stores: tuple[str, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    schema: Mapping[str, Any] | None = None
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    provider_state: Mapping[str, str] | None = None
    referral: str = ""
    resume_from: str = ""
    read_file: Callable[[UUID], bytes] | None = None
    first_token_timeout: float = 25.0
    token_timeout: float = 30.0
    total_timeout: float = 180.0
    trial: bool = False


@dataclass(frozen=True, slots=True)
class Remote:
    """Something this app made at an endpoint (an assistant, a file), found again by kind and key."""

    external_id: str
    state: Mapping[str, Any] = field(default_factory=dict)


class Remotes(Protocol):
    """What was made at one endpoint. A cache: whatever is gone there is made again from local truth."""

    def find(self, kind: str, key: str) -> Remote | None: ...

    def keep(
        self,
        kind: str,
        key: str,
        external_id: str,
        state: Mapping[str, Any] | None = None,
        expires_at: datetime | None = None,
    ) -> None: ...

    def forget(self, kind: str, key: str) -> None: ...


class Remembered:
    """Remotes of this process alone, for who hands in none."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Remote] = {}

    def find(self, kind: str, key: str) -> Remote | None:
        return self._kept.get((kind, key))

    def keep(
        self,
        kind: str,
        key: str,
        external_id: str,
        state: Mapping[str, Any] | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        self._kept[kind, key] = Remote(external_id, dict(state or {}))

    def forget(self, kind: str, key: str) -> None:
        self._kept.pop((kind, key), None)


class Backend(Protocol):
    """A way to get an answer. `name` is its key in BACKENDS; `model` the one it uses by default."""

    name: str
    model: str

    def stream(self, request: Request, cancel: threading.Event) -> Iterator[Event]:
        """Answer. When `cancel` is set the stream is closed and ends in done(status="cancelled")."""
        ...

    def check(self) -> Check:
        """One live look at whether it can answer now (for `doctor` and settings); never raises."""
        ...

    def close(self) -> None:
        """Let go of clients and child processes."""
        ...


def holds_history(backend: Backend, request: Request) -> bool:
    """Whether the server goes on from what it keeps itself, so that `history` is not told to it."""
    holds: Callable[[Request], bool] | None = getattr(backend, "holds_history", None)
    return holds is not None and holds(request)


def patience(backend: Backend) -> float:
    """Seconds that are worth waiting for what is gathered, where the backend has nothing to say without it."""
    return float(getattr(backend, "patience", 0.0))


#: name -> (module, label, needs a key)
BACKENDS: dict[str, tuple[str, str, bool]] = {
    "extractive": ("extractive", "Quotes from the documents (no model)", False),
    "openai_responses": ("openai_responses", "Responses API", True),
    "openai_chat": ("openai_chat", "Chat Completions API", True),
    "openai_assistants": ("openai_assistants", "Assistants API (compatible servers)", False),
    "local": ("local", "Local model", False),
    "scripted": ("scripted", "Scripted (tests)", False),
}


def build(name: str, endpoint: Endpoint, **parts: Any) -> Backend:
    """The backend called `name`, its module imported only now. `parts` are what coach.py hands it
    (extractive: score; local: home; scripted: script; the wires: remotes)."""
    if name not in BACKENDS:
        raise BadSetting(f"There is no backend called {name!r}. Choose one of: {', '.join(BACKENDS)}.")
    module = import_module(f"coach_core.backends.{BACKENDS[name][0]}")
    backend: Backend = module.build(endpoint, **parts)
    return backend
