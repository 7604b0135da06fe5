"""The personas page: cards, the editor, its versions, and trying what was saved."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import Persona
from coach_core.ui import marks, shared
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, draft, open_alone, open_page, press, shown


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


@pytest.fixture
def career(fake: FakeCoach) -> Persona:
    starters = ("How do I ask for a raise?", "My boss shouts")
    return fake.save_persona(fake.owner(), draft("Career coach", icon=":material/work:", starters=starters))


def field(at: AppTest, ending: str) -> str:
    """The whole key of the editor's field that ends so: keys change with every save."""
    return next(
        w.key
        for kind in (at.text_input, at.text_area, at.multiselect, at.selectbox, at.number_input, at.button_group)
        for w in kind
        if w.key and re.search(rf"_\d+_{ending}$", w.key)
    )


def save(at: AppTest, note: str = "") -> AppTest:
    at.button(key="save_persona").click().run()
    at.text_input(key="save_note").set_value(note)
    submit = next(b for b in at.button if b.label == "Save" and b.key != "save_persona")
    submit.click().run()
    assert not at.exception, at.exception[0].stack_trace
    return at


def test_cards_show_who_there_is_and_what_each_reads(fake: FakeCoach, career: Persona) -> None:
    group = fake.create_collection(fake.owner(), "College success")
    fake.save_persona(fake.owner(), draft("Health coach", collections=(group.id,), model="m-1"))
    at = open_page("personas")
    assert "Career coach" in shown(at) and "Reads no documents" in shown(at)
    assert "Reads College success" in shown(at) and "m-1" in shown(at)
    at.button(key="edit_career-coach").click().run()
    assert at.query_params["edit"] == "career-coach" and at.title[0].value == "Career coach"


def test_an_edit_is_hinted_at_saved_as_a_new_version_and_noted(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="career-coach")
    assert at.button(key="save_persona").disabled and "Unsaved changes" not in shown(at)
    at.text_area(key=field(at, "instructions")).set_value("Listen well first.\nThen ask.").run()
    assert "Unsaved changes" in shown(at) and "save to try your changes" in shown(at)
    save(at, "it asked too soon")
    kept = fake.versions[career.id]
    assert [v.note for v in kept] == ["", "it asked too soon"]
    assert kept[-1].draft.instructions == "Listen well first.\nThen ask."
    assert kept[-1].draft.starters == career.draft.starters, "what was not touched stays"
    assert "Saved as version 2." in shown(at) and at.button(key="save_persona").disabled


def test_every_field_reaches_the_draft(fake: FakeCoach, career: Persona) -> None:
    group = fake.create_collection(fake.owner(), "College success")
    at = open_page("personas", edit="career-coach")
    at.text_input(key=field(at, "name")).set_value("Work coach")
    at.text_area(key=field(at, "greeting")).set_value("Welcome.")
    at.text_area(key=field(at, "empty")).set_value("What is it about?")
    at.text_area(key=field(at, "starters")).set_value("One\n\n  Two  ")
    at.selectbox(key=field(at, "backend")).set_value("openai_responses")
    at.text_input(key=field(at, "model")).set_value(" m-2 ")
    at.number_input(key=field(at, "temperature")).set_value(0.3)
    at.selectbox(key=field(at, "effort")).set_value("low")
    at.multiselect(key=field(at, "tools")).set_value(["search_documents"])
    at.multiselect(key=field(at, "collections")).set_value([group.id])
    at.run()
    assert "OPENAI_API_KEY is missing." in at.warning[0].value
    save(at)
    made = fake.versions[career.id][-1].draft
    assert (made.name, made.greeting, made.empty_state) == ("Work coach", "Welcome.", "What is it about?")
    assert made.starters == ("One", "Two") and made.icon == ":material/work:"
    assert (made.backend, made.model) == ("openai_responses", "m-2")
    assert made.parameters == {"temperature": 0.3, "reasoning_effort": "low"}
    assert made.tools == ("search_documents",) and made.collections == (group.id,)


