"""Library and insight in a real browser: a document is taken in and cited, a thread found again, a persona
changed and brought back, a turn counted."""

from __future__ import annotations

import re
import textwrap
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect
from reportlab.pdfgen.canvas import Canvas

from tests.browser.conftest import App, answers, ask, field, finished, open_chat

pytestmark = pytest.mark.browser
PAGES = (
    "The keeper's book. The lantern of Quillmoor is lit an hour before dusk, and put out when the sun is up.",
    "The second page. In fog the horn is blown four times a minute until the boats are home.",
)


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A PDF of two pages that says what no other document does."""
    path = tmp_path / "keepers.pdf"
    canvas = Canvas(str(path))
    canvas.setTitle("The keepers of Quillmoor")
    for text in PAGES:
        for line, words in enumerate(textwrap.wrap(text, 60)):
            canvas.drawString(72, 760 - 20 * line, words)
        canvas.showPage()
    canvas.save()
    return path


def go(page: Page, app: App, path: str, title: str) -> None:
    page.goto(app.url + path)
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.locator('[data-test-script-state="notRunning"]')).to_be_attached()


def drop(page: Page, file: Any) -> None:
    page.locator('[data-testid="stFileUploader"] input[type="file"]').first.set_input_files(file)


def cell(page: Page, column: int, row: int = 0) -> None:
    """Click into the table, which is a canvas: `column` in pixels from its left edge."""
    grid = page.get_by_test_id("stDataFrame").locator("canvas").first
    expect(grid).to_be_visible()
    page.wait_for_timeout(300)  # the canvas is painted a moment after it is there
    grid.scroll_into_view_if_needed()
    box = grid.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + column, box["y"] + 57 + 38 * row)


def test_an_uploaded_pdf_is_previewed_found_and_cited_in_the_chat(app: App, page: Page, book: Path) -> None:
    go(page, app, "/knowledge", "Knowledge")
    page.get_by_role("button", name="New collection").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Keepers")
    dialog.get_by_label("Licence (optional)").fill("CC0")
    dialog.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Keepers")).to_be_visible()
    expect(page.get_by_text("No persona reads this yet")).to_be_visible()

    scan = {"name": "scan.pdf", "mimeType": "application/pdf", "buffer": b"<html>not a pdf</html>"}
    drop(page, book)
    expect(page.get_by_text(re.compile(r"is in, \d+ passage"))).to_be_visible()
    drop(page, scan)
    expect(page.get_by_text("is called .pdf but is a web page")).to_be_visible()
    page.locator('[class*="st-key-dismiss_"] button', has_text="Remove").click()
    expect(page.get_by_text("is called .pdf but is a web page")).to_have_count(0)

    cell(page, 75)
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_text("lantern of Quillmoor")).to_be_visible()
    drawer.get_by_role("tab", name="PDF").click()
    expect(drawer.locator("canvas").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)

    page.get_by_role("tab", name="Try a search").click()
    page.get_by_placeholder("How do I plan my week?").fill("When is the lantern of Quillmoor lit?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("words no. 1").first).to_be_visible()

    go(page, app, "/personas?edit=general", "General coach")
    collections = page.get_by_role("combobox", name="Collections it reads")
    collections.click()
    collections.fill("Keepers")
    page.get_by_role("option", name="Keepers").click()
    page.keyboard.press("Escape")
    save(page, "Reads the keepers' book")

    open_chat(page, app, "/chat?persona=general")
    page.locator(".st-key-head").get_by_role("button", name="More").click()
    page.get_by_role("combobox", name="Answered by").click()
    page.get_by_role("option", name="Quotes from the documents").click()
    expect(page.get_by_role("combobox", name="Answered by")).to_have_attribute("value", re.compile("Quotes"))
    page.keyboard.press("Escape")
    ask(page, "When is the lantern of Quillmoor lit?")
    expect(finished(page)).to_contain_text("an hour before dusk")
    expect(page.locator('[class*="st-key-cite-"]').first).to_contain_text("p. 1")


def save(page: Page, note: str) -> None:
    expect(page.get_by_text("Unsaved changes")).to_be_visible()
    page.locator(".st-key-save_persona button").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("What changed").fill(note)
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved as version")).to_be_visible()


def test_a_thread_is_found_by_what_was_said_and_opens_there(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "long Tell me of the zanzibar plan")
    finished(page)
    for number in range(3):
        ask(page, f"long and then {number}")
        finished(page, number + 2)
    go(page, app, "/threads", "Threads")
    page.get_by_placeholder("Search in what was said").fill("zanzibar")
    expect(page.locator('[class*="st-key-hit_"]')).to_have_count(1)
    assert "find=zanzibar" in page.url
    marked = page.locator('[class*="st-key-hit_"]').get_by_text("zanzibar", exact=True).first
    expect(marked).to_have_css("background-color", re.compile(r"rgb"))
    page.locator('[class*="st-key-hit_"] a:visible').click()
    expect(answers(page)).to_have_count(4)
    assert "message=" in page.url
    expect(answers(page).first).to_be_in_viewport()
    expect(answers(page).last).not_to_be_in_viewport()


def test_threads_are_ticked_taken_along_deleted_and_brought_back(app: App, page: Page, tmp_path: Path) -> None:
    for name in ("first", "second"):
        open_chat(page, app)
        ask(page, f"Remember the {name} xylophone")
        finished(page)
    go(page, app, "/threads?find=xylophone", "Threads")
    expect(page.locator('[class*="st-key-hit_"]')).to_have_count(2)
    for number, name in enumerate(("first", "second"), 1):
        page.locator('[class*="st-key-hit_"]', has_text=f"the {name}").locator("label").click()
        expect(page.locator(".st-key-threads_bar")).to_contain_text(f"{number} selected")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_test_id("stPopoverBody").get_by_role("button", name="Markdown").click()
    download.value.save_as(tmp_path / "threads.zip")
    with zipfile.ZipFile(tmp_path / "threads.zip") as archive:
        texts = [archive.read(name).decode() for name in archive.namelist()]
    assert len(texts) == 2 and all("xylophone" in text for text in texts)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("2 threads with 4 messages")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No thread fits this search")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.locator('[class*="st-key-hit_"]')).to_have_count(2)


def test_a_title_in_the_table_opens_the_thread(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "The newest question of all")
    finished(page)
    go(page, app, "/threads", "Threads")
    cell(page, 75)
    expect(page.get_by_text("You asked: The newest question of all")).to_be_visible()


def test_a_persona_is_changed_compared_tried_and_brought_back(app: App, page: Page) -> None:
    go(page, app, "/personas", "Personas")
    page.locator(".st-key-edit_health button").click()
    expect(page.get_by_role("heading", name="Health coach", exact=True)).to_be_visible()
    greeting = page.get_by_role("textbox", name="Greeting")
    expect(greeting).not_to_have_value("")
    before = greeting.input_value()
    greeting.fill("Welcome to the garden.")
    greeting.blur()
    expect(page.get_by_text("Version 1 answers – save to try your changes")).to_be_visible()
    page.get_by_role("link", name="Threads").click()
    expect(page.get_by_role("heading", name="Threads", exact=True)).to_be_visible()
    page.go_back()
    expect(page.get_by_role("textbox", name="Greeting")).to_have_value("Welcome to the garden.")
    save(page, "a garden")

    field(page).fill("Hello there")
    field(page).press("Enter")
    expect(page.locator(".st-key-try_room")).to_contain_text("You asked: Hello there")

    page.get_by_role("tab", name="Versions").click()
    expect(page.get_by_text("garden", exact=False).first).to_be_visible()
    page.locator(".st-key-restore_1 button:visible").click()
    expect(page.get_by_text("Version 1 is back, as version 3.")).to_be_visible()
    expect(page.get_by_role("textbox", name="Greeting")).to_have_value(before)


def test_a_turn_is_counted_and_a_zoom_outlives_the_refresh(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Count me")
    finished(page)
    go(page, app, "/live_metrics?range=1+h", "Live metrics")
    turns = page.get_by_test_id("stMetric").filter(has_text="Turns").get_by_test_id("stMetricValue")
    before = int(turns.inner_text())
    assert before >= 1
    chart = page.locator(".js-plotly-plot .nsewdrag").first
    expect(chart).to_be_visible()
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 60, steps=6)
    page.mouse.up()
    expect(page.get_by_text("numbers are of the whole time")).to_be_visible()
    assert "zoom=" in page.url
    first = parse_qs(urlsplit(page.url).query)["zoom"][0].partition("~")[0]
    shown = "() => document.querySelector('.js-plotly-plot')._fullLayout.xaxis.range.join()"
    page.wait_for_function(f"first => ({shown})().startsWith(first)", arg=first)  # the chart is drawn after the caption
    zoom = page.evaluate(shown)

    other = page.context.new_page()
    open_chat(other, app)
    ask(other, "Count me too")
    finished(other)
    expect(turns).to_have_text(str(before + 1))
    assert page.evaluate(shown) == zoom, "the refresh took the zoom away"
    page.get_by_role("button", name="Whole time").click()
    expect(page.get_by_text("numbers are of the whole time")).to_have_count(0)


def test_a_coach_reads_the_documents_and_is_told_what_is_not_for_them(app: App, page: Page) -> None:
    go(page, app, "/settings?part=Profiles", "Settings")
    page.get_by_label("New profile").fill("Ana")
    page.locator(".st-key-profile_add button").click()
    expect(page.get_by_test_id("stMain").get_by_text("Ana", exact=True)).to_be_visible()
    go(page, app, "/knowledge?profile=Ana", "Knowledge")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()
    expect(page.get_by_role("button", name="New collection")).to_have_count(0)
    page.goto(f"{app.url}/settings?profile=Ana")
    expect(page.get_by_text("Only an admin can see the settings")).to_be_visible()
