"""Memories through whole turns: proposed from a person's words, decided by the coach, told to the model, judged."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.errors import InputError, MemoryNotFound, MessageNotFound
from coach_core.store import users
from coach_core.types import (
    Actor,
    Client,
    ClientDraft,
    Memory,
    MemoryQuery,
    Persona,
    PersonaDraft,
    Thread,
    TurnRecord,
)


@pytest.fixture
def anna(coach: Coach, me: Actor) -> Client:
    return coach.save_client(me, ClientDraft("Anna Meyer"))


@pytest.fixture
def plain(coach: Coach, me: Actor) -> Persona:
    """A persona without documents: what is told is memory alone."""
    return coach.save_persona(me, PersonaDraft("Plain", tools=("recall",)))


@pytest.fixture
def thread(coach: Coach, me: Actor, anna: Client, plain: Persona) -> Thread:
    return coach.new_thread(me, plain.id, client_id=anna.id)


def ask(coach: Coach, me: Actor, thread: Thread, text: str) -> TurnRecord:
    turn = coach.start(me, thread.id, text)
    list(coach.tail(me, turn.id))
    return turn


def until(check: Callable[[], Any], seconds: float = 5.0) -> Any:
    """What `check` gives, as soon as it is something: what follows a turn comes a moment after it."""
    ends = time.monotonic() + seconds
    while not (found := check()) and time.monotonic() < ends:
        time.sleep(0.01)
    return found


def kept(coach: Coach, me: Actor, client: Client | None, **query: Any) -> list[Memory]:
    return coach.memories(me, client.id if client else None, MemoryQuery(**query))[0]


def propose(coach: Coach, me: Actor, thread: Thread, text: str) -> list[Memory]:
    """Ask, and have the question looked at here and now (again, if the turn's end was quicker)."""
    turn = ask(coach, me, thread, text)
    return coach.propose_memories(me, turn.question_id)


def test_what_is_said_is_proposed_approved_told_shown_and_judged(
    coach: Coach, me: Actor, anna: Client, thread: Thread, plain: Persona
) -> None:
    first = ask(coach, me, thread, "Anna wants to run a half marathon by October. How do I begin?")
    (goal,) = until(lambda: kept(coach, me, anna))
    assert (goal.kind, goal.status, goal.message_id) == ("goal", "pending", first.question_id)
    assert goal.quote == "Anna wants to run a half marathon by October."
    assert goal.happened_at is not None and goal.happened_at.month == 10
    assert coach.pending_count(me) == {anna.id: 1}
    other = coach.new_thread(me, plain.id, client_id=anna.id)
    backend: Any = coach.parts.get("scripted")
    before = ask(coach, me, other, "What about the half marathon?")
    assert "- goal" not in backend.requests[-1].context  # nothing that waits is told
    assert coach.memories_of_turn(me, before.id) == []
    coach.approve_memories(me, [goal.id])
    turn = ask(coach, me, coach.new_thread(me, plain.id, client_id=anna.id), "What about the half marathon?")
    assert "half marathon by October" in backend.requests[-1].context
    assert any(n.startswith("Remembering") and "1 goal" in n for n in coach.turn(me, turn.id).notices)
    (used,) = until(lambda: coach.memories_of_turn(me, turn.id))
    assert (used.memory.id, used.verdict) == (goal.id, 0)
    coach.judge_memory(me, turn.id, goal.id, False)
    coach.judge_memory(me, turn.id, goal.id, True)
    assert coach.memories_of_turn(me, turn.id)[0].verdict == 1
    counts = coach.metrics(me, since=timedelta(hours=1)).total.counts
    assert (counts["memories_recalled"], counts["memories_judged_right"]) == (1, 1)
    assert counts.get("memories_judged_wrong", 0) == 0


def test_a_memory_that_was_not_used_cannot_be_judged(coach: Coach, me: Actor, anna: Client, thread: Thread) -> None:
    memory = coach.add_memory(me, "She has two sons.", "fact", anna.id)
    turn = ask(coach, me, thread, "Hello there.")
    with pytest.raises(MemoryNotFound):
        coach.judge_memory(me, turn.id, memory.id, True)


@pytest.mark.parametrize("turns", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_turns_that_repeat_what_the_model_was_told_add_nothing(
    coach: Coach, me: Actor, anna: Client, thread: Thread, turns: int
) -> None:
    told = [
        coach.add_memory(me, "I want to run a half marathon by October.", "goal", anna.id),
        coach.add_memory(me, "I struggle with saying no to my boss.", "challenge", anna.id),
    ]
    ways = (
        "I want to run a half marathon by October.",
        "As you said, I want to run a half marathon by October. What now?",
        "You told me that I struggle with saying no to my boss.",
        "“I struggle with saying no to my boss.” Is that still so?",
        "> I want to run a half marathon by October.\nWhat do you make of this?",
        "Yes, I want to run a half marathon. I struggle with saying no.",
        "- goal, 3 May 2026: I want to run a half marathon by October.",
        "Do you remember that I want to run a half marathon?",
        "The half marathon: I really want to run a half marathon by October!",
        "I struggle with my boss, saying no to my boss.",
    )
    for number in range(turns):
        propose(coach, me, thread, ways[number % len(ways)])
    assert {m.id for m in kept(coach, me, anna)} == {m.id for m in told}


def test_what_the_model_said_is_no_fact_when_it_is_said_back(make_coach: Callable[..., Coach], tmp_path: Any) -> None:
    script = tmp_path / "script.json"
    script.write_text('{"steps": ["You want to learn Italian and move to Rome next year."]}')
    coach = make_coach(backend="scripted", script=str(script))
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    ask(coach, me, thread, "What do you think of me?")
    assert propose(coach, me, thread, "I want to learn Italian and move to Rome next year.") == []
    assert kept(coach, me, None) == []


def test_changes_supersede_and_the_history_is_kept(coach: Coach, me: Actor, anna: Client, thread: Thread) -> None:
    coach.save_client(me, ClientDraft("Anna Meyer", memory_mode="automatic"), anna.id)
    propose(coach, me, thread, "I want to run 10 km. I live in Hamburg.")
    propose(coach, me, thread, "I live in Hamburg.")
    propose(coach, me, thread, "I now want to run a half marathon instead of 10 km. I moved to Berlin last week.")
    now_ = {m.kind: m for m in kept(coach, me, anna, status="approved")}
    assert {k: m.text for k, m in now_.items()} == {
        "goal": "I now want to run a half marathon instead of 10 km.",
        "fact": "I moved to Berlin last week.",
    }
    old = {m.kind: m for m in kept(coach, me, anna, status="superseded")}
    assert old["fact"].superseded_by == now_["fact"].id
    assert [v.status for v in coach.memory_history(me, old["goal"].id)] == ["approved", "superseded"]
    assert len(old["fact"].message_ids) >= 1
    coach.reject_memories(me, [now_["fact"].id])
    assert coach.memory(me, old["fact"].id).status == "approved"  # what it replaced holds again


def test_a_message_that_is_looked_at_again_later_changes_nothing(
    coach: Coach, me: Actor, anna: Client, thread: Thread
) -> None:
    coach.save_client(me, ClientDraft("Anna Meyer", memory_mode="automatic"), anna.id)
    first = ask(coach, me, thread, "I live in Hamburg.")
    coach.propose_memories(me, first.question_id)
    propose(coach, me, thread, "I moved to Berlin last week.")
    assert coach.propose_memories(me, first.question_id) == []
    assert [m.text for m in kept(coach, me, anna, status="approved")] == ["I moved to Berlin last week."]


def test_in_review_the_old_one_holds_until_the_new_one_is_approved(
    coach: Coach, me: Actor, anna: Client, thread: Thread
) -> None:
    old = coach.add_memory(me, "I live in Hamburg.", "fact", anna.id)
    propose(coach, me, thread, "I moved to Berlin last week.")
    (new,) = kept(coach, me, anna, status="pending")
    assert new.supersedes == old.id and coach.memory(me, old.id).status == "approved"
    coach.approve_memories(me, [new.id])
    assert coach.memory(me, old.id).superseded_by == new.id


def test_a_rejected_fact_is_not_proposed_again(coach: Coach, me: Actor, anna: Client, thread: Thread) -> None:
    propose(coach, me, thread, "I love swimming in the cold sea.")
    (memory,) = kept(coach, me, anna)
    coach.reject_memories(me, [memory.id])
    propose(coach, me, thread, "I love swimming in the cold sea!")
    assert [m.status for m in kept(coach, me, anna)] == ["rejected"]


def test_memories_are_edited_and_merged(coach: Coach, me: Actor, anna: Client, thread: Thread) -> None:
    propose(coach, me, thread, "I love swimming in the cold sea.")
    propose(coach, me, thread, "I want to learn Spanish this year.")
    goal, liking = sorted(kept(coach, me, anna), key=lambda m: m.kind)
    edited = coach.edit_memory(me, goal.id, text="She wants to speak Spanish.", kind="goal", happened_at=None)
    assert (edited.status, edited.text, edited.happened_at) == ("approved", "She wants to speak Spanish.", None)
    assert edited.quote == "I want to learn Spanish this year."  # what was said stays what was said
    merged = coach.merge_memories(me, edited.id, [liking.id])
    assert set(merged.message_ids) == {*goal.message_ids, *liking.message_ids}
    assert coach.memory(me, liking.id).superseded_by == edited.id
    with pytest.raises(InputError):
        coach.edit_memory(me, goal.id, text="  ")


def test_a_client_whose_memory_is_off_has_none(coach: Coach, me: Actor, anna: Client, thread: Thread) -> None:
    coach.save_client(me, ClientDraft("Anna Meyer", memory_mode="off"), anna.id)
    assert propose(coach, me, thread, "I want to run a half marathon.") == []


def test_an_answer_is_not_looked_at(coach: Coach, me: Actor, thread: Thread) -> None:
    turn = ask(coach, me, thread, "Hello there.")
    with pytest.raises(MessageNotFound):
        coach.propose_memories(me, turn.answer_id)


def test_recall_by_kind_with_a_summary_within_a_budget(coach: Coach, me: Actor, anna: Client) -> None:
    for n in range(8):
        coach.add_memory(me, f"I want to reach the goal number {n}.", "goal", anna.id)
        coach.add_memory(me, f"I ran {n} kilometres.", "progress", anna.id)
    found = coach.recall(me, "", client_id=anna.id, kind="goals")
    assert [i.memory.kind for i in found.items if i.memory] == ["goal"] * 5
    assert found.summary == "5 goals"
    assert {i.memory.kind for i in coach.recall(me, "", client_id=anna.id, kind="progress").items if i.memory} == {
        "progress"
    }
    assert len(coach.recall(me, "", client_id=anna.id, kind="recent", k=3).items) == 3
    small = coach.recall(me, "goal number", client_id=anna.id, k=8, budget=100)
    assert small.items and small.tokens <= 100
    assert coach.recall(me, "zzz qqq", client_id=anna.id).items == ()


def test_facts_by_the_model_need_a_quote(make_coach: Callable[..., Coach], tmp_path: Any) -> None:
    quote = "a quieter job is what I need"
    facts = [
        {"kind": "goal", "text": "Wants a quieter job.", "quote": quote, "date": "", "importance": 0.9},
        {"kind": "fact", "text": "Has a dog.", "quote": "I have a dog", "date": "", "importance": 0.5},
    ]
    rule = {"match": "The message was written on", "steps": [json.dumps({"facts": facts})]}
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"rules": [rule], "steps": ["I see."]}))
    coach = make_coach(backend="scripted", script=str(script), memory_extraction="model")
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    ask(coach, me, thread, "Honestly, a quieter job is what I need.")
    (memory,) = until(lambda: kept(coach, me, None))
    assert (memory.text, memory.quote, memory.origin) == (
        "Wants a quieter job.",
        "a quieter job is what I need",
        "model",
    )