def test_the_advanced_fields_reach_the_draft(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="career-coach")
    wanted = {
        "top_p": 0.9,
        "max_output_tokens": 300,
        "first_token_timeout": 5.0,
        "token_timeout": 10.0,
        "turn_timeout": 60.0,
    }
    for name, value in wanted.items():
        at.number_input(key=field(at, name)).set_value(value)
    chosen = {"state": "conversation", "search": "hosted", "background": True}
    for name, value in chosen.items():
        at.selectbox(key=field(at, name)).set_value(value)
    at.text_input(key=field(at, "assistant")).set_value(" asst_1 ")
    at.run()
    save(at)
    made = fake.versions[career.id][-1].draft.parameters
    assert made == wanted | chosen | {"assistant_id": "asst_1"}
    at.selectbox(key=field(at, "state")).set_value("")
    at.text_input(key=field(at, "assistant")).set_value("").run()
    save(at)
    assert fake.versions[career.id][-1].draft.parameters.keys() == made.keys() - {"state", "assistant_id"}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("temperature", 3.0, "The temperature must be a number from 0 to 2; 3.0 is not."),
        ("max_output_tokens", 0, "The longest answer must be a whole number of tokens from 1 to 1,000,000; 0 is not."),
        ("token_timeout", -5.0, "must be a number of seconds from 1 to 86,400; -5.0 is not."),
    ],
)
def test_a_value_out_of_its_range_is_said_and_not_saved(
    fake: FakeCoach, career: Persona, name: str, value: float, says: str
) -> None:
    at = open_page("personas", edit="career-coach")
    at.number_input(key=field(at, name)).set_value(value).run()
    assert any(shared.escape(says) in m.value for m in at.markdown)
    at.button(key="save_persona").click().run()
    next(b for b in at.button if b.label == "Save" and b.key != "save_persona").click().run()
    assert any(shared.escape(says) in e.value for e in at.error)
    assert len(fake.versions[career.id]) == 1
    assert at.number_input(key=field(at, name)).value == value, "it stands there to be put right"


def test_whatever_was_saved_elsewhere_can_be_opened(fake: FakeCoach, career: Persona) -> None:
    odd = {"temperature": 1, "max_output_tokens": 5, "reasoning_effort": "xhigh", "turn_timeout": 86_400, "new": "x"}
    fake.save_persona(fake.owner(), draft("Career coach", parameters=odd), career.id)
    at = open_page("personas", edit="career-coach")
    assert at.number_input(key=field(at, "max_output_tokens")).value == 5
    assert at.button(key="save_persona").disabled, "looking changes nothing"


def test_discard_goes_back_to_what_was_saved(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="career-coach")
    at.text_area(key=field(at, "greeting")).set_value("Oops").run()
    press(at, "Discard")
    assert at.text_area(key=field(at, "greeting")).value == "Hello." and "Unsaved changes" not in shown(at)


@pytest.mark.parametrize("new", [True, False])
def test_leaving_with_unsaved_words_asks_first(fake: FakeCoach, career: Persona, new: bool) -> None:
    at = open_page("personas", edit="new" if new else "career-coach")
    at.text_area(key=field(at, "greeting")).set_value("Do not lose me").run()
    press(at, "All personas")
    assert "edit" in at.query_params and "greeting" in shown(at)
    press(at, "Keep editing")
    assert at.text_area(key=field(at, "greeting")).value == "Do not lose me"
    press(at, "All personas")
    at.button(key="really_leave").click().run()
    assert not at.exception and "edit" not in at.query_params and at.title[0].value == "Personas"
    at.query_params["edit"] = "new" if new else "career-coach"
    at.run()
    assert at.text_area(key=field(at, "greeting")).value == ("" if new else "Hello.")
    press(at, "All personas")
    assert at.title[0].value == "Personas", "nothing was changed, nothing is asked"


