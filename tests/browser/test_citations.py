"""A PDF is uploaded, asked of and cited; the citation opens its page, also after the file was replaced."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from reportlab.pdfgen.canvas import Canvas

from tests.browser.conftest import App, answers, ask, finished, open_chat
from tests.browser.test_admin import cell, drop, go

pytestmark = pytest.mark.browser
OLD = (
    "The warden's ledger. Nothing of note stands on this page but the date.",
    "The passage over the bar at Tollan is open for three hours after high water, and no pilot goes out in fog.",
)
NEW = ("The warden's new ledger. The passage over the bar at Tollan is closed since the mole was built.",)


def pdf(path: Path, pages: tuple[str, ...]) -> Path:
    canvas = Canvas(str(path))
    canvas.setTitle("The warden's ledger")
    for text in pages:
        for line, words in enumerate(textwrap.wrap(text, 60)):
            canvas.drawString(72, 760 - 20 * line, words)
        canvas.showPage()
    canvas.save()
    return path


def opened(page: Page, link: Locator) -> Locator:
    """The drawer that a citation opens, once its page is drawn."""
    link.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("img", name=re.compile("three hours after high water"))).to_be_visible()
    expect(drawer.get_by_text("Page 2 of 2")).to_be_visible()
    return drawer


def test_a_citation_opens_its_page_also_after_the_document_was_replaced(app: App, page: Page, tmp_path: Path) -> None:
    go(page, app, "/knowledge", "Knowledge")
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Wardens")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Wardens")).to_be_visible()
    drop(page, pdf(tmp_path / "ledger.pdf", OLD))
    expect(page.get_by_text(re.compile(r"is in, \d+ passage"))).to_be_visible()
    app.command("personas", "edit", "relationship", "--collection", "Wardens")

    open_chat(page, app, "/chat?persona=relationship")
    ask(page, "How long is the passage over the bar at Tollan open?")
    links = finished(page).locator('a[href^="#cite-"]')
    expect(links).to_have_count(1)
    thread = page.url
    drawer = opened(page, links.first)
    drawer.get_by_role("button", name="Previous page").click()
    expect(drawer.get_by_text("The passage is not on this page.")).to_be_visible()
    drawer.get_by_text("Text", exact=True).click()
    expect(drawer.get_by_text("no pilot goes out in fog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(links.first).to_be_focused()
    expect(page).to_have_url(thread)

    go(page, app, "/knowledge?in=Wardens", "Knowledge")
    cell(page, 20)
    page.get_by_role("button", name="Replace").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator('input[type="file"]').set_input_files(pdf(tmp_path / "ledger2.pdf", NEW))
    dialog.get_by_role("button", name="Replace").click()
    expect(page.get_by_text(re.compile(r"is in, \d+ passage"))).to_be_visible()

    page.goto(thread)
    finished(page)
    drawer = opened(page, answers(page).last.locator('a[href^="#cite-"]').first)
    expect(drawer.get_by_text("The document has been replaced since")).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
