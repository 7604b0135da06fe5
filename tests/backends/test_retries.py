"""When a question is sent again, after how long, and when never; on every wire, whatever breaks on the line."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from coach_core.backends import Backend, Endpoint, build, line
from coach_core.backends.openai_chat import OpenAIChat
from tests.backends.conftest import KEY, message, request
from tests.backends.fake_api import PAUSE, FakeApi, Reply, json_reply
from tests.backends.fault import APIS, all_of
from tests.backends.faults import CELLS
from tests.backends.served import backend_of
from tests.backends.test_fault_table import PATIENCE, asked
from tests.backends.voices import BEGUN, TEXT, VOICES, Voice, error_reply, write

Make = Callable[[str], Backend]


@pytest.fixture(params=APIS)
def voice(request: pytest.FixtureRequest) -> Voice:
    return VOICES[request.param]


@pytest.fixture
def backend(voice: Voice) -> Iterator[Make]:
    made: list[Backend] = []

    def make(url: str) -> Backend:
        made.append(backend_of(voice.wire, url))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    noted: list[float] = []
    monkeypatch.setattr(line, "pause", noted.append)
    return noted


def told_first(voice: Voice, words: str) -> Reply:
    """A rate limit that is told inside the stream, before the first word."""
    return Reply(voice.lines([*voice.begin, voice.error("rate_limit_exceeded", words)]))


class TestWhen:
    def test_what_has_begun_is_never_sent_again(self) -> None:
        kept = [(fault.name, wire) for fault, wire in CELLS if (o := fault.on(wire)).error and o.kept]
        sent_again = [(f.name, w) for f, w in CELLS if (f.name, w) in kept and f.on(w).requests > 1]
        assert len(kept) > 40 and not sent_again

    def test_all_requests_count_together(self, voice: Voice, backend: Make, waits: list[float]) -> None:
        trouble, empty = error_reply(500, "boom", retry_after_ms="1"), Reply([])
        with voice.api(trouble, empty, trouble, Reply(all_of(voice))) as api:
            played = asked(backend(api.url))
            assert played.fault is not None and played.fault.kind == "server_failed"
            assert len(api.requests) == 3 and len(waits) == 2
        with voice.api(empty, trouble, Reply(all_of(voice))) as api:
            assert asked(backend(api.url)).done.retries == 2

    def test_what_the_server_has_made_of_the_first_is_left_alone(self, waits: list[float]) -> None:
        """The conversation of before may hold the question by now; the second request tells all of it in a new one."""
        voice = VOICES["openai_responses"]
        question = request(
            "Third?",
            history=(message("First?"), message("Second.", "assistant")),
            provider_state={"conversation_id": "conv_before"},
            parameters={"state": "conversation"},
            **PATIENCE,
        )
        with voice.api(Reply([*voice.lines(voice.begin), "cut"]), Reply(all_of(voice))) as api:
            api.route("POST /v1/conversations$", json_reply(200, '{"id": "conv_new", "object": "conversation"}'))
            backend = backend_of(voice.wire, api.url)
            done = asked(backend, question).done
            backend.close()
            first, second = api.bodies
        assert (first["conversation"], len(first["input"])) == ("conv_before", 1)
        assert (second["conversation"], len(second["input"])) == ("conv_new", 3)
        assert done.ids is not None and done.ids["conversation_id"] == "conv_new"


class TestHowLong:
    def test_a_little_less_than_half_a_second_and_then_than_one(
        self, voice: Voice, backend: Make, waits: list[float]
    ) -> None:
        for replies in ([Reply([])], [error_reply(500, "boom")], [Reply([]), error_reply(500, "boom")]):
            waits.clear()
            with voice.api(*replies) as api:
                asked(backend(api.url))
            assert 0.375 <= waits[0] <= 0.5 and (0.375 <= waits[1] <= 1.0), waits
        assert len({*waits}) == 2, "by chance"

    @pytest.mark.parametrize("how", ["in ms", "in seconds", "in words"])
    def test_no_less_than_the_server_asks(self, how: str, voice: Voice, backend: Make, waits: list[float]) -> None:
        reply = {
            "in ms": error_reply(429, "x", retry_after_ms="40", retry_after="9"),
            "in seconds": error_reply(503, "x", retry_after="0.04"),
            "in words": told_first(voice, "Rate limit reached. Please try again in 40ms."),
        }[how]
        for _ in range(3):
            with voice.api(reply) as api:
                asked(backend(api.url))
        assert len(waits) == 6 and all(0.04 <= wait <= 0.05 for wait in waits)
        assert len(set(waits)) == 6, "those who were refused together do not come back together"

    def test_longer_than_there_is_time_for_is_not_waited_for(self, voice: Voice, backend: Make) -> None:
        with voice.api(told_first(voice, "Please try again in 20s.")) as api:
            began = time.monotonic()
            played = asked(backend(api.url))
            assert time.monotonic() - began < 5
        assert played.fault is not None and played.fault.retry_after == 20 and "20 s" in played.fault.sentence
        assert len(api.requests) == 1

    def test_the_time_to_the_first_word_counts_from_the_first_request(self, voice: Voice, backend: Make) -> None:
        question = request(**PATIENCE | {"first_token_timeout": PAUSE + 0.3})
        with voice.api(Reply(["pause", *voice.lines(voice.begin[:1]), b"data: [DONE]\n\n"])) as api:
            if voice.wire == "openai_assistants":
                api.polls["run_1"] = [voice.document | {"status": "failed", "last_error": {"code": "server_error"}}]  # type: ignore[attr-defined]
            played = asked(backend(api.url), question)
        assert played.fault is not None and len(api.requests) == 1, "half a second more would be too long"

    def test_the_person_can_stop_it(self, voice: Voice, backend: Make) -> None:
        with voice.api(Reply([])) as api:
            wire, cancel = backend(api.url), threading.Event()
            timer = threading.Timer(0.2, cancel.set)
            began = time.monotonic()
            timer.start()
            events = list(wire.stream(request(**PATIENCE), cancel))
            took = time.monotonic() - began
        assert events[-1].status == "cancelled" and took < 1.5
        assert len(api.requests) <= 2


@pytest.mark.parametrize("wire", ["openai_responses", "openai_chat", "openai_assistants"])
class TestAloud:
    """Before a wait that a person notices it is said that there is one."""

    def played(self, wire: str, *replies: Any, **asked: Any) -> tuple[list[Any], int, str]:
        voice = VOICES[wire]
        with voice.api(*replies, Reply(all_of(voice))) as api:
            backend = backend_of(wire, api.url)
            try:
                question = request("How?", **{**PATIENCE, "first_token_timeout": 30.0, "total_timeout": 60.0, **asked})
                return list(backend.stream(question, threading.Event())), len(api.requests), api.url.split("/")[2]
            finally:
                backend.close()

    @pytest.mark.parametrize("status", [429, 503])
    def test_a_long_wait_is_said_before_it(self, wire: str, status: int, waits: list[float]) -> None:
        events, sent, host = self.played(wire, error_reply(status, "slow down", retry_after="6"))
        first = events[0]
        assert (first.kind, first.source) == ("notice", "wait")
        assert first.text == f"{host} asks to wait {waits[0]:.0f} s; asking again then."
        assert 6 <= waits[0] <= 7 and (sent, len(waits)) == (2, 1)
        assert (events[-1].status, events[-1].retries) == ("completed", 1)

    def test_one_that_is_told_within_the_stream_too(self, wire: str, waits: list[float]) -> None:
        events, sent, host = self.played(wire, told_first(VOICES[wire], "Please try again in 6s."))
        assert [e.text for e in events if e.kind == "notice"] == [
            f"{host} asks to wait {waits[0]:.0f} s; asking again then."
        ]
        assert sent == 2 and events[-1].retries == 1

    def test_a_short_one_is_not(self, wire: str, waits: list[float]) -> None:
        events, sent, _ = self.played(wire, error_reply(429, "slow down", retry_after="1"))
        assert [e for e in events if e.kind == "notice"] == [] and (sent, len(waits)) == (2, 1)

    def test_it_is_not_asked_more_often_for_that(self, wire: str, waits: list[float]) -> None:
        busy, short = error_reply(429, "slow down", retry_after="6"), error_reply(500, "boom")
        for refusals in ([busy] * 5, [busy, short, busy, busy], [short, busy, short, busy]):
            waits.clear()
            voice = VOICES[wire]
            with voice.api(*refusals) as api:
                backend = backend_of(wire, api.url)
                question = request("How?", **{**PATIENCE, "first_token_timeout": 30.0, "total_timeout": 60.0})
                played = asked(backend, question)
                backend.close()
                assert played.fault is not None and (len(api.requests), len(waits)) == (3, 2)

    def test_a_lost_conversation_is_told_anew_behind_it(self, wire: str, waits: list[float]) -> None:
        lost = error_reply(404, "Previous response not found.", "previous_response_not_found")
        given = {"provider_state": {"response_id": "resp_0"}} if wire == "openai_responses" else {}
        replies = [error_reply(429, "slow down", retry_after="6"), *([lost] if given else [])]
        events, sent, _ = self.played(wire, *replies, **given)
        assert [e.source for e in events if e.kind == "notice"] == ["wait", *(["state"] if given else [])]
        assert events[-1].status == "completed" and sent == len(replies) + 1


#: Whatever httpx2 can raise on the way: what it is called here, and how often it is tried before the answer.
LINE: dict[str, tuple[str, int]] = {
    "ConnectError": ("unreachable", 3),
    "ConnectTimeout": ("unreachable", 3),
    "ReadTimeout": ("timed_out", 3),
    "WriteTimeout": ("timed_out", 3),
    "PoolTimeout": ("timed_out", 3),
    "ReadError": ("stream_cut", 3),
    "WriteError": ("stream_cut", 3),
    "CloseError": ("stream_cut", 3),
    "ProxyError": ("unreachable", 3),
    "LocalProtocolError": ("unreachable", 3),
    "RemoteProtocolError": ("stream_cut", 3),
    "UnsupportedProtocol": ("not_an_api", 3),
    "DecodingError": ("not_an_api", 3),
    "TooManyRedirects": ("not_an_api", 3),
}
LEAVES = {name: getattr(httpx2, name) for name in LINE}


class Broken(httpx2.SyncByteStream):
    """A body that breaks after some of it."""

    def __init__(self, body: bytes, error: Exception) -> None:
        self._body, self._error = body, error

    def __iter__(self) -> Iterator[bytes]:
        yield self._body
        raise self._error


def over(backend: Any, answer: Callable[[httpx2.Request], httpx2.Response]) -> list[str]:
    """Let `backend` speak to `answer` instead of a network; the paths of what it asks."""
    paths: list[str] = []

    def handle(sent: httpx2.Request) -> httpx2.Response:
        paths.append(sent.url.path)
        return answer(sent)

    client = httpx2.Client(transport=httpx2.MockTransport(handle))
    backend.__dict__["client"] = backend.client.with_options(http_client=client)
    return paths


class TestOnTheLine:
    """httpx2.MockTransport stands in for lines that break in ways that a loopback does not."""

    def test_all_that_can_be_raised_is_here(self) -> None:
        def leaves(kind: type[Exception]) -> list[type[Exception]]:
            below = [leaf for sub in kind.__subclasses__() for leaf in leaves(sub)]
            return below or [kind]

        own = {k.__name__ for k in leaves(httpx2.RequestError) if k.__module__.startswith("httpx2")}
        assert own - {"SSEError"} == set(LINE), "SSEError is of httpx2's own reader of streams, which is not used"

    @pytest.mark.parametrize("name", LINE)
    def test_before_the_answer(self, name: str, voice: Voice, waits: list[float]) -> None:
        backend: Any = backend_of(voice.wire, "http://models.example/v1")

        def fail(sent: httpx2.Request) -> httpx2.Response:
            raise LEAVES[name](f"oops {KEY}", request=sent)

        paths = over(backend, fail)
        played = asked(backend)
        kind, tries = LINE[name]
        assert played.fault is not None and (played.fault.kind, len(paths)) == (kind, tries)
        assert "models.example" in played.fault.sentence and KEY not in played.fault.sentence

    @pytest.mark.parametrize("name", LINE)
    @pytest.mark.parametrize("wire", ["openai_responses", "openai_chat"])
    def test_after_some_words(self, name: str, wire: str, waits: list[float]) -> None:
        voice = VOICES[wire]
        body = b"".join(write(frame) for frame in voice.heard)
        backend: Any = backend_of(wire, "http://models.example/v1")

        def answer(sent: httpx2.Request) -> httpx2.Response:
            error = LEAVES[name](f"oops {KEY}", request=sent)
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Broken(body, error))

        paths = over(backend, answer)
        played = asked(backend)
        assert (played.text, len(paths), waits) == (BEGUN, 1, [])
        assert played.fault is not None and played.fault.kind == LINE[name][0] and KEY not in played.fault.sentence


class TestSize:
    @pytest.mark.parametrize("status", [200, 400, 500])
    def test_a_body_without_end_is_let_go(
        self, status: int, voice: Voice, backend: Make, waits: list[float], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of an error too, which the SDK reads to its end."""
        monkeypatch.setattr(line, "MOST", 1 << 20)
        endless = Reply([b'{"x": "', *[b"x" * (1 << 16)] * 64, "hang"], status, "application/json")
        with voice.api(endless) as api:
            played = asked(backend(api.url))
            assert api.left.wait(5), "the server is left"
        assert played.fault is not None and played.fault.kind == "malformed_stream"
        assert "more than any answer has" in played.fault.sentence
        assert len(api.requests) == (3 if status == 500 else 1)


