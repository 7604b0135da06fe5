"""What goes wrong on the line, on both wires: one sentence each, nothing asked twice, and no wait too long."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from coach_core.backends import Endpoint, build
from coach_core.errors import (
    AuthFailed,
    BadSetting,
    MissingKey,
    NotAnApi,
    RateLimited,
    StreamCut,
    TimedOut,
    Unreachable,
)
from tests.backends.conftest import WHOLE, Wire, failed, play, request, text_of
from tests.backends.fake_api import FakeApi, Piece, Reply, json_reply, recorded

PROMPT = 0.5


def begun(name: str, pieces: int, end: Piece | None = None) -> Reply:
    """The first pieces of a recorded answer, and how it ends instead."""
    whole = recorded(WHOLE[name])
    return replace(whole, pieces=[*whole.pieces[:pieces], *([end] if end else [])])


class TestFaults:
    def test_waits_and_asks_again_before_the_first_token(self, name: str, wire: Wire) -> None:
        refusal = json_reply(429, "{}", retry_after_ms="30")
        with FakeApi(refusal, refusal, recorded(WHOLE[name])) as api:
            assert text_of(play(wire(name, api.url)))
            assert len(api.requests) == 3
            keys = {r.headers.get("idempotency-key") for r in api.requests}
            assert len(keys) == 1

    def test_does_not_wait_longer_than_the_first_token_may_take(self, name: str, wire: Wire) -> None:
        with FakeApi(json_reply(429, "{}", retry_after="60")) as api:
            began = time.monotonic()
            error, _ = failed(wire(name, api.url))
            assert isinstance(error, RateLimited) and "60 s" in error.sentence
            assert time.monotonic() - began < PROMPT

    @pytest.mark.parametrize("end", ["cut", None], ids=["line cut", "no terminal event"])
    def test_after_the_first_token_nothing_is_asked_again(self, name: str, wire: Wire, end: Piece | None) -> None:
        with FakeApi(begun(name, 7, end), recorded(WHOLE[name])) as api:
            error, said = failed(wire(name, api.url))
            assert isinstance(error, StreamCut) and said
            assert len(api.requests) == 1

    def test_stalls_in_the_middle(self, name: str, wire: Wire) -> None:
        with FakeApi(begun(name, 7, "hang")) as api:
            began = time.monotonic()
            error, said = failed(wire(name, api.url), request(token_timeout=0.3))
            assert isinstance(error, TimedOut) and "in the middle" in error.sentence and said
            assert time.monotonic() - began < 0.3 + 2 * PROMPT
            assert api.left.wait(2)

    def test_pings_are_no_tokens(self, name: str, wire: Wire) -> None:
        with FakeApi(Reply([b": ping\n\n"] * 3 + ["hang"])) as api:
            error, _ = failed(wire(name, api.url), request(first_token_timeout=0.3))
            assert isinstance(error, TimedOut) and "did not begin" in error.sentence

    def test_the_whole_may_not_take_longer(self, name: str, wire: Wire) -> None:
        with FakeApi(begun(name, 7, "hang")) as api:
            error, _ = failed(wire(name, api.url), request(total_timeout=0.3))
            assert isinstance(error, TimedOut) and "longer than it may" in error.sentence

    def test_nobody_listens(self, name: str, wire: Wire) -> None:
        with FakeApi(Reply([])) as api:
            url = api.url
        error, _ = failed(wire(name, url))
        assert isinstance(error, Unreachable) and url.split("/")[2] in error.sentence

    def test_no_network_and_no_such_name(self, name: str, wire: Wire) -> None:
        error, _ = failed(wire(name, "http://models.invalid/v1"))
        assert isinstance(error, Unreachable) and "models.invalid" in error.sentence

    def test_no_address(self, name: str, wire: Wire) -> None:
        for url in ("models.example/v1", "http://[::1/v1", "ftp://models.example/v1"):
            assert isinstance(failed(wire(name, url))[0], Unreachable | NotAnApi)

    def test_the_vendor_without_a_key(self, name: str) -> None:
        backend = build(name, Endpoint("vendor", model="m1"))
        with pytest.raises(MissingKey):
            play(backend)
        assert backend.check().state == "fail" and "OPENAI_API_KEY" in backend.check().mend

    def test_a_key_that_is_none(self, name: str) -> None:
        backend = build(name, Endpoint("fake", "http://127.0.0.1:9/v1", "sk-\u201cquoted\u201d", "m1"))
        assert isinstance(failed(backend)[0], AuthFailed)

    def test_unknown_facts(self, name: str) -> None:
        with pytest.raises(BadSetting, match="colour"):
            build(name, Endpoint("fake", "http://x/v1", profile={"colour": "red"}))


class TestCancel:
    @pytest.mark.parametrize("reply", ["before the headers", "before the first token", "in the middle"])
    def test_lets_go_at_once(self, name: str, wire: Wire, reply: str) -> None:
        replies = {
            "before the headers": Reply([], wait_first=True),
            "before the first token": Reply([b": ping\n\n", "hang"]),
            "in the middle": begun(name, 7, "hang"),
        }
        with FakeApi(replies[reply]) as api:
            cancel = threading.Event()
            backend = wire(name, api.url)
            at: list[float] = []

            def stop() -> None:
                api.hanging.wait(5)
                at.append(time.monotonic())
                cancel.set()

            threading.Thread(target=stop).start()
            events = play(backend, request(), cancel)
            assert events[-1].kind == "done" and events[-1].status == "cancelled"
            assert time.monotonic() - at[0] < PROMPT
            assert api.left.wait(2), "the server still writes"

    def test_while_waiting_to_ask_again(self, name: str, wire: Wire) -> None:
        with FakeApi(json_reply(500, "{}", retry_after="20")) as api:
            cancel = threading.Event()
            threading.Timer(0.2, cancel.set).start()
            began = time.monotonic()
            events = play(wire(name, api.url), request(), cancel)
            assert events[-1].status == "cancelled" and time.monotonic() - began < 0.2 + PROMPT

    def test_while_connecting(self, name: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        import socket

        free = threading.Event()
        monkeypatch.setattr(socket, "create_connection", lambda *_, **__: free.wait(10))
        cancel = threading.Event()
        threading.Timer(0.1, cancel.set).start()
        began = time.monotonic()
        events = play(wire(name, "http://127.0.0.1:9/v1"), request(), cancel)
        free.set()
        assert events[-1].status == "cancelled" and time.monotonic() - began < 0.1 + PROMPT
