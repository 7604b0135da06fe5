"""The chat page over a Coach in memory: what is drawn, what each control asks of the Coach, bad links."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from streamlit.testing.v1 import AppTest

from coach_core import errors
from coach_core.knowledge.picture import Picture
from coach_core.types import Citation, Event, Part, Summary, new_id, now
from coach_core.ui import drawers, marks, shared
from coach_core.ui.markdown import DOUBT
from pages import _draw
from tests.ui.fake_coach import CITATION, FakeCoach, answer

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "coach_core" / "ui" / "main.py"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    fake = FakeCoach()
    monkeypatch.setattr(shared, "make_coach", lambda: fake)
    shared.close_coach()
    yield fake
    shared.close_coach()


def captions(at: AppTest) -> list[str]:
    return [caption.value for caption in at.caption]


def open_chat(**query: str) -> AppTest:
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.run()
    at.switch_page("../../pages/chat.py")
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def texts(at: AppTest) -> list[str]:
    return [m.value for m in at.markdown]


def asked(fake: FakeCoach, question: str = "What now?", events: list[Event] | None = None) -> tuple[UUID, UUID]:
    """A thread with one question; returns (thread, answer)."""
    fake.script = [events] if events is not None else []
    thread = fake.new_thread(fake.owner(), fake.all_personas[0].id)
    turn = fake.start(fake.owner(), thread.id, question)
    return thread.id, turn.answer_id


def held(*events: Event) -> list[Event]:
    """A turn that does not end by itself."""
    return [Event("start", backend="scripted", model="script"), *events]


def test_an_answer_without_the_documents_says_so_and_is_asked_again(fake: FakeCoach) -> None:
    thread, answer_id = asked(fake, events=answer("I could not look."))
    turn = fake.turn_of(fake.owner(), answer_id)
    assert turn is not None
    told = "The documents were not searched for this answer."
    assert not any(told in c for c in captions(open_chat(thread=str(thread))))
    left_out = "The knowledge did not answer within 10 s; it was left out."
    fake.turns[turn.id] = dataclasses.replace(turn, notices=(left_out,))
    at = open_chat(thread=str(thread))
    assert any(told in c for c in captions(at))
    at.button(key=f"search-again-{answer_id}").click().run()
    assert len(fake.turns) == 2


# -- asking --------------------------------------------------------------------------------------------


def test_an_empty_chat_offers_four_starters_and_one_click_asks(fake: FakeCoach) -> None:
    at = open_chat()
    assert [h.value for h in at.header] == [shared.escape("General coach listens.")]
    starters = [b for b in at.button if (b.key or "").startswith("starter-")]
    assert [b.label for b in starters] == ["A", "B", "C", "D"]
    starters[1].click().run()
    assert texts(at) == ["B", "Plain answer."]
    assert UUID(at.query_params["thread"]) in fake.all_threads


def test_a_question_is_asked_of_the_persona_picked(fake: FakeCoach) -> None:
    at = open_chat()
    at.selectbox(key="persona-new").set_value(fake.all_personas[1].id).run()
    assert [h.value for h in at.header] == [shared.escape("Career coach listens.")]
    at.chat_input[0].set_value("How *do* I <b>ask</b>?").run()
    assert texts(at) == [shared.escape("How *do* I <b>ask</b>?"), "Plain answer."]
    assert next(iter(fake.all_threads.values())).persona_id == fake.all_personas[1].id


def test_the_persona_of_a_thread_can_be_changed(fake: FakeCoach) -> None:
    thread, _ = asked(fake)
    at = open_chat(thread=str(thread))
    at.selectbox(key=f"persona-{thread}").set_value(fake.all_personas[1].id).run()
    assert fake.all_threads[thread].persona_id == fake.all_personas[1].id


@pytest.mark.parametrize("text", ["   ", "\n"])
def test_an_empty_message_is_told_and_makes_no_thread(fake: FakeCoach, text: str) -> None:
    at = open_chat()
    at.chat_input[0].set_value(text).run()
    assert [e.value for e in at.error] == [shared.escape(errors.EmptyMessage().sentence)]
    assert not fake.all_threads


def test_what_cannot_be_asked_now_stays_in_the_input(fake: FakeCoach, monkeypatch: pytest.MonkeyPatch) -> None:
    def running(*_: object, **__: object) -> None:
        raise errors.TurnRunning

    thread, _ = asked(fake)
    at = open_chat(thread=str(thread))
    monkeypatch.setattr(fake, "start", running)
    at.chat_input[0].set_value("And then?").run()
    assert [e.value for e in at.error] == [shared.escape(errors.TurnRunning().sentence)]
    assert (at.chat_input[0].proto.value, at.chat_input[0].proto.set_value) == ("And then?", True)


# -- links ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "error"),
    [("no-id-at-all", errors.BadLink()), (str(new_id()), errors.ThreadNotFound()), ("x" * 5000, errors.BadLink())],
    ids=["no id", "unknown", "long"],
)
def test_a_link_that_leads_nowhere_is_one_sentence_and_the_page_works(
    fake: FakeCoach, link: str, error: errors.CoachError
) -> None:
    at = open_chat(thread=link)
    assert [e.value for e in at.error] == [shared.escape(error.sentence)]
    at.chat_input[0].set_value("Still here?").run()
    assert texts(at) == [shared.escape("Still here?"), "Plain answer."]


def test_a_link_to_a_passage_opens_it_marked_in_its_page(fake: FakeCoach) -> None:
    thread, reply = asked(fake, events=answer("Use a calendar [1].", citations=[CITATION]))
    at = open_chat(thread=str(thread), cite=f"{reply}-1")
    assert f"Use a calendar [\\[1\\]](#cite-{reply}-1)." in texts(at)
    assert f":blue-background[{shared.escape(CITATION.text)}]" in texts(at)
    assert any("Close to the best found: 1st by its words, 3rd by its meaning" in t for t in texts(at))


def test_a_citation_of_a_pdf_shows_its_page_and_the_text_one_click_away(fake: FakeCoach) -> None:
    fake.picture = Picture(PNG, "image/png", 1, 1, 41, 60, ((0, 0, 1, 1),))
    thread, reply = asked(fake, events=answer("Use a calendar [1].", citations=[CITATION]))
    at = open_chat(thread=str(thread), cite=f"{reply}-1")
    assert "Page 41 of 60" in captions(at) and not any("blue-background" in t for t in texts(at))
    (picture,) = at.get("image")
    assert "A calendar shows where the hours go." in str(picture.proto)
    at.button(key=f"pdf-page-{reply}-1-next").click().run()
    assert "Page 42 of 60" in captions(at)
    at.segmented_control(key=f"passage-view-{reply}-1").set_value("Text").run()
    assert f":blue-background[{shared.escape(CITATION.text)}]" in texts(at) and not at.get("image")


def test_a_mark_that_does_not_hold_looks_so_and_says_why(fake: FakeCoach) -> None:
    said = "Use a calendar [1]. Buy 3 of them [1]."
    checks = ((0, 19, 0.9, ""), (20, 38, 0.1, "3"))
    doubted = dataclasses.replace(CITATION, verdict="fails", checks=checks)
    thread, reply = asked(fake, events=answer(said, citations=[doubted]))
    at = open_chat(thread=str(thread))
    link = f"(#cite-{reply}-1"
    assert f'Use a calendar [\\[1\\]]{link}). Buy 3 of them [:orange[\\[1\\]]]{link} "{DOUBT}").' in texts(at)
    button = at.button(key=f"cite-{reply}-1")
    assert "may go beyond" in button.help
    button.click().run()
    assert at.warning[0].value.startswith("This sentence may go beyond what the passage says: the passage does not")
    assert "Buy 3 of them" in at.warning[0].value and len(at.warning) == 1


def test_a_link_to_a_passage_that_is_not_there_is_told(fake: FakeCoach) -> None:
    thread, reply = asked(fake)
    for cite in (f"{reply}-7", "nonsense", f"{new_id()}-1"):
        at = open_chat(thread=str(thread), cite=cite)
        assert len(at.warning) == 1


# -- citations -----------------------------------------------------------------------------------------


def test_a_citation_is_a_button_that_opens_the_passage(fake: FakeCoach) -> None:
    thread, reply = asked(fake, events=answer("See [1].", citations=[CITATION]))
    at = open_chat(thread=str(thread))
    button = at.button(key=f"cite-{reply}-1")
    assert button.label == f"1  {shared.escape('College Success, p. 41')}"
    button.click().run()
    assert at.query_params["cite"] == f"{reply}-1"
    assert any("blue-background" in t for t in texts(at))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"document_hash": "other"}, "The document has been replaced since; this is the passage as it was."),
        ({"document_id": new_id()}, "The document is no longer in the library; this is the passage as it was."),
    ],
)
def test_a_passage_outlives_its_document(fake: FakeCoach, change: dict[str, Any], note: str) -> None:
    thread, reply = asked(fake, events=answer("See [1].", citations=[dataclasses.replace(CITATION, **change)]))
    at = open_chat(thread=str(thread), cite=f"{reply}-1")
    assert note in [c.value for c in at.caption]
    assert f":blue-background[{shared.escape(CITATION.text)}]" in texts(at)


def test_a_turn_that_ends_between_two_looks_is_shown_as_ended(fake: FakeCoach, monkeypatch: pytest.MonkeyPatch) -> None:
    thread, reply = asked(fake, events=answer("Done already."))
    ended = fake.turn_of(fake.owner(), reply)
    looks = iter([ended])  # the first look still finds it running
    monkeypatch.setattr(fake, "running", lambda *_: next(looks, None))
    at = AppTest.from_file(MAIN, default_timeout=30)
    at.run()
    at.switch_page("../../pages/chat.py")
    looks = iter([ended])
    at.query_params["thread"] = str(thread)
    at.run()
    assert not at.exception and "Done already." in texts(at)
    assert not [b for b in at.button if b.key == "stop"]


def test_a_passage_of_an_attached_file_leads_to_the_file(fake: FakeCoach) -> None:
    stored = fake.attach(fake.owner(), "notes.txt", b"mine")
    cited = dataclasses.replace(CITATION, document_id=stored.id)
    thread, reply = asked(fake, events=answer("See [1].", citations=[cited]))
    at = open_chat(thread=str(thread), cite=f"{reply}-1")
    assert "From a file attached in this thread." in [c.value for c in at.caption]
    assert "Open file" in [b.proto.label for b in at.get("download_button")]


WEB = Citation(2, "How *sleep* works", "Adults need seven hours.", url="https://health.example/sleep?a=1")


def links(at: AppTest) -> list[tuple[str, str]]:
    return [(b.proto.label, b.proto.url) for b in at.get("link_button")]


def test_a_page_of_the_web_is_named_with_its_host_and_opens_there(fake: FakeCoach) -> None:
    thread, reply = asked(fake, events=answer("See [1] and [2].", citations=[CITATION, WEB]))
    at = open_chat(thread=str(thread))
    button = at.button(key=f"cite-{reply}-2")
    assert button.label == f"2  {shared.escape('How *sleep* works, health.example')}"
    button.click().run()
    assert not at.exception
    assert links(at) == [(f"Open {shared.escape('health.example')}", WEB.url)]
    assert any(marks.plain(WEB.url) in t for t in texts(at)), "the address is shown as plain text"
    assert f":blue-background[{shared.escape(WEB.text)}]" in texts(at)
    assert "Why this passage" not in [h.value for h in at.subheader]


@pytest.mark.parametrize(
    ("citation", "label"),
    [
        (Citation(1, url="javascript:alert(1)"), "Source"),
        (Citation(1, url="https://user@evil.example/"), "Source"),
        (Citation(1, "Handbook.pdf", external_id="file-9"), "Handbook.pdf"),
        (Citation(1, text="Only words."), "Source"),
        (Citation(1, url="https://health.example/"), "health.example"),
    ],
)
def test_a_source_with_little_known_of_it_opens_too(fake: FakeCoach, citation: Citation, label: str) -> None:
    thread, reply = asked(fake, events=answer("See [1].", citations=[citation]))
    at = open_chat(thread=str(thread), cite=f"{reply}-1")
    assert not at.exception
    assert at.button(key=f"cite-{reply}-1").label == f"1  {shared.escape(label)}"
    assert [url for _, url in links(at)] == (["https://health.example/"] if "health" in citation.url else [])


def test_scores_and_ranks_are_said_in_words() -> None:
    said = drawers.why(dataclasses.replace(CITATION, score=0.4, rank_words=None, rank_meaning=22))
    assert said == "Further off: not found by its words, 22nd by its meaning."
    said = " ".join(drawers._ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 101))
    assert said == "1st 2nd 3rd 4th 11th 12th 13th 21st 101st"


# -- under an answer -----------------------------------------------------------------------------------


def test_thumbs_and_a_reason_reach_the_answer(fake: FakeCoach) -> None:
    thread, reply = asked(fake)
    at = open_chat(thread=str(thread))
    at.feedback(key=f"feedback-{reply}").set_value(0).run()
    assert fake.all_messages[reply].feedback == -1
    at.pills(key=f"reasons-{reply}").set_value(["Wrong", "Too long"])
    at.text_area(key=f"reason-{reply}").set_value("by far")
    at.button(key=f"keep-reason-{reply}").click().run()
    assert fake.all_messages[reply].feedback_reason == "Wrong, Too long, by far"
    at.feedback(key=f"feedback-{reply}").set_value(None).run()
    assert fake.all_messages[reply].feedback == 0


def test_answer_again_keeps_the_old_answer_behind_arrows(fake: FakeCoach) -> None:
    thread, first = asked(fake, events=answer("First."))
    at = open_chat(thread=str(thread))
    fake.script = [answer("Second.")]
    at.button(key=f"again-{first}").click().run()
    assert texts(at) == [shared.escape("What now?"), "Second."]
    second = fake.all_threads[thread].head_id
    assert "2/2" in [c.value for c in at.caption]
    at.button(key=f"branch-1-{second}").click().run()
    assert texts(at) == [shared.escape("What now?"), "First."]


def test_edit_and_resend_is_a_branch(fake: FakeCoach) -> None:
    thread, reply = asked(fake, "Teh question", answer("Old."))
    question = fake.all_messages[reply].parent_id
    at = open_chat(thread=str(thread))
    at.button(key=f"edit-{question}").click().run()
    fake.script = [answer("New.")]
    at.text_area(key=f"edited-{question}").set_value("The question")
    at.button(key=f"send-{question}").click().run()
    assert texts(at) == ["The question", "New."]
    assert "2/2" in [c.value for c in at.caption]
    assert fake.all_messages[question].text == "Teh question"


def test_a_stopped_answer_can_be_gone_on_with(fake: FakeCoach) -> None:
    thread, reply = asked(fake, events=answer("Half", status="cancelled"))
    at = open_chat(thread=str(thread))
    assert "Stopped." in [c.value for c in at.caption]
    fake.script = [answer(" and whole.")]
    at.button(key=f"continue-{reply}").click().run()
    assert ("resume", reply) in fake.calls
    assert texts(at)[-1] == "Half and whole."


def test_a_failed_answer_says_why(fake: FakeCoach) -> None:
    thread, _ = asked(fake, events=held(Event("error", error="auth_failed", text=errors.AuthFailed().sentence)))
    at = open_chat(thread=str(thread))
    assert [e.value for e in at.error] == [shared.escape(errors.AuthFailed().sentence)]


BROKEN = [
    errors.RateLimited, errors.TokenTimeout, errors.StreamCut, errors.MalformedStream, errors.Overloaded,
    errors.ServerFailed, errors.Unreachable,
]  # fmt: skip


@pytest.mark.parametrize("error", BROKEN, ids=lambda e: e.__name__)
def test_a_broken_answer_keeps_its_words_says_why_and_goes_on(
    fake: FakeCoach, error: type[errors.BackendError]
) -> None:
    broken = held(Event("text", text="Half"), Event("error", error=error().kind, text=error().sentence))
    thread, reply = asked(fake, events=broken)
    at = open_chat(thread=str(thread))
    assert texts(at)[-1] == "Half" and [e.value for e in at.error] == [shared.escape(error().sentence)]
    assert at.button(key=f"again-{reply}")
    fake.script = [answer(" and whole.")]
    at.button(key=f"continue-{reply}").click().run()
    assert texts(at)[-1] == "Half and whole." and not at.error


def test_tools_that_ran_are_gone_on_with_too(fake: FakeCoach) -> None:
    thread, reply = asked(fake, events=held(Event("error", error="overloaded", text="Later.")))
    assert not [b for b in open_chat(thread=str(thread)).button if b.key == f"continue-{reply}"], (
        "nothing to go on with"
    )
    parts = (Part("tool_call", call_id="c", name="look", arguments={}), Part("tool_result", "x", call_id="c"))
    fake.all_messages[reply] = dataclasses.replace(fake.all_messages[reply], parts=parts)
    at = open_chat(thread=str(thread))
    at.button(key=f"continue-{reply}").click().run()
    assert ("resume", reply) in fake.calls


@pytest.mark.parametrize(
    ("reason", "says"), [("length", "greatest length"), ("content_filter", "broke the answer off"), ("", "Interrupted")]
)
def test_an_answer_that_is_not_whole_says_why(fake: FakeCoach, reason: str, says: str) -> None:
    thread, reply = asked(fake, events=answer("Half", status="incomplete"))
    fake.all_messages[reply] = dataclasses.replace(fake.all_messages[reply], status="interrupted")
    turn = fake.turn_of(fake.owner(), reply)
    assert turn is not None
    fake.turns[turn.id] = dataclasses.replace(turn, finish_reason=reason)
    at = open_chat(thread=str(thread))
    assert any(says in c.value for c in at.caption) and at.button(key=f"continue-{reply}")


# -- tools called by hand ------------------------------------------------------------------------------


def with_tools(fake: FakeCoach) -> None:
    first = fake.all_personas[0]
    fake.all_personas[0] = dataclasses.replace(
        first, draft=dataclasses.replace(first.draft, tools=("search_documents",))
    )


def test_tools_are_chips_above_the_input(fake: FakeCoach) -> None:
    assert not [b for b in open_chat().button if (b.key or "").startswith("command-")], "this persona has none"
    with_tools(fake)
    at = open_chat()
    chip = at.button(key="command-search_documents")
    assert chip.label == shared.escape("/search_documents") and "QUERY" in chip.help
    assert at.chat_input[0].placeholder == "Ask, or / for a tool"
    chip.click().run()
    assert at.chat_input[0].proto.value == "/search_documents "


def test_a_model_that_takes_no_tools_says_so_beside_them(fake: FakeCoach) -> None:
    with_tools(fake)
    thread, _ = asked(fake)
    fake.set_backend(fake.owner(), thread, "openai_chat")
    assert any("uses no tools by itself" in c.value for c in open_chat(thread=str(thread)).caption)


def test_how_an_answer_came_about(fake: FakeCoach) -> None:
    thread, reply = asked(fake)
    at = open_chat(thread=str(thread))
    assert "1.2 s" in [c.value for c in at.caption]
    at.button(key=f"turn-{reply}").click().run()
    assert {m.label: m.value for m in at.metric} == {"Time": "1.2 s", "Tokens": "46", "Cost": "$0.0012"}


def test_a_deleted_thread_comes_back_by_undo(fake: FakeCoach) -> None:
    thread, _ = asked(fake)
    at = open_chat(thread=str(thread))
    next(b for b in at.button if b.label == "Delete this thread").click().run()
    assert fake.all_threads[thread].deleted_at and "thread" not in at.query_params
    next(b for b in at.button if b.label == "Undo").click().run()
    assert fake.all_threads[thread].deleted_at is None
    assert at.query_params["thread"] == str(thread)


def test_a_long_thread_is_drawn_from_its_end(fake: FakeCoach) -> None:
    thread, _ = asked(fake, "q0")
    for n in range(1, 30):
        fake.start(fake.owner(), thread, f"q{n}")
    at = open_chat(thread=str(thread))
    assert "q29" in texts(at) and "q5" not in texts(at)
    at.button(key="earlier").click().run()
    assert "q0" in texts(at) and not [b for b in at.button if b.key == "earlier"]


def test_a_link_opens_an_old_message_there_and_the_newest_are_a_click_away(fake: FakeCoach) -> None:
    thread, _ = asked(fake, "q0")
    for n in range(1, 90):
        fake.start(fake.owner(), thread, f"q{n}")
    old = next(m for m in fake.all_messages.values() if m.text == "q20")
    at = open_chat(thread=str(thread), message=str(old.id))
    assert "q20" in texts(at) and "q15" in texts(at) and "q89" not in texts(at) and "q2" not in texts(at)
    at.button(key="later").click().run()
    assert "q45" in texts(at) and "q20" in texts(at)
    at.button(key="earlier").click().run()
    assert "q2" in texts(at) and "q45" in texts(at)
    at.button(key="newest").click().run()
    assert "q89" in texts(at) and "q45" not in texts(at) and "message" not in at.query_params
    assert all(c[1] <= 60 for c in fake.calls if c[0] == "window"), "no more is read than is drawn"


def test_asking_from_among_old_messages_leads_to_the_newest(fake: FakeCoach) -> None:
    thread, _ = asked(fake, "q0")
    for n in range(1, 40):
        fake.start(fake.owner(), thread, f"q{n}")
    old = next(m for m in fake.all_messages.values() if m.text == "q3")
    at = open_chat(thread=str(thread), message=str(old.id))
    assert "q39" not in texts(at)
    at.chat_input[0].set_value("And now?").run()
    assert "And now?" in texts(at) and "q39" in texts(at) and "q3" not in texts(at)


def test_a_cited_passage_of_an_old_answer_opens(fake: FakeCoach) -> None:
    thread, first = asked(fake, "q0", answer("As [1] says.", citations=(CITATION,)))
    for n in range(1, 40):
        fake.start(fake.owner(), thread, f"q{n}")
    at = open_chat(thread=str(thread), cite=f"{first}-1")
    assert not at.warning and any(CITATION.text[:20] in t for t in texts(at))


def test_where_the_older_part_is_told_as_a_summary_a_line_says_so(fake: FakeCoach) -> None:
    thread, answered = asked(fake, "q0")
    for n in range(1, 4):
        fake.start(fake.owner(), thread, f"q{n}")
    told = "Wants\n- 2026-03-01: To run [home](http://evil.example)\n"
    fake.summaries[thread] = Summary(new_id(), thread, answered, told, 12, now())
    at = open_chat(thread=str(thread))
    (fold,) = [e for e in at.expander if e.label == "Told to the model as a summary"]
    shown = fold.markdown[0].value
    assert "**Wants**" in shown and "To run" in shown and "](http" not in shown
    assert "by rules" in fold.caption[0].value
    order = texts(at)
    assert order.index("q0") < order.index(shown) < order.index("q1"), "it stands where that part ends"
    for n in range(4, 40):
        fake.start(fake.owner(), thread, f"q{n}")
    at = open_chat(thread=str(thread))
    assert texts(at)[0] == shown, "further up: the line stands first"


# -- painting ------------------------------------------------------------------------------------------


class Place:
    """Records what would be sent to the browser."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.shown: list[str] = []

    def empty(self) -> Spot:
        self.shown.append("")
        return Spot(self, len(self.shown) - 1)

    def caption(self, text: str) -> None:
        self.sent.append(text)

    def container(self) -> Place:
        return self