class TestSecrets:
    @pytest.mark.parametrize("status", [200, 400, 429, 500])
    def test_what_a_server_echoes_goes_nowhere(
        self, status: int, voice: Voice, backend: Make, waits: list[float], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        echo = {"x-request-id": f"req {KEY}", "x-echo": KEY, "retry-after": KEY, "set-cookie": f"key={KEY}"}
        error = {"message": f"Bearer {KEY} is wrong", "code": KEY, "type": KEY, "param": KEY}
        refused = Reply([json.dumps({"error": error}).encode()], status, "application/json", echo)
        with voice.api(Reply(all_of(voice), headers=echo) if status == 200 else refused) as api:
            played = asked(backend(api.url))
        assert played.text == (TEXT if status == 200 else "")
        shown = f"{[e.to_json() for e in played.events]} {played.fault!r} {caplog.text}"
        assert KEY not in shown and (status == 200) == (played.fault is None)

    def test_a_redirect_takes_neither_question_nor_key_along(self, voice: Voice) -> None:
        with voice.api(Reply(all_of(voice))) as other:
            elsewhere = other.url.replace("127.0.0.1", "localhost")
            with FakeApi(Reply([], 307, "text/plain", {"location": elsewhere})) as api:
                for profile in ({}, {"key_header": "api-key"}):
                    backend = build(voice.wire, Endpoint("fake", api.url, KEY, "m1", profile))
                    played = asked(backend)
                    backend.close()
                    assert played.fault is not None and "localhost" in played.fault.sentence
            assert not other.requests and not getattr(other, "seen", [])


def test_a_tool_call_told_twice_is_one_call() -> None:
    """By its id, whole both times; and by the fragments of a call without index."""
    voice = VOICES["openai_chat"]
    whole = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"topic": "sleep"}'}}
    for places in ([{"index": 0}, {"index": 0}], [{}, {}]):
        frames = [("", {"choices": [{"index": 0, "delta": {"tool_calls": [{**whole, **p}]}}]}) for p in places]
        with voice.api(Reply(voice.lines([*voice.begin, *frames, voice.call[-1]], over=True))) as api:
            backend = backend_of(voice.wire, api.url)
            assert isinstance(backend, OpenAIChat)
            calls = [e.arguments for e in asked(backend).events if e.kind == "tool_call"]
            backend.close()
        assert calls == [{"topic": "sleep"}]


@pytest.mark.parametrize("lost", [0, 2])
def test_a_message_told_whole_at_the_end_fills_in_what_was_lost(lost: int) -> None:
    voice = VOICES["openai_chat"]
    choice = {**voice.document["choices"][0], "delta": {}}
    words = voice.words[: len(voice.words) - lost]
    with voice.api(Reply(voice.lines([*voice.begin, *words, ("", {"choices": [choice]})], over=True))) as api:
        backend = backend_of(voice.wire, api.url)
        assert asked(backend).text == TEXT
        backend.close()
