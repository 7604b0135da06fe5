"""What is meant for machines never stays as an answer: every syntax, in any pieces."""

import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coach_core.backends import Request
from coach_core.errors import StreamCut, Unreachable
from coach_core.guard import Guard, Instructions, Leaked
from coach_core.personas import CITE, STYLE
from coach_core.store.turns import parts_of
from coach_core.tools import Bound, tool
from coach_core.turn import Choice, ToolOutcome, Turn, run_turn
from coach_core.types import Event, new_id
from tests.turn.conftest import Calls, call, done, notices, passage, play, question, text_of

TOLD = f"You are a calm career coach who listens first.\n\n{CITE}\n\n{STYLE}"
LEAKS = {
    "object": '{"answer": "Begin small.", "mood": "calm"}',
    "spaced object": '\n  {\n  "next_steps": ["call", "write"]\n}',
    "list": '[{"step": 1, "what": "call"}]',
    "list of words": '["call", "write", "sleep"]',
    "python": "{'name': 'search_documents', 'arguments': {'query': 'sleep'}}",
    "empty": "{}",
    "call": '{"name": "search_documents", "arguments": {"query": "sleep"}}',
    "fenced call": '```json\n{"name": "search_documents", "arguments": {"query": "sleep"}}\n```',
    "fenced data": '```json\n{"mood": "calm"}\n```',
    "xml call": 'Let me look.\n<tool_call>\n{"name": "search_documents"}\n</tool_call>',
    "function": '<function=search_documents>{"query": "sleep"}</function>',
    "function, brace": 'I look it up. <function=search_documents{"query": "sleep"}',
    "react": "Thought: I should look.\nAction: search_documents\nAction Input: sleep",
    "mistral": '[TOOL_CALLS][{"name": "search_documents"}]',
    "llama": '<|python_tag|>search_documents.call(query="sleep")',
    "harmony": "<|channel|>commentary to=functions.search_documents <|message|>{}",
    "harmony, torn": 'We need to search. to=functions.search_documents code<|message|>{"query": "x"}',
    "functions": 'functions.search_documents({"query": "sleep"})',
    "functions, numbered": 'Sure. functions.search_documents:0 ({"query": "sleep"})',
    "invoke": '<invoke name="search_documents"><parameter name="query">sleep</parameter></invoke>',
    "function calls": "One moment.\n<function_calls>\n<invoke>",
    "deepseek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function",
    "dsml": "Well.\n<｜DSML｜invoke name=",
    "late": "Sleep matters to coaches. First things first.\n\n" + '{"name": "x", "parameters": {"a": 1}}',
    "openai": 'I call it. {"tool_calls": [{"id": "a"}]}',
    "prompt": f"Here is what I was told: {TOLD}",
    "prompt in bold": f"**{CITE.upper()}**",
}
FINE = {
    "prose": "Begin small. Action: pick one step. Then rest [1].",
    "citation": "[1] says so, and [2](https://x.example) too.",
    "brace": "{Name}, welcome! Write <b>one</b> line.",
    "less": "If a < b then rest; <3 to you. f(x) = {x}.",
    "fence": "Try this:\n```\nmonday: rest\n```\nand see.",
    "list": "[ ] call\n[x] write",
    "numbers": "[1]",
    "tail": "It ends with <",
    "tool word": "Use the tool. Call it functions. Act now",
}


def outcome(text: str, cuts: list[int], asked: str = "How do I begin?") -> str:
    """What comes of a text in pieces: the leak, or all of it."""
    guard = Guard(Instructions(TOLD, [asked]), asked)
    places = [0, *sorted(c % (len(text) + 1) for c in cuts), len(text)]
    shown = ""
    try:
        for start, end in pairwise(places):
            shown += guard.feed(text[start:end])
        return shown + guard.end()
    except Leaked as leak:
        assert text.startswith(leak.text)
        return f"<{leak.kind}>"