class Spot:
    def __init__(self, place: Place, at: int) -> None:
        self.place, self.at = place, at

    def markdown(self, text: str, **_: Any) -> None:
        self.place.sent.append(text)
        self.place.shown[self.at] = text


def painted(text: str, monkeypatch: pytest.MonkeyPatch, size: int = 4) -> Place:
    """`text` streamed in tokens of `size` characters, each 30 ms after the one before."""
    clock = iter(range(10**9))
    monkeypatch.setattr(_draw.time, "monotonic", lambda: next(clock) * 0.03)
    place = Place()
    painter = _draw.Painter(place, Place(), "m")  # type: ignore[arg-type]
    for at in range(0, len(text), size):
        painter.take(Event("text", text=text[at : at + size]))
    painter.paint(whole=True)
    return place


PARAGRAPHS = "\n\n".join(f"Paragraph {n} " + "says something of use. " * 20 for n in range(90))
LIST = "\n".join(f"{n}. one more thing to think about before the week begins" for n in range(1, 800))


@pytest.mark.parametrize("text", [PARAGRAPHS, LIST], ids=["paragraphs", "one list"])
def test_bytes_sent_grow_with_the_answer_not_with_its_square(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = (sum(map(len, painted(text[:n], monkeypatch).sent)) for n in (10_000, 40_000))
    assert long / short < 5.2, (short, long)


def test_what_was_painted_is_what_is_drawn_when_it_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Intro.\n\n1. one\n2. two\n\n```py\na = 1\n\nb = 2\n```\n\nEnd of it."
    live = painted(text, monkeypatch, size=3).shown
    finished = Place()
    finished.markdown = lambda block, **_: finished.shown.append(block)  # type: ignore[attr-defined]
    _draw.answer(finished, text, (), "m")  # type: ignore[arg-type]
    assert live == finished.shown


def test_an_answer_gone_on_with_begins_with_what_there_was() -> None:
    old = "What had arrived, "
    events = [Event("text", text="and "), Event("text", text="more.")]
    for seen in range(3):
        partial = old + "".join(e.text for e in events[:seen])
        before, began = _draw._catch_up(iter([*events[:seen], None]), partial)
        assert (began, len(before)) == (old, seen)
    assert _draw._catch_up(iter(events), "and more.") == (events, "")


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (Event("start", backend="openai_chat", model="gpt-x"), "Asking gpt\\-x"),
        (Event("notice", source="retrieval", text="Reading 8 passages from 3 documents"), None),
        (Event("tool_call", name="search_documents"), "Using search documents"),
        (Event("reasoning", text="hm"), "Thinking"),
        (Event("text", text="x"), ""),
    ],
)
def test_the_status_line_says_what_is_waited_for(event: Event, line: str | None) -> None:
    assert _draw.status_line(event) == (shared.escape(event.text) if line is None else line)


def test_a_long_place_is_cut_between_words() -> None:
    from pages import _draw

    def of(title: str, section: str) -> str:
        return _draw.place_of(dataclasses.replace(CITATION, title=title, section=section, page=None, row=None))

    assert of("Sleep", "Tips to Improve the Quality of Your Sleep Tonight") == (
        "Sleep, Tips to Improve the Quality of Your Sleep…"
    )
    assert of("x" * 60, "") == "x" * 47 + "…"
