"""One turn through its public function, played by the scripted backend."""

import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from coach_core.backends import Request
from coach_core.errors import CoachError
from coach_core.tools import Bound, tool
from coach_core.turn import Choice, ToolOutcome, Turn, run_turn
from coach_core.types import Event, new_id
from tests.turn.conftest import play, question, scripted, text_of


def test_events_are_numbered_and_end_once() -> None:
    events = play(scripted("Begin ", "small."))
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "start" and events[0].backend == "scripted"
    assert [e.kind for e in events if e.terminal] == ["done"] and events[-1].status == "completed"
    assert text_of(events) == "Begin small."


def test_a_late_or_failing_source_is_a_notice_not_an_error() -> None:
    gate = threading.Event()

    def broken() -> None:
        raise ValueError("secret")

    events = play(scripted("Fine."), sources={"memory": gate.wait, "knowledge": broken}, deadline=0.05)
    gate.set()
    notices = {e.source: e.text for e in events if e.kind == "notice"}
    assert set(notices) == {"memory", "knowledge"} and "secret" not in str(notices)
    assert text_of(events) == "Fine." and events[-1].status == "completed"


def test_the_backup_answers_only_before_the_first_text() -> None:
    events = play(scripted({"error": "unreachable"}), scripted("From the backup."))
    assert [e.kind for e in events if e.kind in {"start", "error", "done"}] == ["start", "start", "done"]
    assert any(e.source == "fallback" for e in events) and text_of(events) == "From the backup."
    assert events[-1].attempts == 2

    events = play(scripted("Half", {"cut": True}), scripted("never"))
    assert text_of(events) == "Half" and events[-1].kind == "error" and events[-1].error == "stream_cut"


def test_an_error_nobody_expected_is_a_plain_sentence() -> None:
    class Broken:
        name, model = "broken", ""

        def stream(self, request: Request, cancel: threading.Event) -> Any:
            raise RuntimeError("sk-secret")

    events = play(Broken())  # type: ignore[arg-type]
    assert events[-1].kind == "error" and events[-1].text == CoachError().sentence


@pytest.mark.parametrize("steps", [[{"done": "completed"}], ["  "]])
def test_an_empty_answer_is_an_error(steps: list[Any]) -> None:
    assert play(scripted(*steps))[-1].error == "empty_answer"


def test_tools_run_and_their_results_go_back_to_the_model() -> None:
    def add(left: int, right: int) -> int:
        """Add two numbers."""
        return left + right

    def fails() -> str:
        """Always fails."""
        raise ValueError("secret")

    backend = scripted(
        {"tool": "add", "arguments": {"left": 2, "right": 3}, "call_id": "a"},
        {"tool": "add", "arguments": {"left": "x"}, "call_id": "b"},
        {"tool": "fails", "arguments": {}, "call_id": "c"},
        {"tool": "nothing", "arguments": {}, "call_id": "d"},
        "Five.",
    )
    events = play(backend, tools=Bound([tool(add), tool(fails)], ToolOutcome))
    results: Mapping[str, Event] = {e.call_id: e for e in events if e.kind == "tool_result"}
    assert results["a"].text == "5"
    assert "do not fit" in results["b"].error and "left" in results["b"].error and "right" in results["b"].error
    assert results["c"].error == "The tool fails failed." and "add" in results["d"].error
    exchange = backend.requests[-1].exchange  # type: ignore[attr-defined]
    assert [m.speaker for m in exchange] == ["assistant", "tool", "tool", "tool", "tool"]
    assert text_of(events) == "Five." and events[-1].status == "completed"


def test_rounds_of_tools_are_limited() -> None:
    def again() -> str:
        """Ask again."""
        return "more"

    call = {"tool": "again", "arguments": {}}
    endless = scripted(*[call, "On. "] * 5)
    events = play(endless, tools=Bound([tool(again)], ToolOutcome), tool_rounds=3)
    assert len([e for e in events if e.kind == "tool_result"]) == 3
    assert [bool(r.tools) for r in endless.requests] == [True, True, True, False]  # type: ignore[attr-defined]
    assert events[-1].status == "incomplete" and events[-1].finish_reason == "tool_rounds"


def test_cancel_ends_the_turn_with_what_came() -> None:
    cancel = threading.Event()
    turn = Turn(new_id(), Request(question=question()), [Choice(scripted("Some", {"hang": True}))])
    seen: list[Event] = []
    for event in run_turn(turn, cancel):
        seen.append(event)
        if event.kind == "text":
            cancel.set()
    assert text_of(seen) == "Some" and seen[-1].status == "cancelled"


def test_a_turn_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    request = Request(question=question(), total_timeout=0.2)
    events = play(scripted(*[{"text": "a ", "delay": 0.02}] * 200), request=request)
    assert events[-1].error == "timed_out" and time.monotonic() - began < 3
