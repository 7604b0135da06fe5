"""Turns through the facade: they live off the page, appear whole and once, and nothing is overwritten."""

import json
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.errors import EmptyMessage, MessageNotFound, MessageTooLong, NotFound, ThreadNotFound, TurnRunning
from coach_core.types import Actor, Event, Persona, TurnRecord, new_id

Maker = Callable[..., Coach]


def script(tmp_path: Path, *steps: Any, **more: Any) -> str:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"steps": list(steps), **more}))
    return str(path)


def wait(coach: Coach, me: Actor, turn: TurnRecord, after: int = 0) -> list[Event]:
    return [e for e in coach.tail(me, turn.id, after) if e]


def text_of(events: Sequence[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "text")


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "this did not come"
        threading.Event().wait(0.01)
    return value


def test_an_answer_is_streamed_stored_and_cited(coach: Coach, me: Actor, persona: Persona) -> None:
    thread = coach.new_thread(me, persona.id)
    turn = coach.start(me, thread.id, "How do I set a goal that I keep?")
    events = wait(coach, me, turn)
    assert [e.seq for e in events] == list(range(1, len(events) + 1)) and events[-1].status == "completed"
    question, answer = coach.messages(me, thread.id)
    assert (question.text, question.status) == ("How do I set a goal that I keep?", "complete")
    assert (answer.text, answer.status, answer.parent_id) == (text_of(events), "complete", question.id)
    cited = coach.citations(me, [answer.id])[answer.id]
    assert [replace(c, verdict="", checks=None) for c in cited] == [e.citation for e in events if e.citation]
    assert cited[0].number == 1 and {c.verdict for c in cited} == {"holds"}, "a quote holds"
    assert events[-1].verdicts == {str(c.number): "holds" for c in cited}
    marks = [answer.text[a:b] for c in cited for a, b, *_ in c.checks or ()]
    assert marks and all(re.search(r"\[\d\]", mark) for mark in marks)
    since = timedelta(minutes=5)
    assert coach.metrics(me, since=since).total.counts == {"citations_checked": len(marks), "citations_wrong": 0}
    document = coach.document(me, cited[0].document_id or new_id())
    text, _ = coach.document_text(me, document.id)
    assert text[cited[0].start : cited[0].end] == cited[0].text, "the citation opens the very passage"
    record = coach.turn(me, turn.id)
    assert record.status == "completed" and record.timing["total"] >= record.timing["first_token"] > 0
    assert coach.thread(me, thread.id).title.startswith("How do I set a goal")


def test_every_viewer_sees_the_same_events_also_later(make_coach: Maker, tmp_path: Path) -> None:
    coach = make_coach(
        backend="scripted", script=script(tmp_path, *[f"word{i} " for i in range(60)], tokens_per_second=300)
    )
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    turn = coach.start(me, thread.id, "Go on.")
    early: list[list[Event]] = [[], []]
    viewers = [threading.Thread(target=lambda seen=seen: seen.extend(wait(coach, me, turn))) for seen in early]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join(20)
    late, half = wait(coach, me, turn), wait(coach, me, turn, after=30)
    assert early[0] == early[1] == late and half == late[30:]
    assert text_of(late) == coach.messages(me, thread.id)[-1].text == "".join(f"word{i} " for i in range(60))


def test_another_process_can_watch_and_stop_it(make_coach: Maker, tmp_path: Path) -> None:
    here = make_coach(backend="scripted", script=script(tmp_path, "First words. ", {"hang": True}))
    me = here.owner()
    thread = here.new_thread(me, here.persona(me, "general").id)
    turn = here.start(me, thread.id, "Begin.")
    there = make_coach(backend="scripted")
    until(lambda: there.partial(me, turn.id) == "First words. ")
    with pytest.raises(TurnRunning):
        there.start(me, thread.id, "At the same time.")
    there.cancel(me, turn.id)
    events = wait(there, me, turn)
    assert text_of(events) == "First words. " and events[-1].status == "cancelled"
    assert [m.status for m in here.messages(me, thread.id)] == ["complete", "cancelled"]


def test_partial_text_is_on_disk_within_a_quarter_second(make_coach: Maker, tmp_path: Path) -> None:
    here = make_coach(backend="scripted", script=script(tmp_path, "Some words. ", {"hang": True}))
    me = here.owner()
    thread = here.new_thread(me, here.persona(me, "general").id)
    turn = here.start(me, thread.id, "Begin.")
    next(e for e in here.tail(me, turn.id) if e and e.kind == "text")
    there = make_coach(backend="scripted")
    until(lambda: there.messages(me, thread.id)[-1].text == "Some words. ", 2.0)
    here.cancel(me, turn.id)


def test_only_one_turn_a_thread(make_coach: Maker, tmp_path: Path) -> None:
    coach = make_coach(backend="scripted", script=script(tmp_path, "x", {"hang": True}))
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    started: list[TurnRecord] = []
    told: list[TurnRunning] = []

    def ask() -> None:
        try:
            started.append(coach.start(me, thread.id, "Me first."))
        except TurnRunning as error:
            told.append(error)

    tabs = [threading.Thread(target=ask) for _ in range(6)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(20)
    assert len(started) == 1 and len(told) == 5
    assert len(coach.messages(me, thread.id)) == 2, "those who were told left nothing behind"
    coach.cancel(me, started[0].id)


def test_edit_and_regenerate_add_branches(coach: Coach, me: Actor, persona: Persona) -> None:
    thread = coach.new_thread(me, persona.id)
    wait(coach, me, coach.start(me, thread.id, "First question"))
    question, answer = coach.messages(me, thread.id)
    wait(coach, me, coach.regenerate(me, answer.id))
    again = coach.messages(me, thread.id)
    assert again[0].id == question.id and again[1].id != answer.id
    assert again[1].siblings == (answer.id, again[1].id)
    wait(coach, me, coach.edit(me, question.id, "Better question"))
    edited = coach.messages(me, thread.id)
    assert next(m.text for m in edited) == "Better question" and edited[0].siblings == (question.id, edited[0].id)
    coach.show_branch(me, thread.id, question.id)
    assert [m.id for m in coach.messages(me, thread.id)] == [question.id, again[1].id]
    coach.show_branch(me, thread.id, answer.id)
    assert coach.messages(me, thread.id)[1].text == answer.text


def test_a_stopped_answer_goes_on_where_it_stopped(make_coach: Maker, tmp_path: Path) -> None:
    path = script(tmp_path, "Half of it, ", {"hang": True})
    coach = make_coach(backend="scripted", script=path)
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    turn = coach.start(me, thread.id, "Tell me.")
    until(lambda: coach.partial(me, turn.id) == "Half of it, ")
    coach.cancel(me, turn.id)
    wait(coach, me, turn)
    stopped = coach.messages(me, thread.id)[-1]
    assert (stopped.text, stopped.status) == ("Half of it, ", "cancelled")
    coach.close()

    other = make_coach(backend="scripted", script=script(tmp_path, "Half of it, ", "and the rest."))
    events = wait(other, me, other.resume(me, stopped.id))
    assert text_of(events) == "and the rest."
    whole = other.messages(me, thread.id)[-1]
    assert (whole.text, whole.status, whole.siblings) == (
        "Half of it, and the rest.",
        "complete",
        (stopped.id, whole.id),
    )


def test_a_lost_owner_leaves_an_interrupted_answer(
    make_coach: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coach_core import runner

    monkeypatch.setattr(runner, "LEASE_SECONDS", 1.5)
    coach = make_coach(backend="scripted", script=script(tmp_path, "Some. ", {"hang": True}))
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    turn = coach.start(me, thread.id, "Begin.")
    other = make_coach(backend="scripted")
    until(lambda: other.messages(me, thread.id)[-1].text == "Some. ")
    monkeypatch.setattr(coach.runner, "_renew", lambda running: None)  # as if the process hung
    answer = until(lambda: (m := other.messages(me, thread.id)[-1]).status == "interrupted" and m)
    assert answer.text == "Some. " and wait(other, me, turn)[-1].kind == "error"
    assert other.running(me, thread.id) is None


def test_an_end_that_takes_its_time_stores_each_event_once(
    make_coach: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coach = make_coach(backend="scripted", script=script(tmp_path, "Two ", "words."))
    me = coach.owner()
    pause = threading.Event()

    def slow(*_: Any) -> int:
        pause.wait(0.6)  # longer than what has come may wait to be saved
        return 7

    monkeypatch.setattr(coach.runner, "_price", slow)
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    turn = coach.start(me, thread.id, "Go.")
    assert wait(coach, me, turn)[-1].status == "completed"
    assert coach.turn(me, turn.id).status == "completed" and coach.turn(me, turn.id).cost == 7
    assert make_coach(backend="scripted").messages(me, thread.id)[-1].text == "Two words."


def test_the_same_key_asks_once(coach: Coach, me: Actor, persona: Persona) -> None:
    thread = coach.new_thread(me, persona.id)
    first = coach.start(me, thread.id, "Once.", key="k1")
    wait(coach, me, first)
    assert coach.start(me, thread.id, "Once.", key="k1").id == first.id
    assert len(coach.messages(me, thread.id)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "‏كيف أبدأ؟ مرحبا",
        "👩‍👩‍👧 🏳️‍🌈 how?",
        "tab\tbell\x07 null\x00 end \ud800",
        "x" * 50_000,
        "日本語で答えて",
        "<script>alert(1)</script>",
    ],
)
def test_any_text_can_be_asked(coach: Coach, me: Actor, persona: Persona, text: str) -> None:
    thread = coach.new_thread(me, persona.id)
    assert wait(coach, me, coach.start(me, thread.id, text))[-1].status == "completed"
    stored = coach.messages(me, thread.id)[0].text
    assert stored == text.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")


def test_bad_questions_are_told_and_leave_nothing(coach: Coach, me: Actor, persona: Persona) -> None:
    thread = coach.new_thread(me, persona.id)
    for text in ("", "  \n\t "):
        with pytest.raises(EmptyMessage):
            coach.start(me, thread.id, text)
    with pytest.raises(MessageTooLong, match="100,000"):
        coach.start(me, thread.id, "x" * 100_000)
    assert coach.messages(me, thread.id) == []
    with pytest.raises(ThreadNotFound):
        coach.start(me, new_id(), "Hello?")
    with pytest.raises(MessageNotFound):
        coach.edit(me, new_id(), "Hello?")


def test_threads_are_their_owners_alone(coach: Coach, me: Actor, persona: Persona) -> None:
    other = coach.actor_for(coach.add_profile(me, "Somebody", "coach").id)
    thread = coach.new_thread(me, persona.id)
    turn = coach.start(me, thread.id, "Private.")
    wait(coach, me, turn)
    answer = coach.messages(me, thread.id)[-1]
    for look in (
        lambda: coach.thread(other, thread.id),
        lambda: coach.messages(other, thread.id),
        lambda: coach.start(other, thread.id, "Mine?"),
        lambda: coach.export(other, thread.id),
        lambda: coach.rename(other, thread.id, "x"),
        lambda: coach.turn(other, turn.id),
        lambda: list(coach.tail(other, turn.id)),
        lambda: coach.regenerate(other, answer.id),
        lambda: coach.feedback(other, answer.id, 1),
        lambda: coach.cancel(other, turn.id),
    ):
        with pytest.raises(NotFound, match=r"not yours|does not exist"):
            look()
    assert coach.citations(other, [answer.id]).get(answer.id, []) == []
    assert coach.delete_threads(other, [thread.id]) == 0
