"""What the pages of clients ask beside the rows themselves: the facts of a card, undoing a decision, whose threads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from coach_core.coach import Coach
from coach_core.types import Actor, ClientDraft, MemoryQuery, Persona, ThreadQuery

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_card_has_the_open_goals_the_last_session_and_what_is_due_first(coach: Coach, me: Actor) -> None:
    anna = coach.save_client(me, ClientDraft("Anna"))
    coach.save_client(me, ClientDraft("Bea"))
    coach.save_goal(me, anna.id, "Sleep")
    coach.save_goal(me, anna.id, "Run")
    coach.save_goal(me, anna.id, "Reached", status="reached")
    coach.save_goal(me, anna.id, "Hard", kind="challenge")
    for days in (9, 2):
        coach.save_note(me, anna.id, "A note", at=NOW - days * DAY)
        coach.save_homework(me, anna.id, "Work", due_at=NOW + days * DAY)
    coach.save_homework(me, anna.id, "Done", due_at=NOW, status="done")
    first, second = coach.clients(me)[0]
    assert (first.wants, first.last_session, first.homework_due) == (("Run", "Sleep"), NOW - 2 * DAY, NOW + 2 * DAY)
    assert (second.wants, second.last_session, second.homework_due) == ((), None, None)


def test_a_decision_about_a_memory_is_undone_as_if_it_had_not_been(coach: Coach, me: Actor, persona: Persona) -> None:
    anna = coach.save_client(me, ClientDraft("Anna"))
    thread = coach.new_thread(me, persona.id, client_id=anna.id)
    turn = coach.start(me, thread.id, "I love green tea.")
    list(coach.tail(me, turn.id))
    coach.propose_memories(me, turn.question_id)
    (memory,) = coach.memories(me, anna.id, MemoryQuery(status="pending"))[0]
    coach.approve_memories(me, [memory.id])
    assert coach.recall(me, "green tea", client_id=anna.id).items
    (back,) = coach.reconsider_memories(me, [memory.id])
    assert back.status == "pending" and coach.pending_count(me) == {anna.id: 1}
    recalled = coach.recall(me, "green tea", client_id=anna.id).items
    assert not [i for i in recalled if i.memory is not None]
    coach.reject_memories(me, [memory.id])
    assert coach.reconsider_memories(me, [memory.id])[0].status == "pending"


def test_threads_are_found_by_whom_they_are_about(coach: Coach, me: Actor, persona: Persona) -> None:
    anna, bea = (coach.save_client(me, ClientDraft(name)) for name in ("Anna", "Bea"))
    about = coach.new_thread(me, persona.id, title="One", client_id=anna.id)
    coach.new_thread(me, persona.id, title="Two", client_id=bea.id)
    coach.new_thread(me, persona.id, title="Three")
    hits, total = coach.threads(me, ThreadQuery(client_id=anna.id))
    assert ([h.thread.id for h in hits], total) == ([about.id], 1)
    assert coach.threads(me, ThreadQuery())[1] == 3
