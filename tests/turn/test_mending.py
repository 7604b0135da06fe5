"""What a turn does when a backend fails before it has said anything, and that it does nothing of it after."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from coach_core import errors
from coach_core.backends import Request
from coach_core.errors import ContextTooLong, HostedSearchFailed
from coach_core.tools import Bound, tool
from coach_core.turn import Choice, Times, ToolOutcome
from coach_core.types import Event, Message, Part, Usage
from tests.turn.conftest import Calls, call, done, message, notices, passage, play, question, text_of

STATE = {"response_id": "r1"}


def history(exchanges: int) -> tuple[Message, ...]:
    return tuple(message(who, f"{who} {n}") for n in range(exchanges) for who in ("user", "assistant"))


def counted() -> tuple[list[str], Bound]:
    ran: list[str] = []

    def look(word: str = "") -> str:
        """Look it up."""
        ran.append(word)
        return f"found {word}"

    return ran, Bound([tool(look)], ToolOutcome)


# -- too long ----------------------------------------------------------------------------------------------


def test_a_conversation_that_is_too_long_is_told_without_its_older_half() -> None:
    backend = Calls(ContextTooLong(), ["Fine.", done()])
    request = Request(question=question(), history=history(5))
    events = play(Choice(backend, state=lambda: STATE), request=request)
    first, second = backend.requests
    assert (len(first.history), first.provider_state) == (10, STATE)
    assert [m.text for m in second.history] == ["user 3", "assistant 3", "user 4", "assistant 4"]
    assert second.provider_state is None, "the server's own history is what is too long"
    assert "older half" in notices(events, "history")[0] and text_of(events) == "Fine."
    assert (events[-1].status, events[-1].retries, events[-1].attempts) == ("completed", 1, 1)
    starts = [e for e in events if e.kind == "start"]
    assert [s.arguments["history"] for s in starts if s.arguments] == [10, 4]


def test_tool_calls_are_never_parted_from_their_results() -> None:
    called = message("assistant", "")
    called = replace(called, parts=(Part("tool_call", call_id="c", name="look", arguments={}),))
    result = replace(message("tool", "x"), parts=(Part("tool_result", "x", call_id="c", name="look"),))
    past = (*history(2), message("user", "look"), called, result, message("assistant", "seen"))
    backend = Calls(ContextTooLong(), ["Fine.", done()])
    play(backend, request=Request(question=question(), history=past))
    assert [m.text for m in backend.requests[1].history] == ["look", "", "x", "seen"]


def test_without_history_the_passages_are_fewer() -> None:
    found = [passage(n, score=n / 10) for n in range(1, 9)]
    backend = Calls(ContextTooLong(), ["As [3] says.", done()])
    events = play(backend, sources={"knowledge": lambda: found})
    assert [p.title for p in backend.requests[1].passages] == ["Title 6", "Title 7", "Title 8"]
    assert "Title 8" in backend.requests[1].context and "Title 5" not in backend.requests[1].context
    assert [e.citation.title for e in events if e.citation] == ["Title 8"]
    assert "best 3" in notices(events, "history")[0]


def test_what_is_still_too_long_is_the_error() -> None:
    backend = Calls(ContextTooLong())
    events = play(backend, request=Request(question=question(), history=history(4)))
    assert len(backend.requests) == 2 and events[-1].error == "context_too_long"
    alone = Calls(ContextTooLong())
    end = play(alone)[-1]
    assert end.error == "context_too_long" and len(alone.requests) == 1, "there is nothing to leave out"
    assert "Start a new thread" in events[-1].text


@pytest.mark.parametrize("past", [0, 2])
def test_what_to_do_about_too_long_hangs_on_whether_there_is_a_conversation(past: int) -> None:
    events = play(Calls(ContextTooLong()), request=Request(question=question(), history=history(past)))
    if past:
        assert "This conversation is too long" in events[-1].text and "Start a new thread" in events[-1].text
    else:
        assert "conversation" not in events[-1].text and "new thread" not in events[-1].text
        assert "Shorten the question" in events[-1].text and "larger model" in events[-1].text


def test_a_conversation_of_which_all_was_left_out_is_one_still() -> None:
    events = play(Calls(ContextTooLong()), left_out=4)
    assert "Start a new thread" in events[-1].text


def test_too_long_behind_a_tool_tells_all_of_it_anew() -> None:
    ran, tools = counted()
    backend = Calls([call(word="a"), done("tool_calls")], ContextTooLong(), ["Fine.", done()])
    request = Request(question=question(), history=history(2), parameters={"state": "conversation"})
    events = play(backend, request=request, tools=tools)
    last = backend.requests[-1]
    assert ran == ["a"] and [m.speaker for m in last.exchange] == ["assistant", "tool"]
    assert last.parameters["state"] == "stateless" and len(last.history) == 2
    assert text_of(events) == "Fine."


# -- a hosted search that fails ----------------------------------------------------------------------------


def test_the_apps_own_search_takes_over() -> None:
    backend = Calls(HostedSearchFailed(), ["As [1] says.", done()])
    told: list[object] = []
    hosted = Choice(backend, stores=("vs_1",), state=lambda: STATE, unsearched=lambda: told.append(1))
    events = play(
        hosted,
        sources={"knowledge": lambda: [passage(1)], "memory": lambda: "She likes tea."},
        request=Request(question=question(), instructions="Cite [n]."),
        hosted_instructions="Cite as your search does.",
    )
    first, second = backend.requests
    assert (first.instructions, second.instructions) == ("Cite as your search does.", "Cite [n].")
    assert first.stores == ("vs_1",) and first.passages == () and first.context == "She likes tea."
    assert second.stores == () and "Title 1" in second.context and "tea" in second.context
    assert second.provider_state is None and told == [1]
    assert "the app's own search answers" in notices(events, "hosted")[0]
    assert [e.citation.title for e in events if e.citation] == ["Title 1"] and events[-1].retries == 1


def test_a_hosted_search_does_not_wait_for_the_apps_own() -> None:
    gate = threading.Event()
    try:
        events = play(Choice(Calls(["Yes.", done()]), stores=("vs_1",)), sources={"knowledge": gate.wait}, deadline=30)
        assert text_of(events) == "Yes." and not notices(events, "knowledge")
    finally:
        gate.set()


def test_a_backup_without_hosted_documents_gets_the_passages() -> None:
    backup = Calls(["As [1] says.", done()])
    hosted = Choice(Calls(errors.Unreachable()), stores=("vs_1",))
    events = play(hosted, backup, sources={"knowledge": lambda: [passage(1)]})
    assert len(backup.requests[0].passages) == 1 and text_of(events) == "As [1] says."


# -- a backup ----------------------------------------------------------------------------------------------


def test_the_backup_goes_on_behind_the_tools_that_ran() -> None:
    ran, tools = counted()
    first = Calls([call(word="a"), call(call_id="c2", word="b"), done("tool_calls")], errors.Overloaded(), name="one")
    backup = Calls([call(call_id="c3", word="c"), done("tool_calls")], ["Five.", done()], name="two")
    events = play(Choice(first, name="azure-eu"), backup, tools=tools, request=Request(question=question()))
    assert ran == ["a", "b", "c"], "nothing ran twice"
    assert [m.text for m in backup.requests[0].exchange] == ["", "found a", "found b"]
    assert len(backup.requests[1].exchange) == 5
    assert [e.backend for e in events if e.kind == "start"] == ["azure-eu", "two"]
    assert text_of(events) == "Five." and events[-1].attempts == 2


def test_a_call_that_never_ran_is_not_told_to_the_backup() -> None:
    ran, tools = counted()
    backup = Calls(["Fine.", done()])
    play(Calls([call(word="a"), errors.StreamCut()]), backup, tools=tools)
    assert ran == [] and backup.requests[0].exchange == ()


def test_a_model_that_calls_what_was_not_offered_is_told_as_empty() -> None:
    assert play(Calls([call(), done("tool_calls")]))[-1].error == "empty_answer"
    assert play(Calls(["Hm.", call(), done("tool_calls")]))[-1].status == "completed"


def test_the_rounds_of_all_backends_are_counted_together() -> None:
    _, tools = counted()
    first = Calls([call(), done("tool_calls")], errors.Unreachable())
    backup = Calls([call(call_id="c2"), done("tool_calls")], [call(call_id="c3"), done("tool_calls")])
    events = play(first, backup, tools=tools, tool_rounds=2)
    assert [bool(r.tools) for r in backup.requests] == [True, False]
    assert (events[-1].status, events[-1].finish_reason) == ("incomplete", "tool_rounds")


@pytest.mark.parametrize(
    "error", [errors.RateLimited, errors.TokenTimeout, errors.StreamCut, errors.MalformedStream, errors.Overloaded]
)
def test_once_text_is_out_nobody_else_answers(error: type[errors.BackendError]) -> None:
    backup = Calls(["never", done()])
    events = play(Calls(["Half", error()]), backup)
    assert text_of(events) == "Half" and not backup.requests
    assert events[-1].error == error().kind and "What had arrived is kept; press Continue." in events[-1].text


def test_each_backend_is_asked_with_its_own_values() -> None:
    first, backup = Calls(errors.Unreachable()), Calls(["Hi.", done()])
    request = Request(question=question(), parameters={"temperature": 1.0})
    play(
        Choice(first, model="m1", parameters={"temperature": 0.1}, times=Times(1, 2, 3), state=lambda: STATE),
        Choice(backup, model="m2", parameters={"temperature": 0.9}, times=Times(4, 5, 6), tools=False),
        request=request,
        tools=counted()[1],
    )
    one, two = first.requests[0], backup.requests[0]
    assert (one.model, one.parameters, one.provider_state, len(one.tools)) == ("m1", {"temperature": 0.1}, STATE, 1)
    assert (one.first_token_timeout, one.token_timeout) == (1, 2) and 2 < one.total_timeout <= 3
    assert (two.model, two.parameters, two.provider_state, two.tools) == ("m2", {"temperature": 0.9}, None, ())
    assert (two.first_token_timeout, two.token_timeout) == (4, 5) and 5 < two.total_timeout <= 6


def test_what_a_backup_keeps_of_the_conversation_is_looked_up_only_when_it_is_asked() -> None:
    def never() -> None:
        raise AssertionError

    assert text_of(play(Calls(["Hi.", done()]), Choice(Calls(), state=never))) == "Hi."


# -- other ends --------------------------------------------------------------------------------------------


def test_a_stop_that_meets_an_error_is_a_stop() -> None:
    cancel = threading.Event()

    class Stopped(Calls):
        def stream(self, request: Request, cancel: threading.Event) -> Any:
            yield Event("text", text="Some")
            cancel.set()
            raise errors.Unreachable

    events = play(Stopped(), Calls(["never"]), cancel=cancel)
    assert text_of(events) == "Some" and (events[-1].kind, events[-1].status) == ("done", "cancelled")


def test_a_stop_while_tools_run_runs_no_further_tool() -> None:
    cancel = threading.Event()

    def stop() -> str:
        """Stops."""
        cancel.set()
        return "ok"

    calls = [call("stop"), call("stop", "c2"), done("tool_calls")]
    events = play(Calls(calls), tools=Bound([tool(stop)], ToolOutcome), cancel=cancel)
    assert len([e for e in events if e.kind == "tool_result"]) == 1 and events[-1].status == "cancelled"


def test_a_model_that_thinks_until_its_length_is_told_as_such() -> None:
    event = play(Calls([Event("reasoning", text="hm"), done("length", "incomplete")]))[-1]
    assert event.error == "empty_answer" and "greatest length" in event.text


def test_what_is_used_up_is_counted_when_the_answer_fails_too() -> None:
    _, tools = counted()
    usage = Usage(10, 2)
    events = play(Calls([call(), done("tool_calls", usage=usage)], ["Half", errors.StreamCut()]), tools=tools)
    assert events[-1].kind == "error" and events[-1].usage == usage


def test_words_around_a_tool_are_paragraphs() -> None:
    _, tools = counted()
    backend = Calls(["Let me look.", call(), done("tool_calls")], ["It is there.", done()])
    assert text_of(play(backend, tools=tools)) == "Let me look.\n\nIt is there."


# -- gone on with, called by hand --------------------------------------------------------------------------


def test_an_answer_gone_on_with_calls_tools_behind_what_it_had_said() -> None:
    _, tools = counted()
    backend = Calls([" and", call(), done("tool_calls")], ["more.", done()])
    play(backend, request=Request(question=question(), resume_from="Half"), tools=tools)
    assert backend.requests[0].resume_from == "Half"
    last = backend.requests[1]
    assert last.resume_from == "" and [m.text for m in last.exchange] == ["Half and", "found "]


def test_a_tool_called_by_hand_runs_before_the_model_is_asked() -> None:
    ran, tools = counted()
    backend = Calls(["Here.", done()])
    events = play(backend, tools=tools, calls=[call(word="sleep", call_id="mine")])
    kinds = [e.kind for e in events]
    assert ran == ["sleep"] and kinds.index("tool_result") < kinds.index("text")
    asked, result = backend.requests[0].exchange
    assert asked.parts[0].arguments == {"word": "sleep"} and result.text == "found sleep"


def test_where_a_model_takes_no_tools_the_person_is_told_how_to_call_them() -> None:
    _, tools = counted()
    none = Event("notice", source="tools", text="This model takes no tools.")
    (text,) = notices(play(Calls([none, "Hi.", done()]), tools=tools), "tools")
    assert text == "This model takes no tools. You can call them yourself: /look WORD."
    assert notices(play(Calls([none, "Hi.", done()])), "tools") == ["This model takes no tools."]
