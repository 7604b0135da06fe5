"""The chat about a client: whom it is about is chosen, shown and changed; what was remembered is judged."""

from __future__ import annotations

import dataclasses
from uuid import uuid4

import pytest

from coach_core.types import Client, MemoryUse
from coach_core.ui import shared
from tests.ui.fake_coach import FakeCoach, answer
from tests.ui.test_chat import asked, captions, fake, open_chat, texts  # noqa: F401


@pytest.fixture
def anna(fake: FakeCoach) -> Client:  # noqa: F811
    return fake.meet(fake.owner(), "Anna Meyer")


def test_without_clients_nobody_is_asked_whom_it_is_about(fake: FakeCoach) -> None:  # noqa: F811
    assert not [s for s in open_chat().selectbox if s.label == "Client"]


def test_a_thread_is_about_the_client_picked_and_begins_with_what_they_want(
    fake: FakeCoach,  # noqa: F811
    anna: Client,
) -> None:
    fake.save_goal(fake.owner(), anna.id, "Run a half marathon.")
    fake.save_goal(fake.owner(), anna.id, "Phone in bed", kind="challenge")
    at = open_chat()
    assert at.selectbox(key="client-new").value is None, "nobody is chosen by itself"
    at.selectbox(key="client-new").set_value(anna.id).run()
    assert at.query_params["client"] == str(anna.id)
    starters = [b for b in at.button if (b.key or "").startswith("starter-")]
    assert starters[0].label == shared.escape("What would bring Anna a step nearer to “Run a half marathon”?")
    assert "Phone in bed" in starters[1].label and len(starters) == 4
    starters[0].click().run()
    (thread,) = fake.all_threads.values()
    assert thread.client_id == anna.id and "client" not in at.query_params
    at.run()
    links = [link.proto for link in at.main.get("page_link")]
    assert any("About Anna Meyer" in p.label and str(anna.id) in p.query_string for p in links)


def test_nobody_is_chosen_by_a_link_to_anothers_or_a_deleted_client(fake: FakeCoach, anna: Client) -> None:  # noqa: F811
    fake.delete_client(fake.owner(), anna.id)
    for link in (str(anna.id), str(uuid4()), "x"):
        at = open_chat(client=link)
        assert at.error
        at.chat_input[0].set_value("Hello").run()
    assert {t.client_id for t in fake.all_threads.values()} == {None}


def test_a_thread_moves_to_another_client_and_says_what_stays(fake: FakeCoach, anna: Client) -> None:  # noqa: F811
    other = fake.meet(fake.owner(), "Cem")
    thread, _ = asked(fake)
    at = open_chat(thread=str(thread))
    at.selectbox(key=f"client-{thread}").set_value(anna.id).run()
    assert fake.all_threads[thread].client_id == anna.id
    at.selectbox(key=f"client-{thread}").set_value(other.id).run()
    assert fake.all_threads[thread].client_id == other.id
    assert "stays with Anna Meyer" in at.success[0].value


def test_what_was_remembered_is_told_and_judged_in_the_details(fake: FakeCoach, anna: Client) -> None:  # noqa: F811
    memory = fake.remember(fake.owner(), "I ran *10* km", anna, status="approved")
    thread, answer_id = asked(fake, events=answer("Well done."))
    turn = fake.turn_of(fake.owner(), answer_id)
    assert turn is not None
    fake.turns[turn.id] = dataclasses.replace(turn, notices=("Remembering 1 event", "Reading 2 passages"))
    fake.recalled[turn.id] = [MemoryUse(memory, turn.id, 1, 0.8)]
    at = open_chat(thread=str(thread))
    assert any("remembered 1 event" in c for c in captions(at))
    at.button(key=f"turn-{answer_id}").click().run()
    assert any(shared.escape("I ran *10* km") in t for t in texts(at))
    assert any(str(memory.message_id) in link.proto.query_string for link in at.get("page_link"))
    at.segmented_control(key=f"verdict-{turn.id}-{memory.id}").set_value("Not right").run()
    assert fake.recalled[turn.id][0].verdict == -1
    assert any("Change or forget it" in link.proto.label for link in at.get("page_link"))
    at.segmented_control(key=f"verdict-{turn.id}-{memory.id}").set_value("Right").run()
    assert fake.recalled[turn.id][0].verdict == 1
