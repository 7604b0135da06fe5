"""Endpoints on the settings page: listed with what each is, tested, added from a vendor, changed, removed and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import EndpointDraft, Trial
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, open_page, shown

ADDRESS = "http://127.0.0.1:9/v1"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        fake.settings_rows = [("backend", "extractive", "default"), ("fallback", "", "settings table")]
        yield fake


def draft(name: str = "eu", variable: str = "COACH_KEY_EU", **values: Any) -> EndpointDraft:
    return EndpointDraft(name, ADDRESS, **{"wire": "openai_chat", "key_variable": variable, "model": "m1"} | values)


def field(widgets: Any, label: str) -> Any:
    """The one widget of a dialog with this label."""
    there = [w for w in widgets if (w.key or "").startswith("endpoint_")]
    found = [w for w in there if w.label == label]
    assert len(found) == 1, [w.label for w in there]
    return found[0]


def click(at: AppTest, key: str) -> AppTest:
    at.button(key=key).click().run()
    assert not at.exception, at.exception[0].stack_trace
    return at


def opened(fake: FakeCoach, vendor: str = "") -> AppTest:
    """The dialog for a new endpoint, begun with a vendor."""
    at = click(open_page("settings"), "add_endpoint")
    if vendor:
        chooser = field(at.selectbox, "Vendor or server")
        chooser.set_value(vendor).run()
        assert not at.exception
    return at


def filled(at: AppTest, **values: str) -> AppTest:
    labels = {"name": "Name", "base_url": "Address", "key_variable": "Variable that holds its key"}
    for name, value in values.items():
        field(at.text_input, labels[name]).set_value(value)
    return at.run()


def test_each_endpoint_says_what_it_is_and_what_it_lacks(fake: FakeCoach) -> None:
    fake.save_endpoint(fake.owner(), draft("eu"))
    fake.save_endpoint(fake.owner(), draft("us", "COACH_KEY_US"))
    fake.save_endpoint(fake.owner(), draft("free", ""))
    words = shown(open_page("settings"))
    assert (
        "COACH_KEY_EU set" in words and "COACH_KEY_US missing" in words and "Chat Completions API · 127.0.0.1" in words
    )
    assert "No key is set. Put COACH_KEY_US=... into the file .env." in words
    assert words.count("Looked at") == 2, "a check of what is not set up says nothing more"


def test_without_endpoints_the_page_says_what_they_are_for(fake: FakeCoach) -> None:
    words = shown(open_page("settings"))
    assert "several at once, each with its own key" in words


@pytest.mark.parametrize(
    ("detail", "begins"),
    [
        ("api.mistral.ai cannot be reached.", "api.mistral.ai cannot"),
        ("localhost cannot be reached.", "localhost cannot"),
        ("says “ready”", "Says “ready”"),
    ],
)
def test_a_host_is_never_capitalised(fake: FakeCoach, detail: str, begins: str) -> None:
    fake.save_endpoint(fake.owner(), draft("eu"))
    fake.outcomes["eu"] = Trial("eu", "warn", detail)
    assert begins in shown(click(open_page("settings"), "test_eu"))


def test_a_test_of_an_endpoint_shows_what_came_of_it(fake: FakeCoach) -> None:
    fake.save_endpoint(fake.owner(), draft("eu"))
    fake.outcomes["eu"] = Trial("eu", "fail", "127.0.0.1:9 refused the key.", "Check the value of COACH_KEY_EU.", 80.0)
    words = shown(click(open_page("settings"), "test_eu"))
    assert "127.0.0.1:9 refused the key." in words and "Check the value of COACH_KEY_EU." in words and "80 ms" in words
    assert "Looked at" not in words, "a test outdoes a look"


def test_a_vendor_fills_the_form_and_it_stays_editable(fake: FakeCoach) -> None:
    at = opened(fake, "mistral")
    assert field(at.text_input, "Address").value == "https://api.mistral.ai/v1"
    assert field(at.text_input, "Name").value == "mistral"
    assert field(at.text_input, "Variable that holds its key").value == "MISTRAL_API_KEY"
    assert "Put MISTRAL_API_KEY=... into the file .env." in shown(at)
    assert field(at.toggle, "Tells tokens while streaming").value is False
    assert field(at.number_input, "Length of a tool call's id").value == 9
    field(at.toggle, "Takes images").set_value(False)
    click(at, "endpoint_save")
    saved = fake.rows_of_endpoints["mistral"].draft
    assert saved.profile == {"stream_options": False, "call_id_length": 9, "images": False}
    assert "mistral is saved" in shown(at) and not [b for b in at.button if b.key == "endpoint_save"]


def test_another_vendor_begins_anew_but_keeps_a_name_of_ones_own(fake: FakeCoach) -> None:
    at = opened(fake, "mistral")
    field(at.selectbox, "Vendor or server").set_value("groq").run()
    assert field(at.text_input, "Name").value == "groq"
    filled(at, name="mine")
    field(at.selectbox, "Vendor or server").set_value("azure-deployments").run()
    assert field(at.text_input, "Name").value == "mine"
    assert field(at.text_input, "Header with the key").value == "api-key"
    assert json.loads(field(at.text_area, "Query").value) == {"api-version": "2024-10-21"}
    click(at, "endpoint_save")
    assert "Replace RESOURCE in the address" in shown(at) and not fake.rows_of_endpoints


def test_a_taken_name_is_not_suggested_again(fake: FakeCoach) -> None:
    fake.save_endpoint(fake.owner(), draft("groq"))
    assert field(opened(fake, "groq").text_input, "Name").value == "groq-2"


def test_it_is_tested_before_it_is_saved_and_a_test_holds_for_what_it_was_made_of(fake: FakeCoach) -> None:
    at = filled(opened(fake, "custom"), name="eu", base_url=ADDRESS, key_variable="COACH_KEY_EU")
    assert "The key is there." in shown(at)
    click(at, "endpoint_test")
    assert "Says ready" in shown(at) and fake.tested[0].base_url == ADDRESS and not fake.rows_of_endpoints
    filled(at, base_url="http://127.0.0.1:10/v1")
    assert "Says ready" not in shown(at), "the draft is another now"
    fake.outcomes["eu"] = Trial("eu", "fail", "cannot be reached.", "Check the address.", error="unreachable")
    click(at, "endpoint_test")
    assert "Cannot be reached." in shown(at) and "Check the address." in shown(at)


def test_the_servers_models_can_be_chosen_from(fake: FakeCoach) -> None:
    fake.models = ["large", "small"]
    at = filled(opened(fake, "custom"), name="eu", base_url=ADDRESS, key_variable="")
    click(at, "endpoint_models")
    listed = field(at.selectbox, "Models listed there")
    assert listed.placeholder == "2 models to choose from"
    listed.set_value("small").run()
    assert field(at.text_input, "Model").value == "small"
    click(at, "endpoint_save")
    assert fake.rows_of_endpoints["eu"].draft.model == "small"
    fake.models = []
    at = filled(opened(fake, "custom"), name="us", base_url=ADDRESS, key_variable="")
    assert "lists no models" in shown(click(at, "endpoint_models"))


def test_json_that_cannot_be_read_is_marked_and_not_saved(fake: FakeCoach) -> None:
    at = filled(opened(fake, "custom"), name="eu", base_url=ADDRESS, key_variable="")
    for text, says in (('{"a": 1,\n}', "from line 2, column 1 on"), ("[1]", "must be a table")):
        field(at.text_area, "More fields").set_value(text).run()
        assert says in shown(at)
        assert at.button(key="endpoint_save").disabled and at.button(key="endpoint_test").disabled
    field(at.text_area, "More fields").set_value('{"seed": 7}').run()
    field(at.text_area, "More headers").set_value('{"Authorization": "x"}').run()
    click(at, "endpoint_save")
    assert "looks like a secret" in shown(at) and not fake.rows_of_endpoints
    field(at.text_area, "More headers").set_value("").run()
    click(at, "endpoint_save")
    assert fake.rows_of_endpoints["eu"].draft.profile == {"body": {"seed": 7}}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": "", "base_url": ADDRESS}, "1 to 40 small letters"),
        ({"name": "eu", "base_url": "127.0.0.1"}, "must begin with https://"),
        ({"name": "eu", "base_url": ""}, "The address is missing"),
        ({"name": "openai_chat", "base_url": ADDRESS}, "of the app's own"),
    ],
)
def test_what_cannot_be_saved_is_a_sentence_and_the_form_stays(
    fake: FakeCoach, values: dict[str, str], says: str
) -> None:
    at = filled(opened(fake, "custom"), **values)
    click(at, "endpoint_save")
    assert says in shown(at) and not fake.rows_of_endpoints
    assert field(at.text_input, "Name").value == values["name"]


def test_a_key_in_the_wrong_field_is_refused_and_shown_nowhere_else(fake: FakeCoach) -> None:
    key = "sk-proj-abcdefghijklmnop1234"
    at = filled(opened(fake, "custom"), name="eu", base_url=ADDRESS, key_variable=key)
    click(at, "endpoint_save")
    sentence = " ".join(e.value for e in at.error)
    assert "Put the key into .env" in sentence.replace("\\", "") and key not in sentence
    assert not fake.rows_of_endpoints


def test_the_protocol_decides_which_facts_are_asked(fake: FakeCoach) -> None:
    at = opened(fake, "groq")
    assert "Keeps responses" not in [t.label for t in at.toggle]
    field(at.segmented_control, "Protocol").set_value("openai_responses").run()
    labels = [t.label for t in at.toggle]
    assert "Keeps responses" in labels and "Tells tokens while streaming" not in labels
    assert field(at.toggle, "Keeps responses").value is False, "as the vendor's preset says"
    click(at, "endpoint_save")
    saved = fake.rows_of_endpoints["groq"].draft
    assert saved.wire == "openai_responses" and saved.profile == {"state": False, "conversations": False}


def test_an_endpoint_is_changed_under_its_name(fake: FakeCoach) -> None:
    info = fake.save_endpoint(fake.owner(), draft("eu", profile={"stream": False, "body": {"seed": 7}}))
    at = click(open_page("settings"), "edit_endpoint_eu")
    assert field(at.text_input, "Name").disabled and field(at.text_input, "Address").value == ADDRESS
    assert not [s for s in at.selectbox if s.label == "Vendor or server"]
    assert field(at.toggle, "Streams its answers").value is False
    field(at.toggle, "Streams its answers").set_value(True)
    filled(at, key_variable="")
    click(at, "endpoint_save")
    after = fake.rows_of_endpoints["eu"]
    assert after.id == info.id and after.draft.key_variable == "" and after.draft.model == "m1"
    assert after.draft.profile == {"stream": True, "body": {"seed": 7}}
    at = click(click(at, "edit_endpoint_eu"), "endpoint_cancel")
    assert not [b for b in at.button if b.key == "endpoint_save"]


def test_removing_says_what_uses_it_and_can_be_undone(fake: FakeCoach) -> None:
    fake.save_endpoint(fake.owner(), draft("eu"))
    fake.uses = ["it is the backup", "3 threads"]
    at = click(open_page("settings"), "remove_endpoint_eu")
    words = shown(at)
    assert "It is in use: it is the backup; 3 threads." in words and "Another backend answers" in words
    assert "eu" in fake.rows_of_endpoints, "not before it was confirmed"
    click(at, "really_remove_endpoint")
    assert not fake.rows_of_endpoints and "eu was removed." in shown(at)
    click(at, "settings_back")
    assert fake.rows_of_endpoints["eu"].draft == draft("eu")


def test_the_settings_default_and_backup_are_chosen_among_the_backends(fake: FakeCoach) -> None:
    fake.save_endpoint(fake.owner(), draft("eu"))
    at = click(open_page("settings", part="Values"), "change_fallback")
    chooser = at.selectbox(key="setting_value")
    assert chooser.options[0] == "Nobody" and "eu" in chooser.options
    assert any("Responses API (not set up)" in o for o in chooser.options)
    chooser.set_value("eu")
    next(b for b in at.button if b.label == "Save").click().run()
    assert ("fallback", "eu", "settings table") in fake.settings_rows
