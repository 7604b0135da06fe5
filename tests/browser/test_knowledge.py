"""An admin's day with the knowledge in a real browser, in one go: a collection is made and filled, one file is
broken, a persona reads it, a question finds nothing, gets its answer, and a document goes and comes back."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import App, ask, finished, open_chat
from tests.browser.test_admin import cell, drop, go

pytestmark = pytest.mark.browser
QUESTION = "Which dues does a zeppelin pay in Ombria?"
ANSWER = "A zeppelin pays dues of nine silver crowns in Ombria, at the mooring mast, before it lands."


@pytest.fixture
def files(tmp_path: Path) -> Callable[[], list[Path]]:
    """Three files to drop at once, one of them broken."""

    def make() -> list[Path]:
        (tmp_path / "tides.md").write_text("# Tides\n\nThe ferry of Ombria waits for the spring tide.\n")
        (tmp_path / "lamps.md").write_text("# Lamps\n\nThe lamps on the quay are lit at dusk.\n")
        (tmp_path / "scan.pdf").write_bytes(b"<html>not a pdf</html>")
        return [tmp_path / name for name in ("tides.md", "lamps.md", "scan.pdf")]

    return make


def test_an_admin_fills_mends_shares_and_tidies_a_collection(
    app: App, page: Page, files: Callable[[], list[Path]]
) -> None:
    go(page, app, "/knowledge", "Knowledge")
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Harbour: rules")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Harbour: rules")).to_be_visible()

    drop(page, files())
    trouble = page.get_by_text("is called .pdf but is a web page")
    expect(trouble).to_be_visible()
    expect(page.get_by_text(re.compile(r"is in, 1 passage"))).to_have_count(2)
    page.locator('[class*="st-key-retry_"] button').click()
    expect(trouble).to_be_visible()
    page.locator('[class*="st-key-dismiss_"] button', has_text="Remove").click()
    expect(trouble).to_have_count(0)

    expect(page).to_have_url(re.compile(r"in=harbour-rules-[0-9a-f]{8}"))
    link = page.url
    page.get_by_role("button", name="Edit", exact=True).click()
    dialog.get_by_label("Name").fill("Port rules")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Port rules")).to_be_visible()
    page.goto(link)  # sent before it had its new name
    expect(page.get_by_role("heading", name="Port rules")).to_be_visible()
    expect(page).to_have_url(re.compile(r"in=port-rules-[0-9a-f]{8}"))

    page.get_by_role("button", name="Who reads it").click()
    readers = page.get_by_role("combobox", name="Personas that answer from this collection")
    readers.click()
    readers.fill("General")
    page.get_by_role("option", name="General coach").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Save 1 persona").click()
    expect(page.get_by_text(re.compile(r"Saved: .*General coach"))).to_be_visible()

    open_chat(page, app, "/chat?persona=general")
    ask(page, QUESTION)
    finished(page)

    go(page, app, "/knowledge?view=Questions+that+found+nothing", "Knowledge")
    asked = page.locator('[class*="st-key-question_"]', has_text=QUESTION)
    for _ in range(20):  # it is looked at beside the answer, within seconds
        if asked.count():
            break
        page.wait_for_timeout(500)
        page.reload()
        expect(page.locator('[data-test-script-state="notRunning"]')).to_be_attached()
    asked.get_by_role("button", name="Upload an answer").click()
    dialog.get_by_label("Answer", exact=True).fill(ANSWER)
    dialog.get_by_role("combobox", name="Collection").click()
    page.get_by_role("option", name="Port rules").click()
    dialog.get_by_role("button", name="Add").click()
    expect(page.get_by_text("the question is tried again as soon as it is in")).to_be_visible()
    answered = page.get_by_text(re.compile(r"Answered since \(\d+\)"))
    for _ in range(20):
        if answered.count() and not asked.count():
            break
        page.wait_for_timeout(500)
        page.reload()
        expect(page.locator('[data-test-script-state="notRunning"]')).to_be_attached()
    answered.click()
    expect(page.get_by_text(QUESTION).last).to_be_visible()

    page.goto(link)
    expect(page.get_by_text("3 documents", exact=True).last).to_be_visible()
    cell(page, 20)
    expect(page.get_by_text("1 selected")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(dialog).to_contain_text("Which dues does a zeppelin pay in Ombria")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("1 document deleted.")).to_be_visible()
    expect(page.get_by_text("2 documents", exact=True).last).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("3 documents", exact=True).last).to_be_visible()