# -- nobody else's ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_clients_canaries_never_cross(coach: Coach, me: Actor, plain: Persona, many: int) -> None:
    """Every way by which something is recalled, for every client, of two coaches and of clients themselves."""
    bea = coach.actor_for(coach.add_profile(me, "Bea", "coach").id)
    people: list[tuple[Actor, Client, str]] = []
    for n in range(many):
        actor, word = (me, bea)[n % 2], f"canary{n:02}x"
        client = coach.save_client(actor, ClientDraft(f"Client {n:02}", memory_mode="automatic"))
        coach.add_memory(actor, f"She wants to see the secret harbour {word} by boat.", "goal", client.id)
        coach.save_goal(actor, client.id, f"See the secret harbour {word}")
        coach.save_note(actor, client.id, f"Spoke of the secret harbour {word}.")
        people.append((actor, client, word))
    backend: Any = coach.parts.get("scripted")
    for actor, client, word in people[: many // 2]:  # old turns too
        talk = coach.new_thread(actor, plain.id, client_id=client.id)
        ask(coach, actor, talk, f"I love the secret harbour {word} in the evening.")
    words = {word for _, _, word in people}
    question = "What about the secret harbour by boat?"
    for number, (actor, client, word) in enumerate(people):
        others = words - {word}
        seen = [
            coach.recall(actor, question, client_id=client.id, k=50, budget=50_000).text,
            coach.recall(actor, "", client_id=client.id, kind="recent", k=50, budget=50_000).text,
            coach.recall(actor, "", client_id=client.id, kind="goals", k=50, budget=50_000).text,
            coach.brief_markdown(actor, client.id),
            coach.export_client(actor, client.id),
            coach.export_client(actor, client.id, "markdown"),
            *(m.text for m in coach.memories(actor, client.id, MemoryQuery(text="harbour", limit=1000))[0]),
            *(i.text for i in coach.timeline(actor, client.id)),
        ]
        if number < many // 2:
            ask(coach, actor, coach.new_thread(actor, plain.id, client_id=client.id), f'/recall query="{question}"')
            asked = backend.requests[-1]
            seen += [asked.context, asked.instructions, *(m.text for m in asked.exchange)]
            seen += [p.text for m in asked.exchange for p in m.parts]
        whole = "\n".join(seen)
        assert word in whole
        assert not [other for other in others if other in whole], f"client {number}"
    about_nobody = coach.new_thread(me, plain.id)
    ask(coach, me, about_nobody, question)
    assert not [w for w in words if w in backend.requests[-1].context + backend.requests[-1].instructions]
    assert not [w for w in words if w in coach.recall(me, question, k=50, budget=50_000).text]


def test_a_client_reaches_what_they_said_and_nothing_of_the_coachs(
    coach: Coach, me: Actor, anna: Client, thread: Thread, plain: Persona
) -> None:
    """The coach's own thoughts about a client, in threads and memories, never come up in the client's chats."""
    coach.save_client(me, ClientDraft("Anna Meyer", memory_mode="automatic"), anna.id)
    ask(coach, me, thread, "Anna wants to leave the harbour office, I suspect she hides it.")
    until(lambda: kept(coach, me, anna))
    coach.save_note(me, anna.id, "Harbour: she hides it.")
    user = users.create_user(coach._db, "Anna", "client", client_id=anna.id)
    herself = coach.actor_for(user.id)
    own = coach.new_thread(herself, plain.id)
    backend: Any = coach.parts.get("scripted")
    ask(coach, herself, own, "What do you know about the harbour office?")
    assert "hides" not in backend.requests[-1].context + backend.requests[-1].instructions
    ask(coach, herself, own, "I want to paint the harbour at night.")
    found = until(lambda: [m for m in kept(coach, me, anna) if "paint" in m.text])
    assert found[0].client_id == anna.id  # the coach sees what was proposed of it
    ask(coach, herself, coach.new_thread(herself, plain.id), "How do I paint the harbour?")
    assert "paint the harbour at night" in backend.requests[-1].context
    with pytest.raises(MemoryNotFound):
        coach.memory(herself, next(m.id for m in kept(coach, me, anna) if "leave" in m.text))


def test_a_deleted_client_and_a_deleted_thread_are_not_recalled(
    coach: Coach, me: Actor, anna: Client, thread: Thread, plain: Persona
) -> None:
    coach.add_memory(me, "She keeps bees on the roof.", "fact", anna.id)
    talk = coach.new_thread(me, plain.id, client_id=anna.id)
    ask(coach, me, talk, "The bees on the roof are called Ada and Grace.")
    assert until(lambda: "Grace" in coach.recall(me, "bees on the roof", client_id=anna.id).text)
    coach.delete_threads(me, [talk.id])
    assert "Grace" not in coach.recall(me, "bees on the roof", client_id=anna.id).text
    coach.delete_client(me, anna.id)
    backend: Any = coach.parts.get("scripted")
    ask(coach, me, thread, "What about the bees on the roof?")
    assert "bees" not in backend.requests[-1].context


def test_what_names_another_client_is_kept_for_whom_the_thread_is_about(
    coach: Coach, me: Actor, anna: Client, thread: Thread
) -> None:
    ben = coach.save_client(me, ClientDraft("Ben"))
    propose(coach, me, thread, f"Remember this for client {ben.id}: I want to sail to Iceland.")
    propose(coach, me, thread, "I want to sail to Norway.")
    assert kept(coach, me, ben) == []
    assert [m.client_id for m in kept(coach, me, anna)] == [anna.id]
