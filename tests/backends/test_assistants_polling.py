"""Runs of the Assistants wire that are asked for, and those that are asked again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from coach_core.backends import Backend, openai_assistants
from coach_core.errors import BackendError
from coach_core.types import ToolSpec, Usage
from tests.backends.conftest import Wire, failed, message, play, request, text_of
from tests.backends.fake_api import FakeApi, Reply, json_reply, sse
from tests.backends.fake_assistants import (
    FakeAssistants,
    a_run,
    cites,
    delta,
    event,
    found,
    incomplete,
    searched,
    shown,
    stream,
    waits,
    whole,
    with_results,
)

TOOL = ToolSpec("calculator", "Calculates.", {"type": "object"})
ASKED = request("Sum?", tools=(TOOL,))
ANSWER = stream(delta("It is "), delta("2."))
CALLS = waits(("call_1", "calculator", '{"a": 1}'), ("call_2", "calculator", "oops"))
Make = Callable[..., Backend]


@pytest.fixture
def api() -> Iterator[FakeAssistants]:
    with FakeAssistants(ANSWER) as api:
        yield api


@pytest.fixture
def backend(wire: Wire, api: FakeAssistants) -> Make:
    return lambda **facts: wire("openai_assistants", api.url, **facts)


class TestPolling:
    @pytest.fixture
    def coach(self, backend: Make, api: FakeAssistants) -> Backend:
        api.replies[0] = json_reply(200, json.dumps(a_run("queued")))
        api.polls["run_1"] = [a_run("in_progress"), a_run("completed")]
        return backend(stream=False)

    def test_messages_in_order_over_pages(self, api: FakeAssistants, coach: Backend) -> None:
        older = whole("Old.", message="msg_0", run="run_0")
        api.wrote(older, *(whole(f"{n}.", message=f"msg_{n}x") for n in range(4)))
        events = play(coach)
        assert text_of(events) == "0.\n\n1.\n\n2.\n\n3."
        assert events[-1].usage == Usage(21, 4, 5) and events[-1].status == "completed"
        assert len(api.asked("GET .*/messages")) == 3
        assert "run_id=run_1" in api.asked("GET .*/messages")[0].path

    def test_a_server_that_names_no_run(self, api: FakeAssistants, coach: Backend) -> None:
        api.wrote(whole("Old.", message="msg_0", run=""))
        pages = json.dumps({"data": [
            whole("New.", message="m3", run="", created_at=9),
            whole("So.", message="m2", run="", created_at=8),
            {"id": "m1", "role": "user", "content": [], "created_at": 7},
            whole("Old.", message="m0", run="", created_at=6),
        ]})  # fmt: skip
        api.once("GET .*/messages", json_reply(200, pages))  # the newest first, whatever is asked for
        assert text_of(play(coach)) == "So.\n\nNew."

    def test_citations_by_their_places(self, api: FakeAssistants, coach: Backend) -> None:
        mark = "【4:0†source】"
        text = f"Dim the light{mark} early{mark}. Rest."
        notes = [
            cites(mark, start_index=13, end_index=13 + len(mark)),
            cites(mark, start_index=19 + len(mark), end_index=19 + 2 * len(mark)),
            cites("", file_id="file-2", start_index=len(text), end_index=len(text)),
        ]
        api.wrote(whole(text, *notes))
        api.steps = [searched(found("file-1", "sleep.md", "Dim it."))]
        events = play(coach)
        assert shown(events) == "Dim the light<file-1> early<file-1>. Rest.<file-2>"
        titles = [e.citation.title for e in events if e.citation]
        assert titles == ["sleep.md", "sleep.md", ""]

    def test_nothing_found_leaves_the_search_to_us(self, api: FakeAssistants, coach: Backend) -> None:
        api.wrote(whole("I do not know."))
        api.steps = [searched()]
        fault, said = failed(coach, request(stores=("vs_1",)))
        assert fault.kind == "hosted_search_failed" and not said

    def test_a_refusal_and_a_picture(self, api: FakeAssistants, coach: Backend) -> None:
        parts = [
            {"type": "image_file", "image_file": {"file_id": "file-7"}},
            {"type": "refusal", "refusal": "I cannot."},
        ]
        api.wrote(whole("", content=parts))
        events = play(coach)
        assert text_of(events) == "[image]\n\nI cannot." and events[-1].finish_reason == "refusal"

    @pytest.mark.parametrize(
        ("end", "kind"),
        [
            (a_run("failed", last_error={"code": "invalid_prompt", "message": "x"}), "refused"),
            (a_run("expired"), "timed_out"),
        ],
    )
    def test_ends(self, api: FakeAssistants, coach: Backend, end: Any, kind: str) -> None:
        api.polls["run_1"] = [end]
        assert failed(coach)[0].kind == kind

    def test_what_was_said_before_the_length_was_reached(self, api: FakeAssistants, coach: Backend) -> None:
        api.polls["run_1"] = [incomplete("max_completion_tokens")]
        api.wrote(whole("Sleep and", status="incomplete"))
        events = play(coach)
        assert text_of(events) == "Sleep and" and events[-1].finish_reason == "length"

    def test_only_the_time_of_the_whole_counts(self, api: FakeAssistants, coach: Backend) -> None:
        api.polls["run_1"] = [a_run("in_progress")]
        fault, _ = failed(coach, request(total_timeout=1.5))
        assert fault.kind == "timed_out" and "longer than it may" in fault.sentence
        assert len(api.asked("run_1/cancel")) == 1

    def test_stopping_it_stops_the_run(self, api: FakeAssistants, coach: Backend) -> None:
        api.polls["run_1"] = [a_run("in_progress")]
        cancel = threading.Event()
        threading.Timer(0.3, cancel.set).start()
        began = time.monotonic()
        assert play(coach, cancel=cancel)[-1].status == "cancelled"
        assert time.monotonic() - began < 1.2 and len(api.asked("run_1/cancel")) == 1

    def test_a_run_that_vanishes(self, api: FakeAssistants, coach: Backend) -> None:
        api.polls.clear()
        assert failed(coach)[0].kind == "stream_cut"


class TestAskedAgain:
    @pytest.mark.parametrize("reply", [Reply(sse()), json_reply(500, "{}", retry_after_ms="1")], ids=["empty", "500"])
    def test_before_the_first_token(self, api: FakeAssistants, backend: Make, reply: Reply) -> None:
        api.replies.insert(0, reply)
        events = play(backend())
        assert text_of(events) == "It is 2." and events[-1].retries == 1

    def test_a_thread_is_not_told_the_question_twice(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        before = play(coach)
        api.replies.append(Reply([event(a_run("in_progress")), "cut"]))
        api.replies.append(ANSWER)
        asked = replace(request("And?", history=(message("Hi"),)), provider_state=dict(before[-1].ids or {}))
        assert text_of(play(coach, asked)) == "It is 2."
        for thread in api.threads:
            assert [c for _, c in api.told(thread)].count("And?") <= 1

    def test_results_whose_answer_breaks_off_are_told_anew(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(end=CALLS), Reply([event(a_run("in_progress")), "cut"]), ANSWER]
        coach = backend()
        events = play(coach, with_results(ASKED, play(coach, ASKED), "2", "3"))
        assert text_of(events) == "It is 2." and events[-1].retries == 1
        assert len(api.asked("run_1/cancel")) == 1 and api.told() == [("user", "Sum?")]
        assert 'calculator({"a": 1}): 2' in api.bodies[-1]["additional_instructions"]

    def test_no_run_waits_longer_than_the_api_lets_it(
        self, api: FakeAssistants, backend: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(openai_assistants, "_EXPIRES", -1.0)
        api.replies[:] = [stream(end=CALLS), ANSWER]
        coach = backend()
        first = play(coach, ASKED)
        play(coach, request("Another?"))
        assert text_of(play(coach, with_results(ASKED, first))) == "It is 2."
        assert not api.asked("cancel") and "submit" not in api.requests[-1].path


def test_a_server_that_is_none(wire: Wire) -> None:
    with FakeApi(json_reply(200, '{"hello":"world"}')) as api:
        fault, _ = failed(wire("openai_assistants", api.url))
        assert isinstance(fault, BackendError) and fault.kind == "not_an_api"
