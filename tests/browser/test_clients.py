"""A client's memory from the first word on: proposed, decided by the coach, used about her and nobody else."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App, ask, finished, open_chat
from tests.browser.test_admin import go

pytestmark = pytest.mark.browser
TOLD = "My goal is to run a half marathon in May. I love green tea. I moved to Kiel last month."


def waiting(page: Page, words: str) -> Locator:
    """The card of a memory that waits for a yes."""
    return page.locator('[class*="st-key-waits_"]').filter(has=page.locator("strong", has_text=words))


def details(page: Page) -> Locator:
    page.get_by_role("button", name="How this answer came about").last.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("Whole answer")).to_be_visible()
    return drawer


def test_memories_are_decided_and_used_only_about_their_client(app: App, page: Page) -> None:
    go(page, app, "/clients", "Clients")
    page.get_by_role("button", name=re.compile("Add your first client|New client")).last.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Anna Meyer")
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", name="Anna Meyer")).to_be_visible()
    client = page.url

    page.get_by_role("button", name="New thread about Anna").click()
    expect(page).to_have_url(re.compile("/chat"))
    ask(page, TOLD)
    finished(page)
    page.get_by_role("link", name="About Anna Meyer").click()
    expect(page.get_by_role("heading", name="Waiting for your yes")).to_be_visible()
    page.get_by_role("radio", name="Memories").click()
    expect(page.locator('[class*="st-key-waits_"]')).to_have_count(3)

    waiting(page, "green tea").get_by_role("button", name="Approve").click()
    expect(page.get_by_text("will be remembered")).to_be_visible()
    waiting(page, "half marathon").get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What is to be remembered").fill("Anna wants to run the half marathon in Kiel")
    dialog.get_by_role("button", name="Save and approve").click()
    expect(dialog).to_have_count(0)
    waiting(page, "moved to Kiel").get_by_role("button", name="Reject").click()
    expect(page.get_by_text("is rejected")).to_be_visible()
    kept = page.locator('[class*="st-key-kept_"]')
    expect(kept).to_have_count(2)
    expect(kept.filter(has_text="Anna wants to run")).to_be_visible()
    page.reload()
    expect(kept).to_have_count(2)
    expect(page.locator('[class*="st-key-waits_"]')).to_have_count(0)

    page.get_by_role("button", name="New thread about Anna").click()
    expect(page).to_have_url(re.compile("/chat"))
    ask(page, "Which green tea would she love?")
    finished(page)
    expect(page.get_by_text(re.compile("remembered .*preference"))).to_be_visible()
    drawer = details(page)
    used = drawer.locator('[class*="st-key-used-"]').filter(has_text="green tea")
    expect(used).to_be_visible()
    used.get_by_text("Right", exact=True).click()
    expect(drawer.get_by_text("moved to Kiel")).to_have_count(0)
    page.keyboard.press("Escape")

    open_chat(page, app)
    ask(page, "Which green tea would she love?")
    finished(page)
    drawer = details(page)
    expect(drawer.get_by_text("What was remembered")).to_have_count(0)
    page.keyboard.press("Escape")

    page.goto(f"{client}&show=Brief")
    expect(page.locator(".st-key-sheet").get_by_text("half marathon in Kiel").first).to_be_visible()
