"""The knowledge page: collections, files on their way in, documents, and what a search would find."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.errors import FileError
from coach_core.settings import Settings
from coach_core.types import Actor, Collection, IngestProgress, Persona, new_id
from coach_core.ui import shared, widgets
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, draft, open_alone, open_page, press, shown


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


@pytest.fixture
def college(fake: FakeCoach) -> Collection:
    group = fake.create_collection(fake.owner(), "College success", "An open textbook", "CC BY 4.0")
    fake.put(group, "time.md", "Plan the week on Sunday\nRest is part of the plan", embedded=1)
    fake.put(group, "money.md", "A budget is a plan for money")
    fake.save_persona(fake.owner(), draft("Career coach", collections=(group.id,)))
    return group


def tick(at: AppTest, *rows: int) -> AppTest:
    at.session_state[at.dataframe[0].key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return at.run()


def choose(at: AppTest, group: Collection) -> AppTest:
    return at.radio(key="chosen").set_value(widgets.address(group)).run()


def drop(at: AppTest, *files: tuple[str, bytes, str]) -> AppTest:
    at.file_uploader[0].set_value(list(files)).run()
    assert not at.exception, at.exception[0].stack_trace
    return at


def test_a_collection_says_what_it_is_and_who_reads_it(fake: FakeCoach, college: Collection) -> None:
    at = open_page("knowledge")
    words = shown(at)
    assert "An open textbook" in words and "CC BY 4.0" in words and "Career coach" in words
    assert "by meaning 2 of 3 passages" in str([p.proto.text for p in at.get("progress")])
    other = fake.create_collection(fake.owner(), "Other")
    choose(at.run(), other)
    assert "No persona reads this yet" in shown(at) and "No documents in this collection" in shown(at)


def test_the_table_shows_each_document_with_its_facts(college: Collection) -> None:
    table = open_page("knowledge").dataframe[0].value
    assert list(table["Document"]) == ["time.md", "money.md"]
    assert list(table["Passages"]) == [2, 1] and list(table["By meaning"]) == [50, 100]
    assert list(table["Language"]) == ["en", "en"] and list(table["Added by"]) == ["Admin", "Admin"]
    assert list(table["Size"]) == ["48 bytes", "28 bytes"]


def test_several_files_go_in_at_once_and_trouble_is_a_sentence(fake: FakeCoach, college: Collection) -> None:
    at = drop(open_page("knowledge"), ("a.md", b"one\ntwo", "text/markdown"), ("void.txt", b"", "text/plain"))
    assert [d.name for d in fake.papers.values()] == ["time.md", "money.md", "a.md"]
    assert "is in, 2 passages" in shown(at) and "The file is empty (0 bytes)." in shown(at)
    at.run()
    assert len(fake.jobs) == 2, "a rerun does not send them again"
    press(at, "Try again")
    assert ("retry", fake.jobs[1][0]) in fake.asked
    press(at, "Remove")
    assert [step.name for _, step in fake.jobs] == ["a.md"] and "void.txt" not in shown(at)


def test_a_file_on_its_way_shows_its_stage_and_count(fake: FakeCoach, college: Collection) -> None:
    fake.jobs.append((new_id(), IngestProgress(None, "big.pdf", "reading", 41, 318)))
    at = open_page("knowledge")
    assert "reading, 41 of 318 pages" in shown(at)
    fake.jobs[0] = (fake.jobs[0][0], IngestProgress(None, "big.pdf", "ready", 9, 9, duplicate=True))
    at.run()
    assert "was here already" in shown(at)


def test_of_files_dropped_together_each_that_is_refused_says_why(fake: FakeCoach, college: Collection) -> None:
    fake.refuses["odd.txt"] = FileError("The disk said no.")
    big = b"x" * 25_100_000
    at = drop(
        open_page("knowledge"),
        ("odd.txt", b"x", "text/plain"),
        ("big.txt", big, "text/plain"),
        ("small.md", b"one", "text/markdown"),
    )
    assert "odd.txt: The disk said no." in shown(at)
    assert "big.txt" in shown(at) and "25 MB is the most" in shown(at)
    assert "small.md" in [d.name for d in fake.papers.values()]
    assert "at most 25.0 MB each" in at.file_uploader[0].label


def test_the_browser_lets_files_pass_that_the_app_then_refuses_with_a_sentence() -> None:
    config = tomllib.loads((fake_admin.ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["maxUploadSize"] >= 4 * Settings.model_fields["upload_mb"].default


def test_an_upload_is_shown_in_its_own_collection_alone(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Other")
    files = [(f"void{n}.txt", b"", "text/plain") for n in (1, 2)]
    at = drop(open_page("knowledge"), *files)
    assert "void1.txt" in shown(at)
    choose(at, other)
    assert "void1.txt" not in shown(at)
    at.switch_page("../../pages/personas.py")
    at.query_params["edit"] = "career-coach"
    at.run()
    assert "Career coach" in shown(at) and "void1.txt" not in shown(at)
    at = press(open_page("knowledge"), "Clear all failed")
    assert not fake.jobs and "void" not in shown(at)


def test_what_is_found_by_meaning_is_counted_in_the_chosen_collection(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Other")
    fake.put(other, "a.md", "one\ntwo\nthree\nfour")
    at = choose(open_page("knowledge"), other)
    assert "All 4 passages are found by words and by meaning" in shown(at)


def test_a_file_name_that_is_not_the_title_is_shown(fake: FakeCoach, college: Collection) -> None:
    assert "File" not in open_page("knowledge").dataframe[0].value
    paper = fake.put(college, "ch-04_final.pdf", "A week has seven days")
    fake.papers[paper.id] = dataclasses.replace(paper, title="Planning the week")
    table = open_page("knowledge").dataframe[0].value
    assert list(table["File"]) == ["", "", "ch-04_final.pdf"]
    assert list(table).index("Added by") < 6 and list(table).index("Size") < 6, "seen without scrolling"


def test_once_a_file_is_in_the_counts_of_the_list_are_new(
    fake: FakeCoach, college: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = new_id()
    fake.jobs.append((job, IngestProgress(None, "big.md", "reading")))
    before = fake.personas

    def ends_meanwhile(actor: Actor) -> list[Persona]:
        if fake.jobs[0][1].stage == "reading":
            paper = fake.put(college, "big.md", "one")
            fake.jobs[0] = (job, IngestProgress(paper.id, "big.md", "ready", 1, 1))
        return before(actor)

    monkeypatch.setattr(fake, "personas", ends_meanwhile)
    at = open_page("knowledge")
    assert list(at.radio(key="chosen").proto.captions) == ["3 documents"]


def test_a_collection_is_made_with_its_licence_and_chosen(fake: FakeCoach) -> None:
    at = press(open_page("knowledge"), "Create the first collection")
    press(at, "Create")
    assert "The collection has no name." in shown(at) and not fake.groups
    at.text_input(key="collection_name").set_value("Counsel chat")
    at.text_input(key="collection_licence").set_value("MIT")
    press(at, "Create")
    made = next(iter(fake.groups.values()))
    assert (made.name, made.licence) == ("Counsel chat", "MIT") and at.radio(key="chosen").value == widgets.address(
        made
    )


def test_a_name_that_is_taken_is_a_sentence(fake: FakeCoach, college: Collection) -> None:
    at = press(open_page("knowledge"), "New collection")
    at.text_input(key="collection_name").set_value("college success")
    press(at, "Create")
    assert "There is a collection called college success already." in shown(at)


def test_deleting_a_collection_names_what_goes_and_who_misses_it(fake: FakeCoach, college: Collection) -> None:
    at = press(open_page("knowledge"), "Delete collection")
    assert "2 documents" in shown(at) and "3 passages" in shown(at)
    assert "Career coach will answer without it." in at.warning[0].value
    assert at.button(key="really_delete_collection").disabled
    at.checkbox[0].check().run()
    at.button(key="really_delete_collection").click().run()
    assert not fake.groups and "College success deleted." in shown(at)


def test_deleting_documents_names_them(fake: FakeCoach, college: Collection) -> None:
    at = press(tick(open_page("knowledge"), 0, 1), "Delete")
    assert "2 documents" in shown(at) and "money.md" in shown(at) and len(fake.papers) == 2
    at.button(key="really_delete_no").click().run()
    assert len(fake.papers) == 2 and not [b for b in at.button if b.key == "really_delete"]
    press(tick(at, 1), "Delete")
    at.button(key="really_delete").click().run()
    assert [d.name for d in fake.papers.values()] == ["time.md"]


def test_a_preview_shows_the_text_page_by_page(fake: FakeCoach, college: Collection) -> None:
    at = press(tick(open_page("knowledge"), 0), "Preview")
    assert "Plan the week on Sunday" in shown(at) and "Rest is part" not in shown(at)
    at.selectbox(key="place").set_value(1).run()
    assert "Rest is part of the plan" in shown(at)


def test_a_replacement_takes_the_place_of_the_old_file(fake: FakeCoach, college: Collection) -> None:
    at = press(tick(open_page("knowledge"), 1), "Replace")
    next(u for u in at.file_uploader if u.key == "replacement").set_value(("new.md", b"Spend less", "text/markdown"))
    at.run()
    at.button(key="really_replace").click().run()
    assert [d.name for d in fake.papers.values()] == ["time.md", "new.md"]


def test_a_search_shows_fit_and_both_ranks(fake: FakeCoach, college: Collection) -> None:
    at = open_page("knowledge", show="Try a search")
    at.text_input(key="try").set_value("plan").run()
    words = shown(at)
    assert "1. time.md, p. 1" in words and "3. money.md, p. 1" in words
    assert "fit 0.90" in words and "words no. 2" in words and "meaning –" in words
    at.text_input(key="try").set_value("zeppelin").run()
    assert "Nothing fits" in shown(at)


def test_a_search_says_when_no_passage_answers_and_in_which_english_words_it_looked(
    fake: FakeCoach, college: Collection
) -> None:
    at = open_page("knowledge", show="Try a search", **{"try": "plan"})
    assert "No passage answers this" not in shown(at) and "in English" not in shown(at)
    fake.unanswerable, fake.gloss = {"plan"}, ["sleep", "how long"]
    for paper in list(fake.papers.values()):
        fake.papers[paper.id] = dataclasses.replace(paper, language="en")
    at.run()
    words = shown(at)
    assert words.index("No passage answers this; these are the nearest.") < words.index("1. time.md")
    assert "The question's words in English: sleep, how long" in words


def test_a_search_as_a_persona_sees_its_collections_and_no_other(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Other")
    fake.put(other, "plan.md", "Another plan")
    fake.save_persona(fake.owner(), draft("Health coach", collections=(other.id,)))
    at = open_page("knowledge", show="Try a search")
    at.text_input(key="try").set_value("plan").run()
    assert "plan.md" not in shown(at)
    at.selectbox(key="as").set_value("As Health coach").run()
    assert "1. plan.md" in shown(at) and "time.md" not in shown(at)


def test_a_coach_reads_but_does_not_write(fake: FakeCoach, college: Collection) -> None:
    at = open_alone("knowledge", fake.users["coach"])
    assert len(at.dataframe[0].value) == 2 and not at.error
    assert not at.file_uploader
    labels = {b.label for b in at.button}
    assert "Preview" in labels and not labels & {"New collection", "Delete collection", "Replace", "Delete"}


@pytest.mark.parametrize("role", ["client", "stakeholder"])
def test_who_may_not_is_told(fake: FakeCoach, college: Collection, role: str) -> None:
    at = open_alone("knowledge", fake.users[role])  # type: ignore[index]
    assert "Your role cannot see the documents" in at.error[0].value and not at.dataframe


def test_names_and_passages_are_never_markdown(fake: FakeCoach, college: Collection) -> None:
    paper = fake.put(college, "[x](http://y).md", "A **bold** plan ![i](http://z)")
    fake.papers[paper.id] = dataclasses.replace(paper, title="[x](http://y)")
    at = open_page("knowledge", show="Try a search", **{"try": "bold"})
    drawn = "\n".join(m.value for m in at.markdown)
    assert "](http" not in drawn and "**bold**" not in drawn and "[x](http://y)" in shown(at)


def test_a_search_is_narrowed_and_says_what_the_filter_kept_out(fake: FakeCoach, college: Collection) -> None:
    paper = fake.put(college, "plan.es.md", "El plan de la semana")
    fake.papers[paper.id] = dataclasses.replace(paper, language="es")
    at = open_page("knowledge", show="Try a search", **{"try": "plan", "language": "Spanish"})
    assert "1. plan.es.md" in shown(at) and "time.md" not in shown(at)
    assert ":primary-background[plan]" in "\n".join(m.value for m in at.markdown)
    at.text_input(key="try").set_value("budget").run()
    assert "Documents that fit the filter: 1. Found without it: 1 passage." in shown(at)
    press(at, "Take the filter off")
    assert "1. money.md" in shown(at)


def test_a_link_names_a_collection_for_good_and_older_links_still_do(fake: FakeCoach, college: Collection) -> None:
    other = fake.create_collection(fake.owner(), "Open: [books]")
    fake.put(other, "a.md", "one")
    address = widgets.address(other)
    assert address.startswith("open-books-")
    older = shared.escape(other.name)
    assert older != other.name
    for told in (address, str(other.id), other.name, older, f"another-name-{other.id.hex[-8:]}"):
        at = open_page("knowledge", **{"in": told})
        assert list(at.dataframe[0].value["Document"]) == ["a.md"], told
        assert at.query_params["in"] in (address, [address])
    assert list(open_page("knowledge", **{"in": "gone"}).dataframe[0].value["Document"]) == ["time.md", "money.md"]


def test_ticks_stay_while_one_leafs_and_all_that_fit_are_ticked_at_once(fake: FakeCoach, college: Collection) -> None:
    for n in range(120):
        fake.put(college, f"part {n:03}.md", "Sleep")
    at = tick(open_page("knowledge"), 0, 3)
    assert "2 selected" in shown(at) and len(at.dataframe[0].value) == 50

    at.query_params["page"] = "3"
    at.session_state["page"] = 3
    at.run()
    assert list(at.dataframe[0].value["Document"])[-1] == "part 119.md" and "2 selected" in shown(at)
    tick(at, 0)
    assert "3 selected" in shown(at)
    press(at, "Delete")
    assert "3 documents" in shown(at) and "part 001.md" in shown(at) and "part 098.md" in shown(at)
    at.button(key="really_delete_no").click().run()
    at.text_input(key="filter").set_value("part").run()
    press(at, "Select all 120")
    assert "120 selected" in shown(at)
    press(at, "Delete")
    at.button(key="really_delete").click().run()
    assert [d.name for d in fake.papers.values()] == ["time.md", "money.md"] and "120 documents deleted." in shown(at)
    press(at, "Undo")
    assert len(fake.papers) == 122
