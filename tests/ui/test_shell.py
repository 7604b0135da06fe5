"""The frame of every page: who sees which page, who acts, errors as sentences, the headers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import streamlit as st
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from coach_core import errors
from coach_core.types import Role, now
from coach_core.ui import shared
from coach_core.ui.main import pages_for
from tests.ui.fake_coach import FakeCoach

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "coach_core" / "ui" / "main.py"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    fake = FakeCoach()
    monkeypatch.setattr(shared, "make_coach", lambda: fake)
    shared.close_coach()
    yield fake
    shared.close_coach()


def open_app(**query: str) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=30)
    for name, value in query.items():
        at.query_params[name] = value
    return at.run()


def labels(at: AppTest) -> list[str]:
    return [button.label for button in at.button]


# -- pages by role -------------------------------------------------------------------------------------

OFFERED: dict[Role, set[str]] = {
    "owner": {"chat", "clients", "threads", "knowledge", "personas", "live_metrics", "settings"},
    "admin": {"chat", "threads", "knowledge", "personas", "live_metrics", "settings"},
    "coach": {"chat", "clients", "threads", "knowledge", "live_metrics"},
    "client": {"chat", "threads"},
    "stakeholder": {"live_metrics"},
}


@pytest.mark.parametrize("role", get_args(Role))
def test_a_role_is_offered_the_pages_it_may_open_and_no_other(role: Role) -> None:
    there = {path.stem for path in shared.PAGES.glob("[a-z]*.py")}
    offered = {name for entries in pages_for(role).values() for name, *_ in entries}
    assert offered == OFFERED[role] & there


def test_the_start_leads_to_the_chat_and_keeps_the_link(fake: FakeCoach) -> None:
    thread = fake.new_thread(fake.owner(), fake.all_personas[0].id)
    fake.start(fake.owner(), thread.id, "What was asked")
    at = open_app(thread=str(thread.id))
    assert not at.exception
    assert "What was asked" in [m.value for m in at.markdown]


# -- who acts ------------------------------------------------------------------------------------------


def test_a_profile_is_added_and_chosen_and_sees_its_own_threads_only(fake: FakeCoach) -> None:
    thread = fake.new_thread(fake.owner(), fake.all_personas[0].id, title="The owner's own")
    at = open_app()
    at.text_input[0].set_value("Mira")
    at.selectbox[-1].set_value("client")
    next(b for b in at.button if b.label == "Add").click().run()
    assert [user.name for user in fake.users] == ["Owner", "Mira"]
    at.button(key=f"profile-{fake.users[1].id}").click().run()
    assert at.query_params["profile"] == "Mira"
    at.query_params["thread"] = str(thread.id)
    at.run()
    assert [e.value for e in at.error] == [shared.escape(errors.ThreadNotFound().sentence)]


def test_a_reload_keeps_the_profile_that_the_link_names(fake: FakeCoach) -> None:
    fake.add_profile(fake.owner(), "Mira", "client")
    at = open_app(profile="Mira")
    assert "Mira · client" in labels(at)
    assert "Owner · owner" in labels(open_app(profile="Nobody of that name"))


def test_a_name_that_is_taken_is_a_sentence(fake: FakeCoach) -> None:
    at = open_app()
    at.text_input[0].set_value("Owner")
    next(b for b in at.button if b.label == "Add").click().run()
    assert [e.value for e in at.error] == [shared.escape(errors.NameTaken().sentence)]


# -- errors --------------------------------------------------------------------------------------------


def test_a_coach_that_cannot_be_opened_is_a_sentence_and_heals(fake: FakeCoach) -> None:
    fake.fails = errors.DatabaseUnreachable()
    at = open_app()
    assert [e.value for e in at.error] == [shared.escape(errors.DatabaseUnreachable().sentence)]
    assert not at.exception
    fake.fails = None
    assert "New chat" in labels(at.run())


def test_what_nobody_expected_is_a_sentence_without_its_details(monkeypatch: pytest.MonkeyPatch) -> None:
    from app import on_script_error

    drawn: list[tuple[str, str]] = []
    monkeypatch.setattr(shared, "_draw_notice", lambda kind, sentence: drawn.append((kind, sentence)))
    assert on_script_error(ValueError("sk-secret")) is True
    assert on_script_error(errors.DatabaseBusy()) is True
    assert drawn == [("error", errors.CoachError().sentence), ("error", errors.DatabaseBusy().sentence)]


def test_escape_shows_every_character_as_it_is() -> None:
    from markdown_it import MarkdownIt

    wild = "# a *b* [c](d) <i> `e` $f$ :red[g] ~h~ | 1. x\n- y"
    html = MarkdownIt("commonmark", {"html": True}).render(shared.escape(wild))
    assert re.sub(r"<[^>]*>", "", html).strip() == "# a *b* [c](d) &lt;i&gt; `e` $f$ :red[g] ~h~ | 1. x - y"


# -- times and numbers ---------------------------------------------------------------------------------


def test_times_durations_and_money_have_their_unit() -> None:
    assert shared.when(now()) == "just now"
    assert shared.when(now() - timedelta(minutes=5)) == "5 min ago"
    assert re.fullmatch(r"\d{1,2} \w{3}( \d{4}|, \d\d:\d\d)", shared.when(now() - timedelta(days=3)))
    assert [shared.seconds(ms) for ms in (480, 1240, 125_000)] == ["480 ms", "1.2 s", "2 min 5 s"]
    assert [shared.money(m) for m in (0, 1200, 45_000, 2_500_000)] == ["$0.00", "$0.0012", "$0.045", "$2.50"]


# -- the server ----------------------------------------------------------------------------------------


def test_the_server_sends_headers_that_keep_everything_local_and_closes_the_coach(fake: FakeCoach) -> None:
    from app import app

    with TestClient(app) as client:
        health = client.get("/healthz")
        assert (health.status_code, health.json()) == (200, {"status": "ok"})
        page = client.get("/chat")
        policy = page.headers["Content-Security-Policy"]
        assert "img-src 'self' data: blob:;" in policy
        assert "http:" not in policy and "https:" not in policy and "*" not in policy
        assert "script-src 'self' blob: 'wasm-unsafe-eval' 'sha256-" in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        font = client.get("/app/static/fonts/newsreader-latin-wght-normal.woff2")
        assert font.status_code == 200
        assert font.headers["Cache-Control"] == "public, max-age=86400"
        assert client.get("/app/static/%2e%2e/app.py").status_code in {400, 404}
        fake.fails = errors.DatabaseUnreachable()
        assert client.get("/healthz").status_code == 503
    assert fake.closed


# -- width ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "layout"), [("chat", "centered"), ("knowledge", "wide"), ("threads", "wide")])
def test_a_page_is_told_its_width_once_a_run(
    fake: FakeCoach, monkeypatch: pytest.MonkeyPatch, page: str, layout: str
) -> None:
    told: list[str | None] = []
    real = st.set_page_config

    def listen(*args: Any, **options: Any) -> None:
        told.append(options.get("layout"))
        real(*args, **options)

    at = open_app()
    monkeypatch.setattr(st, "set_page_config", listen)
    at.switch_page(f"../../pages/{page}.py").run()
    assert [t for t in told if t] == [layout], "two widths in a run: a run broken off between them stays narrow"
