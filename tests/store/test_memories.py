"""Clients, memories and what may be recalled, as rows: the same in SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coach_core.errors import ClientNotFound, MemoryNotFound
from coach_core.memory.recalling import Recaller
from coach_core.store import clients, memories, messages, threads, turns
from coach_core.store import recall as rows
from coach_core.types import Actor, Candidate, Client, ClientDraft, ClientQuery, Memory, MemoryQuery, Whose, now


def fact(text: str, kind: Any = "fact") -> Candidate:
    return Candidate(kind, text, text, language="en")


def client_of(world: Any, actor: Actor, name: str = "Anna", mode: Any = "review") -> Client:
    return clients.save(world.db, actor, ClientDraft(name, memory_mode=mode))


def said(world: Any, client: Client, text: str) -> Any:
    thread = world.thread(client_id=client.id)
    turn = world.ask(thread, text)
    return messages.get(world.db, world.actor, turn.question_id), turn


def everything(world: Any, actor: Actor, client: Client) -> list[Memory]:
    return memories.find(world.db, actor, Whose(client.coach_id, client.id), MemoryQuery())[0]


def test_a_client_is_seen_by_its_coach_alone(world: Any) -> None:
    bea = world.profile("Bea")
    anna = client_of(world, world.actor)
    assert clients.find(world.db, bea, ClientQuery()) == ([], 0)
    with pytest.raises(ClientNotFound):
        clients.get(world.db, bea, anna.id)
    assert memories.of_client(world.db, bea, anna.id) is None
    assert memories.of_client(world.db, world.actor, anna.id) == Whose(world.actor.user_id, anna.id)
    clients.delete(world.db, world.actor, anna.id)
    assert memories.of_client(world.db, world.actor, anna.id) is None


def test_proposals_are_decided_and_written_together_and_leave_versions(world: Any) -> None:
    anna = client_of(world, world.actor)
    message, _ = said(world, anna, "I live in Hamburg.")
    subject = Whose(world.actor.user_id, anna.id)

    def keep(text: str, **how: Any) -> list[Memory]:
        change = memories.Change(fact(text), **how)
        return memories.propose(world.db, subject, message, "pending", lambda there: [change])

    (first,) = keep("I live in Hamburg.")
    assert first.message_ids == (message.id,)
    assert keep("I live in Hamburg.", join=first.id) == []
    (second,) = keep("I moved to Berlin.", supersede=first.id)
    (third,) = keep("I moved to Munich.", supersede=second.id)
    memories.decide(world.db, world.actor, first.id, "approved")
    memories.decide(world.db, world.actor, third.id, "approved")
    states = {m.text: m.status for m in everything(world, world.actor, anna)}
    assert states == {
        "I live in Hamburg.": "superseded",
        "I moved to Berlin.": "superseded",
        "I moved to Munich.": "approved",
    }
    assert [v.why for v in memories.history(world.db, world.actor, first.id)] == ["proposed", "approved", "superseded"]
    memories.decide(world.db, world.actor, third.id, "rejected")
    with pytest.raises(MemoryNotFound):
        memories.decide(world.db, world.profile("Bea"), third.id, "approved")


def test_uses_are_counted_and_judged_once_each_way(world: Any) -> None:
    anna = client_of(world, world.actor)
    memory = memories.add(world.db, Whose(world.actor.user_id, anna.id), fact("She has two sons."), "Owner")
    _, turn = said(world, anna, "What now?")
    for _ in range(2):
        memories.record_uses(world.db, turn.id, [(memory.id, 1, 0.9)])
    for verdict in (1, 1, -1, -1):
        memories.judge(world.db, world.actor, turn.id, memory.id, verdict)
    from coach_core.store import metrics

    total: dict[str, int] = {}
    for row in metrics.read(world.db, now() - timedelta(hours=1), now() + timedelta(hours=1), "minute"):
        for name, count in row.counts.items():
            total[name] = total.get(name, 0) + count
    assert total["memories_recalled"] == 1
    assert (total["memories_judged_right"], total["memories_judged_wrong"]) == (0, 1)
    assert [u.verdict for u in memories.uses(world.db, world.actor, turn.id)] == [-1]


def test_old_turns_are_those_of_the_branch_on_show_of_the_same_client(world: Any) -> None:
    anna, ben = client_of(world, world.actor), client_of(world, world.actor, "Ben")
    thread = world.thread(client_id=anna.id)
    kept = world.ask(thread, "The blue boat is called Ada.")
    world.ask(thread, "The green boat is called Eve.", parent_id=None)  # another branch, now on show
    said(world, ben, "The red boat is called Bob.")
    recaller = Recaller(world.db, lambda text, wait: [])
    subject = Whose(world.actor.user_id, anna.id)
    text = recaller.recall(world.actor, subject, "What is the boat called?", k=9, budget=5000).text
    assert "Eve" in text and "Ada" not in text and "Bob" not in text
    threads.update(world.db, world.actor, thread.id, head_id=kept.answer_id)
    text = recaller.recall(world.actor, subject, "What is the boat called?", k=9, budget=5000).text
    assert "Ada" in text and "Eve" not in text
    threads.delete(world.db, world.actor, [thread.id])
    assert recaller.recall(world.actor, subject, "What is the boat called?", k=9, budget=5000).items == ()


def test_vectors_wait_until_they_are_there_and_go_with_what_they_are_of(world: Any) -> None:
    anna = client_of(world, world.actor)
    memory = memories.add(world.db, Whose(world.actor.user_id, anna.id), fact("She has two sons."), "Owner")
    message, turn = said(world, anna, "Two sons at home.")
    with world.db.read() as connection:
        waiting = rows.unembedded(connection, "m", 10)
        assert {w.id for w in waiting} == {message.id, turn.answer_id}
        assert rows.unembedded_memories(connection, "m", 10) == [(memory.id, "She has two sons.")]
    vector = np.ones(4, np.float16).tobytes()
    for _ in range(2):  # what is there already is passed over
        rows.keep_vectors(world.db, "m", {w.id: vector for w in waiting})
        rows.keep_vectors(world.db, "m", {memory.id: vector}, memories=True)
    with world.db.read() as connection:
        assert rows.unembedded(connection, "m", 10) == []
        assert set(rows.vectors(connection, "m", [message.id])) == {message.id}
    memories.edit(world.db, world.actor, memory.id, {"text": "She has three sons."})
    with world.db.read() as connection:
        assert rows.unembedded_memories(connection, "m", 10) == [(memory.id, "She has three sons.")]


def test_erasing_a_client_takes_threads_and_memories_along(world: Any) -> None:
    anna, ben = client_of(world, world.actor), client_of(world, world.actor, "Ben")
    for client in (anna, ben):
        memories.add(world.db, Whose(world.actor.user_id, client.id), fact(f"About {client.name}."), "Owner")
        said(world, client, "Hello there.")
    clients.delete(world.db, world.actor, anna.id)
    assert clients.erase(world.db, now() - timedelta(days=1)) == 0
    assert clients.erase(world.db, now() + timedelta(days=1)) == 1
    own, _ = memories.find(world.db, world.actor, Whose(world.actor.user_id), MemoryQuery())
    assert own == []  # what was Anna's has not become the coach's
    assert [m.text for m in everything(world, world.actor, ben)] == ["About Ben."]
    assert threads.about(world.db, world.actor, anna.id) == []
    assert len(threads.about(world.db, world.actor, ben.id)) == 1
    assert turns.running(world.db, world.actor, threads.about(world.db, world.actor, ben.id)[0].id) is None


_NAMES = ["ada", "bob", "cem", "dee"]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["sea", "job", "sleep"])), min_size=1, max_size=8))
def test_whatever_is_kept_of_whom_recall_gives_each_their_own(world: Any, kept: list[tuple[int, str]]) -> None:
    people = [client_of(world, world.actor, name) for name in _NAMES]
    for who, what in kept:
        subject = Whose(world.actor.user_id, people[who].id)
        memories.add(world.db, subject, fact(f"The {what} of {_NAMES[who]} matters."), "Owner")
    recaller = Recaller(world.db, lambda text, wait: [])
    for who, client in enumerate(people):
        subject = Whose(world.actor.user_id, client.id)
        found = recaller.recall(world.actor, subject, "sea job sleep matters", k=20, budget=5000, everything=True)
        told = [i.memory.text for i in found.items if i.memory]
        assert len(told) == sum(w == who for w, _ in kept)
        assert all(_NAMES[who] in text for text in told)
