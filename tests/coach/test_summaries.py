"""Long threads: the older part is summed up after a turn, told with the history, and never told twice."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core import tokens
from coach_core.coach import Coach
from coach_core.errors import ThreadNotFound
from coach_core.memory import summarising
from coach_core.memory.promised import promised
from coach_core.types import Event, Message, Part, Summary, Thread, new_id, now
from tests.backends.fake_api import FakeApi
from tests.coach.api import chat, responses, told

Maker = Callable[..., Coach]
SAID = [
    "I want to run a marathon in October.",
    "I have decided to move to Hamburg.",
    "I will call my sister on Friday.",
    "My name is Ada and I work as a nurse.",
    "What else could I do about my evenings?",
]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi(responses("Fine.")) as api:
        yield api


def ask(coach: Coach, thread: Thread, text: str, **how: Any) -> list[Event]:
    me = coach.owner()
    turn = coach.start(me, thread.id, text, **how)
    return [e for e in coach.tail(me, turn.id) if e]


def notices(events: list[Event]) -> list[str]:
    return [e.text for e in events if e.kind == "notice" and e.source == "history"]


def summed(coach: Coach, thread: Thread, other: Summary | None = None) -> Summary:
    """The summary at the head, when it is made and is not `other`."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        found = coach.summary(coach.owner(), thread.id)
        if found is not None and found != other:
            return found
        threading.Event().wait(0.01)
    raise AssertionError("no summary was made")


def thread_of(coach: Coach) -> Thread:
    me = coach.owner()
    return coach.new_thread(me, coach.persona(me, "general").id)


def wired(make_coach: Maker, api: FakeApi, backend: str = "openai_chat", **more: Any) -> Coach:
    api.replies[:] = [(chat if backend == "openai_chat" else responses)("Fine.")]
    given: dict[str, Any] = {"openai_base_url": api.url, "openai_api_key": "k", "model": "m1", "history_messages": 4}
    return make_coach(**given | {"backend": backend} | more)


def test_the_older_part_is_told_as_a_summary_before_the_history(make_coach: Maker, api: FakeApi) -> None:
    coach = wired(make_coach, api)
    thread = thread_of(coach)
    for text in SAID[:3]:
        assert notices(ask(coach, thread, text)) == []
    made = summed(coach, thread)
    assert "marathon" in made.text and made.model == "" and made.tokens == tokens.count(made.text)
    assert notices(ask(coach, thread, SAID[3])) == ["Older messages are told as a summary."]
    system, first, *_ = api.bodies[-1]["messages"]
    assert first["role"] == "user" and "Summary of the earlier" not in str(system)
    assert "marathon" in str(first["content"]), "before the first question, in the same message"
    assert [t for who, t in told(api.bodies[-1]) if who == "user"] == SAID[1:4]
    assert str(api.bodies[-1]).count("Summary of the earlier part") == 1
    record = coach.turn_of(coach.owner(), coach.messages(coach.owner(), thread.id)[-1].id)
    assert record is not None and "Older messages are told as a summary." in record.notices


def test_a_server_that_holds_the_conversation_is_not_told_it_twice(make_coach: Maker, api: FakeApi) -> None:
    coach = wired(make_coach, api, "openai_responses")
    thread = thread_of(coach)
    for text in SAID[:3]:
        ask(coach, thread, text)
    summed(coach, thread)
    assert notices(ask(coach, thread, SAID[3])) == []
    assert "Summary of the earlier" not in str(api.bodies[-1]) and api.bodies[-1]["previous_response_id"] == "resp_1"
    assert notices(ask(coach, thread, SAID[4], backend="openai_chat")) == ["Older messages are told as a summary."]


def test_it_grows_by_what_left_the_window_since(make_coach: Maker, api: FakeApi) -> None:
    coach = wired(make_coach, api)
    thread = thread_of(coach)
    for text in SAID[:3]:
        ask(coach, thread, text)
    first = summed(coach, thread)
    for text in SAID[3:]:
        ask(coach, thread, text)
    for n in range(3):
        ask(coach, thread, f"And then, number {n}?")
    last = summed(coach, thread, first)
    until = time.monotonic() + 10
    while "nurse" not in last.text and time.monotonic() < until:
        last = summed(coach, thread, first)
    for word in ("marathon", "Hamburg", "sister", "nurse"):
        assert last.text.count(word) == 1


def test_another_branch_is_told_the_nearest_summary_above_it(make_coach: Maker, api: FakeApi) -> None:
    coach = wired(make_coach, api, history_messages=2)
    me, thread = coach.owner(), thread_of(coach)
    made = None
    for text in SAID:
        ask(coach, thread, text)
    made = summed(coach, thread)
    second = coach.messages(me, thread.id)[2]
    turn = coach.edit(me, second.id, "I have decided to stay in Kiel.")
    assert [e for e in coach.tail(me, turn.id) if e]
    ask(coach, thread, "Is that wise?")
    sent = str(api.bodies[-1])
    assert "Hamburg" not in sent and "sister" not in sent, "nothing of the branch that was left"
    assert made.message_id not in {m.id for m in coach.messages(me, thread.id)}
    stranger = coach.add_profile(me, "Stranger", "owner")
    with pytest.raises(ThreadNotFound):
        coach.summary(coach.actor_for(stranger.id), thread.id)


