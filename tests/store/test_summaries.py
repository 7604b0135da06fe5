"""Running summaries belong to their branch, and to whom the thread belongs."""

from __future__ import annotations

from typing import Any

import pytest

from coach_core.errors import MessageNotFound, ThreadNotFound
from coach_core.store import messages, summaries, threads


def test_a_branch_is_told_the_nearest_summary_above_it(world: Any) -> None:
    db, me, thread = world.db, world.actor, world.thread()
    one, two, three = (world.ask(thread, f"Question {n}?", f"Answer {n}.") for n in (1, 2, 3))
    assert summaries.nearest(db, me, thread.id) is None
    first = summaries.add(db, thread.id, one.answer_id, "- first", 3)
    second = summaries.add(db, thread.id, two.answer_id, "- second\x00", 3, model="m")
    assert summaries.add(db, thread.id, two.answer_id, "- again", 3) is None, "one a message"
    assert second is not None and (second.text, second.model) == ("- second\ufffd", "m")
    assert summaries.nearest(db, me, thread.id) == second
    assert summaries.nearest(db, me, thread.id, two.answer_id) == second
    assert summaries.nearest(db, me, thread.id, two.question_id) == first
    edited = world.ask(thread, "Question 2, better?", "Answer 2b.", parent_id=one.answer_id)
    assert summaries.nearest(db, me, thread.id) == first, "the new branch does not go through the second"
    beside = summaries.add(db, thread.id, edited.answer_id, "- beside", 3)
    assert summaries.nearest(db, me, thread.id) == beside
    assert summaries.nearest(db, me, thread.id, three.answer_id) == second
    assert [s.text for s in summaries.of_thread(db, me, thread.id)] == ["- first", "- second\ufffd", "- beside"]


def test_what_was_said_since_a_message(world: Any) -> None:
    db, me, thread = world.db, world.actor, world.thread()
    one, two, three = (world.ask(thread, f"Question {n}?", f"Answer {n}.") for n in (1, 2, 3))
    world.ask(thread, "Elsewhere?", "Elsewhere.", parent_id=one.answer_id)

    def said(*args: Any) -> list[str]:
        return [m.text for m in summaries.since(db, me, thread.id, *args)]

    assert said(three.question_id, None, 99) == ["Question 1?", "Answer 1.", "Question 2?", "Answer 2.", "Question 3?"]
    assert said(three.answer_id, two.answer_id, 99) == ["Question 3?", "Answer 3."]
    assert said(three.answer_id, one.answer_id, 3) == ["Question 2?", "Answer 2.", "Question 3?"], "the oldest of more"


def test_nobody_else_reads_summaries(world: Any) -> None:
    thread = world.thread()
    turn = world.ask(thread, "Secret", "Sure.")
    summaries.add(world.db, thread.id, turn.answer_id, "- secret", 3)
    stranger = world.profile("Stranger", "owner")
    for look in (
        lambda: summaries.nearest(world.db, stranger, thread.id),
        lambda: summaries.nearest(world.db, stranger, thread.id, turn.answer_id),
        lambda: summaries.since(world.db, stranger, thread.id, turn.answer_id, None, 9),
        lambda: summaries.of_thread(world.db, stranger, thread.id),
    ):
        with pytest.raises(ThreadNotFound):
            look()


def test_a_window_of_a_branch(world: Any) -> None:
    db, me, thread = world.db, world.actor, world.thread()
    turns = [world.ask(thread, f"q{n}", f"a{n}") for n in range(5)]

    def look(*args: Any, **how: Any) -> tuple[list[str], bool, bool]:
        found = messages.window(db, me, thread.id, *args, **how)
        return [m.text for m in found.messages], found.earlier, found.later

    assert look(3) == (["a3", "q4", "a4"], True, False)
    assert look(10)[1:] == (False, False) and len(look(10)[0]) == 10
    assert look(2, around=turns[1].answer_id, after=1) == (["a0", "q1", "a1", "q2"], True, True)
    assert look(9, around=turns[4].answer_id) == ([m for n in range(5) for m in (f"q{n}", f"a{n}")], False, False)
    other = world.ask(thread, "q1b", "a1b", parent_id=turns[0].answer_id)
    assert look(2)[0] == ["q1b", "a1b"]
    assert messages.window(db, me, thread.id, 2).messages[0].siblings == (turns[1].question_id, other.question_id)
    with pytest.raises(MessageNotFound):
        look(2, around=turns[3].answer_id)
    threads.update(db, me, thread.id, head_id=turns[4].answer_id)
    assert look(1) == (["a4"], True, False)
