from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coach_core.errors import PersonaNotFound, ThreadNotFound
from coach_core.store import messages, personas, state, text, threads
from coach_core.store.models import metadata
from coach_core.types import Actor, PersonaDraft, Thread, ThreadQuery, new_id, now


def found(world: Any, words: str = "", actor: Actor | None = None, **how: Any) -> list[Any]:
    hits, _ = threads.find(world.db, actor or world.actor, ThreadQuery(text=words, **how))
    return [hit.thread.id for hit in hits]


def test_a_thread_is_what_was_made(world: Any) -> None:
    client = Actor(world.profile("Kim", "client").user_id, "client", client_id=None)
    thread = world.thread(title="  Two\nlines ", backend="local")
    assert thread == threads.get(world.db, world.actor, thread.id)
    assert (thread.title, thread.backend, thread.owner_id) == ("Two lines", "local", world.actor.user_id)
    given = new_id()
    assert threads.create(world.db, client, world.persona.id, thread_id=given).id == given


def test_unknown_persona_or_thread(world: Any) -> None:
    with pytest.raises(PersonaNotFound):
        threads.create(world.db, world.actor, new_id())
    with pytest.raises(ThreadNotFound):
        threads.get(world.db, world.actor, new_id())


def test_only_the_owner_sees_and_changes_a_thread(world: Any) -> None:
    thread = world.thread(title="Secret plans")
    for role in ("coach", "admin", "client", "stakeholder"):
        stranger = world.profile(f"A {role}", role)
        with pytest.raises(ThreadNotFound):
            threads.get(world.db, stranger, thread.id)
        with pytest.raises(ThreadNotFound):
            threads.update(world.db, stranger, thread.id, title="Mine")
        for change in (threads.archive, threads.unarchive, threads.delete, threads.undelete):
            assert change(world.db, stranger, [thread.id]) == 0
        assert found(world, actor=stranger) == found(world, "secret", stranger) == []
        assert threads.recent(world.db, stranger) == []
    assert threads.get(world.db, world.actor, thread.id) == thread


def test_a_client_sees_only_threads_about_itself(world: Any) -> None:
    coach = world.profile("Coach")
    clients = [new_id(), new_id()]
    table = metadata.tables["clients"]
    values = [{"id": c, "coach_id": coach.user_id, "name": "C"} for c in clients]
    world.db.write(lambda connection: connection.execute(sa.insert(table), values)).result()
    kim = world.profile("Kim", "client", client_id=clients[0])
    own = threads.create(world.db, kim, world.persona.id)
    assert own.client_id == clients[0]
    moved = Actor(kim.user_id, "client", client_id=clients[1])
    with pytest.raises(ThreadNotFound):
        threads.get(world.db, moved, own.id)
    assert threads.recent(world.db, moved) == []


def test_update_changes_only_what_is_given(world: Any) -> None:
    thread = world.thread(title="Old", backend="local")
    other = personas.save(world.db, "test", PersonaDraft("Other"))
    changed = threads.update(world.db, world.actor, thread.id, title="New " * 50)
    assert (len(changed.title) <= threads.TITLE_LENGTH, changed.title[-1], changed.backend) == (True, "…", "local")
    assert changed.updated_at == thread.updated_at
    changed = threads.update(world.db, world.actor, thread.id, backend=None, persona_id=other.id)
    assert (changed.backend, changed.persona_id, changed.title[:3]) == (None, other.id, "New")


def test_recent_and_find_are_newest_first_by_what_was_said(world: Any) -> None:
    first, second, third = (world.thread(title=name) for name in "abc")
    world.ask(first, "Hello again")
    assert [t.id for t in threads.recent(world.db, world.actor)] == [first.id, third.id, second.id]
    assert found(world) == [first.id, third.id, second.id]
    assert found(world, limit=1, offset=1) == [third.id]
    assert threads.find(world.db, world.actor, ThreadQuery(limit=1))[1] == 3
    assert len(threads.recent(world.db, world.actor, limit=2)) == 2


def test_put_away_and_back(world: Any) -> None:
    kept, archived, deleted = (world.thread() for _ in range(3))
    assert threads.archive(world.db, world.actor, [archived.id]) == 1
    assert threads.delete(world.db, world.actor, [deleted.id]) == 1
    assert found(world) == [kept.id] == [t.id for t in threads.recent(world.db, world.actor)]
    assert found(world, archived=True) == [archived.id]
    assert found(world, deleted=True) == [deleted.id]
    assert threads.get(world.db, world.actor, deleted.id).deleted_at is not None
    assert threads.unarchive(world.db, world.actor, [archived.id]) == 1
    assert threads.undelete(world.db, world.actor, [deleted.id]) == 1
    assert set(found(world)) == {kept.id, archived.id, deleted.id}


def test_filters(world: Any) -> None:
    other = personas.save(world.db, "test", PersonaDraft("Other"))
    plain = world.thread()
    special = threads.create(world.db, world.actor, other.id)
    world.ask(plain, "Question", backend="local")
    assert found(world, persona_id=other.id) == [special.id]
    assert found(world, backend="local") == [plain.id]
    assert found(world, backend="elsewhere") == []
    assert found(world, since=now() + timedelta(hours=1)) == []
    assert len(found(world, since=now() - timedelta(hours=1), until=now() + timedelta(hours=1))) == 2
    assert found(world, until=special.created_at) == []


