"""The chat in a real browser against the real server: what a person does, and what must survive it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, WebSocket, expect

from tests.browser.conftest import SLOW, App, answers, ask, field, finished, open_chat, watch

pytestmark = pytest.mark.browser
STOP = ".st-key-stop button"


def growing(page: Page) -> None:
    """Wait until an answer has begun and is far from its end."""
    expect(answers(page).last).to_contain_text("word3")
    expect(page.locator(STOP)).to_be_visible()


def whole(page: Page, count: int = 1) -> None:
    expect(finished(page, count)).to_have_text(SLOW)
    assert page.get_by_test_id("stMain").get_by_text("word0").count() == count


# -- asking --------------------------------------------------------------------------------------------


def test_one_click_on_a_starter_asks_and_the_address_leads_back(app: App, page: Page) -> None:
    open_chat(page, app, "/")
    starter = page.locator(".st-key-starters button").first
    question = starter.inner_text().splitlines()[-1]
    starter.click()
    expect(finished(page)).to_contain_text("You asked")
    assert re.search(r"/chat\?thread=[0-9a-f-]{36}$", page.url)
    page.reload()
    expect(finished(page)).to_contain_text(question)


def test_an_answer_streams_and_the_input_has_the_focus_again(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Tell me slowly")
    growing(page)
    assert "the end" not in answers(page).last.inner_text()
    whole(page)
    expect(field(page)).to_be_focused()


def test_the_extractive_backend_quotes_with_sources(app: App, page: Page) -> None:
    open_chat(page, app, "/chat?persona=general")
    page.locator(".st-key-head").get_by_role("button", name="More").click()
    page.get_by_role("combobox", name="Answered by").click()
    page.get_by_role("option", name="Quotes from the documents").click()
    expect(page.get_by_role("combobox", name="Answered by")).to_have_attribute("value", re.compile("Quotes"))
    page.keyboard.press("Escape")
    page.locator(".st-key-starters button").first.click()
    answer = finished(page)
    expect(answer.locator('a[href^="#cite-"]').first).to_be_visible()
    expect(page.locator('[class*="st-key-sources-"] button').first).to_be_visible()


def test_right_to_left_text_runs_right_to_left(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "مرحبا")
    paragraph = finished(page).locator("p").first
    expect(paragraph).to_have_css("unicode-bidi", "plaintext")
    box, place = paragraph.bounding_box(), answers(page).last.bounding_box()
    right = paragraph.evaluate(
        "p => { const r = document.createRange(); r.selectNodeContents(p); return r.getBoundingClientRect().right }"
    )
    assert box and place and right > place["x"] + place["width"] - 4


def test_a_model_can_make_the_browser_load_nothing(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Show a picture")
    answer = finished(page)
    expect(answer).to_have_text("(picture: x) and here (good.example) <img src=http://evil.example/q>.")
    assert answer.locator("img").count() == 0
    expect(answer.locator("a", has_text="here")).to_have_attribute("href", "https://good.example/a")


def test_a_file_goes_along_with_a_question(app: App, page: Page, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The meeting is on Tuesday in the blue room.")
    open_chat(page, app)
    page.locator('[data-testid="stChatInput"] input[type="file"]').first.set_input_files(note)
    expect(page.get_by_text("note.txt")).to_be_visible()
    ask(page, "Where is the meeting?")
    finished(page)
    expect(page.locator('[class*="st-key-user-"]')).to_contain_text("note.txt")


def test_a_bad_file_is_a_sentence_and_the_question_stays(app: App, page: Page, tmp_path: Path) -> None:
    empty = tmp_path / "empty.txt"
    empty.touch()
    open_chat(page, app)
    page.locator('[data-testid="stChatInput"] input[type="file"]').first.set_input_files(empty)
    ask(page, "What does it say?")
    expect(page.locator(".st-key-notices")).to_contain_text("empty.txt")
    expect(page.locator(".st-key-notices")).to_contain_text("0 bytes")
    expect(field(page)).to_have_value("What does it say?")


def test_what_is_too_long_is_told_and_stays_in_the_input(app: App, page: Page) -> None:
    open_chat(page, app)
    text = "\u202eword \U0001f642\x07" * 12_500
    ask(page, text)
    expect(page.locator(".st-key-notices")).to_contain_text("characters; 50,000 is the most")
    expect(field(page)).to_have_value(re.compile("^.{90000}"))
    assert "thread=" not in page.url


def test_a_tool_is_called_by_a_chip_that_keeps_what_was_typed(app: App, page: Page) -> None:
    app.command("personas", "edit", "business", "--tool", "search_documents")
    open_chat(page, app, "/chat?persona=business")
    field(page).fill("emergency funds")
    page.get_by_role("button", name="/search_documents").click()
    expect(field(page)).to_have_value("/search_documents emergency funds")
    expect(field(page)).to_be_focused()
    field(page).press("Enter")
    expect(finished(page)).to_have_text("You asked: emergency funds")
    page.get_by_text("Used search documents").click()
    expect(page.get_by_text("search_documents(query='emergency funds')")).to_be_visible()


def test_a_source_of_the_web_opens_in_a_window_that_knows_nothing_of_this_one(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "What does the web say?")
    expect(finished(page)).to_have_text("Seven hours [1]. And light matters. [2]")
    answers(page).last.locator('a[href^="#cite-"]').first.click()
    link = page.get_by_role("dialog").get_by_role("link")
    expect(link).to_have_attribute("href", "https://health.example/sleep?a=1")
    expect(link).to_have_attribute("rel", re.compile("noreferrer"))
    expect(link).to_have_attribute("target", "_blank")
    expect(page.get_by_role("dialog")).to_contain_text("Seven or more.")
    page.keyboard.press("Escape")
    page.locator('[class*="st-key-sources-"] button:visible').nth(1).click()
    expect(page.get_by_role("dialog")).to_contain_text("javascript:alert(1)")
    expect(page.get_by_role("dialog").get_by_role("link")).to_have_count(0)


def test_an_answer_that_breaks_off_says_why_and_another_backend_goes_on(app: App, page: Page) -> None:
    open_chat(page, app, "/chat?persona=general")
    ask(page, "This breaks off: how do I set a goal?")
    expect(finished(page)).to_have_text("The first half of it.")
    expect(page.get_by_test_id("stAlert")).to_contain_text("press Continue")
    page.locator(".st-key-head").get_by_role("button", name="More").click()
    page.get_by_role("combobox", name="Answered by").click()
    page.get_by_role("option", name="Quotes from the documents").click()
    expect(page.get_by_role("combobox", name="Answered by")).to_have_attribute("value", re.compile("Quotes"))
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Continue").click()
    answer = finished(page)
    expect(answer).to_contain_text(re.compile(r"The first half of it\..+", re.S))
    expect(page.get_by_test_id("stAlert")).to_have_count(0)


# -- while it streams ----------------------------------------------------------------------------------


def test_stop_keeps_what_had_come_and_continue_finishes_it(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Tell me slowly")
    growing(page)
    page.locator(STOP).click()
    half = finished(page).inner_text()
    assert half and "the end" not in half
    expect(page.get_by_text("Stopped.")).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    expect(finished(page)).to_have_text(SLOW)


def test_escape_stops(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Tell me slowly")
    growing(page)
    page.keyboard.press("Escape")
    expect(page.get_by_text("Stopped.")).to_be_visible()


def test_a_reload_in_the_middle_loses_nothing(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Tell me slowly")
    growing(page)
    page.reload()
    growing(page)
    whole(page)


def test_a_closed_tab_does_not_stop_the_answer(app: App, page: Page, context: BrowserContext) -> None:
    open_chat(page, app)
    ask(page, "Tell me slowly")
    growing(page)
    address = page.url
    page.close()
    later = context.new_page()
    later.goto(address)
    whole(later)


def test_thumbs_in_the_middle_leave_the_stream_alone(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "First")
    finished(page)
    ask(page, "Tell me slowly")
    growing(page)
    thumb = page.get_by_test_id("stFeedback").locator("button").first
    thumb.click()
    expect(page.locator('[class*="st-key-reasons-"], [data-testid="stPopover"]').first).to_be_visible()
    expect(finished(page, 2)).to_have_text(SLOW)
    page.reload()
    finished(page, 2)
    expect(page.get_by_role("button", name="Say why")).to_be_visible()  # "Say why" stands where thumbs were given


def test_a_second_tab_sees_the_same_answer_and_cannot_ask_between(
    app: App, page: Page, context: BrowserContext
) -> None:
    open_chat(page, app)
    ask(page, "Tell me very slowly")
    growing(page)
    other = context.new_page()
    trouble = watch(other)
    open_chat(other, app, page.url.removeprefix(app.url))
    growing(other)
    ask(other, "And me?")
    expect(other.locator(".st-key-notices")).to_contain_text("An answer is being written in this thread")
    expect(field(other)).to_have_value("And me?")
    whole(page)
    whole(other)
    field(other).press("Enter")
    expect(finished(other, 2)).to_have_text("You asked: And me?")
    assert not trouble


def test_a_tab_shows_what_another_one_asks(app: App, page: Page, context: BrowserContext) -> None:
    open_chat(page, app)
    ask(page, "Here")
    finished(page)
    other = context.new_page()
    open_chat(other, app, page.url.removeprefix(app.url))
    ask(other, "And there")
    expect(finished(page, 2)).to_have_text("You asked: And there")


def test_bytes_sent_grow_with_the_answer(app: App, page: Page) -> None:
    """An answer four times as long takes about four times as many bytes on the socket, not sixteen."""
    received = [0]

    def count(socket: WebSocket) -> None:
        socket.on("framereceived", lambda data: received.__setitem__(0, received[0] + len(data)))

    page.on("websocket", count)
    sizes: list[int] = []
    for characters in (3_000, 12_000):
        open_chat(page, app)
        received[0] = 0
        ask(page, f"long {'x y z. ' * (characters // 7)}")
        expect(answers(page).last).to_contain_text("Some words to read.")
        finished(page)
        sizes.append(received[0])
    assert sizes[1] < 5 * sizes[0], sizes


# -- sources -------------------------------------------------------------------------------------------


def test_a_number_in_the_text_opens_its_passage_without_a_reload(app: App, page: Page) -> None:
    open_chat(page, app, "/chat?persona=general")
    ask(page, "What makes a goal SMART? Cite a passage")
    link = finished(page).locator('a[href^="#cite-"]').first
    page.evaluate("window.stayed = true")
    link.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.locator(".stMarkdownColoredBackground, [style*='background']").first).to_be_visible()
    expect(drawer).to_contain_text("Why this passage")
    assert "cite=" in page.url
    assert page.evaluate("window.stayed") is True
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.wait_for_url(lambda url: "cite=" not in url)


def test_the_button_under_the_answer_and_the_link_open_the_same_passage(app: App, page: Page) -> None:
    open_chat(page, app, "/chat?persona=general")
    ask(page, "What makes a goal SMART? Cite a passage")
    finished(page)
    page.locator('[class*="st-key-sources-"] button:visible').nth(1).click()
    title = page.get_by_role("dialog").inner_text().splitlines()[0]
    assert title.startswith("2")
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text(title)


def test_how_an_answer_came_about(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Anything")
    finished(page)
    page.locator('[class*="st-key-turn-"] button:visible').click()
    drawer = page.get_by_role("dialog")
    for words in ("Scripted (tests)", "First words", "Tokens out", "Cost"):
        expect(drawer).to_contain_text(words)


def test_copy_puts_the_answer_on_the_clipboard(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Something to copy")
    text = finished(page).inner_text()
    page.locator('[class*="st-key-copy-"] button:visible').click()
    page.wait_for_function("async text => (await navigator.clipboard.readText()) === text", arg=text)


# -- branches ------------------------------------------------------------------------------------------


def test_edit_and_resend_is_a_branch_and_the_old_one_stays(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Teh first")
    finished(page)
    field(page).press("ArrowUp")
    box = page.locator('[class*="st-key-edited-"] textarea')
    box.fill("The first")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(finished(page)).to_have_text("You asked: The first")
    expect(page.get_by_text("2/2")).to_be_visible()
    page.locator('[class*="st-key-branch-1-"] button:visible').first.click()
    expect(finished(page)).to_have_text("You asked: Teh first")


# -- links, threads, drafts, a lost connection ---------------------------------------------------------


@pytest.mark.parametrize("link", ["nonsense", "00000000-0000-7000-8000-000000000000"])
def test_an_unknown_thread_is_one_sentence_and_the_page_works(app: App, page: Page, link: str) -> None:
    open_chat(page, app, f"/chat?thread={link}")
    expect(page.locator(".st-key-notices [role=alert]")).to_have_count(1)
    ask(page, "Still there?")
    expect(finished(page)).to_have_text("You asked: Still there?")


def test_a_thread_is_found_again_and_no_old_message_lingers(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "Something about elephants")
    finished(page)
    page.get_by_role("button", name="New chat").click()
    expect(answers(page)).to_have_count(0)
    ask(page, "Tell me slowly of giraffes")
    growing(page)
    assert page.get_by_test_id("stMain").get_by_text("elephants").count() == 0
    page.locator(".st-key-recent a:visible", has_text="elephants").click()
    expect(finished(page)).to_have_text("You asked: Something about elephants")
    assert page.get_by_test_id("stMain").get_by_text("word3").count() == 0
    page.reload()
    expect(finished(page)).to_have_text("You asked: Something about elephants")


def test_what_was_typed_survives_a_reload(app: App, page: Page) -> None:
    open_chat(page, app)
    field(page).fill("Half a thought")
    page.wait_for_function("Object.values(sessionStorage).includes('Half a thought')")
    page.reload()
    expect(field(page)).to_have_value("Half a thought")


def test_a_draft_stays_with_its_thread(app: App, page: Page) -> None:
    open_chat(page, app)
    ask(page, "The thread with a draft")
    finished(page)
    field(page).fill("half a thought")
    page.get_by_role("button", name="New chat").click()
    expect(page).to_have_url(re.compile(r"/chat(\?(?!.*thread=).*)?$"))
    expect(field(page)).to_have_value("")
    page.locator(".st-key-recent").get_by_role("link", name="The thread with a draft").first.click()
    expect(page.get_by_text("The thread with a draft").last).to_be_visible()
    expect(field(page)).to_have_value("half a thought")


def test_a_lost_connection_is_shown_and_what_was_typed_survives_it(own_app: App, context: BrowserContext) -> None:
    page = context.new_page()
    open_chat(page, own_app)
    ask(page, "Tell me very slowly")
    growing(page)
    field(page).fill("My next question")
    own_app.stop(kill=True)
    expect(page.locator('[data-test-connection-state="CONNECTED"]')).to_have_count(0)
    shown = page.locator(".stApp").evaluate("e => getComputedStyle(e, '::before').content")
    assert "The connection is lost" in shown
    own_app.start()
    expect(page.locator('[data-test-connection-state="CONNECTED"]')).to_have_count(1, timeout=60_000)
    expect(page.get_by_text("Interrupted. What had arrived is kept.")).to_be_visible(timeout=60_000)
    expect(field(page)).to_have_value("My next question")
    page.get_by_role("button", name="Continue").click()
    expect(finished(page)).to_have_text(SLOW)


def test_a_phone_shows_it_all_without_scrolling_sideways(app: App, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_chat(page, app)
    ask(page, "What makes a goal SMART? Cite a passage")
    finished(page)
    assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390
    page.locator('[class*="st-key-sources-"] button:visible').first.click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("Why this passage")
    page.wait_for_function(  # it slides in
        "box => { const r = box.getBoundingClientRect(); return r.x >= 0 && r.right <= 391 }",
        arg=drawer.element_handle(),
    )