@pytest.mark.parametrize("name", LEAKS)
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 1000), max_size=40))
def test_a_leak_is_found_however_it_is_cut(name: str, cuts: list[int]) -> None:
    whole = outcome(LEAKS[name], [])
    assert whole in {"<json>", "<tool>", "<prompt>"}
    assert outcome(LEAKS[name], cuts) == whole


@pytest.mark.parametrize("name", FINE)
@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, 1000), max_size=40))
def test_prose_passes_however_it_is_cut(name: str, cuts: list[int]) -> None:
    assert outcome(FINE[name], cuts) == FINE[name]


@settings(deadline=None)
@given(st.text(st.sampled_from(list('{}[]<>|"`:, \nabAction_functions.')), max_size=80), st.lists(st.integers(0, 100)))
def test_any_text_is_passed_whole_or_found(text: str, cuts: list[int]) -> None:
    found, again = outcome(text, []), outcome(text, cuts)
    assert found == again


@pytest.mark.parametrize("asked", ["Give me my plan as JSON", "Wie sieht der Quellcode aus?", "一段代码"])
def test_data_that_was_asked_for_passes(asked: str) -> None:
    for text in ('```json\n{"name": "x", "arguments": {"a": 1}}\n```', '{"plan": ["rest"]}', "Use `<tool_call>` here."):
        assert outcome(text, [], asked) == text
    assert outcome('{"name": "x", "arguments": {"a": 1}}', [], asked) == "<tool>"


def test_a_mark_that_the_person_wrote_may_be_spoken_of() -> None:
    asked = "What does <tool_call> mean?"
    assert outcome("A <tool_call> begins a call.", [], asked).startswith("A <tool")


def test_what_a_persona_is_told_to_say_may_be_said() -> None:
    said = (
        "This is a conversation between two people and replaces neither a doctor nor a lawyer nor the law of the land."
    )
    guard = Guard(Instructions(f'Always end with: "{said}" And be kind.'), "Hi")
    assert guard.feed(said) + guard.end() == said


def test_ordinary_text_is_not_held_for_a_moment() -> None:
    for first in ("Begin", "I", "**One**", "1. Call", "你好", "- a", "> quote", "Yes, ", "# Plan"):
        guard = Guard(Instructions(TOLD), "Hi")
        assert guard.feed(first) == first


# -- in a turn ------------------------------------------------------------------------------------------


def turn(*calls: Any, **parts: Any) -> tuple[list[Event], Any]:
    backend = Calls(*calls)
    request = parts.pop("request", None) or Request(question=question("Wie fange ich an?"), instructions=TOLD)
    return play(backend, request=request, **parts), backend


def counted(events: list[Event]) -> dict[str, int]:
    told = [e.arguments["counts"] for e in events if e.arguments and "counts" in e.arguments]
    return {name: sum(c.get(name, 0) for c in told) for c in told for name in c}


def standing(events: list[Event]) -> str:
    since = max((i for i, e in enumerate(events) if e.kind == "retract"), default=0)
    return text_of(events[since:])


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_asked_again_in_words(name: str) -> None:
    pieces = [LEAKS[name][i : i + 7] for i in range(0, len(LEAKS[name]), 7)]
    events, backend = turn([*pieces, done()], ["Fang klein an.", done(ids={"response": "r2"})])
    assert standing(events) == "Fang klein an." and events[-1].status == "completed"
    assert parts_of(events)[0].text == "Fang klein an." and events[-1].ids == {"response": "r2"}
    assert counted(events)["guard_activations"] == 1 and "guard_failed" not in counted(events)
    again = backend.requests[1]
    assert "German" in again.context and again.provider_state is None
    assert events[-1].usage and events[-1].usage.estimated


def test_after_a_second_leak_a_plain_sentence_stands() -> None:
    events, backend = turn([LEAKS["call"], done()])
    assert len(backend.requests) == 2 and standing(events).startswith("Ich konnte eben keine Antwort")
    assert events[-1].finish_reason == "guard" and not events[-1].ids
    assert counted(events) == {"guard_activations": 2, "guard_tool": 2, "guard_failed": 1}
    assert len(notices(events, "guard")) == 2


