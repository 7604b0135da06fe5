"""The settings page: what is connected, values and their origin, profiles; and that the fake is like the Coach."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import User
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, open_alone, open_page, press, shown


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        fake.settings_rows = [
            ("backend", "extractive", "default"),
            ("openai_api_key", "missing", "default"),
            ("passages", "8", "environment"),
            ("history_messages", "12", "settings table"),
            ("novel", "1", "default"),
            ("embedder", "", "default"),
            ("upload_mb", "25", "default"),
        ]
        yield fake


def test_each_backend_says_whether_it_could_answer(fake: FakeCoach) -> None:
    at = open_page("settings")
    words = shown(at)
    assert "Quotes from the documents (no model)" in words and "answers by default" in words
    assert "key missing" in words and "OPENAI_API_KEY is missing." in words
    assert at.button(key="test_openai_responses").disabled


def test_a_test_shows_what_came_of_it_and_how_long_it_took(fake: FakeCoach) -> None:
    at = open_page("settings")
    at.button(key="test_extractive").click().run()
    assert "It answers, 12 ms in all" in shown(at)


def test_checks_say_how_to_mend(fake: FakeCoach) -> None:
    words = shown(open_page("settings"))
    assert "SQLite, schema is current" in words and "Put OPENAI_API_KEY=... into .env" in words


def test_each_value_says_where_it_comes_from_and_keys_are_never_shown(fake: FakeCoach) -> None:
    at = open_page("settings", part="Values")
    words = shown(at)
    for name, value, where in fake.settings_rows:
        assert f"What {name} does." in words and where in words and value in words
    assert "**Upload (MB)**" in words and "**Embedder**" in words
    assert "More" in [s.value for s in at.subheader], "what no group names is shown too"
    changes = {b.key for b in at.button if b.label == "Change"}
    assert "change_openai_api_key" not in changes and "change_backend" in changes
    assert at.button(key="change_passages").disabled, "the environment wins"


def test_a_value_is_changed_and_a_bad_one_is_a_sentence(fake: FakeCoach) -> None:
    at = open_page("settings", part="Values")
    at.button(key="change_history_messages").click().run()
    assert at.text_input(key="setting_value").value == "12"
    at.text_input(key="setting_value").set_value("bad")
    press(at, "Save")
    assert "Choose a whole number from 0 to 1,000." in shown(at) and "start again" not in shown(at)
    at.text_input(key="setting_value").set_value("16")
    press(at, "Save")
    assert ("history_messages", "16", "settings table") in fake.settings_rows and not at.error


def test_profiles_are_added_and_removed_but_never_ones_own(fake: FakeCoach) -> None:
    at = open_page("settings", part="Profiles")
    mine = at.button(key=f"remove_{fake.owner().user_id}")
    assert mine.disabled
    at.text_input(key="profile_name").set_value("Ana")
    at.button(key="profile_add").click().run()
    made = next(u for u in fake.profiles() if u.name == "Ana")
    assert made.role == "coach" and "Ana" in shown(at)
    at.button(key=f"remove_{made.id}").click().run()
    assert made in fake.profiles(), "not before it was confirmed"
    at.button(key="really_remove").click().run()
    assert made not in fake.profiles()


def test_an_empty_log_says_so(fake: FakeCoach) -> None:
    assert "Nothing was changed yet" in shown(open_page("settings", part="Log"))


@pytest.mark.parametrize("role", ["coach", "client", "stakeholder"])
def test_who_may_not_is_told(fake: FakeCoach, role: str) -> None:
    user: User = fake.users[role]  # type: ignore[index]
    at = open_alone("settings", user)
    assert "Only an admin can see the settings" in at.error[0].value and not at.button


@pytest.mark.parametrize(
    ("role", "name", "sentence"),
    [
        ("coach", "settings", "Only an admin can see the settings"),
        ("coach", "personas", "Only an admin can change personas"),
        ("client", "live_metrics", "Your role cannot see the numbers"),
        ("stakeholder", "chat", "Your role cannot chat"),
        ("stakeholder", "threads", "Your role cannot read threads"),
    ],
)
def test_a_link_to_a_page_of_others_says_why_not(fake: FakeCoach, role: str, name: str, sentence: str) -> None:
    at = AppTest.from_file(fake_admin.MAIN, default_timeout=30)
    at.session_state["_profile_id"] = fake.users[role].id  # type: ignore[index]
    at.switch_page(f"../../pages/{name}.py").run()
    assert [e.value.split(".")[0] for e in at.error] == [sentence] and not at.title
    first = "Live metrics" if role == "stakeholder" else "Chat"
    links = [link.proto.label for link in at.main.get("page_link")]
    assert links == [f"Go to {first}"], "never a dead end"


def test_the_fake_is_called_as_the_coach_is() -> None:
    from coach_core.coach import Coach

    own = {"as_role", "say", "put", "shelve", "admit", "meet", "remember"}
    for name, method in inspect.getmembers(FakeCoach, inspect.isfunction):
        if name.startswith("_") or name in own:
            continue
        fake, real = (inspect.signature(m).parameters.values() for m in (method, getattr(Coach, name)))
        assert [(p.name, p.kind) for p in fake] == [(p.name, p.kind) for p in real], name


def test_an_embedder_is_tried_before_it_is_saved(fake: FakeCoach) -> None:
    at = open_page("settings", part="Values")
    at.button(key="change_embedder").click().run()
    assert at.button(key="model_save").disabled
    at.radio(key="model_kind").set_value("address").run()
    at.text_input(key="model_where").set_value("http://models.example:8080/v1/embeddings").run()
    assert at.button(key="model_try").disabled, "the model's name is missing"
    at.text_input(key="model_name").set_value("e5").run()
    at.number_input(key="model_dimensions").set_value(256).run()
    at.button(key="model_try").click().run()
    words = shown(at)
    assert "a question takes 7 ms, a vector has 384 numbers, and it reads 40 passages a second" in words
    assert "7,177 passages will be read again, about 3 min" in words
    assert "is sent to **models.example:8080**" in words
    at.text_input(key="model_name").set_value("bad").run()
    assert at.button(key="model_save").disabled, "what was tried was another"
    at.button(key="model_try").click().run()
    assert "knows no such address or model" in shown(at) and at.button(key="model_save").disabled
    at.text_input(key="model_name").set_value("e5").run()
    at.button(key="model_try").click().run()
    at.button(key="model_save").click().run()
    spec = "http://models.example:8080/v1/embeddings#e5?dimensions=256"
    assert ("embedder", spec, "settings table") in fake.settings_rows


def test_a_model_that_runs_here_sends_nothing_away(fake: FakeCoach) -> None:
    at = open_page("settings", part="Values")
    at.button(key="change_embedder").click().run()
    at.radio(key="model_kind").set_value("local").run()
    at.text_input(key="model_where").set_value("intfloat/e5").run()
    at.button(key="model_try").click().run()
    assert "is sent to" not in shown(at)
    at.button(key="model_save").click().run()
    assert ("embedder", "intfloat/e5", "settings table") in fake.settings_rows