def test_none_is_made_where_it_is_switched_off(make_coach: Maker, api: FakeApi) -> None:
    coach = wired(make_coach, api, history_messages=2, summary_tokens=0)
    thread = thread_of(coach)
    for text in SAID:
        events = ask(coach, thread, text)
    assert notices(events) == ["Older messages were left out to keep within the budget."]
    assert coach.summary(coach.owner(), thread.id) is None


@pytest.mark.parametrize(
    ("answer", "model"),
    [
        ("- 2026-03-01: Wants to run a marathon in October.", "scripted"),
        ("I cannot help with that.", ""),
        ("- The moon is made of cheese, said somebody unknown yesterday evening.", ""),
    ],
)
def test_a_model_may_write_it_within_the_same_bounds(
    make_coach: Maker, tmp_path: Path, answer: str, model: str
) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": [{"match": "Said since then", "steps": [answer]}], "steps": ["Fine."]}))
    coach = make_coach(backend="scripted", script=str(script), history_messages=2, summary_by="model")
    thread = thread_of(coach)
    for text in SAID[:3]:
        ask(coach, thread, text)
    made = summed(coach, thread)
    assert made.model == model and "marathon" in made.text
    assert (made.text == answer) == bool(model)


# -- the rules -------------------------------------------------------------------------------------------


def said(text: str, speaker: Any = "user") -> Message:
    return Message(new_id(), new_id(), None, speaker, (Part("text", text),), text, "complete", now())


def test_a_summary_stays_within_its_bounds_however_long_the_talk() -> None:
    old = ""
    for n in range(12):
        talk = [said(f"I want to learn skill number {n * 5 + i}, called s{n}x{i}, before winter.") for i in range(5)]
        old = summarising.updated(old, talk, 200)
        assert tokens.count(old) <= 200
    assert "Wants" in old and "s11x" in old


def test_what_is_said_again_stands_once_and_what_changed_in_its_new_form() -> None:
    old = summarising.updated("", [said("I live in Berlin."), said("I want to sleep eight hours each night.")], 300)
    new = summarising.updated(
        old, [said("I want to sleep eight hours each night, really."), said("I live in Lisbon.")], 300
    )
    assert new.count("eight hours") == 1 and "Lisbon" in new and "Berlin" not in new


@pytest.mark.parametrize(
    ("language", "text", "kind"),
    [
        ("en", "I will call my sister on Friday.", "commitment"),
        ("en", "I've decided to move to Hamburg.", "decision"),
        ("en", "Thanks, I'll try that.", None),
        ("en", "Should I call her?", None),
        ("en", "If I call her, I will cry.", None),
        ("es", "Mañana llamaré a mi hermana.", "commitment"),
        ("es", "He decidido dejar el trabajo.", "decision"),
        ("de", "Ich werde am Freitag meine Schwester anrufen.", "commitment"),
        ("de", "Ich habe mich für Hamburg entschieden.", "decision"),
        ("zh", "我一定每天早上跑步半小时。", "commitment"),
        ("zh", "我决定换工作。", "decision"),
        ("ar", "سأتصل بأختي يوم الجمعة.", "commitment"),
        ("ar", "قررت أن أغير عملي.", "decision"),
    ],
)
def test_what_somebody_commits_to(language: str, text: str, kind: str | None) -> None:
    assert promised(text, language) == kind


def test_headings_are_in_the_language_of_the_talk() -> None:
    assert summarising.updated("", [said("Ich möchte im Herbst einen Marathon laufen.")], 300).startswith("Will\n")
    assert "决定" in summarising.updated("", [said("我决定下个月换工作，去上海。")], 300)


# -- recall within a long thread ---------------------------------------------------------------------------


def test_recall_reaches_what_neither_window_nor_branch_left_behind_hold(make_coach: Maker, api: FakeApi) -> None:
    coach = wired(make_coach, api, history_messages=2, summary_tokens=0, memory_mode="off")
    me, thread = coach.owner(), thread_of(coach)
    ask(coach, thread, "My sister Beatrix plays the cello in Leipzig.")
    for n in range(6):
        ask(coach, thread, f"Tell me of mountain number {n}, its height and its weather.")
    ask(coach, thread, "Which instrument does my sister Beatrix play?")
    assert "Beatrix plays the cello" in str(api.bodies[-1])
    first = coach.messages(me, thread.id)[0]
    turn = coach.edit(me, first.id, "My sister Beatrix is a baker.")
    assert [e for e in coach.tail(me, turn.id) if e]
    for n in range(3):
        ask(coach, thread, f"Which instrument does my sister Beatrix play, asked {n} times?")
        assert "cello" not in str(api.bodies[-1]), "that was said on a branch that was left"
