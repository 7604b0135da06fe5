from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.errors import InputError, MessageNotFound, ThreadNotFound
from coach_core.store import messages, threads
from coach_core.store.messages import cleaned, plain_text, storable
from coach_core.types import Part, new_id


def texts(found: list[Any]) -> list[str]:
    return [message.text for message in found]


def test_the_branch_on_show_follows_the_head(world: Any) -> None:
    thread = world.thread()
    first = world.ask(thread, "1", "one")
    world.ask(thread, "2", "two")
    edited = world.ask(thread, "2b", "two b", parent_id=first.answer_id)
    assert texts(messages.branch(world.db, world.actor, thread.id)) == ["1", "one", "2b", "two b"]
    old = messages.get(world.db, world.actor, edited.question_id).siblings[0]
    leaf = messages.leaf_of(world.db, world.actor, old)
    threads.update(world.db, world.actor, thread.id, head_id=leaf)
    assert texts(messages.branch(world.db, world.actor, thread.id)) == ["1", "one", "2", "two"]
    assert texts(messages.branch(world.db, world.actor, thread.id, edited.question_id)) == ["1", "one", "2b"]
    assert texts(messages.branch(world.db, world.actor, thread.id, last=3)) == ["one", "2", "two"]
    assert texts(messages.tree(world.db, world.actor, thread.id)) == ["1", "one", "2", "two", "2b", "two b"]


def test_leaf_takes_the_newest_child_each_time(world: Any) -> None:
    thread = world.thread()
    first = world.ask(thread, "1", "one")
    world.ask(thread, "2", "old")
    newer = world.ask(thread, "2", "new", parent_id=first.answer_id)
    assert messages.leaf_of(world.db, world.actor, first.question_id) == newer.answer_id
    assert messages.leaf_of(world.db, world.actor, newer.answer_id) == newer.answer_id


def test_an_empty_thread_has_no_messages(world: Any) -> None:
    thread = world.thread()
    assert messages.branch(world.db, world.actor, thread.id) == messages.tree(world.db, world.actor, thread.id) == []


def test_siblings_are_known_in_a_short_window_too(world: Any) -> None:
    thread = world.thread()
    turn = world.ask(thread, "1", "one")
    again = world.begin(thread, None, question_id=turn.question_id)
    world.finish(again, "uno")
    (last,) = messages.branch(world.db, world.actor, thread.id, last=1)
    assert last.siblings == (turn.answer_id, again.answer_id)


def test_nobody_else_reads_messages(world: Any, cite: Any) -> None:
    thread = world.thread()
    turn = world.ask(thread, "Secret", citations=[cite(1)])
    stranger = world.profile("Stranger", "owner")
    for look in (messages.tree, messages.branch):
        with pytest.raises(ThreadNotFound):
            look(world.db, stranger, thread.id)
    for look in (messages.get, messages.leaf_of):
        with pytest.raises(MessageNotFound):
            look(world.db, stranger, turn.answer_id)
    with pytest.raises(MessageNotFound):
        messages.set_feedback(world.db, stranger, turn.answer_id, 1, "")
    assert messages.citations(world.db, stranger, [turn.answer_id]) == {}


def test_a_head_elsewhere_is_refused(world: Any) -> None:
    with pytest.raises(MessageNotFound):
        messages.branch(world.db, world.actor, world.thread().id, new_id())


def test_parts_come_back_as_they_were(world: Any) -> None:
    thread, file_id = world.thread(), new_id()
    parts = (
        Part("text", "See this"),
        Part("file", "read text", file_id=file_id, name="plan.pdf", media_type="application/pdf"),
    )
    answer = (
        Part("tool_call", call_id="c1", name="find", arguments={"q": ["a", {"b": 1.5}]}),
        Part("tool_result", "ok", call_id="c1", name="find"),
        Part("text", "Done"),
    )
    turn = world.begin(thread, None, question=parts)
    world.finish(turn, "Done", parts=answer)
    question, reply = messages.branch(world.db, world.actor, thread.id)
    assert (question.parts, question.text, reply.parts) == (parts, "See this", answer)


def test_a_question_of_a_file_alone_gets_its_name_as_title(world: Any) -> None:
    thread = world.thread()
    world.begin(thread, None, question=(Part("file", file_id=new_id(), name="plan.pdf"),))
    assert threads.get(world.db, world.actor, thread.id).title == "plan.pdf"


def test_feedback_is_ones_own_and_can_be_changed(world: Any) -> None:
    turn = world.ask(world.thread(), "Q")
    for value, reason in ((1, ""), (-1, "Too long\x00"), (0, "")):
        messages.set_feedback(world.db, world.actor, turn.answer_id, value, reason)
        message = messages.get(world.db, world.actor, turn.answer_id)
        assert (message.feedback, message.feedback_reason) == (value, reason.replace("\x00", "\ufffd"))
    with pytest.raises(InputError):
        messages.set_feedback(world.db, world.actor, turn.answer_id, 2, "")


def test_citations_are_snapshots_without_a_document(world: Any, cite: Any) -> None:
    citation = cite(1, "As it was", document_id=new_id())
    turn = world.ask(world.thread(), "Q", citations=[citation])
    assert messages.citations(world.db, world.actor, [turn.answer_id, new_id()]) == {turn.answer_id: [citation]}


@pytest.mark.parametrize(
    "said", ["‏مرحبا بالعالم‏", "👩‍👩‍👧‍👦 family", "a\x00b\x07\x1b[31m", "\ud800 lone", "Zürich\r\n\tx", "長" * 30_000]
)
def test_any_text_is_kept_as_given(world: Any, said: str) -> None:
    turn = world.ask(world.thread(), said, said)
    expected = said.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    for message_id in (turn.question_id, turn.answer_id):
        message = messages.get(world.db, world.actor, message_id)
        assert message.text == message.parts[0].text == expected


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(_json)
def test_cleaning_leaves_nothing_a_database_refuses(value: Any) -> None:
    def strings(item: Any) -> list[str]:
        if isinstance(item, str):
            return [item]
        if isinstance(item, dict):
            return [*item, *(s for v in item.values() for s in strings(v))]
        return [s for v in item for s in strings(v)] if isinstance(item, list) else []

    for string in strings(cleaned(value)):
        assert "\x00" not in string
        string.encode()


def test_plain_text_is_the_text_parts() -> None:
    parts = (Part("text", "a"), Part("file", "inside", name="f"), Part("text", "b"))
    assert plain_text(parts) == "a\n\nb"
    assert storable(parts)[1] == {"kind": "file", "text": "inside", "name": "f"}


def test_a_deep_thread_is_read_without_recursion(world: Any) -> None:
    thread = world.thread()
    for number in range(40):
        world.ask(thread, f"q{number}")
    assert len(messages.tree(world.db, world.actor, thread.id)) == 80
    assert messages.branch(world.db, world.actor, thread.id)[0].text == "q0"
