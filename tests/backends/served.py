"""Where the faults of the table are met: their servers, and backends that ask them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from coach_core.backends import Backend, Endpoint, build
from coach_core.backends import local as local_model
from coach_core.backends.openai_chat import OpenAIChat
from tests.backends.conftest import KEY
from tests.backends.fake_api import FakeApi
from tests.backends.fault import Fault
from tests.backends.nowhere import nowhere
from tests.backends.voices import VOICES, Voice


class Child:
    """A local model's server that runs already; it is served by the test."""

    def __init__(self, wire: OpenAIChat) -> None:
        self.wire = wire

    def well(self) -> bool:
        return True

    def stop(self) -> None:
        self.wire.close()


def backend_of(wire: str, url: str) -> Backend:
    if wire != "local":
        backend = build(wire, Endpoint("fake", url, KEY, "m1"))
        assert backend.client  # type: ignore[attr-defined]  # made now: it takes time that a test may not have
        return backend
    chat = OpenAIChat(Endpoint("local", url, KEY, "m1", local_model._FACTS))
    backend = local_model.Local("m1.gguf", Path("nowhere"), 4096)
    backend._starting = Future()
    backend._starting.set_result(Child(chat))  # type: ignore[arg-type]
    return backend


def voice_of(wire: str) -> Voice:
    return VOICES["openai_chat" if wire == "local" else wire]


@contextmanager
def served(fault: Fault, voice: Voice) -> Iterator[tuple[str, FakeApi | None]]:
    """The base URL where the fault is met, and the server if there is one."""
    if isinstance(fault.serve, str):
        with nowhere(fault.serve) as url:
            yield url, None
    else:
        with voice.api(*fault.serve(voice), keeps=fault.keeps) as api:
            yield api.url, api
