"""The persona editor tells who gets copies of the documents before it happens, and what is there afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import HostedFailure, HostedState, now
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, draft, open_page, shown
from tests.ui.test_personas import field

SAID = "copies leave this app's own machine"
THERE = HostedState(
    True,
    ready=True,
    endpoint="eu",
    host="api.vendor.test",
    documents=3,
    there=3,
    bytes=2_400_000,
    expires_at=now() + timedelta(days=30),
)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


def opened(fake: FakeCoach, search: str = "") -> AppTest:
    parameters = {"search": search} if search else {}
    fake.save_persona(fake.owner(), draft("Ada", parameters=parameters))
    return open_page("personas", edit="ada")


def test_who_gets_the_documents_is_said_before_it_is_switched_on(fake: FakeCoach) -> None:
    fake.hosted_then = HostedState(True, endpoint="eu", host="api.vendor.test", documents=3)
    at = opened(fake)
    assert SAID not in shown(at) and "vendor" not in shown(at)
    at.selectbox(key=field(at, "search")).set_value("hosted").run()
    assert len(at.warning) == 1
    warning = shown(at)
    assert (
        SAID in warning
        and "3 documents" in warning
        and "api.vendor.test" in warning
        and "deletes the copies" in warning
    )
    at.selectbox(key=field(at, "search")).set_value("local").run()
    assert not at.warning


def test_where_no_api_can_search_that_is_said_instead(fake: FakeCoach) -> None:
    fake.hosted_then = HostedState(True, why="Chat Completions API cannot search documents at its API.")
    at = opened(fake)
    at.selectbox(key=field(at, "search")).set_value("hosted").run()
    (warning,) = [w.value for w in at.warning]
    assert "cannot search documents" in warning and SAID not in warning


def test_what_is_there_is_shown(fake: FakeCoach) -> None:
    fake.hosted = fake.hosted_then = replace(THERE, synced_at=now() - timedelta(minutes=5, seconds=2))
    at = opened(fake, "hosted")
    text = shown(at)
    assert "3 of 3 documents copied to api.vendor.test" in text and "2.4 MB" in text and "5 min ago" in text
    assert SAID not in text and not [b for b in at.button if b.key == "hosted_again"]


def test_what_failed_is_shown_with_why_and_can_be_tried_again(fake: FakeCoach) -> None:
    failure = HostedFailure("*odd*.pdf", "api.vendor.test cannot read this file.", now() + timedelta(hours=1))
    fake.hosted = fake.hosted_then = HostedState(
        True, why="api.vendor.test lacks 1 of its documents.", endpoint="eu", host="api.vendor.test", documents=3,
        there=2, to_remove=1, failed=(failure,),
    )  # fmt: skip
    at = opened(fake, "hosted")
    text = shown(at)
    assert "2 of 3 documents" in text and "1 being removed" in text and "lacks 1" in text
    assert "cannot read this file" in text and "It is tried again" in text and "*odd*.pdf" in text
    at.button(key="hosted_again").click().run()
    assert fake.asked.count("hosted_soon") == 1 and not at.exception


def test_what_is_being_taken_back_is_shown_until_it_is(fake: FakeCoach) -> None:
    fake.hosted = fake.hosted_then = HostedState(
        False, why="What api.vendor.test holds is being removed there.", to_remove=2
    )
    at = opened(fake, "local")
    assert "is being removed there" in shown(at)
