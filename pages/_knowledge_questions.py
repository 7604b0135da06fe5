"""Questions that found nothing: what to write next, each with a way to answer it right here.

Invariant: it shows what was asked and of which persona, never who asked or where; what is dismissed can be
taken back, what is erased cannot, and says so.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.errors import DocumentNotFound, InputError
from coach_core.knowledge import loaders
from coach_core.types import Actor, Collection, Persona, Unanswered, UnansweredStatus
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

A_PAGE = 20
ANY_PERSONA, ANY_LANGUAGE = "Any persona", "Any language"
SPANS = {"30 days": 30, "90 days": 90, "Any time": None}
SAID = {
    "nothing": "nothing was found",
    "no_answer": "what was found does not answer it",
    "uncited": "the answer cited none of what was found",
}
TONE = {"nothing": "orange", "no_answer": "orange", "uncited": "grey"}
LANGUAGES = {
    "en": "English", "es": "Spanish", "de": "German", "ar": "Arabic", "zh": "Chinese", "fr": "French",
    "it": "Italian", "pt": "Portuguese", "nl": "Dutch", "ru": "Russian", "ja": "Japanese", "tr": "Turkish",
}  # fmt: skip
FILE, WRITE = "Drop a file", "Write it here"


def draw(coach: Coach, actor: Actor, collections: Sequence[Collection]) -> None:
    personas = {p.id: p for p in coach.personas(actor)}
    names = {p: persona.name for p, persona in personas.items()}
    span = str(st.session_state.get("asked_in", "Any time"))
    every = coach.unanswered(actor, ("open", "answered", "dismissed"), days=SPANS.get(span))
    chosen = _filtered(every, names)
    openly = [q for q in chosen if q.status == "open"]
    if not openly:
        _nothing(bool(every))
    number = 1
    if len(openly) > A_PAGE:
        number = st.pagination(-(-len(openly) // A_PAGE), key="questions_page") or 1
    for question in openly[(number - 1) * A_PAGE : number * A_PAGE]:
        _open(coach, question, names)
    _folded("Answered since", [q for q in chosen if q.status == "answered"], names, coach, actor)
    _folded("Dismissed", [q for q in chosen if q.status == "dismissed"], names, coach, actor)


def _filtered(every: Sequence[Unanswered], names: Mapping[UUID, str]) -> list[Unanswered]:
    with st.container(horizontal=True, vertical_alignment="center"):
        asked_of = sorted({names[q.persona_id] for q in every if q.persona_id in names}, key=str.casefold)
        languages = sorted({q.language for q in every if q.language})
        persona = _choice("Persona", [ANY_PERSONA, *asked_of], "asked_of")
        language = _choice("Language", [ANY_LANGUAGE, *map(_language, languages)], "asked_language")
        _choice("When", ["Any time", "30 days", "90 days"], "asked_in")
        found = [
            q
            for q in every
            if persona in (ANY_PERSONA, names.get(q.persona_id)) and language in (ANY_LANGUAGE, _language(q.language))
        ]
        st.space("stretch")
        if found:
            st.download_button(
                "CSV", partial(_csv, found, names), "questions.csv", "text/csv", icon=":material/download:",
                type="tertiary", on_click="ignore",
            )  # fmt: skip
    return found


def _choice(label: str, options: Sequence[str], key: str) -> str:
    return st.selectbox(label, options, key=key, label_visibility="collapsed", width=168)


def _nothing(any_at_all: bool) -> None:
    if any_at_all:
        say = "All of them are answered or dismissed, or the filter shows none."
        with widgets.empty(":material/task_alt:", "No open questions here", say):
            pass
        return
    say = "When a persona's documents do not hold what it is asked, the question comes here, without who asked."
    with widgets.empty(":material/contact_support:", "Every question found something so far", say):
        pass


# -- one question -------------------------------------------------------------------------------------


def _open(coach: Coach, question: Unanswered, names: Mapping[UUID, str]) -> None:
    with st.container(border=True, key=f"question_{question.id}", gap="xsmall"):
        _told(question, names)
        _tried(question)
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            asked = ("knowledge", "answer", question)
            st.button(
                "Upload an answer", icon=":material/upload_file:", key=f"answer_{question.id}",
                on_click=_dialog.ask, args=asked,
            )  # fmt: skip
            _button("Try again", "search", f"again_{question.id}", _try, question)
            _button("Dismiss", "close", f"dismiss_{question.id}", _dismiss, question)
            _erasing(question)


def _told(question: Unanswered, names: Mapping[UUID, str]) -> None:
    st.markdown(f"**{marks.plain(question.text)}**")
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.badge(SAID[question.verdict], color=TONE[question.verdict])
        who = names.get(question.persona_id, "a deleted persona") if question.persona_id else ""
        often = "asked once" if question.times == 1 else f"asked {question.times:,} times"
        facts = [often, f"last {shared.when(question.last_at)}", who, _language(question.language)]
        st.caption(marks.plain(", ".join(f for f in facts if f)), help=shared.exact(question.last_at))


def _tried(question: Unanswered) -> None:
    """What a search gave just now."""
    tried = st.session_state.get(f"tried_{question.id}")
    if tried is None:
        return
    if not tried.passages:
        st.caption(":material/search_off: Searched just now: nothing was found.")
        return
    titles = ", ".join(dict.fromkeys(p.title for p in tried.passages[:5]))
    say = "near, but no answer" if tried.verdict == "near" else "no answer in it"
    st.caption(f":material/search: Searched just now: {say}. The nearest: {marks.plain(titles)}.")


def _erasing(question: Unanswered) -> None:
    with st.popover("", icon=":material/more_horiz:", type="tertiary", help="More"):
        st.markdown("The question and how often it was asked go for good. Asked again, it comes back.")
        _button("Erase", "delete_forever", f"erase_{question.id}", _erase, question)


def _folded(title: str, questions: Sequence[Unanswered], names: Mapping[UUID, str], coach: Coach, actor: Actor) -> None:
    if not questions:
        return
    box = st.expander(f"{title} ({len(questions):,})", key=f"folded_{title}", on_change="rerun")
    if not box.open:
        return
    with box:
        for question in questions[:100]:
            with st.container(border=True, gap="xsmall"):
                _told(question, names)
                _answered_by(coach, actor, question)
                with st.container(horizontal=True):
                    _button("Open again", "undo", f"reopen_{question.id}", _reopen, question)
                    _erasing(question)


def _answered_by(coach: Coach, actor: Actor, question: Unanswered) -> None:
    if question.document_id is None:
        return
    try:
        found = coach.document(actor, question.document_id)
    except DocumentNotFound:
        found = None
    say = f"**{marks.plain(found.title or found.name)}**" if found else "a document that is deleted"
    st.markdown(f":green[:material/task_alt:] Answered by {say}")


def _button(label: str, icon: str, key: str, do: Callable[[Unanswered], None], question: Unanswered) -> None:
    st.button(label, icon=f":material/{icon}:", type="tertiary", key=key, on_click=do, args=(question,))


@shared.safely
def _try(question: Unanswered) -> None:
    tried = shared.coach().try_question(shared.actor(), question.id)
    st.session_state[f"tried_{question.id}"] = tried
    if tried.document_id is not None:
        title = next((p.title for p in tried.passages if p.document_id == tried.document_id), "a document")
        undo = partial(_settle, question.id, "open")
        _undo.offer("knowledge", f"Answered now, by **{marks.plain(title)}**.", undo)


@shared.safely
def _dismiss(question: Unanswered) -> None:
    _settle(question.id, "dismissed")
    _undo.offer("knowledge", "Question dismissed.", partial(_settle, question.id, "open"))


@shared.safely
def _reopen(question: Unanswered) -> None:
    _settle(question.id, "open")


@shared.safely
def _erase(question: Unanswered) -> None:
    shared.coach().erase_questions(shared.actor(), question.id)


def _settle(question_id: UUID, status: UnansweredStatus) -> None:
    shared.coach().settle_question(shared.actor(), question_id, status)


# -- an answer ----------------------------------------------------------------------------------------


@st.dialog("Upload an answer", width="medium", icon=":material/upload_file:", on_dismiss=_dialog.forget)
def _answer(coach: Coach, actor: Actor, question: Unanswered) -> None:
    st.markdown(f"> {marks.plain(question.text)}")
    persona = next((p for p in coach.personas(actor) if p.id == question.persona_id), None)
    target = _target(coach, actor, question, persona)
    how = st.segmented_control(
        "How", [WRITE, FILE], default=WRITE, required=True, key="answer_how", label_visibility="collapsed"
    )
    files: list[tuple[str, bytes]] = []
    if how == FILE:
        given = st.file_uploader(loaders.said(), accept_multiple_files=True, key="answer_files")
        files = [(f.name, f.getvalue()) for f in given or ()]
    else:
        title = st.text_input("Title", question.text.rstrip(" ?？؟"), 120, key="answer_title")
        text = st.text_area("Answer", height=200, key="answer_text", placeholder="A few sentences are enough.")
        files = [(f"{_slug(title)}.md", f"# {title.strip()}\n\n{text.strip()}\n".encode())] if text.strip() else []
    st.caption("It becomes a document of the collection. The question is marked by itself once it is answered.")
    if _dialog.buttons("Add", "really_answer", no="Cancel"):
        with shared.guard():
            if not files:
                raise InputError("There is nothing to add yet. Write an answer or drop a file.")
            for name, data in files:
                coach.upload(actor, target, name, data)
            said = "The answer is being read; the question is tried again as soon as it is in."
            _undo.offer("knowledge", said)
            _dialog.close()


def _target(coach: Coach, actor: Actor, question: Unanswered, persona: Persona | None) -> UUID:
    """Which collection it goes into: first those that the persona reads."""
    read = persona.draft.collections if persona else question.collections
    groups = sorted(coach.collections(actor), key=lambda c: (c.id not in read, c.name.casefold()))
    names = {c.id: c.name for c in groups}
    chosen = st.selectbox("Collection", list(names), format_func=lambda i: names[i], key="answer_into")
    if persona is not None and chosen not in read:
        say = f"{marks.plain(persona.name)} does not read this collection, and will not find the answer."
        st.warning(say, icon=":material/visibility_off:")
    return chosen


def _slug(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.casefold()).strip("-")[:60] or "answer"


def _language(code: str) -> str:
    return LANGUAGES.get(code, code)


def _csv(questions: Sequence[Unanswered], names: Mapping[UUID, str]) -> bytes:
    """The questions as a spreadsheet reads them; no cell can begin a formula."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("question", "times", "last asked", "first asked", "persona", "language", "why", "status"))
    for q in questions:
        text = f"'{q.text}" if q.text[:1] in "=+-@\t\r" else q.text
        who = names.get(q.persona_id, "") if q.persona_id else ""
        times = (q.last_at.isoformat(timespec="seconds"), q.created_at.isoformat(timespec="seconds"))
        writer.writerow((text, q.times, *times, who, q.language, SAID[q.verdict], q.status))
    return out.getvalue().encode("utf-8-sig")


DIALOGS = {"answer": _answer}
