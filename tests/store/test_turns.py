from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coach_core.errors import LeaseLost, MessageNotFound, ThreadNotFound, TurnNotFound, TurnRunning
from coach_core.store import messages, metrics, state, threads, turns
from coach_core.types import Actor, Citation, Event, Part, ThreadQuery, Usage, new_id, now


def late() -> Any:
    """A moment at which every lease has ended."""
    return now() + timedelta(seconds=60)


def test_begin_stores_question_answer_and_turn_at_once(world: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread, "How do I begin?", key="k1")
    question, answer = messages.branch(world.db, world.actor, thread.id)
    assert (question.id, question.text, question.status, question.speaker) == (
        turn.question_id,
        "How do I begin?",
        "complete",
        "user",
    )
    assert (answer.id, answer.text, answer.status, answer.parent_id) == (turn.answer_id, "", "streaming", question.id)
    stored = turns.get(world.db, world.actor, turn.id)
    assert stored == turn
    now_ = threads.get(world.db, world.actor, thread.id)
    assert (now_.title, now_.head_id) == ("How do I begin?", answer.id)
    assert now_.updated_at > thread.updated_at


def test_the_same_key_is_the_same_turn(world: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread, "Once", key="k")
    assert world.begin(thread, "Once", key="k").id == turn.id
    world.finish(turn)
    again = world.begin(thread, "Once", key="k", db=world.again())
    assert (again.id, again.status) == (turn.id, "completed")
    assert len(messages.tree(world.db, world.actor, thread.id)) == 2


def test_one_running_turn_a_thread(world: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread, "First")
    with pytest.raises(TurnRunning):
        world.begin(thread, "Second", db=world.again())
    assert [m.text for m in messages.tree(world.db, world.actor, thread.id)] == ["First", ""]
    world.finish(turn)
    world.begin(thread, "Second", parent_id=turn.answer_id)


def test_of_many_that_begin_at_once_one_wins(world: Any) -> None:
    thread = world.thread()
    opened = [world.db, world.again()]
    gate = threading.Barrier(8)

    def go(number: int) -> str:
        gate.wait()
        try:
            world.begin(thread, f"Question {number}", db=opened[number % 2], lease_owner=str(number))
        except TurnRunning:
            return "told"
        return "won"

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(go, range(8)))
    assert outcomes == ["told"] * 7 + ["won"]
    assert len(messages.tree(world.db, world.actor, thread.id)) == 2


def test_the_same_key_at_once_from_two_processes(world: Any) -> None:
    thread, other = world.thread(), world.again()
    gate = threading.Barrier(2)

    def go(db: Any) -> Any:
        gate.wait()
        return world.begin(thread, "Once", key="same", db=db).id

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(go, (world.db, other))
    assert first == second


def test_partial_text_and_events_are_kept_as_they_come(world: Any) -> None:
    turn = world.begin(world.thread())
    turns.append(world.db, turn, "me", 1, [Event("start", turn.id, 1, backend="scripted")], "").result()
    turns.append(world.db, turn, "me", 1, [Event("text", turn.id, 2, "Wri\x00te")], "Wri\x00te \ud800").result()
    assert messages.get(world.db, world.actor, turn.answer_id).text == "Wri\ufffdte \ufffd"
    assert [(e.seq, e.kind, e.text) for e in turns.events(world.db, turn.id)] == [
        (1, "start", ""),
        (2, "text", "Wri\ufffdte"),
    ]
    assert [e.seq for e in turns.events(world.db, turn.id, after=1)] == [2]


def test_finish_keeps_everything_in_one_commit(world: Any, cite: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread)
    world.finish(
        turn,
        "Write it down [1].",
        citations=[cite(1), cite(2)],
        usage=Usage(11, 22, 3, 4, True),
        cost=987,
        timing={"first_token": 1.5, "total": 9.25, "context": 0.5},
        notices=("No memory.",),
        provider_state={"response_id": "r1"},
        attempts=2,
        backend="backup",
        model="big",
        endpoint="elsewhere",
    )
    stored = turns.get(world.db, world.actor, turn.id)
    assert (stored.status, stored.backend, stored.model, stored.endpoint, stored.attempts) == (
        "completed",
        "backup",
        "big",
        "elsewhere",
        2,
    )
    assert (stored.usage, stored.cost, stored.notices) == (Usage(11, 22, 3, 4, True), 987, ("No memory.",))
    assert stored.timing == {"first_token": 1.5, "total": 9.25, "context": 0.5}
    answer = messages.get(world.db, world.actor, turn.answer_id)
    assert (answer.text, answer.status, answer.parts) == (
        "Write it down [1].",
        "complete",
        (Part("text", "Write it down [1]."),),
    )
    assert messages.citations(world.db, world.actor, [answer.id]) == {answer.id: [cite(1), cite(2)]}
    kept = state.get(world.db, thread.id, "elsewhere")
    assert kept is not None and (kept.message_id, kept.data) == (answer.id, {"response_id": "r1"})
    assert turns.events(world.db, turn.id)[-1].terminal
    hits, _ = threads.find(world.db, world.actor, ThreadQuery(text="write"))
    assert hits[0].message_id == answer.id
    assert hits[0].last_backend == "backup"