def test_a_hit_says_what_the_list_shows(world: Any) -> None:
    thread = world.thread()
    world.ask(thread, "How do I plan my week?", "Begin with **Sundays** and plan three tasks.", backend="local")
    (hit,), total = threads.find(world.db, world.actor, ThreadQuery(text="planning tasks"))
    assert (total, hit.persona_name, hit.messages, hit.last_backend, hit.interrupted) == (
        1,
        "General coach",
        2,
        "local",
        False,
    )
    assert hit.snippet == "Begin with Sundays and **plan** three **tasks**."
    (plain,), _ = threads.find(world.db, world.actor, ThreadQuery())
    assert (plain.snippet, plain.message_id) == ("", None)


@pytest.mark.parametrize(
    ("said", "asked", "marked"),
    [
        ("Good habits take weeks to form.", "habit", "**habits**"),
        ("Los hábitos buenos cuestan semanas de trabajo.", "hábito", "**hábitos**"),
        ("Los hábitos buenos cuestan semanas de trabajo.", "habitos", "**hábitos**"),
        ("Meine Gewohnheiten sind mir wichtig, und ich will sie ändern.", "Gewohnheit", "**Gewohnheiten**"),
        ("我想学习时间管理的方法。", "时间管理", "**时间管理**"),
        ("كيف أبني عادات جيدة كل يوم؟", "عادات", "**عادات**"),
        ("İstanbul'da ne yapmalı?", "istanbul", "İstanbul"),
        ("ﬁnance for beginners", "finance", "**ﬁnance**"),
    ],
)
def test_words_are_found_in_any_language_and_marked(world: Any, said: str, asked: str, marked: str) -> None:
    thread = world.thread()
    world.ask(thread, said)
    (hit,), _ = threads.find(world.db, world.actor, ThreadQuery(text=asked))
    assert hit.thread.id == thread.id
    assert marked in hit.snippet


def test_every_word_of_the_question_must_be_found(world: Any) -> None:
    both, one = world.thread(), world.thread()
    world.ask(both, "Stress before exams")
    world.ask(one, "Stress at work")
    assert found(world, "stress exams") == [both.id]
    assert set(found(world, "the stress")) == {both.id, one.id}
    assert found(world, "stress holidays") == []


@pytest.mark.parametrize("asked", ['"', "' OR 1=1 --", "a AND", "NEAR(", "*", "\x00", "col:umn", "(((", "\\", "&|!"])
def test_operators_in_the_question_are_only_text(world: Any, asked: str) -> None:
    world.ask(world.thread(), "Nothing of the kind")
    assert found(world, asked) == []


def test_very_long_words_and_questions_do_no_harm(world: Any) -> None:
    thread = world.thread()
    world.ask(thread, "x" * 100_000 + " needle")
    assert found(world, "needle") == [thread.id]
    assert found(world, "x" * 100_000) == [thread.id]
    assert found(world, "y" * 5000) == []
    assert found(world, "needle " + " ".join(f"word{n}" for n in range(2000))) == []


def test_a_title_given_by_hand_is_found_until_it_changes(world: Any) -> None:
    thread = world.thread(title="Quarterly review")
    assert found(world, "quarterly") == [thread.id]
    threads.update(world.db, world.actor, thread.id, title="Yearly review")
    assert (found(world, "quarterly"), found(world, "yearly")) == ([], [thread.id])


def test_the_snippet_comes_from_around_the_first_match() -> None:
    content = "word " * 100 + "the needle is here " + "tail " * 100
    shown = text.snippet(content, text.wanted("needles"))
    assert "**needle** is here" in shown
    assert shown.startswith("…") and shown.endswith("…") and len(shown) < 300


def test_purge_erases_with_all_that_hangs_on_it(world: Any, cite: Any) -> None:
    gone, kept = world.thread(title="Canary title"), world.thread()
    turn = world.ask(gone, "Canary question", "Canary answer", citations=[cite(1, "Canary passage")])
    for number in range(30):
        world.ask(gone, f"Canary {number}")
    world.ask(kept, "Kept")
    messages.set_feedback(world.db, world.actor, turn.answer_id, -1, "Canary reason")
    state.put(world.db, gone.id, "e", turn.answer_id, {"canary": 1})
    threads.delete(world.db, world.actor, [gone.id])
    assert threads.purge(world.db, now() - timedelta(days=1)) == 0
    assert threads.purge(world.db, now() + timedelta(days=1)) == 1
    with pytest.raises(ThreadNotFound):
        threads.get(world.db, world.actor, gone.id)
    for table in metadata.sorted_tables:
        assert "canary" not in str(world.rows(table)).lower(), table.name
    assert found(world, "canary", deleted=True) == []
    assert found(world, "kept") == [kept.id]
    if world.db.sqlite:
        for path in world.db.home.glob("coach.db*"):
            assert b"canary" not in path.read_bytes().lower(), path.name


def test_lists_read_an_index_in_order(world: Any) -> None:
    """In SQLite the plan is always the same; PostgreSQL chooses by what is in the tables."""
    if not world.db.sqlite:
        return
    recent = (
        "SELECT id FROM threads WHERE owner_id = ? AND deleted_at IS NULL AND archived_at IS NULL "
        "ORDER BY updated_at DESC LIMIT 50"
    )
    with world.db.read() as connection:
        plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {recent}", (b"",)).all())
    assert "ix_threads_recent" in plan
    assert "TEMP B-TREE" not in plan


def test_titles_are_one_line() -> None:
    assert threads.short_title(" a \n\n b\x00 ") == "a b\ufffd"
    assert threads.short_title("word " * 30).endswith("word…")
    assert len(threads.short_title("x" * 1000)) == threads.TITLE_LENGTH
    assert isinstance(Thread.__dataclass_fields__, dict)
