"""Clients through the facade: what a coach keeps, the sheet before a session, and what another coach cannot see."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from coach_core.coach import Coach
from coach_core.errors import ClientNotFound, InputError, MessageNotFound, NotAllowed, NotFound
from coach_core.types import Actor, Client, ClientDraft, ClientQuery, Persona, new_id

DAY = timedelta(days=1)
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


@pytest.fixture
def anna(coach: Coach, me: Actor) -> Client:
    return coach.save_client(me, ClientDraft("Anna Meyer", "direct", ("honesty",), ("no calls on Friday",)))


def other_coach(coach: Coach) -> Actor:
    return coach.actor_for(coach.add_profile(coach.owner(), "Bea", "coach").id)


def asked(coach: Coach, me: Actor, thread_id: UUID, text: str) -> UUID:
    """Ask and wait; the question's id."""
    turn = coach.start(me, thread_id, text)
    list(coach.tail(me, turn.id))
    return turn.question_id


def test_a_client_is_saved_found_changed_deleted_and_brought_back(coach: Coach, me: Actor, anna: Client) -> None:
    draft = ClientDraft("Anna Meyer-Ito", values=(" honesty ", ""), time_zone="Europe/Berlin", next_session=NOW)
    changed = coach.save_client(me, draft, anna.id)
    assert (changed.name, changed.draft.values, changed.draft.next_session) == ("Anna Meyer-Ito", ("honesty",), NOW)
    found, total = coach.clients(me, ClientQuery("ito"))
    assert ([s.client.id for s in found], total) == ([anna.id], 1)
    coach.delete_client(me, anna.id)
    assert coach.clients(me) == ([], 0)
    assert coach.clients(me, ClientQuery(deleted=True))[1] == 1
    with pytest.raises(ClientNotFound):
        coach.brief(me, anna.id)
    assert coach.restore_client(me, anna.id).deleted_at is None
    assert coach.client_named(me, "anna meyer-ito").id == anna.id


@pytest.mark.parametrize(
    "draft",
    [
        ClientDraft("  "),
        ClientDraft("x" * 200),
        ClientDraft("A", time_zone="Mars/Base"),
        ClientDraft("A", memory_mode="always"),  # type: ignore[arg-type]
        ClientDraft("A", values=tuple(map(str, range(99)))),
        ClientDraft("A", next_session=datetime(2026, 1, 1)),
    ],
)
def test_what_cannot_be_a_client_is_said(coach: Coach, me: Actor, draft: ClientDraft) -> None:
    with pytest.raises(InputError):
        coach.save_client(me, draft)


def test_goals_progress_notes_and_homework_make_the_timeline_and_the_brief(
    coach: Coach, me: Actor, anna: Client, persona: Persona
) -> None:
    thread = coach.new_thread(me, persona.id, client_id=anna.id)
    question = asked(coach, me, thread.id, "Anna wants to run a half marathon.")
    goal = coach.save_goal(me, anna.id, "Run a half marathon", due_at=NOW + 90 * DAY, message_id=question)
    coach.save_goal(me, anna.id, "Says yes too often", kind="challenge")
    coach.save_note(me, anna.id, "She smiled when she spoke of the sea.", at=NOW)
    coach.save_progress(me, anna.id, "Ran 5 km", goal_id=goal.id, at=NOW + DAY)
    coach.save_progress(me, anna.id, "Bought shoes", at=NOW - DAY)
    work = coach.save_homework(me, anna.id, "Run twice", goal_id=goal.id, due_at=NOW + 7 * DAY)
    items = coach.timeline(me, anna.id)
    assert [i.kind for i in sorted(items, key=lambda i: i.at)][:3] == ["progress", "note", "progress"]
    made = next(i for i in items if i.id == goal.id)
    assert made.source is not None and made.source.text == "Anna wants to run a half marathon."
    sheet = coach.brief(me, anna.id)
    assert [g.text for g in sheet.goals] == ["Run a half marathon"]
    assert sheet.goals[0].progress[0].text == "Ran 5 km"
    assert [g.text for g in sheet.challenges] == ["Says yes too often"]
    assert [i.text for i in sheet.progress] == ["Ran 5 km"]  # since the last session
    assert sheet.last_note is not None and "the sea" in sheet.last_note.text
    assert "Run twice" in sheet.question
    text = coach.brief_markdown(me, anna.id)
    assert all(part in text for part in ("# Anna Meyer", "Run twice", "no calls on Friday", "She smiled"))
    done = coach.save_homework(me, anna.id, "Run twice", status="done", homework_id=work.id)
    assert done.done_at is not None
    assert not coach.brief(me, anna.id).homework


