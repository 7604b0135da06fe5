"""What an admin does on the knowledge page: names, readers, moves, undo, use, questions, hosted copies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from coach_core.coach.looking_back import Tried
from coach_core.types import (
    Collection,
    DocumentUse,
    HostedCopy,
    HostedFailure,
    HostedOther,
    Passage,
    Unanswered,
    new_id,
    now,
)
from coach_core.ui import widgets
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, draft, open_alone, open_page, press, shown
from tests.ui.test_knowledge import tick

QUESTIONS = "Questions that found nothing"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


@pytest.fixture
def college(fake: FakeCoach) -> Collection:
    group = fake.create_collection(fake.owner(), "College success", "An open textbook", "CC BY 4.0")
    fake.put(group, "time.md", "Plan the week\nRest is part of the plan")
    fake.put(group, "money.md", "A budget is a plan")
    fake.save_persona(fake.owner(), draft("Career coach", collections=(group.id,)))
    fake.save_persona(fake.owner(), draft("Health coach"))
    return group


def question(fake: FakeCoach, text: str, **values: object) -> Unanswered:
    persona = next(p for p in fake.personas(fake.owner()) if p.name == "Career coach")
    told = {"language": "en", "verdict": "nothing", "status": "open", "times": 1} | values
    made = Unanswered(
        new_id(), text, persona_id=persona.id, collections=persona.draft.collections,
        created_at=now(), last_at=now(), **told,
    )  # type: ignore[arg-type]  # fmt: skip
    fake.questions[made.id] = made
    return made


# -- collections --------------------------------------------------------------------------------------


def test_a_collection_is_renamed_and_described_anew(fake: FakeCoach, college: Collection) -> None:
    at = press(open_page("knowledge"), "Edit")
    at.text_input(key=f"collection_name_{college.id}").set_value("Study skills")
    at.text_input(key=f"collection_licence_{college.id}").set_value("CC0")
    press(at, "Save")
    made = fake.groups[college.id]
    assert (made.name, made.description, made.licence) == ("Study skills", "An open textbook", "CC0")
    assert at.radio(key="chosen").value == widgets.address(made)


def test_who_reads_it_is_changed_where_it_is_seen_and_undone(fake: FakeCoach, college: Collection) -> None:
    at = open_page("knowledge")
    names = {p.name: p.id for p in fake.personas(fake.owner())}
    at.multiselect(key=f"readers_{college.id}").set_value([names["Health coach"]]).run()
    assert "Saves a new version of" in shown(at)
    at.button(key=f"readers_{college.id}_save").click().run()
    reads = {p.name: p.draft.collections for p in fake.personas(fake.owner())}
    assert reads == {"Career coach": (), "Health coach": (college.id,)}
    assert "Saved:" in shown(at) and "version 2" in shown(at)
    press(at, "Undo")
    reads = {p.name: p.draft.collections for p in fake.personas(fake.owner())}
    assert reads == {"Career coach": (college.id,), "Health coach": ()}


def test_the_matrix_shows_every_persona_and_every_collection(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Other")
    at = open_page("knowledge", view="Who reads what")
    table = at.dataframe[0].value
    assert list(table["Persona"]) == ["Career coach", "Health coach"]
    assert list(table[str(college.id)]) == [True, False] and list(table[str(other.id)]) == [False, False]
    assert "Nobody reads Other" in shown(at) and at.button(key="readers_save").disabled


def test_what_was_deleted_comes_back_with_undo_and_from_the_list(fake: FakeCoach, college: Collection) -> None:
    at = press(tick(open_page("knowledge"), 1), "Delete")
    at.button(key="really_delete").click().run()
    assert [d.name for d in fake.papers.values()] == ["time.md"]
    press(at, "Undo")
    assert sorted(d.name for d in fake.papers.values()) == ["money.md", "time.md"] and not fake.trash
    at = press(open_page("knowledge"), "Delete collection")
    at.checkbox[0].check().run()
    at.button(key="really_delete_collection").click().run()
    assert not fake.groups
    at = press(open_page("knowledge"), "Recently deleted")
    assert "College success" in shown(at) and "2 documents" in shown(at)
    press(at, "Bring back")
    assert list(fake.groups) == [college.id] and len(fake.papers) == 2


def test_documents_move_to_another_collection_and_back(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Other")
    at = press(tick(open_page("knowledge"), 0, 1), "Move")
    at.button(key="really_move").click().run()
    assert {d.collection_id for d in fake.papers.values()} == {other.id}
    assert "2 documents moved to Other." in shown(at)
    press(at, "Undo")
    assert {d.collection_id for d in fake.papers.values()} == {college.id}
    at = press(tick(open_page("knowledge"), 0), "Move")
    at.toggle(key="move_copy").set_value(True).run()
    at.button(key="really_move").click().run()
    assert len(fake.papers) == 3


def test_many_documents_are_filtered_by_name(fake: FakeCoach, college: Collection) -> None:
    assert not [t for t in open_page("knowledge").text_input if t.key == "filter"]
    for n in range(9):
        fake.put(college, f"Sleep part {n}.md", "Sleep")
    at = open_page("knowledge")
    assert "11 documents" in shown(at)
    at.text_input(key="filter").set_value("PART sleep 3").run()
    assert list(at.dataframe[0].value["Document"]) == ["Sleep part 3.md"] and "1 of 11 documents" in shown(at)
    at.text_input(key="filter").set_value("zebra").run()
    assert not at.dataframe and "0 of 11 documents" in shown(at)


# -- use ----------------------------------------------------------------------------------------------


def test_use_tells_the_most_cited_and_those_nobody_needed(fake: FakeCoach, college: Collection) -> None:
    time, money = fake.papers
    fake.used = {money: DocumentUse(money, 7, 3, now())}
    table = open_page("knowledge").dataframe[0].value
    assert list(table["Cited"]) == [0, 3] and table["Last used"].isna().tolist() == [True, False]
    at = open_page("knowledge", show="Use")
    assert list(at.dataframe[0].value["Document"]) == ["money.md", "time.md"]
    assert "Cited 3 times and given to answers 7 times in the last 90 days." in shown(at)
    assert "1 document never came up" in shown(at)
    at = open_page("knowledge", show="Use", used="Never cited")
    assert list(at.dataframe[0].value["Document"]) == ["time.md"] and fake.papers[time].name == "time.md"
    fake.used = {}
    assert "No answer was given a passage" in shown(open_page("knowledge", show="Use"))


# -- questions that found nothing ---------------------------------------------------------------------


def test_questions_say_how_often_when_of_whom_and_why(fake: FakeCoach, college: Collection) -> None:
    at = open_page("knowledge", view=QUESTIONS)
    assert "Every question found something so far" in shown(at)
    question(fake, "How do I *file* my taxes?", times=3, verdict="no_answer")
    question(fake, "¿Cuánto cuesta?", language="es", status="answered")
    at = open_page("knowledge", view=QUESTIONS)
    words = shown(at)
    assert "How do I *file* my taxes?" in words and "asked 3 times, last just now, Career coach, English" in words
    assert "what was found does not answer it" in "".join(m.value for m in at.markdown)
    assert at.expander[0].label == "Answered since (1)"
    at.selectbox(key="asked_language").set_value("Spanish").run()
    assert "No open questions here" in shown(at)


def test_an_answer_is_written_right_there(fake: FakeCoach, college: Collection) -> None:
    question(fake, "How do I file my taxes?")
    at = press(open_page("knowledge", view=QUESTIONS), "Upload an answer")
    at.button(key="really_answer").click().run()
    assert "There is nothing to add yet." in shown(at)
    at.text_area(key="answer_text").set_value("Ask your tax office.").run()
    at.button(key="really_answer").click().run()
    paper = list(fake.papers.values())[-1]
    assert (paper.name, paper.collection_id) == ("how-do-i-file-my-taxes.md", college.id)
    assert fake.bytes[paper.id] == b"# How do I file my taxes\n\nAsk your tax office.\n"
    assert "The answer is being read" in shown(at)


def test_an_answer_beside_what_the_persona_reads_is_warned_of(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Other")
    question(fake, "How do I file my taxes?")
    at = press(open_page("knowledge", view=QUESTIONS), "Upload an answer")
    assert at.selectbox(key="answer_into").value == college.id and not at.warning
    at.selectbox(key="answer_into").set_value(other.id).run()
    assert "does not read this collection" in at.warning[0].value


def test_a_question_is_tried_again_dismissed_and_erased(fake: FakeCoach, college: Collection) -> None:
    asked = question(fake, "How do I file my taxes?")
    paper = next(iter(fake.papers))
    near = Passage(new_id(), paper, college.id, "", "time.md", "Plan the week")
    fake.answers[asked.id] = Tried((near,), "near")
    at = press(open_page("knowledge", view=QUESTIONS), "Try again")
    assert "near, but no answer. The nearest: time.md" in shown(at)
    press(at, "Dismiss")
    assert fake.questions[asked.id].status == "dismissed"
    press(at, "Undo")
    assert fake.questions[asked.id].status == "open"
    fake.answers[asked.id] = Tried((near,), "answers", paper)
    press(at, "Try again")
    assert fake.questions[asked.id].document_id == paper and "Answered now, by **time.md**" in shown(at)
    press(at, "Undo")
    press(at, "Erase")
    assert not fake.questions


def test_a_coach_sees_no_questions_and_no_trash(fake: FakeCoach, college: Collection) -> None:
    question(fake, "How do I file my taxes?")
    at = open_alone("knowledge", fake.users["coach"])
    assert "taxes" not in shown(at) and not at.error
    labels = {b.label for b in at.button}
    assert not labels & {"Edit", "Move", "Recently deleted", "New collection"} and not at.multiselect


# -- hosted copies ------------------------------------------------------------------------------------


def test_a_store_is_filled_after_it_was_said_what_leaves_and_where_to(fake: FakeCoach, college: Collection) -> None:
    at = open_page("knowledge", show="Hosted copies")
    assert "No API holds these documents" in shown(at)
    fake.places = {"eu": "api.example.eu"}
    at = press(open_page("knowledge", show="Hosted copies"), "Fill a store at eu")
    said = at.warning[0].value
    assert "Whole documents leave" in said and "2 documents" in said and "api" in said and "example" in said
    assert not fake.copies
    at.button(key="really_fill").click().run()
    assert len(fake.copies) == 1 and "filled from this collection" in shown(at)


def test_copies_show_differences_failures_and_the_day_they_expire(fake: FakeCoach, college: Collection) -> None:
    soon = now() + timedelta(days=3)
    fake.places = {"eu": "api.example.eu"}
    fake.copies = [
        HostedCopy(
            "eu", "api.example.eu", college.id, "College success", True, store="vs_1", documents=3, there=1,
            missing=("new.md",), changed=("time.md",), extra=("old.md",), bytes=2_100_000, expires_at=soon,
            failed=(HostedFailure("broken.pdf", "It cannot be read."),), synced_at=now(),
        )
    ]  # fmt: skip
    at = open_page("knowledge", show="Hosted copies")
    words = shown(at)
    assert "**1 missing there:** new.md" in words and "**1 changed here since:** time.md" in words
    assert "**1 there and not here any more:** old.md" in words and "It cannot be read." in words
    assert "1 of 3 documents there, the store takes up 2.1 MB" in words
    assert f"Expires on {soon:%-d %B %Y}" in at.warning[0].value
    press(at, "Keep alive")
    assert ("alive", "eu", college.id) in fake.asked
    press(at, "Sync now")
    assert "hosted_soon" in fake.asked
    at.button(key=f"drop_eu_{college.id}").click().run()
    assert not fake.copies


def test_stores_of_others_are_only_looked_at(fake: FakeCoach, college: Collection) -> None:
    fake.places = {"eu": "api.example.eu"}
    fake.others = [HostedOther("eu", "api.example.eu", "vs_9", "From before", 12, 5_000, expired=True)]
    at = press(open_page("knowledge", show="Hosted copies"), "Look at eu")
    table = at.dataframe[0].value
    assert (list(table["Name"]), list(table["Files"]), list(table["Expires"])) == (["From before"], [12], ["expired"])
