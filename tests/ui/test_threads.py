"""The threads page: found again, tidied up, taken along, and nothing lost by it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import Thread, ThreadQuery
from tests.ui import fake_admin
from tests.ui.fake_admin import NOON, FakeCoach, open_alone, open_page, press, shown


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


@pytest.fixture
def three(fake: FakeCoach) -> list[Thread]:
    """Three threads of the owner with two personas, the newest first."""
    owner = fake.owner()
    career = fake.save_persona(owner, fake_admin.draft("Career coach"))
    health = fake.save_persona(owner, fake_admin.draft("Health coach"))
    made = [
        fake.new_thread(owner, career.id, title="Pay talk", backend="openai_responses"),
        fake.new_thread(owner, health.id, title="Sleep *well*"),
        fake.new_thread(owner, career.id, title=""),
    ]
    fake.say(made[0], "How do I ask for more?", "Begin with what you [bring](http://x) <b>in</b>.", when=NOON)
    fake.say(made[1], "I lie awake", "What happened that day?", status="interrupted", when=NOON - timedelta(days=1))
    fake.say(made[2], "Hello", "Hello to you", when=NOON - timedelta(days=2))
    return made


def tick(at: AppTest, *rows: int) -> AppTest:
    """Tick rows of the table."""
    at.session_state[at.dataframe[0].key] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return at.run()


def test_the_table_shows_each_thread_with_its_facts(three: list[Thread]) -> None:
    table = open_page("threads").dataframe[0].value
    assert list(table["Title"]) == ["Pay talk", "Sleep *well*", "Untitled"]
    assert list(table["Persona"]) == ["Career coach", "Health coach", "Career coach"]
    assert list(table["Messages"]) == [2, 2, 2]
    assert table["Backend"][0] == "Responses API"
    assert list(table["Marks"]) == ["", "interrupted", ""]
    assert table["Last activity"][0] == NOON


def test_a_search_marks_the_words_and_links_to_the_message(fake: FakeCoach, three: list[Thread]) -> None:
    at = open_page("threads")
    at.text_input(key="find").set_value("bring").run()
    assert not at.dataframe and fake.asked[-1].text == "bring"
    assert ":primary-background[bring]" in "\n".join(m.value for m in at.markdown)
    assert "\\<b\\>in\\<\\/b\\>" in "\n".join(m.value for m in at.markdown), "what was said is never Markdown"
    links = [link for link in at.main.get("page_link") if "Pay talk" in link.proto.label]
    found = fake.talk[three[0].id][1]
    assert len(links) == 1
    assert f"thread={three[0].id}" in links[0].proto.query_string
    assert f"message={found.id}" in links[0].proto.query_string


def test_filters_are_asked_of_the_store_and_come_from_the_link(fake: FakeCoach, three: list[Thread]) -> None:
    at = open_page("threads", **{"with": "Health coach", "by": "Responses API", "when": "Last 7 days"})
    query: ThreadQuery = fake.asked[-1]
    assert query.persona_id == three[1].persona_id and query.backend == "openai_responses"
    assert query.since is not None and query.until is None
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    assert query.since == midnight - timedelta(days=6)
    press(at, "Clear search and filters")
    assert fake.asked[-1].persona_id is None and len(at.dataframe[0].value) == 3


def test_chosen_dates_are_whole_days(fake: FakeCoach, three: list[Thread]) -> None:
    at = open_page("threads", when="Choose dates")
    day = (NOON - timedelta(days=1)).date()
    at.date_input(key="dates").set_value((day, day)).run()
    query: ThreadQuery = fake.asked[-1]
    assert query.since is not None and query.until == query.since + timedelta(days=1)
    assert list(at.dataframe[0].value["Title"]) == ["Sleep *well*"]


def test_archive_moves_a_thread_to_its_view_and_undo_brings_it_back(fake: FakeCoach, three: list[Thread]) -> None:
    at = tick(open_page("threads"), 0)
    press(at, "Archive")
    assert fake.rows[three[0].id].archived_at and "Pay talk” archived." in shown(at)
    at.segmented_control(key="view").set_value("Archived").run()
    assert list(at.dataframe[0].value["Title"]) == ["Pay talk"]
    press(at, "Undo")
    assert fake.rows[three[0].id].archived_at is None
    assert "No archived threads" in shown(at) and "Pay talk” archived." not in shown(at)


def test_delete_names_what_goes_and_can_be_undone_later(fake: FakeCoach, three: list[Thread]) -> None:
    at = press(tick(open_page("threads"), 0, 1), "Delete")
    assert not fake.rows[three[0].id].deleted_at, "not before it was confirmed"
    assert "2 threads" in shown(at) and "4 messages" in shown(at) and "Sleep *well*" in shown(at)
    at.button(key="really_delete").click().run()
    assert [bool(fake.rows[t.id].deleted_at) for t in three] == [True, True, False]
    assert "2 threads deleted." in shown(at)
    at.segmented_control(key="view").set_value("Deleted").run()
    press(tick(at, 0, 1), "Bring back")
    assert not any(fake.rows[t.id].deleted_at for t in three)


def test_a_tick_does_not_move_on_to_the_thread_that_takes_the_row(fake: FakeCoach, three: list[Thread]) -> None:
    at = press(tick(open_page("threads"), 0), "Archive")
    assert at.dataframe[0].value["Title"][0] == "Sleep *well*"
    assert next(b for b in at.button if b.label == "Archive").disabled, "nothing is ticked any more"


def test_rename(fake: FakeCoach, three: list[Thread]) -> None:
    at = press(tick(open_page("threads"), 2), "Rename")
    at.text_input(key="new_title").set_value("  First hello ")
    press(at, "Save")
    assert fake.rows[three[2].id].title == "First hello"
    assert "First hello" in list(at.dataframe[0].value["Title"])


def test_one_is_renamed_at_a_time(three: list[Thread]) -> None:
    at = tick(open_page("threads"), 0, 1)
    assert next(b for b in at.button if b.label == "Rename").disabled
    assert not next(b for b in at.button if b.label == "Delete").disabled


def test_one_thread_is_a_file_and_several_are_a_zip(fake: FakeCoach, three: list[Thread]) -> None:
    from pages import _export

    hits, _ = fake.threads(fake.owner(), ThreadQuery())
    one = _export.File(fake, fake.owner(), hits[:1], "markdown")  # type: ignore[arg-type]
    assert (one.name, one.mime) == ("pay-talk.md", "text/markdown")
    assert one.read().decode().startswith("# Pay talk")
    many = _export.File(fake, fake.owner(), hits, "json")  # type: ignore[arg-type]
    assert many.mime == "application/zip"
    with zipfile.ZipFile(io.BytesIO(many.read())) as archive:
        assert len(archive.namelist()) == 3 and all(n.endswith(".json") for n in archive.namelist())
        first = next(n for n in archive.namelist() if n.startswith("pay-talk"))
        assert json.loads(archive.read(first))["title"] == "Pay talk"


def test_pages_of_a_long_list(fake: FakeCoach, three: list[Thread]) -> None:
    for number in range(60):
        made = fake.new_thread(fake.owner(), three[0].persona_id, title=f"More {number}")
        fake.say(made, "a", "b")
    at = open_page("threads")
    assert len(at.dataframe[0].value) == 25 and "63 threads" in shown(at)
    at.pagination[0].set_value(3).run()
    assert len(at.dataframe[0].value) == 13
    at.text_input(key="find").set_value("lie awake").run()
    assert "Sleep *well*" in str([link.proto.label for link in at.main.get("page_link")]).replace("\\\\", "")


def test_nothing_yet_says_what_to_do_first(fake: FakeCoach) -> None:
    assert "No threads yet" in shown(open_page("threads"))


def test_nothing_found_is_told_apart_from_nothing_there(fake: FakeCoach, three: list[Thread]) -> None:
    at = open_page("threads", find="zeppelin")
    assert "No thread fits this search" in shown(at)
    press(at, "Clear search and filters")
    assert len(at.dataframe[0].value) == 3


def test_a_stakeholder_is_told_that_threads_are_not_for_them(fake: FakeCoach, three: list[Thread]) -> None:
    at = open_alone("threads", fake.users["stakeholder"])
    assert "Your role cannot read threads" in at.error[0].value and not at.dataframe


def test_threads_show_whom_they_are_about_and_move_together(fake: FakeCoach, three: list[Thread]) -> None:
    assert "Client" not in open_page("threads").dataframe[0].value
    anna = fake.meet(fake.owner(), "Anna")
    cem = fake.meet(fake.owner(), "Cem")
    fake.move_thread(fake.owner(), three[0].id, anna.id)
    at = open_page("threads")
    assert list(at.dataframe[0].value["Client"]) == ["Anna", "", ""]
    at.selectbox(key="about").set_value("Anna").run()
    assert fake.asked[-1].client_id == anna.id and len(at.dataframe[0].value) == 1
    at.selectbox(key="about").set_value("Any client").run()
    tick(at, 0, 1)
    at.button(key="threads_about").click().run()
    at.selectbox(key="about_client").set_value(cem.id).run()
    press(at, "Move")
    assert [fake.rows[t.id].client_id for t in three] == [cem.id, cem.id, None]
    press(at, "Undo")
    assert [fake.rows[t.id].client_id for t in three] == [anna.id, None, None]
