"""The line to a server is used again: no new connection, no new handshake, for the next round or question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from benchmarks import streams
from coach_core.backends import Backend, Endpoint, build
from tests.backends.conftest import play, request, text_of
from tests.backends.fake_api import FakeApi, Piece, recorded

WIRES = ("openai_responses", "openai_chat", "openai_assistants")
Count = list[tuple[str, int]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]) -> Iterator[tuple[str, Count]]:
    """A server that plays streams, and who has connected to it."""
    taken: Count = []
    served: list[Any] = []

    class Server(streams.Server):
        def process_request(self, asked: Any, client: Any) -> None:
            taken.append(client)
            super().process_request(asked, client)

        def service_actions(self) -> None:
            served.append(self)

    monkeypatch.setattr(streams, "Server", Server)
    port = free_port()
    thread = threading.Thread(target=streams.serve, args=(port, 20, 20), daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not served:
        assert time.monotonic() < until
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}", taken
    served[0].shutdown()
    served[0].server_close()
    thread.join()


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("path", ["/v1", "/paced/v1"])
def test_the_next_question_goes_over_the_same_line(
    name: str, path: str, lines: tuple[str, Count], closing: Callable[[Backend], Backend]
) -> None:
    url, taken = lines
    backend = closing(build(name, Endpoint("fake", url + path, "k", "m1")))
    for _ in range(3):
        assert text_of(play(backend))
    assert len(taken) == 1


def test_a_server_that_never_ends_its_stream_is_not_waited_for(closing: Callable[[Backend], Backend]) -> None:
    reply = recorded("chat_text")
    held: list[Piece] = [*reply.pieces, "hang"]
    with FakeApi(type(reply)(held, reply.status, reply.content_type)) as api:
        backend = closing(build("openai_chat", Endpoint("fake", api.url, "k", "m1")))
        began = time.monotonic()
        events = play(backend, request(token_timeout=60.0))
        assert events[-1].status == "completed" and time.monotonic() - began < 5.0
        assert api.left.wait(5.0), "its line is closed"


def test_a_line_is_closed_at_once_when_the_answer_is_stopped(closing: Callable[[Backend], Backend]) -> None:
    reply = recorded("responses_text")
    held: list[Piece] = [*reply.pieces[:8], "hang"]
    with FakeApi(type(reply)(held, reply.status, reply.content_type)) as api:
        backend = closing(build("openai_responses", Endpoint("fake", api.url, "k", "m1")))
        cancel = threading.Event()
        for event in backend.stream(request(), cancel):
            if event.kind == "text":
                cancel.set()
        assert event.status == "cancelled" and api.left.wait(5.0)