def test_a_turn_ends_once(world: Any) -> None:
    turn = world.begin(world.thread())
    world.finish(turn, "First")
    with pytest.raises(LeaseLost):
        world.finish(turn, "Second")
    with pytest.raises(LeaseLost):
        turns.append(world.db, turn, "me", 1, [], "Third").result()
    assert messages.get(world.db, world.actor, turn.answer_id).text == "First"


def test_a_finish_that_fails_leaves_nothing_behind(world: Any, cite: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread)
    with pytest.raises(Exception, match=r"(?i)unique"):
        world.finish(turn, "Torn", citations=[cite(1), cite(1)])
    assert messages.get(world.db, world.actor, turn.answer_id).text == ""
    assert turns.running(world.db, world.actor, thread.id) is not None
    assert turns.events(world.db, turn.id) == []
    assert metrics.read(world.db, now() - timedelta(days=1), late(), "hour") == []


@pytest.mark.parametrize(("owner", "attempt"), [("other", 1), ("me", 2)])
def test_writes_are_fenced_by_owner_and_attempt(world: Any, owner: str, attempt: int) -> None:
    turn = world.begin(world.thread())
    other = world.again()
    with pytest.raises(LeaseLost):
        turns.append(other, turn, owner, attempt, [Event("text", turn.id, 1, "x")], "x").result()
    with pytest.raises(LeaseLost):
        world.finish(turn, db=other, owner=owner, attempt=attempt)
    assert turns.renew(other, turn.id, owner, attempt) == turns.Lease(held=False, cancel=False)
    assert turns.renew(world.db, turn.id, "me", 1).held
    assert turns.events(world.db, turn.id) == []


def test_a_dead_owners_turn_is_interrupted_with_what_had_arrived(world: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread)
    turns.append(world.db, turn, "me", 1, [Event("text", turn.id, 1, "Half an answer")], "Half an answer").result()
    survivor = world.again()
    assert turns.recover(survivor, now()) == []
    assert turns.recover(survivor, late()) == [turn.id]
    assert turns.recover(survivor, late()) == []
    answer = messages.get(world.db, world.actor, turn.answer_id)
    assert (answer.status, answer.text, answer.parts) == (
        "interrupted",
        "Half an answer",
        (Part("text", "Half an answer"),),
    )
    record = turns.get(world.db, world.actor, turn.id)
    assert (record.status, record.error) == ("interrupted", "interrupted")
    end = turns.events(world.db, turn.id)[-1]
    assert (end.kind, end.seq, end.error) == ("error", 2, "interrupted")
    with pytest.raises(LeaseLost):  # the owner was only slow; it learns that it lost
        world.finish(turn, "A whole answer")
    hits, total = threads.find(world.db, world.actor, ThreadQuery(text="half"))
    assert (total, hits[0].interrupted) == (1, True)
    (row,) = metrics.read(world.db, now() - timedelta(days=1), late(), "day")
    assert (row.turns, row.failed, row.errors) == (1, 1, {"interrupted": 1})


def told(turn: Any, *events: Event) -> list[Event]:
    return [replace(event, turn=turn.id, seq=n) for n, event in enumerate(events, 1)]


CALL = Event("tool_call", call_id="c1", name="look", arguments={"word": "x"})
RESULT = Event("tool_result", call_id="c1", name="look", text="found")


def test_what_tools_did_outlives_their_owner(world: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread)
    never = Event("tool_call", call_id="c2", name="look", arguments={})
    events = told(turn, Event("text", text="Let me see."), CALL, RESULT, Event("text", text="It is"), never)
    turns.append(world.db, turn, "me", 1, events, "Let me see.It is").result()
    turns.recover(world.again(), late())
    answer = messages.get(world.db, world.actor, turn.answer_id)
    assert answer.text == "Let me see.It is"
    assert [(p.kind, p.text) for p in answer.parts] == [
        ("text", "Let me see."), ("tool_call", ""), ("tool_result", "found"), ("text", "It is"),
    ]  # fmt: skip
    cited = Event("citation", citation=Citation(1, "Web", url="https://a.example/"))
    again = world.begin(thread, None, question_id=turn.question_id, resume_of=turn.answer_id)
    events = told(again, cited, Event("text", text=" there [1]."))
    turns.append(world.db, again, "me", 1, events, "Let me see.It is there [1].").result()
    turns.recover(world.again(), late())
    answer = messages.get(world.db, world.actor, again.answer_id)
    assert [p.text for p in answer.parts] == ["Let me see.", "", "found", "It is there [1]."]
    third = world.begin(thread, None, question_id=turn.question_id, resume_of=again.answer_id)
    turns.recover(world.again(), late())
    kept = messages.citations(world.db, world.actor, [third.answer_id])[third.answer_id]
    assert [(c.number, c.url) for c in kept] == [(1, "https://a.example/")], "its sources go along"


def test_a_renewed_lease_is_not_recovered(world: Any) -> None:
    turn = world.begin(world.thread(), lease_seconds=0.001)
    assert turns.renew(world.db, turn.id, "me", 1, seconds=120).held
    assert turns.recover(world.again(), late()) == []


