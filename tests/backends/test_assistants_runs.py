"""Runs of the Assistants wire: streamed, waiting for tools, and every way to end."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from coach_core.backends import Backend
from coach_core.types import Event, ToolSpec, Usage
from tests.backends.conftest import Wire, failed, play, request, text_of
from tests.backends.fake_api import Reply, json_reply, recorded
from tests.backends.fake_assistants import (
    FakeAssistants,
    a_run,
    cites,
    delta,
    event,
    found,
    incomplete,
    refusal,
    refused,
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


class TestRecorded:
    def test_a_search_with_its_citation(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = recorded("assistants_file_search")
        events = play(backend(), request(stores=("vs_1",)))
        assert shown(events) == "Filip's favorite food is cake<file-CyHtsk7XAWdRabQUBYRjCu>."
        citation = next(e.citation for e in events if e.citation)
        assert citation.title == "favorite_foods.txt" and "Filip Carola: cake" in citation.text
        assert events[-1].usage == Usage(2028, 40) and events[-1].finish_reason == "stop"

    def test_code_that_was_run_comes_as_reasoning(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = recorded("assistants_code")
        events = play(backend())
        assert text_of(events) == "The solution to the equation \\(3x + 11 = 14\\) is \\(x = 1\\)."
        thought = "".join(e.text for e in events if e.kind == "reasoning")
        assert thought.startswith("import sympy as") and "\n" in thought and thought.count("import") == 1
        assert events[-1].usage == Usage(381, 88)
        assert events[-1].ids is not None and events[-1].ids["run_id"] == "run_PS0ksndVoX7DxtmdXn66ZMXU"

    def test_a_tool_loop_that_is_asked_for(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [recorded("assistants_polled_queued"), recorded("assistants_polled_submitted")]
        api.once("GET .*/runs/run_Z41", recorded("assistants_polled_requires_action"))
        api.once("GET .*/runs/run_Z41", recorded("assistants_polled_completed"))
        api.once("GET .*/messages", recorded("assistants_polled_messages"))
        coach = backend(stream=False)
        events = play(coach, ASKED)
        (call,) = [e for e in events if e.kind == "tool_call"]
        assert call.name == "sql_tool" and call.arguments == {"input": "SELECT city, MAX(population) FROM city_stats"}
        assert (events[-1].finish_reason, events[-1].usage) == ("tool_calls", Usage())
        events = play(coach, with_results(ASKED, events, "Tokyo"))
        assert text_of(events).startswith("The city with the highest population") and "Tokyo" in text_of(events)
        assert events[-1].usage == Usage(663, 53)
        assert api.bodies[1] == {"tool_outputs": [{"tool_call_id": "call_FQHqJLWflWhfgGs74fEUa1IO", "output": "Tokyo"}]}
        assert "stream" not in api.bodies[0]


class TestTools:
    def test_results_are_handed_in(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(delta("Let me see."), end=CALLS), ANSWER]
        coach = backend()
        first = play(coach, ASKED)
        calls = [(e.call_id, e.name, e.arguments) for e in first if e.kind == "tool_call"]
        assert calls == [("call_1", "calculator", {"a": 1}), ("call_2", "calculator", {"malformed": "oops"})]
        assert (first[-1].status, first[-1].finish_reason, first[-1].usage) == ("completed", "tool_calls", Usage())
        second = play(coach, with_results(ASKED, first, "2", "no such number"))
        assert text_of(second) == "It is 2." and second[-1].usage == Usage(21, 4, 5)
        assert api.requests[1].path == "/v1/threads/thread_2/runs/run_1/submit_tool_outputs"
        outputs = [("call_1", "2"), ("call_2", "no such number")]
        told = [{"tool_call_id": i, "output": t} for i, t in outputs]
        assert api.bodies[1] == {"tool_outputs": told, "stream": True}
        assert len(api.threads) == 1 and not api.asked("cancel")

    def test_rounds_follow_each_other(self, api: FakeAssistants, backend: Make) -> None:
        again = waits(("call_3", "calculator", "{}"))
        api.replies[:] = [stream(end=CALLS), stream(end=again), ANSWER]
        coach = backend()
        one = with_results(ASKED, play(coach, ASKED))
        two = with_results(one, play(coach, one))
        assert text_of(play(coach, two)) == "It is 2."
        assert [len(b.get("tool_outputs", [])) for b in api.bodies] == [0, 2, 1]

    def test_two_turns_may_wait_at_once(self, api: FakeAssistants, backend: Make) -> None:
        one, two = request("One?", tools=(TOOL,)), request("Two?", tools=(TOOL,))
        end = waits(("call_1", "calculator", "{}"))
        api.replies[:] = [stream(end=end), stream(end={**end, "id": "run_2"}, run="run_2"), ANSWER]
        coach = backend()
        next_one, next_two = with_results(one, play(coach, one)), with_results(two, play(coach, two))
        play(coach, next_two)
        play(coach, next_one)
        runs = [r.path.split("/")[5] for r in api.requests if "submit" in r.path]
        assert runs == ["run_2", "run_1"]

    @pytest.mark.parametrize(
        "answer",
        [
            refusal('Runs in status "expired" do not accept tool outputs.'),
            refusal("No run found with id 'run_1'.", 404),
            stream(end=a_run("expired")),
        ],
        ids=["expired", "gone", "expires now"],
    )
    def test_a_run_that_waits_no_longer(self, api: FakeAssistants, backend: Make, answer: Reply) -> None:
        asked = replace(ASKED, context="The client runs.")
        api.replies[:] = [stream(delta("Let me see."), end=CALLS), answer, ANSWER]
        coach = backend()
        events = play(coach, with_results(asked, play(coach, asked), "2", "3"))
        assert [e.source for e in events if e.kind == "notice"] == ["state"]
        assert text_of(events) == "It is 2." and events[-1].retries == 1
        assert list(api.threads) == ["thread_2", "thread_4"] and api.told() == [("user", "Sum?")]
        told = api.bodies[-1]["additional_instructions"]
        assert told.startswith("The client runs.") and 'calculator({"a": 1}): 2' in told and "Let me see." in told

    def test_another_process_tells_it_anew(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(end=CALLS), ANSWER]
        asked = with_results(ASKED, play(backend(), ASKED))
        assert text_of(play(backend(), asked)) == "It is 2."
        assert "calculator" in api.bodies[1]["additional_instructions"]

    def test_a_turn_that_was_stopped_leaves_no_run_waiting(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(end=CALLS), ANSWER]
        coach, cancel = backend(), threading.Event()
        play(coach, ASKED, cancel)
        cancel.set()
        play(coach, request("Another?"))
        assert [s.path for s in api.asked("cancel")] == ["/v1/threads/thread_2/runs/run_1/cancel"]

    def test_nor_does_a_backend_that_is_closed(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(end=CALLS)]
        coach = backend()
        play(coach, ASKED)
        coach.close()
        assert len(api.asked("run_1/cancel")) == 1

    def test_calls_that_nobody_offered_are_refused_once(self, api: FakeAssistants, backend: Make) -> None:
        """The last round of a turn, or a given assistant with functions of its own."""
        api.replies[:] = [stream(end=CALLS), ANSWER]
        events = play(backend(), replace(ASKED, tools=()))
        assert text_of(events) == "It is 2." and not [e for e in events if e.kind == "tool_call"]
        assert ["cannot be called" in o["output"] for o in api.bodies[1]["tool_outputs"]] == [True, True]

    def test_a_model_that_calls_all_the_same(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(end=CALLS), stream(end=waits(("call_3", "calculator", "{}")))]
        events = play(backend(), replace(ASKED, tools=()))
        assert events[-1].finish_reason == "tool_calls" and events[0].call_id == "call_3"
        assert len(api.asked("run_1/cancel")) == 1

    def test_a_call_without_a_name(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[:] = [stream(end=waits(("call_1", "", "{}")))]
        assert failed(backend(), ASKED)[0].kind == "malformed_stream"
        assert len(api.asked("run_1/cancel")) >= 1


class TestEnds:
    @pytest.mark.parametrize(
        ("end", "said", "outcome"),
        [
            (a_run("completed"), "Sleep", ("completed", "stop")),
            (incomplete("max_completion_tokens"), "Sleep", ("incomplete", "length")),
            (incomplete("max_completion_tokens"), "", ("incomplete", "length")),
            (incomplete("max_prompt_tokens"), "Sleep", ("incomplete", "length")),
            (incomplete("content_filter"), "Sleep", ("incomplete", "content_filter")),
            (a_run("cancelled"), "Sleep", ("cancelled", "cancelled")),
        ],
    )
    def test_statuses(self, api: FakeAssistants, backend: Make, end: Any, said: str, outcome: tuple[str, str]) -> None:
        api.replies[0] = stream(*([delta(said)] if said else []), end=end)
        events = play(backend())
        assert text_of(events) == said and (events[-1].status, events[-1].finish_reason) == outcome
        assert not api.asked("cancel")

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"code": "rate_limit_exceeded", "message": "Slow down"}, "rate_limited"),
            ({"code": "server_error", "message": "boom"}, "server_failed"),
            ({"code": "invalid_prompt", "message": "no"}, "refused"),
            ({"code": "x", "message": "maximum context length is 8192 tokens"}, "context_too_long"),
            (None, "server_failed"),
        ],
    )
    def test_failures(self, api: FakeAssistants, backend: Make, error: Any, kind: str) -> None:
        api.replies[0] = stream(delta("Sleep "), end=a_run("failed", last_error=error))
        fault, said = failed(backend())
        assert (fault.kind, said) == (kind, "Sleep ") and not api.asked("cancel")

    @pytest.mark.parametrize(
        ("end", "kind"),
        [
            (a_run("expired"), "timed_out"),
            (incomplete("max_prompt_tokens"), "context_too_long"),
            (incomplete("content_filter"), "refused"),
        ],
    )
    def test_before_a_word(self, api: FakeAssistants, backend: Make, end: Any, kind: str) -> None:
        api.replies[0] = stream(end=end)
        assert failed(backend())[0].kind == kind

    def test_a_message_that_was_filtered(self, api: FakeAssistants, backend: Make) -> None:
        end = whole("Sleep", status="incomplete", incomplete_details={"reason": "content_filter"})
        api.replies[0] = stream(delta("Sleep"), end, end=a_run("incomplete", incomplete_details=None))
        assert play(backend())[-1].finish_reason == "content_filter"

    def test_a_refusal_is_told(self, api: FakeAssistants, backend: Make) -> None:
        part = {"type": "refusal", "refusal": "I cannot."}
        api.replies[0] = stream(refused("I "), refused("cannot."), whole("", content=[part]))
        events = play(backend())
        assert text_of(events) == "I cannot." and events[-1].finish_reason == "refusal"

    def test_tokens_are_counted_where_none_are_told(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = stream(delta("Sleep well."), end=a_run("completed", usage=None))
        usage = play(backend())[-1].usage
        assert usage is not None and usage.estimated and usage.output_tokens > 0 and usage.input_tokens > 0


class TestStreams:
    def test_what_the_pieces_miss_is_told_at_the_end(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = stream(delta("Sle"), whole("Sleep well."), whole("Rise.", message="msg_b"))
        assert text_of(play(backend())) == "Sleep well.\n\nRise."

    def test_messages_and_parts_stand_apart(self, api: FakeAssistants, backend: Make) -> None:
        picture = {"index": 1, "type": "image_file", "image_file": {"file_id": "file-7"}}
        shows = {"id": "msg_a", "object": "thread.message.delta", "delta": {"content": [picture]}}
        api.replies[0] = stream(delta("One."), shows, shows, delta("Two.", index=2), delta("Three.", message="msg_b"))
        events = play(backend())
        assert text_of(events) == "One.\n\n[image]\n\nTwo.\n\nThree."
        (notice,) = [e for e in events if e.kind == "notice"]
        assert notice.source == "image" and "file-7" in notice.text

    def test_what_comes_twice_is_said_once(self, api: FakeAssistants, backend: Make) -> None:
        mark = "【4:0†source】"
        said = delta(f"So{mark}", cites(mark))
        end = whole(f"So{mark}", cites(mark, start_index=2, end_index=2 + len(mark)))
        step = searched(found("file-1", "a.md", "Dim."))
        api.replies[0] = stream(a_run("queued"), step, step, said, end, end, end=a_run("completed"))
        assert shown(play(backend())) == "So<file-1>"
        api.replies[:] = [stream(CALLS, end=CALLS)]
        events = play(backend(), ASKED)
        assert len([e for e in events if e.kind == "tool_call"]) == 2

    def test_events_within_events(self, api: FakeAssistants, backend: Make) -> None:
        """Astra's server puts each event under `data`, and never says that a run has ended."""
        run = a_run("generating")
        told = [("thread.run.generating", run), ("thread.message.delta", delta("Sleep "))]
        pieces = [f"data: {json.dumps({'event': k, 'data': d})}\n\n".encode() for k, d in told]
        api.replies[0] = Reply(pieces)
        api.polls["run_1"] = [run, a_run("completed")]
        api.wrote(whole("Sleep well."))
        events = play(backend())
        assert text_of(events) == "Sleep well." and events[-1].status == "completed"

    def test_events_told_after_the_run_waits_are_passed_over(self, api: FakeAssistants, backend: Make) -> None:
        """open-assistant-api says `completed` of a run that waits, and sends no [DONE]."""
        api.replies[0] = Reply([event(a_run("in_progress")), event(CALLS), event(a_run("completed")), "hang"])
        assert play(backend(), ASKED)[-1].finish_reason == "tool_calls"

    def test_no_stream_after_all(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = json_reply(200, json.dumps(a_run("queued")))
        api.polls["run_1"] = [a_run("completed")]
        api.wrote(whole("Sleep well."))
        assert text_of(play(backend())) == "Sleep well."

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"error": {"code": "server_error", "message": "boom"}}, "server_failed"),
            ({"code": "rate_limit_exceeded", "message": "later", "param": None, "type": "x"}, "rate_limited"),
        ],
    )
    def test_an_error_in_the_stream(self, api: FakeAssistants, backend: Make, error: Any, kind: str) -> None:
        pieces = [event(a_run("in_progress")), event(delta("Sleep ")), event(error)]
        api.replies[0] = Reply(pieces)
        fault, said = failed(backend())
        assert (fault.kind, said) == (kind, "Sleep ")
        assert len(api.asked("run_1/cancel")) == 1

    @pytest.mark.parametrize(
        ("last", "kind"),
        [
            ("cut", "stream_cut"),
            (b"", "stream_cut"),
            (b"data: {not json\n\n", "malformed_stream"),
            (b"data: [1]\n\n", "malformed_stream"),
        ],
        ids=["line cut", "no word on the run", "damaged", "no event"],
    )
    def test_a_stream_that_breaks_off(self, api: FakeAssistants, backend: Make, last: Any, kind: str) -> None:
        pieces = [event(a_run("in_progress")), event(delta("Sleep ")), *([last] if last else [])]
        api.replies[0] = Reply(pieces)
        fault, said = failed(backend())
        assert (fault.kind, said) == (kind, "Sleep ")
        assert len(api.asked("run_1/cancel")) == 1, "the run goes on at the server"

    def test_a_stall(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = Reply([event(a_run("in_progress")), event(delta("Sleep ")), "hang"])
        fault, said = failed(backend(), request(token_timeout=0.3))
        assert (fault.kind, said) == ("token_timeout", "Sleep ")

    def test_word_of_the_run_is_no_token_and_a_step_is(self, api: FakeAssistants, backend: Make) -> None:
        begun = [event(a_run("queued")), event(a_run("in_progress"))]
        api.replies[0] = Reply([*begun, "hang"])
        assert failed(backend(), request(first_token_timeout=0.5))[0].kind == "first_token_timeout"
        api.replies[:] = [Reply([*begun, event(searched(status="in_progress")), "hang"])]
        assert failed(backend(), request(token_timeout=0.3))[0].kind == "token_timeout"

    def test_stopping_it_stops_the_run(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = Reply([event(a_run("in_progress")), event(delta("Sleep ")), "hang"])
        cancel = threading.Event()
        events: list[Event] = []
        for told in backend().stream(request(), cancel):
            events.append(told)
            cancel.set()
        assert text_of(events) == "Sleep " and events[-1].status == "cancelled"
        assert len(api.asked("POST .*/thread_2/runs/run_1/cancel")) == 1 and api.left.wait(2)

    def test_a_server_that_will_not_hear_of_stopping(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = Reply([event(a_run("in_progress")), event(delta("Sleep ")), "hang"])
        api.once("cancel", Reply([], wait_first=True))
        cancel, began = threading.Event(), 0.0
        for told in backend().stream(request(), cancel):
            if told.kind == "text":
                began = time.monotonic()
                cancel.set()
        assert time.monotonic() - began < 0.7
