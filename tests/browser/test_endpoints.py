"""An endpoint in a real browser: added from the settings, tested live, asked in a thread, removed under it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.backends.fake_api import FakeApi, json_reply, recorded
from tests.browser.conftest import App, ask, finished, open_chat
from tests.browser.test_admin import go

pytestmark = pytest.mark.browser
KEY = "eu-planted-7Gq2Lr9XwT"
ANSWER = "Mexico City"


@pytest.fixture
def keyed(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[App]:
    """A server of its own whose environment holds the key."""
    app = App(tmp_path / "served", free_port(), COACH_KEY_EU=KEY).start()
    yield app
    app.stop()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    models = json_reply(200, '{"object": "list", "data": [{"id": "large"}, {"id": "small"}]}')
    with FakeApi(recorded("chat_text"), models=models) as api:
        yield api


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.get_by_role("option", name=option).click()


def test_an_endpoint_is_added_tested_asked_and_removed(keyed: App, page: Page, api: FakeApi) -> None:
    go(page, keyed, "/settings", "Settings")
    page.get_by_role("button", name="Add an endpoint").click()
    dialog = page.get_by_role("dialog")
    choose(page, "Vendor or server", "Mistral")
    expect(dialog.get_by_role("textbox", name="Address")).to_have_value("https://api.mistral.ai/v1")
    expect(dialog.get_by_text("Put MISTRAL_API_KEY=... into the file .env.")).to_be_visible()
    dialog.get_by_role("textbox", name="Name").fill("eu")
    dialog.get_by_role("textbox", name="Address").fill(api.url)
    dialog.get_by_role("textbox", name="Address").press("Tab")
    expect(dialog.get_by_text("The key in MISTRAL_API_KEY is sent only to api.mistral.ai")).to_be_visible()
    dialog.get_by_role("textbox", name="Variable that holds its key").fill("COACH_KEY_EU")
    dialog.get_by_role("textbox", name="Variable that holds its key").press("Tab")
    expect(dialog.get_by_text("The key is there.")).to_be_visible()
    dialog.get_by_role("button", name="List models").locator("visible=true").click()
    choose(page, "Models listed there", "small")
    expect(dialog.get_by_role("textbox", name="Model")).to_have_value("small")
    dialog.get_by_role("button", name="Test").locator("visible=true").click()
    expect(dialog.get_by_text(re.compile("first word after .* small, .* tokens"))).to_be_visible()
    dialog.get_by_role("button", name="Save").locator("visible=true").click()
    expect(dialog).to_have_count(0)
    card = page.locator(".st-key-backend_eu")
    expect(card).to_contain_text("COACH_KEY_EU set")
    card.get_by_role("button", name="Test").locator("visible=true").click()
    expect(card).to_contain_text("first word after")
    assert len(api.requests) == 2 and "stream_options" not in api.bodies[0], "the vendor's facts are kept"

    open_chat(page, keyed)
    head = page.locator(".st-key-head")
    head.get_by_role("button", name="More").click()
    choose(page, "Answered by", "eu")
    expect(page.get_by_role("combobox", name="Answered by")).to_have_attribute("value", "eu")
    page.keyboard.press("Escape")
    ask(page, "Hello there")
    expect(finished(page)).to_contain_text(ANSWER)
    assert api.requests[-1].headers["authorization"] == f"Bearer {KEY}" and api.bodies[-1]["model"] == "small"
    thread = page.url

    go(page, keyed, "/settings", "Settings")
    page.locator(".st-key-remove_endpoint_eu button:visible").click()
    expect(page.get_by_role("dialog").get_by_text("It is in use: 1 thread.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    expect(page.get_by_text("eu was removed.")).to_be_visible()
    expect(page.locator(".st-key-backend_eu")).to_have_count(0)

    page.goto(thread)
    ask(page, "And now?")
    expect(finished(page, 2)).to_contain_text("You asked: And now?")
    head.get_by_role("button", name="More").click()
    expect(page.get_by_role("combobox", name="Answered by")).to_have_attribute("value", "eu (removed)")
    assert len(api.requests) == 3 and KEY not in page.content()


def test_a_model_typed_without_enter_is_saved(keyed: App, page: Page, api: FakeApi) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    go(page, keyed, "/settings", "Settings")
    page.get_by_role("button", name="Add an endpoint").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Name").fill("typed")
    dialog.get_by_role("textbox", name="Address").fill(api.url)
    protocols = dialog.locator('[data-testid="stButtonGroup"] button')
    expect(protocols).to_have_count(3)
    wires = [b.bounding_box() for b in protocols.all()]
    assert len({box["y"] for box in wires if box}) == 1, "the protocols stand in one line"
    dialog.get_by_role("textbox", name="Model").fill("large-v3")
    dialog.get_by_role("button", name="Save").locator("visible=true").click()
    expect(dialog).to_have_count(0)
    card = page.locator(".st-key-backend_typed")
    expect(card).to_contain_text("large-v3")
    tests = page.get_by_role("button", name="Test").locator("visible=true")
    ends = [box["x"] for box in (b.bounding_box() for b in tests.all()) if box]
    assert len(ends) > 1 and len({round(x) for x in ends[:-1]}) == 1, "below one another"