def test_a_new_question_buries_a_dead_turn_first(world: Any) -> None:
    thread = world.thread()
    dead = world.begin(thread, "First", lease_seconds=-1)
    turn = world.begin(thread, "Second", parent_id=dead.answer_id, db=world.again(), lease_owner="you")
    assert turns.status(world.db, dead.id) == "interrupted"
    assert turns.status(world.db, turn.id) == "running"


def test_recovery_by_many_buries_once(world: Any) -> None:
    dead = {world.begin(world.thread(), lease_seconds=-1).id for _ in range(5)}
    opened = [world.again() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda db: turns.recover(db, now()), opened))
    assert sorted(i for ids in found for i in ids) == sorted(dead)
    rows = metrics.read(world.db, now() - timedelta(days=1), late(), "day")
    assert sum(row.turns for row in rows) == 5


def test_cancel_reaches_the_owner_through_its_lease(world: Any) -> None:
    turn = world.begin(world.thread())
    other = world.again()
    assert not turns.cancel_requested(world.db, turn.id)
    turns.request_cancel(other, world.actor, turn.id)
    assert turns.renew(world.db, turn.id, "me", 1) == turns.Lease(held=True, cancel=True)
    assert turns.cancel_requested(world.db, turn.id)


def test_retry_and_edit_add_siblings(world: Any) -> None:
    thread = world.thread()
    first = world.ask(thread, "Why?", "Because.")
    again = world.begin(thread, None, question_id=first.question_id)
    world.finish(again, "Since.")
    answer = messages.get(world.db, world.actor, again.answer_id)
    assert answer.siblings == (first.answer_id, again.answer_id)
    edited = world.begin(thread, "Why not?", parent_id=None)
    world.finish(edited)
    question = messages.get(world.db, world.actor, edited.question_id)
    assert question.siblings == (first.question_id, edited.question_id)
    assert [t.id for t in turns.of_thread(world.db, world.actor, thread.id)] == [first.id, again.id, edited.id]
    newest = turns.of_message(world.db, world.actor, first.question_id)
    assert newest is not None and newest.id == again.id
    own = turns.of_message(world.db, world.actor, first.answer_id)
    assert own is not None and own.id == first.id


def test_going_on_begins_with_the_text_that_was_there(world: Any) -> None:
    thread = world.thread()
    first = world.begin(thread)
    turns.append(world.db, first, "me", 1, [], "Half").result()
    turns.recover(world.db, late())
    more = world.begin(thread, None, question_id=first.question_id, resume_of=first.answer_id)
    assert messages.get(world.db, world.actor, more.answer_id).text == "Half"


def test_messages_of_another_thread_are_refused(world: Any) -> None:
    thread, other = world.thread(), world.thread()
    foreign = world.ask(other, "Elsewhere")
    for how in (
        {"parent_id": foreign.answer_id},
        {"text": None, "question_id": foreign.question_id},
        {"resume_of": foreign.answer_id},
        {"parent_id": new_id()},
    ):
        with pytest.raises(MessageNotFound):
            world.begin(thread, **how)
    assert messages.tree(world.db, world.actor, thread.id) == []


def test_nobody_else_sees_or_stops_a_turn(world: Any) -> None:
    thread = world.thread()
    turn = world.begin(thread, key="mine")
    stranger: Actor = world.profile("Stranger", "admin")
    for look in (
        lambda: turns.get(world.db, stranger, turn.id),
        lambda: turns.request_cancel(world.db, stranger, turn.id),
    ):
        with pytest.raises(TurnNotFound):
            look()
    with pytest.raises(ThreadNotFound):
        world.begin(thread, actor=stranger)
    assert turns.running(world.db, stranger, thread.id) is None
    assert turns.of_key(world.db, stranger, "mine") is None
    assert turns.of_message(world.db, stranger, turn.answer_id) is None
    assert turns.of_thread(world.db, stranger, thread.id) == []
    assert not turns.cancel_requested(world.db, turn.id)


def test_a_key_is_its_persons_own(world: Any) -> None:
    turn = world.begin(world.thread(), key="shared")
    stranger: Actor = world.profile("Stranger")
    own = world.thread(actor=stranger)
    other = world.begin(own, key="shared", actor=stranger)
    assert (other.id != turn.id, other.thread_id) == (True, own.id)


def test_events_are_dropped_a_while_after_the_end(world: Any) -> None:
    ended = world.ask(world.thread(), "Old")
    running = world.begin(world.thread())
    turns.append(world.db, running, "me", 1, [Event("start", running.id, 1)], "").result()
    assert turns.drop_old_events(world.db, now() - timedelta(hours=1)) == 0
    assert turns.drop_old_events(world.db, late()) == 1
    assert turns.events(world.db, ended.id) == []
    assert len(turns.events(world.db, running.id)) == 1
    assert messages.get(world.db, world.actor, ended.answer_id).text == "This."


def test_status_of_an_unknown_turn(world: Any) -> None:
    assert turns.status(world.db, new_id()) is None
    with pytest.raises(TurnNotFound):
        turns.get(world.db, world.actor, new_id())