def test_a_new_persona_is_not_scolded_before_anything_was_typed(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="new")
    assert "A persona needs a name." not in shown(at)
    at.text_input(key=field(at, "name")).set_value("A").run()
    at.button(key="save_persona").click().run()
    assert [d.proto.dialog.title for d in at.get("dialog")] == ["Save the persona"]
    at.text_input(key=field(at, "name")).set_value("").run()
    assert "A persona needs a name." in shown(at)
    at = open_page("personas", edit="career-coach")
    at.text_area(key=field(at, "greeting")).set_value("Hi").run()
    at.button(key="save_persona").click().run()
    assert [d.proto.dialog.title for d in at.get("dialog")] == ["Save a new version"]


def test_an_empty_name_is_a_sentence_and_nothing_is_saved(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="career-coach")
    at.text_input(key=field(at, "name")).set_value("  ").run()
    assert "A persona needs a name." in shown(at)
    save(at)
    assert "The persona has no name." in shown(at) and len(fake.versions[career.id]) == 1


def test_a_name_that_is_taken_is_a_sentence(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="new")
    at.text_input(key=field(at, "name")).set_value("career COACH").run()
    save(at)
    assert "There is a persona called career COACH already." in shown(at) and len(fake.versions) == 1


def test_a_new_persona_is_made_and_opened(fake: FakeCoach) -> None:
    at = press(open_page("personas"), "Create the first persona")
    at.text_input(key=field(at, "name")).set_value("Zoo guide").run()
    save(at)
    assert [p.name for p in fake.personas(fake.owner())] == ["Zoo guide"]
    assert at.query_params["edit"] == "zoo-guide"


def test_versions_differ_word_by_word_and_an_old_one_comes_back(fake: FakeCoach, career: Persona) -> None:
    changed = draft("Career coach", icon=":material/work:", instructions="Listen well first.\nThen ask.")
    fake.save_persona(fake.owner(), changed, career.id, "softer")
    at = open_page("personas", edit="career-coach")
    at.session_state["side"] = "Versions"
    at.run()
    words = "\n".join(m.value for m in at.markdown)
    assert ":green-background[well]" in words and "softer" in words
    assert "How do I ask for a raise" in shown(at), "the starters that were taken out"
    at.segmented_control(key="diff_as").set_value("Side by side").run()
    assert not at.exception
    at.button(key="restore_1").click().run()
    assert fake.versions[career.id][-1].version == 3 and fake.persona(fake.owner(), career.id).draft == career.draft
    press(at, "Undo")
    assert fake.persona(fake.owner(), career.id).draft == changed


def test_trying_asks_the_saved_version_in_a_thread_that_says_so(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="career-coach")
    at.chat_input(key="try_input").set_value("Am I *ready*?").run()
    assert not at.exception, at.exception[0].stack_trace
    assert [t.title for t in fake.rows.values()] == ["Trying Career coach"]
    assert "Career coach (version 1) heard: Am I *ready*?" in shown(at)
    at.chat_input(key="try_input").set_value("Again").run()
    assert len(fake.rows) == 1 and "heard: Again" in shown(at)
    press(at, "Start again")
    assert "heard" not in shown(at).split("Version 1 answers")[0]


def test_a_starter_is_asked_by_a_click(fake: FakeCoach, career: Persona) -> None:
    at = press(open_page("personas", edit="career-coach"), "My boss shouts")
    assert "heard: My boss shouts" in shown(at)