def test_what_was_shown_is_taken_back_with_its_citations_and_the_numbers_begin_anew() -> None:
    request = Request(question=question(), instructions=TOLD, passages=(passage(1), passage(2)))
    found = {"knowledge": lambda: [passage(1), passage(2)]}
    events, _ = turn(
        ["Rest helps [2]. ", "Look: <tool_call>", done()], ["Sleep [1].", done()], request=request, sources=found
    )
    back = next(i for i, e in enumerate(events) if e.kind == "retract")
    assert "Rest helps" in text_of(events[:back]) and standing(events) == "Sleep [1]."
    cited = [e.citation for e in events[back:] if e.citation]
    assert [c.number for c in cited] == [1] and cited[0].title == "Title 1"


def test_tools_that_ran_stay_and_what_was_said_before_them_goes() -> None:
    def look() -> str:
        """Look."""
        return "found"

    looked = done("tool_calls")
    tools = Bound([tool(look)], ToolOutcome)
    events, backend = turn(
        ["I look. ", call("look"), looked], ["Hm. <tool_call>", done()], ["Here.", done()], tools=tools
    )
    assert [p.kind for p in parts_of(events)] == ["tool_call", "tool_result", "text"]
    assert standing(events) == "Here." and parts_of(events)[-1].text == "Here."
    assert len(backend.requests[2].exchange) == 2 and not backend.requests[2].tools


def test_a_call_with_wrong_arguments_is_counted() -> None:
    def look(place: str) -> str:
        """Look."""
        return place

    looked = done("tool_calls")
    events, _ = turn([call("look", where=1), looked], ["Well.", done()], tools=Bound([tool(look)], ToolOutcome))
    assert counted(events) == {"tool_arguments_wrong": 1}


def test_an_answer_that_is_data_is_left_alone() -> None:
    request = Request(question=question(), schema={"type": "object"})
    events, backend = turn([LEAKS["object"], done()], request=request)
    assert text_of(events) == LEAKS["object"] and len(backend.requests) == 1


def test_an_answer_gone_on_with_goes_back_to_where_it_was() -> None:
    request = Request(question=question(), resume_from='So far: {"a": ', instructions=TOLD)
    events, _ = turn(
        ["1} is what it says. <tool_call>", done()], ["and rest.", done()], request=request, so_far="So far"
    )
    assert standing(events) == "and rest."
    events, backend = turn(['"b": 2}', done()], request=request)
    assert text_of(events) == '"b": 2}' and len(backend.requests) == 1


@pytest.mark.parametrize("end", ["cut", "none"])
def test_a_stream_that_stops_while_held_keeps_what_had_come(end: str) -> None:
    events, _ = turn(['{"a', StreamCut()] if end == "cut" else ['{"a'])
    assert text_of(events) == '{"a' and events[-1].error == "stream_cut"


def test_stop_while_held_shows_no_data_and_asks_nobody() -> None:
    events, backend = turn(['["call", "write"]', done("cancelled", "cancelled")])
    assert text_of(events) == "" and events[-1].status == "cancelled" and len(backend.requests) == 1


def test_what_is_held_is_let_go_in_time_though_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coach_core.turn.guarded.HOLD_SECONDS", 0.05)
    gate, seen = threading.Event(), []

    class Slow(Calls):
        def stream(self, request: Request, cancel: threading.Event) -> Any:
            yield Event("text", text="{")
            gate.wait(5)
            yield Event("text", text="x} done.")
            yield done()

    began = time.monotonic()
    for event in run_turn(Turn(new_id(), Request(question=question()), [Choice(Slow())]), threading.Event()):
        seen.append(event)
        if event.kind == "text":
            gate.set()
    assert time.monotonic() - began < 3 and text_of(seen) == "{x} done." and seen[-1].kind == "done"


def test_the_backup_takes_over_when_the_second_try_fails_before_a_word() -> None:
    backup = Calls(["From the backup.", done()], name="backup")
    first = Calls([LEAKS["call"], done()], Unreachable())
    events = play(first, backup, request=Request(question=question()))
    assert standing(events) == "From the backup." and events[-1].status == "completed"
