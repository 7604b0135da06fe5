"""The pages of clients: whom there is, what they want, and what is remembered of them only after a yes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import Client, now
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, open_alone, open_page, press, shown


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


@pytest.fixture
def anna(fake: FakeCoach) -> Client:
    return fake.meet(fake.owner(), "Anna *Meyer*", values=("honesty",))


def opened(client: Client, **query: str) -> AppTest:
    return open_page("clients", client=str(client.id), **query)


def statuses(fake: FakeCoach) -> list[str]:
    return [m.status for m in fake.known.values()]


# -- the list ------------------------------------------------------------------------------------------


def test_the_first_client_is_added_in_one_click_from_an_empty_list(fake: FakeCoach) -> None:
    at = press(open_page("clients"), "Add your first client")
    at.button(key="really_add_client").click().run()
    assert "The client needs a name" in shown(at) and not fake.people
    at.text_input(key="client_name_new").set_value("Bea")
    at.text_area(key="client_values_new").set_value("calm\ncourage")
    at.radio(key="client_mode_new").set_value("automatic")
    at.button(key="really_add_client").click().run()
    draft = next(iter(fake.people.values())).draft
    assert (draft.name, draft.values, draft.memory_mode) == ("Bea", ("calm", "courage"), "automatic")
    assert at.query_params["client"] == str(next(iter(fake.people)))
    assert "Bea is added" in shown(at) and "No goal yet" in shown(at)


def test_a_card_says_what_they_want_when_they_meet_and_what_waits(fake: FakeCoach, anna: Client) -> None:
    me = fake.owner()
    fake.save_goal(me, anna.id, "Run a half marathon")
    fake.save_homework(me, anna.id, "Run twice", due_at=now() - timedelta(days=1))
    fake.remember(me, "I bought shoes", anna)
    fake.meet(me, "Cem")
    at = open_page("clients")
    words = shown(at)
    assert "Anna *Meyer*" in words and "Run a half marathon" in words and "No goal noted yet" in words
    assert "Homework due yesterday" in words and "1 to approve" in words
    at.text_input(key="find").set_value("cem").run()
    assert "Run a half marathon" not in shown(at) and "1 client" in shown(at)
    at.text_input(key="find").set_value("nobody").run()
    assert "No client of that name" in shown(at)


def test_a_client_is_edited_and_deleted_and_both_are_undone(fake: FakeCoach, anna: Client) -> None:
    at = opened(anna)
    at.button(key="edit_client").click().run()
    at.text_input(key=f"client_name_{anna.id}").set_value("Anna Ito")
    press(at, "Save")
    assert fake.people[anna.id].name == "Anna Ito"
    press(at, "Undo")
    assert fake.people[anna.id].name == "Anna *Meyer*"
    at.button(key="delete_client").click().run()
    assert "Nothing of it comes to mind" in shown(at)
    at.button(key="really_delete_client").click().run()
    assert fake.people[anna.id].deleted_at is not None and "client" not in at.query_params
    assert "No clients yet" in shown(at)
    press(at, "Undo")
    assert fake.people[anna.id].deleted_at is None
    fake.delete_client(fake.owner(), anna.id)
    press(opened(anna), "Bring back")
    assert fake.people[anna.id].deleted_at is None


def test_a_link_to_nobody_is_told_above_the_list(fake: FakeCoach, anna: Client) -> None:
    assert "This link is not complete" in shown(open_page("clients", client="x"))
    stranger = fake.meet(fake.as_role("coach"), "Of another coach")
    at = open_page("clients", client=str(stranger.id))
    assert at.error and "Of another coach" not in shown(at) and "Anna" in shown(at)


@pytest.mark.parametrize("role", ["admin", "client", "stakeholder"])
def test_only_a_coach_has_clients(fake: FakeCoach, role: str) -> None:
    at = open_alone("clients", fake.users[role])  # type: ignore[index]
    assert "Only a coach can see clients" in shown(at)


# -- the page of one -----------------------------------------------------------------------------------


def test_goals_are_written_reached_edited_and_taken_out(fake: FakeCoach, anna: Client) -> None:
    at = press(opened(anna), "Write down the first goal")
    at.text_area(key="goal_text_new").set_value("Sleep more")
    press(at, "Save")
    goal = fake.goals(fake.owner(), anna.id)[0]
    assert (goal.text, goal.kind) == ("Sleep more", "goal")
    press(at, "Note progress")
    at.text_area(key="progress_text_new").set_value("Eight hours on Monday")
    press(at, "Save")
    assert fake.goals(fake.owner(), anna.id)[0].progress[0].text == "Eight hours on Monday"
    assert "Eight hours on Monday" in shown(at)
    press(at, "Add a challenge")
    at.text_area(key="goal_text_new").set_value("The phone in bed")
    press(at, "Save")
    assert [g.kind for g in fake.goals(fake.owner(), anna.id)] == ["challenge", "goal"]


def test_homework_is_given_done_and_undone(fake: FakeCoach, anna: Client) -> None:
    at = press(opened(anna), "Add homework")
    at.text_area(key="work_text_new").set_value("Write one page")
    press(at, "Save")
    work = fake.homework(fake.owner(), anna.id)[0]
    at.checkbox(key=f"done_{work.id}").check().run()
    assert fake.homework(fake.owner(), anna.id)[0].status == "done"
    press(at, "Undo")
    assert fake.homework(fake.owner(), anna.id)[0].status == "given"
    assert not at.checkbox(key=f"done_{work.id}").value


def test_a_session_note_is_kept_and_deleted_with_undo(fake: FakeCoach, anna: Client) -> None:
    at = press(opened(anna), "Add a note")
    press(at, "Save")
    assert "The note is empty" in shown(at)
    at.text_area(key="note_text_new").set_value("Came *late*, left lighter.")
    press(at, "Save")
    note = fake.session_notes(fake.owner(), anna.id)[0]
    at.button(key=f"edit_{note.id}").click().run()
    press(at, "Delete it")
    assert not fake.session_notes(fake.owner(), anna.id)
    press(at, "Undo")
    assert fake.session_notes(fake.owner(), anna.id)[0].text == "Came *late*, left lighter."


def test_the_timeline_quotes_and_links_to_the_message(fake: FakeCoach, anna: Client) -> None:
    memory = fake.remember(fake.owner(), "I ran <b>10</b> km", anna, status="approved", quote="I ran 10 km on Sunday")
    source = fake.said[memory.message_id]  # type: ignore[index]
    at = opened(anna)
    assert "I ran <b>10</b> km" in shown(at) and "I ran \\<b\\>" in "\n".join(m.value for m in at.markdown)
    links = [link.proto.query_string for link in at.main.get("page_link")]
    assert any(f"message={source.message_id}" in q and f"thread={source.thread_id}" in q for q in links)


def test_a_new_thread_about_the_client_is_one_click_away(fake: FakeCoach, anna: Client) -> None:
    fake.save_persona(fake.owner(), fake_admin.draft("General coach"))
    at = opened(anna)
    at.button(key="new_thread").click().run()
    assert not at.exception and at.query_params["client"] == str(anna.id)


# -- memories ------------------------------------------------------------------------------------------


def test_memories_are_approved_edited_and_rejected_and_each_is_undone(fake: FakeCoach, anna: Client) -> None:
    me = fake.owner()
    old = fake.remember(me, "I live in Bonn", anna, status="approved", kind="fact")
    first = fake.remember(me, "I live in Kiel", anna, kind="fact", supersedes=old.id)
    second = fake.remember(me, "I like tea", anna, kind="preference", quote="I really like tea")
    at = opened(anna, show="Memories")
    assert "Replaces: I live in Bonn" in shown(at) and "I really like tea" in shown(at)
    at.button(key=f"approve_{first.id}").click().run()
    assert statuses(fake) == ["superseded", "approved", "pending"]
    press(at, "Undo")
    assert fake.known[first.id].status == "pending"
    at.button(key=f"reject_{second.id}").click().run()
    assert fake.known[second.id].status == "rejected" and "“I like tea” is rejected" in shown(at)
    press(at, "Undo")
    at.button(key=f"edit_{second.id}").click().run()
    at.text_area(key=f"memory_text_{second.id}").set_value("Likes green tea")
    press(at, "Save and approve")
    assert (fake.known[second.id].text, fake.known[second.id].status) == ("Likes green tea", "approved")
    press(at, "Undo")
    assert (fake.known[second.id].text, fake.known[second.id].status) == ("I like tea", "pending")


def test_all_that_wait_are_approved_at_once(fake: FakeCoach, anna: Client) -> None:
    for n in range(4):
        fake.remember(fake.owner(), f"Fact {n}", anna)
    other = fake.remember(fake.owner(), "Of somebody else", fake.meet(fake.owner(), "Cem"))
    at = opened(anna)
    assert "Of somebody else" not in shown(at)
    press(at, "Approve all 4")
    assert statuses(fake) == ["approved"] * 4 + ["pending"] and fake.known[other.id].status == "pending"
    press(at, "Undo")
    assert set(statuses(fake)) == {"pending"}


def test_a_memory_has_its_history_and_is_forgotten_and_brought_back(fake: FakeCoach, anna: Client) -> None:
    memory = fake.remember(fake.owner(), "I play chess", anna, status="approved", origin="rules")
    at = opened(anna, show="Memories")
    at.button(key=f"more_{memory.id}").click().run()
    assert "proposed by the app" in shown(at)
    at.button(key="told_forget").click().run()
    assert fake.known[memory.id].status == "rejected" and "is forgotten" in shown(at)
    press(at, "Undo")
    assert fake.known[memory.id].status == "approved"
    assert [v.status for v in fake.states[memory.id]] == ["approved", "rejected", "approved"]


def test_a_memory_is_written_down_by_hand(fake: FakeCoach, anna: Client) -> None:
    at = press(opened(anna, show="Memories"), "Write down the first")
    at.text_area(key="memory_text_new").set_value("Has two sons")
    press(at, "Remember")
    assert [(m.text, m.kind, m.client_id) for m in fake.known.values()] == [("Has two sons", "fact", anna.id)]


def test_what_is_remembered_of_the_coach_stands_apart(fake: FakeCoach, anna: Client) -> None:
    fake.remember(fake.owner(), "I teach on Mondays")
    fake.remember(fake.owner(), "Anna's own", anna)
    words = shown(open_page("clients", client="me"))
    assert "I teach on Mondays" in words and "Anna's own" not in words


# -- the brief -----------------------------------------------------------------------------------------


def test_the_brief_is_one_sheet_without_buttons(fake: FakeCoach, anna: Client) -> None:
    me = fake.owner()
    goal = fake.save_goal(me, anna.id, "Run a half marathon")
    fake.save_progress(me, anna.id, "Ran 5 km", goal_id=goal.id)
    fake.save_note(me, anna.id, "She smiled.", at=now() - timedelta(days=3))
    fake.remember(me, "I bought shoes", anna)
    at = opened(anna, show="Brief")
    words = shown(at)
    for part in ("To open with", "Run a half marathon", "Ran 5 km", "She smiled.", "Not approved yet", "honesty"):
        assert part in words
    assert [b.label for b in at.main.button if b.label == "Print"] == ["Print"]
    assert [d.label for d in at.main.get("download_button")][-1] == "Download Markdown"