def test_what_was_removed_comes_back_as_it_was(coach: Coach, me: Actor, anna: Client) -> None:
    goal = coach.save_goal(me, anna.id, "Sleep more")
    coach.save_progress(me, anna.id, "Slept eight hours", goal_id=goal.id)
    before = coach.goals(me, anna.id)
    removed = coach.remove(me, "goal", goal.id)
    assert coach.goals(me, anna.id) == []
    assert [p.goal_id for p in coach.progress(me, anna.id)] == [None]
    coach.put_back(me, removed)
    assert coach.goals(me, anna.id) == before


def test_an_export_holds_everything(coach: Coach, me: Actor, anna: Client, persona: Persona) -> None:
    thread = coach.new_thread(me, persona.id, client_id=anna.id, title="First talk")
    asked(coach, me, thread.id, "Anna loves the sea.")
    coach.save_goal(me, anna.id, "Swim every week")
    coach.save_note(me, anna.id, "A quiet hour.")
    coach.add_memory(me, "She has two sons.", "fact", anna.id)
    data = json.loads(coach.export_client(me, anna.id))
    assert (data["format"], data["client"]["draft"]["name"]) == ("coach-client", "Anna Meyer")
    assert [g["text"] for g in data["goals"]] == ["Swim every week"]
    assert [n["text"] for n in data["session_notes"]] == ["A quiet hour."]
    assert "She has two sons." in [m["text"] for m in data["memories"]]
    assert data["memories"][0]["history"]
    assert data["threads"][0]["messages"][0]["text"] == "Anna loves the sea."
    text = coach.export_client(me, anna.id, "markdown")
    assert all(
        part in text for part in ("Swim every week", "A quiet hour.", "She has two sons.", "Anna loves the sea.")
    )


def test_a_thread_is_moved_to_a_client_and_listed_there(
    coach: Coach, me: Actor, anna: Client, persona: Persona
) -> None:
    thread = coach.new_thread(me, persona.id)
    assert coach.client_threads(me, anna.id) == []
    assert coach.move_thread(me, thread.id, anna.id).client_id == anna.id
    assert [t.id for t in coach.client_threads(me, anna.id)] == [thread.id]
    assert coach.move_thread(me, thread.id, None).client_id is None


def test_the_profile_stands_in_the_instructions_and_stays_the_same(
    coach: Coach, me: Actor, anna: Client, persona: Persona
) -> None:
    coach.save_goal(me, anna.id, "Run a half marathon")
    thread = coach.new_thread(me, persona.id, client_id=anna.id)
    backend: Any = coach.parts.get("scripted")
    asked(coach, me, thread.id, "How do I begin?")
    asked(coach, me, thread.id, "And then?")
    first, second = (r.instructions for r in backend.requests[-2:])
    assert first == second
    assert all(
        part in first for part in ("Anna Meyer", "honesty", "no calls on Friday", "Run a half marathon", "direct")
    )
    asked(coach, me, coach.new_thread(me, persona.id).id, "How do I begin?")
    assert "Anna" not in backend.requests[-1].instructions + backend.requests[-1].context


