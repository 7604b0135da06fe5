"""The scripted backend plays exactly what it is told, also after tools and when resumed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from coach_core.backends import Endpoint, build
from coach_core.errors import BackendError, BadSetting, RateLimited, StreamCut, TimedOut
from coach_core.types import Part, Usage
from tests.backends.conftest import message, passage, play, request, text_of


def scripted(script: Any = None, **parts: Any) -> Any:
    return build("scripted", Endpoint("scripted"), script=script, **parts)


def test_without_a_script_it_answers_sensibly() -> None:
    plain = text_of(play(scripted()))
    cited = text_of(play(scripted(), request(passages=(passage("Sleep is good."),))))
    assert "How do I sleep better?" in plain and "[1]" not in plain
    assert "Sleep is good. [1]" in cited
    assert len(play(scripted())) > 20, "token by token"


def test_each_kind_of_step(tmp_path: Path) -> None:
    script = [{"reasoning": "Hm."}, {"notice": "Look."}, "You said {question}", {"usage": {"input_tokens": 3}},
              {"done": "incomplete", "finish_reason": "length"}]  # fmt: skip
    file = tmp_path / "script.json"
    file.write_text(json.dumps(script))
    for given in (script, json.dumps(script), str(file), file, {"steps": script}):
        events = play(scripted(given), request("hi"))
        assert [e.kind for e in events] == ["reasoning", "notice", "text", "text", "text", "done"]
        assert text_of(events) == "You said hi"
        assert (events[-1].status, events[-1].finish_reason) == ("incomplete", "length")
        assert events[-1].usage == Usage(3)


def test_rules_by_question_and_calls_in_order() -> None:
    ruled = scripted({"rules": [{"match": "sle+p", "steps": ["Sleep."]}], "steps": ["Else."]})
    assert [text_of(play(ruled, request(q))) for q in ("SLEEEP?", "work?")] == ["Sleep.", "Else."]
    called = scripted({"calls": [[{"error": "rate_limited"}], ["Now."]]})
    with pytest.raises(RateLimited):
        play(called)
    assert [text_of(play(called)) for _ in range(2)] == ["Now.", "Now."]
    assert len(called.requests) == 3


def test_rounds_of_tools() -> None:
    backend = scripted(["Let me see. ", {"tool": "a"}, {"tool": "b", "arguments": {"x": 1}}, "Done."])
    first = play(backend)
    assert [e.kind for e in first[-3:]] == ["tool_call", "tool_call", "done"]
    assert first[-1].finish_reason == "tool_calls" and len({e.call_id for e in first if e.call_id}) == 2
    told = message("", "assistant", *(Part("tool_call", call_id=e.call_id, name=e.name) for e in first if e.call_id))
    second = play(backend, request(exchange=(told, message("", "tool", Part("tool_result", "1")))))
    assert text_of(second) == "Done." and second[-1].finish_reason == "stop"


@pytest.mark.parametrize(
    ("step", "error"),
    [({"cut": True}, StreamCut), ({"error": "timed_out"}, TimedOut), ({"error": "what"}, BackendError)],
)
def test_errors(step: dict[str, Any], error: type[BackendError]) -> None:
    with pytest.raises(error):
        play(scripted(["A", step]))


def test_hangs_until_cancelled_or_out_of_time() -> None:
    with pytest.raises(TimedOut):
        play(scripted([{"hang": True}]), request(first_token_timeout=0.05))
    cancel = threading.Event()
    threading.Timer(0.05, cancel.set).start()
    began = time.monotonic()
    assert play(scripted(["A", {"hang": True}]), request(), cancel)[-1].status == "cancelled"
    assert time.monotonic() - began < 1


def test_speed() -> None:
    began = time.monotonic()
    play(scripted({"steps": ["one two three four five"], "tokens_per_second": 100}))
    assert 0.045 < time.monotonic() - began < 1


@pytest.mark.parametrize("script", ["/nowhere.json", "{", [{"unknown": 1}], {"rules": [{"match": "x", "steps": [{}]}]}])
def test_a_script_that_cannot_be_played(script: Any) -> None:
    with pytest.raises(BadSetting):
        scripted(script)
