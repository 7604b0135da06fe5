"""How a question becomes a turn: with which values each backend is asked, what it keeps, tools called by hand."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.coach.options import Limits, options
from coach_core.errors import BadSetting, InputError
from coach_core.store import state
from coach_core.turn import Times
from coach_core.types import Actor, Event, Persona, PersonaDraft, Thread
from tests.backends.fake_api import FakeApi, json_reply
from tests.coach.api import chat, responses, told

Maker = Callable[..., Coach]
CREATED = "POST /v1/conversations$"


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(responses("Fine.")) as api:
        yield api


def asked(coach: Coach, thread: Thread, text: str, **how: Any) -> list[Event]:
    me = coach.owner()
    return ended(coach, coach.start(me, thread.id, text, **how))


def ended(coach: Coach, turn: Any) -> list[Event]:
    return [e for e in coach.tail(coach.owner(), turn.id) if e]


def thread_of(coach: Coach, **draft: Any) -> Thread:
    me = coach.owner()
    persona = coach.save_persona(me, PersonaDraft(draft.pop("name", "Tester"), **draft))
    return coach.new_thread(me, persona.id)


# -- values ------------------------------------------------------------------------------------------------


def test_the_persona_wins_over_the_endpoint_and_that_over_the_settings() -> None:
    limits = Limits("x", temperature=0.7, answer_tokens=2000, first_token=25, between_tokens=30, turn=180)
    plain = options(limits, {}, PersonaDraft("P"), own=True)
    assert plain.parameters == {"temperature": 0.7, "max_output_tokens": 2000, "state": "previous_response"}
    assert (plain.times, plain.hosted) == (Times(25, 30, 180), False)
    endpoint = {"temperature": 0.5, "turn_timeout": 60, "state": "stateless", "token_timeout": 10}
    draft = PersonaDraft("P", parameters={"temperature": 0.1, "token_timeout": 5, "search": "hosted", "top_p": 0.9})
    merged = options(limits, endpoint, draft, own=True)
    assert merged.parameters == {"temperature": 0.1, "max_output_tokens": 2000, "state": "stateless", "top_p": 0.9}
    assert (merged.times, merged.hosted) == (Times(25, 5, 60), True)


def test_an_assistant_is_known_at_its_own_server_only() -> None:
    draft = PersonaDraft("P", parameters={"assistant_id": "asst_1", "background": True})
    assert options(Limits("x"), {}, draft, own=True).parameters["assistant_id"] == "asst_1"
    elsewhere = options(Limits("x"), {}, draft, own=False).parameters
    assert "assistant_id" not in elsewhere and elsewhere["background"] is True


def test_a_bad_value_of_an_endpoint_is_a_sentence() -> None:
    with pytest.raises(BadSetting, match="temperature must be a number from 0 to 2"):
        options(Limits("x"), {"temperature": "hot"}, PersonaDraft("P"), own=True)


def test_what_is_sent_is_what_was_set(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", temperature=0.4, answer_tokens=300)
    thread = thread_of(coach, parameters={"max_output_tokens": 77})
    events = asked(coach, thread, "Hello")
    assert (api.bodies[-1]["temperature"], api.bodies[-1]["max_output_tokens"]) == (0.4, 77)
    start = events[0]
    assert start.arguments is not None and start.arguments["parameters"]["max_output_tokens"] == 77
    assert start.arguments["wire"] == "openai_responses" and start.arguments["version"] == 1


def test_a_backup_that_cannot_be_used_is_named_and_left_out(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(
        openai_base_url=api.url, openai_api_key="k", model="m1", fallback="local", local_model="./no.gguf"
    )
    assert asked(coach, thread_of(coach), "Hello")[-1].status == "completed"


# -- what a provider keeps ---------------------------------------------------------------------------------


def kept(coach: Coach, thread: Thread) -> dict[str, Any] | None:
    found = state.get(coach._db, thread.id, "openai_responses@default")
    return dict(found.data) if found else None


def test_a_conversation_is_put_back_only_by_a_turn_that_completes(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", conversation_state="conversation")
    me = coach.owner()
    made = (json_reply(200, json.dumps({"id": f"conv_{n}", "object": "conversation"})) for n in (1, 2, 3))
    api.route(CREATED, *made)
    thread = thread_of(coach)
    asked(coach, thread, "First?")
    assert (kept(coach, thread) or {})["conversation_id"] == "conv_1"
    api.replies[:] = [responses("So", cut=True)]
    assert asked(coach, thread, "Second?")[-1].kind == "error"
    assert kept(coach, thread) is None, "it has heard a question that was not answered"
    api.replies[:] = [responses("Now.")]
    answer = coach.messages(me, thread.id)[-1]
    ended(coach, coach.regenerate(me, answer.id))
    assert api.bodies[-1]["conversation"] in ("conv_2", {"id": "conv_2"})
    heard = [b for s in (api.routed, api.requests) for r in s for b in told({"input": r.body.get("items", [])})]
    heard += told(api.bodies[-1])
    assert [t for _, t in heard][-3:] == ["First?", "Fine.", "Second?"]
    assert (kept(coach, thread) or {})["conversation_id"] == "conv_2"


def test_editing_never_goes_on_with_a_conversation_that_has_heard_more(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", conversation_state="conversation")
    me = coach.owner()
    made = (json_reply(200, json.dumps({"id": f"conv_{n}", "object": "conversation"})) for n in (1, 2, 3))
    api.route(CREATED, *made)
    thread = thread_of(coach)
    asked(coach, thread, "First?")
    asked(coach, thread, "Second?")
    assert "conv_1" in str(api.bodies[-1]["conversation"])
    second = coach.messages(me, thread.id)[2]
    ended(coach, coach.edit(me, second.id, "Second, better?"))
    assert "conv_2" in str(api.bodies[-1]["conversation"])


LEFT_OUT = "Older messages were left out to keep within the budget."
LOST = json_reply(
    404, json.dumps({"error": {"code": "previous_response_not_found", "message": "Previous response not found."}})
)


def left_out(events: list[Event]) -> int:
    return [e.text for e in events if e.kind == "notice"].count(LEFT_OUT)


@pytest.mark.parametrize(
    ("backend", "kept_as", "times"),
    [
        ("openai_responses", "previous_response", 0),
        ("openai_responses", "stateless", 1),
        ("openai_chat", "previous_response", 1),
    ],
)
def test_what_was_left_out_is_said_only_where_the_history_is_told(
    make_coach: Maker, api: FakeApi, backend: str, kept_as: str, times: int
) -> None:
    given = {"openai_base_url": api.url, "openai_api_key": "k", "model": "m1", "history_messages": 2}
    coach = make_coach(**given, backend=backend, conversation_state=kept_as)
    api.replies[:] = [(chat if backend == "openai_chat" else responses)("Fine.")]
    thread = thread_of(coach)
    assert [left_out(asked(coach, thread, f"Question {n}?")) for n in range(4)] == [0, 0, times, times]


def test_what_was_left_out_is_said_when_the_server_has_lost_the_conversation(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", history_messages=2)
    thread = thread_of(coach)
    for n in range(2):
        asked(coach, thread, f"Question {n}?")
    api.replies[:] = [*[LOST] * (len(api.requests) + 1), responses("Told anew.")]
    events = asked(coach, thread, "And now?")
    assert [t for _, t in told(api.bodies[-1])] == ["Question 1?", "Fine.", "And now?"]
    assert left_out(events) == 1 and events[-1].status == "completed"


def test_what_was_left_out_is_said_when_another_backend_answers(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", history_messages=2)
    thread = thread_of(coach)
    for n in range(2):
        asked(coach, thread, f"Question {n}?")
    assert left_out(asked(coach, thread, "And now?", backend="extractive")) == 1


# -- what is mended ----------------------------------------------------------------------------------------

TOO_LONG = json_reply(
    400, json.dumps({"error": {"code": "context_length_exceeded", "message": "Your input exceeds the context window."}})
)


def test_a_conversation_too_long_for_the_model_is_told_shorter(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1")
    thread = thread_of(coach)
    for n in range(4):
        asked(coach, thread, f"Question {n}?")
    api.replies[:] = [*[TOO_LONG] * (len(api.requests) + 1), responses("Short.", answer="resp_short")]
    events = asked(coach, thread, "And now?")
    assert events[-1].status == "completed" and events[-1].retries == 1
    assert [t for _, t in told(api.bodies[-1])] == ["Question 2?", "Fine.", "Question 3?", "Fine.", "And now?"]
    assert "previous_response_id" in api.bodies[-2] and "previous_response_id" not in api.bodies[-1]
    assert any("older half" in n for n in coach.turn(coach.owner(), events[-1].turn).notices)  # type: ignore[arg-type]
    asked(coach, thread, "Go on.")
    assert api.bodies[-1]["previous_response_id"] == "resp_short", "the shorter one is gone on from"


def test_what_is_too_long_even_so_is_told(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", backend="openai_chat")
    thread = thread_of(coach)
    api.replies[:] = [chat("One."), TOO_LONG]
    asked(coach, thread, "First?")
    events = asked(coach, thread, "Second?")
    assert len(api.requests) == 3 and (events[-1].kind, events[-1].error) == ("error", "context_too_long")
    assert "too long" in events[-1].text


# -- tools called by hand ----------------------------------------------------------------------------------


@pytest.fixture
def library(make_coach: Maker, tmp_path: Path, api: FakeApi) -> tuple[Coach, Actor, Persona]:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", backend="openai_chat")
    me = coach.owner()
    (tmp_path / "okapi.md").write_text("# Okapi\n\nAn okapi sleeps five minutes a night, deep in the forest.\n")
    group = coach.create_collection(me, "Animals")
    coach.ingest(me, group.id, "okapi.md", tmp_path / "okapi.md")
    draft = PersonaDraft("Keeper", collections=(group.id,), tools=("search_documents",))
    return coach, me, coach.save_persona(me, draft)


def test_a_tool_called_by_hand_is_told_to_the_model_like_its_own(
    library: tuple[Coach, Actor, Persona], api: FakeApi
) -> None:
    coach, me, persona = library
    api.replies[:] = [chat("Five minutes [1].")]
    thread = coach.new_thread(me, persona.id)
    events = asked(coach, thread, "/search_documents okapi sleep")
    result = next(e for e in events if e.kind == "tool_result")
    assert "five minutes" in result.text and events[-1].status == "completed"
    (asked_, call, answer) = told(api.bodies[-1])
    assert asked_ == ("user", "okapi sleep") and call[0] == "call" and '"okapi sleep"' in call[1]
    assert answer == ("result", call[1].split()[0])
    question, stored = coach.messages(me, thread.id)
    assert question.text == "/search_documents okapi sleep"
    assert [p.kind for p in stored.parts] == ["tool_call", "tool_result", "text"]


def test_lines_below_the_call_are_the_question(library: tuple[Coach, Actor, Persona], api: FakeApi) -> None:
    coach, me, persona = library
    api.replies[:] = [chat("Short.")]
    asked(coach, coach.new_thread(me, persona.id), "/search_documents okapi\nIs that short for an animal?")
    assert told(api.bodies[-1])[0] == ("user", "Is that short for an animal?")


@pytest.mark.parametrize(
    ("text", "read"), [("//search_documents x", "/search_documents x"), ("/unknown x", "/unknown x"), ("/ x", "/ x")]
)
def test_what_is_no_call_is_plain_text(
    library: tuple[Coach, Actor, Persona], api: FakeApi, text: str, read: str
) -> None:
    coach, me, persona = library
    api.replies[:] = [chat("Yes.")]
    thread = coach.new_thread(me, persona.id)
    events = asked(coach, thread, text)
    assert not [e for e in events if e.kind == "tool_call"] and told(api.bodies[-1]) == [("user", read)]
    assert coach.messages(me, thread.id)[0].text == text


def test_a_call_written_wrongly_is_refused_with_how_to_write_it(library: tuple[Coach, Actor, Persona]) -> None:
    coach, me, persona = library
    thread = coach.new_thread(me, persona.id)
    with pytest.raises(InputError, match="/search_documents QUERY"):
        coach.start(me, thread.id, "/search_documents")
    assert coach.messages(me, thread.id) == []


@pytest.mark.parametrize("backend", ["extractive", "openai_responses"])
def test_every_backend_takes_a_call_by_hand(library: tuple[Coach, Actor, Persona], api: FakeApi, backend: str) -> None:
    coach, me, persona = library
    api.replies[:] = [responses("Five minutes.")]
    events = asked(coach, coach.new_thread(me, persona.id), "/search_documents okapi sleep", backend=backend)
    assert events[-1].status == "completed" and [e.name for e in events if e.kind == "tool_result"]


def test_a_persona_without_tools_has_no_calls(make_coach: Maker, api: FakeApi) -> None:
    coach = make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", backend="openai_chat")
    api.replies[:] = [chat("Yes.")]
    thread = thread_of(coach)
    assert not [e for e in asked(coach, thread, "/search_documents x") if e.kind == "tool_call"]
    assert coach.slash_commands(coach.owner(), thread.persona_id) == ([], "")


def test_the_commands_of_a_persona_say_how_they_are_written(library: tuple[Coach, Actor, Persona]) -> None:
    coach, me, persona = library
    commands, why = coach.slash_commands(me, persona.id)
    assert [(c.name, c.usage) for c in commands] == [("/search_documents", "/search_documents QUERY")]
    assert commands[0].does.startswith("Search the practice's documents") and why == ""
    _, why = coach.slash_commands(me, persona.id, "extractive")
    assert "uses no tools by itself" in why


def test_quotes_are_worth_waiting_for(make_coach: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that has nothing to say without passages waits for them beyond the deadline of the others."""
    coach = make_coach(backend="extractive", context_deadline=0.001)
    me, late = coach.owner(), coach.knowledge.portion

    def slow(*args: Any, **how: Any) -> Any:
        threading.Event().wait(0.05)
        return late(*args, **how)

    monkeypatch.setattr(coach.knowledge, "portion", slow)
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    turn = coach.start(me, thread.id, "How much sleep do I need?")
    events = [e for e in coach.tail(me, turn.id) if e]
    assert any(e.kind == "citation" for e in events) and not any("left out" in e.text for e in events)