def test_another_coachs_client_is_not_found_in_any_call(
    coach: Coach, me: Actor, anna: Client, persona: Persona
) -> None:
    goal = coach.save_goal(me, anna.id, "Run")
    memory = coach.add_memory(me, "She has two sons.", "fact", anna.id)
    mine = coach.new_thread(me, persona.id, client_id=anna.id)
    question = asked(coach, me, mine.id, "Anna loves the sea.")
    bea = other_coach(coach)
    her_own = coach.save_client(bea, ClientDraft("Cem"))
    hers = coach.new_thread(bea, persona.id)
    calls: list[Callable[[], Any]] = [
        lambda: coach.client(bea, anna.id),
        lambda: coach.client_named(bea, "Anna Meyer"),
        lambda: coach.save_client(bea, ClientDraft("Mine"), anna.id),
        lambda: coach.delete_client(bea, anna.id),
        lambda: coach.restore_client(bea, anna.id),
        lambda: coach.goals(bea, anna.id),
        lambda: coach.save_goal(bea, anna.id, "Mine"),
        lambda: coach.save_goal(bea, her_own.id, "Mine", goal_id=goal.id),
        lambda: coach.save_goal(bea, her_own.id, "Mine", message_id=question),
        lambda: coach.progress(bea, anna.id),
        lambda: coach.save_progress(bea, anna.id, "Mine"),
        lambda: coach.session_notes(bea, anna.id),
        lambda: coach.save_note(bea, anna.id, "Mine"),
        lambda: coach.homework(bea, anna.id),
        lambda: coach.save_homework(bea, anna.id, "Mine"),
        lambda: coach.remove(bea, "goal", goal.id),
        lambda: coach.client_threads(bea, anna.id),
        lambda: coach.new_thread(bea, persona.id, client_id=anna.id),
        lambda: coach.move_thread(bea, hers.id, anna.id),
        lambda: coach.move_thread(bea, mine.id, her_own.id),
        lambda: coach.timeline(bea, anna.id),
        lambda: coach.brief(bea, anna.id),
        lambda: coach.export_client(bea, anna.id),
        lambda: coach.memories(bea, anna.id),
        lambda: coach.memory(bea, memory.id),
        lambda: coach.memory_history(bea, memory.id),
        lambda: coach.approve_memories(bea, [memory.id]),
        lambda: coach.reject_memories(bea, [memory.id]),
        lambda: coach.edit_memory(bea, memory.id, text="Mine"),
        lambda: coach.merge_memories(bea, memory.id, []),
        lambda: coach.add_memory(bea, "Mine", "fact", anna.id),
        lambda: coach.propose_memories(bea, question),
        lambda: coach.recall(bea, "sons", client_id=anna.id),
    ]
    for number, call in enumerate(calls):
        with pytest.raises(NotFound):
            call()
            pytest.fail(f"call {number} reached another's client")
    assert coach.sources(bea, [question]) == {}
    assert coach.clients(bea)[1] == 1
    assert coach.client(me, anna.id).deleted_at is None and coach.goals(me, anna.id)[0].text == "Run"


def test_a_message_of_another_client_is_no_source(coach: Coach, me: Actor, anna: Client, persona: Persona) -> None:
    other = coach.save_client(me, ClientDraft("Ben"))
    question = asked(coach, me, coach.new_thread(me, persona.id, client_id=other.id).id, "Ben likes chess.")
    with pytest.raises(MessageNotFound):
        coach.save_goal(me, anna.id, "Chess", message_id=question)
    theirs = coach.save_goal(me, other.id, "Chess")
    with pytest.raises(InputError):
        coach.save_progress(me, anna.id, "Won", goal_id=theirs.id)


@pytest.mark.parametrize("role", ["admin", "stakeholder", "client"])
def test_other_roles_have_no_clients(coach: Coach, anna: Client, role: Any) -> None:
    actor = Actor(new_id(), role, client_id=anna.id if role == "client" else None)
    for call in (lambda: coach.clients(actor), lambda: coach.brief(actor, anna.id), lambda: coach.pending_count(actor)):
        with pytest.raises(NotAllowed):
            call()