def test_duplicate_and_delete_can_be_undone(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas")
    at.menu_button[0].click(":material/content_copy: Duplicate").run()
    assert [p.name for p in fake.personas(fake.owner())] == ["Career coach", "Career coach (copy)"]
    press(at, "Undo")
    at.menu_button[0].click(":material/delete: Delete").run()
    assert len(fake.personas(fake.owner())) == 1, "not before it was confirmed"
    at.button(key="really_delete").click().run()
    assert fake.personas(fake.owner()) == [] and "No personas yet" in shown(at)
    press(at, "Undo")
    assert [p.name for p in fake.personas(fake.owner())] == ["Career coach"]


def test_a_document_of_its_own_goes_to_its_own_collection(fake: FakeCoach, career: Persona) -> None:
    at = open_page("personas", edit="career-coach")
    at.text_area(key=field(at, "greeting")).set_value("Unsaved words").run()
    uploader = next(u for u in at.file_uploader if u.accept_multiple_files)
    uploader.set_value([("raise.md", b"Ask for a raise in spring.", "text/markdown")]).run()
    assert not at.exception, at.exception[0].stack_trace
    group = next(iter(fake.groups.values()))
    assert group.name == "Career coach" and [d.name for d in fake.papers.values()] == ["raise.md"]
    now = fake.persona(fake.owner(), career.id)
    assert now.draft.collections == (group.id,) and now.draft.greeting == "Hello.", "saved alone"
    assert at.text_area(key=field(at, "greeting")).value == "Unsaved words"
    assert at.multiselect(key=field(at, "collections")).value == [group.id]
    assert "raise.md" in shown(at)


def test_asking_never_changes_the_form_while_its_documents_come_in(fake: FakeCoach) -> None:
    at = press(open_page("personas"), "Create the first persona")
    at.text_input(key=field(at, "name")).set_value("Zoo guide")
    at.text_area(key=field(at, "starters")).set_value("Where are the bears?").run()
    save(at)
    group = fake.create_collection(fake.owner(), "Zoo guide")
    uploader = next(u for u in at.file_uploader if u.accept_multiple_files)
    uploader.set_value([("bears.md", b"Bears sleep.", "text/markdown")]).run()
    options = at.multiselect(key=field(at, "collections")).options
    press(at, "Where are the bears?")
    fake.put(group, "more.md", "The worker took another in")
    at.chat_input(key="try_input").set_value("And the lions?").run()
    assert not at.exception, at.exception[0].stack_trace
    assert "Unsaved changes" not in shown(at) and at.button(key="save_persona").disabled
    assert at.multiselect(key=field(at, "collections")).value == [group.id]
    assert at.multiselect(key=field(at, "collections")).options == options, "a browser names its choice by them"
    fake.put(group, "third.md", "And another")
    at.text_area(key=field(at, "greeting")).set_value("Welcome.").run()
    save(at)
    kept = fake.personas(fake.owner())[0].draft
    assert kept.greeting == "Welcome." and kept.collections == (group.id,)


def test_a_collection_that_is_gone_is_no_unsaved_change(fake: FakeCoach, career: Persona) -> None:
    group = fake.create_collection(fake.owner(), "Gone soon")
    fake.save_persona(fake.owner(), draft("Career coach", collections=(group.id,)), career.id)
    fake.delete_collection(fake.owner(), group.id)
    assert "Unsaved changes" not in shown(open_page("personas", edit="career-coach"))


def test_a_link_to_nobody_is_a_sentence(fake: FakeCoach, career: Persona) -> None:
    assert "That persona does not exist" in open_page("personas", edit="nobody").error[0].value


@pytest.mark.parametrize("role", ["coach", "client", "stakeholder"])
def test_who_may_not_is_told(fake: FakeCoach, career: Persona, role: str) -> None:
    at = open_alone("personas", fake.users[role])  # type: ignore[index]
    assert "Only an admin can change personas" in at.error[0].value and not at.button


def test_text_of_others_is_never_markdown() -> None:
    text = "# a\n- b *c* [d](e) :red[f] :smile: <b>\n    code $x$"
    lines = marks.plain(text).split("  \n")
    assert len(lines) == 3
    assert lines[0] == "\\# a" and "\\[d\\]\\(e\\)" in lines[1] and ":red[" not in lines[1]
    assert ":smile:" not in lines[1] and not lines[2].startswith(" ")
    linked = marks.plain("see https://x.example, www.x.example or me@x.example")
    assert not re.search(r"(https?|www)\\?[:.]|\w\\?@", linked), "nor is an address made a link"


def test_a_diff_shows_both_texts_whole() -> None:
    before, after = "Listen first.\nThen ask one thing.", "Listen well first.\nThen ask two things."
    left, right = marks.sides(before, after)
    assert "one" in left and "two" not in left and "two" in right and "one" not in right
    assert marks.inline("", "new") == ":green-background[new]"
    assert marks.inline("same", "same") == "same"
