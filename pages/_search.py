"""Trying a search: the passages that would go with a question, and why each was found.

Invariant: what is asked and how it is narrowed stands in the link, so that a search can be handed on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, Collection, DocumentName, Filter, Passage
from coach_core.ui import marks, pdf_page, shared, widgets

if TYPE_CHECKING:
    from coach_core.coach import Coach

NO_ANSWER = "No passage answers this; these are the nearest."
LONG = 420  # characters of a passage shown at first
_MANY = 50  # passages counted without the filter, at most
_EVERYTHING = "All documents"
_FIT = "Words and meaning together, beside the other passages: 1 is the nearest there is, not the surest"
_NAMES = {
    "ar": "Arabic", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi",
    "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch",
    "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish",
    "th": "Thai", "tr": "Turkish", "zh": "Chinese",
}  # fmt: skip


def draw(coach: Coach, actor: Actor, collection: Collection) -> None:
    here = "This collection alone"
    personas = {f"As {p.name}": p for p in coach.personas(actor)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Ask as a person would", key="try", bind="query-params", type="search", icon=":material/search:",
            placeholder="How do I plan my week?", label_visibility="collapsed",
        )  # fmt: skip
        scope = st.selectbox("Where", [here, *personas], key="as", label_visibility="collapsed", width=240)
    persona = personas.get(scope)
    where = list(persona.draft.collections) if persona else [collection.id]
    fits = _narrowed(coach, actor, where)
    if not (text or "").strip():
        st.caption("The passages that would go with a question, best first, with their places by words and by meaning.")
        return
    with shared.guard():
        found = coach.search(actor, text, collections=where, fits=fits)
        if not found:
            _nothing(coach, actor, text, where, fits)
            return
        above = st.empty()
        glossed = coach.glossed(actor, text, found)
        if glossed:
            st.caption(f"The question's words in English: {marks.plain(', '.join(glossed))}")
        for number, (passage, spans) in enumerate(zip(found, coach.why(actor, text, found), strict=True), 1):
            _passage(number, passage, spans, glossed=bool(glossed) and passage.language == "en")
        if coach.verdict(actor, text, found) == "nothing":  # last: it takes longer than the search
            above.markdown(f":material/info: {NO_ANSWER}")


# -- the filter -------------------------------------------------------------------------------------


def _narrowed(coach: Coach, actor: Actor, where: Sequence[UUID]) -> Filter:
    """What the person keeps the search to."""
    documents = coach.document_names(actor, where)
    if not documents:
        return Filter()
    fits = Filter(languages=_languages(documents))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        since = st.date_input("From", None, key="since", bind="query-params", width=150, help=_DATED)
        until = st.date_input("To", None, key="until", bind="query-params", width=150, help=_DATED)
        labels = _labels(documents)
        named = st.selectbox("Document", [_EVERYTHING, *labels], key="document", bind="query-params", width=300)
    fits = replace(fits, since=_day(since), until=_day(until))
    return replace(fits, documents=(labels[named],)) if named in labels else fits


_DATED = "By the date that a document gives itself, else by the day it came in"


def _languages(documents: Sequence[DocumentName]) -> tuple[str, ...]:
    """Pills for the languages there are, where there are several; the commonest first."""
    counts: dict[str, int] = {}
    for document in documents:
        if document.language:
            counts[document.language] = counts.get(document.language, 0) + 1
    codes = {_NAMES.get(code, code): code for code in sorted(counts, key=lambda code: -counts[code])}
    if len(codes) < 2:
        return ()
    chosen = st.pills(
        "Language", list(codes), selection_mode="multi", key="language", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    return tuple(codes[name] for name in chosen or ())


def _labels(documents: Sequence[DocumentName]) -> dict[str, UUID]:
    """Documents by their titles, those of one title told apart by their files' names."""
    titles = [d.title or d.name for d in documents]
    told = Counter(titles)
    out: dict[str, UUID] = {}
    for document, title in sorted(zip(documents, titles, strict=True), key=lambda pair: pair[1].casefold()):
        label = title if told[title] == 1 else f"{title} ({document.name})"
        while label in out:
            label += "\u2019"
        out[label] = document.id
    return out


def _day(value: object) -> date | None:
    return value if isinstance(value, date) else None


def _nothing(coach: Coach, actor: Actor, text: str, where: Sequence[UUID], fits: Filter) -> None:
    if not fits:
        with widgets.empty(":material/search_off:", "Nothing fits", "Other words may, or a document that answers it."):
            pass
        return
    documents = coach.fitting(actor, fits, collections=where)
    others = len(coach.search(actor, text, collections=where, k=_MANY))
    many = f"{_MANY} passages or more" if others >= _MANY else widgets.count(others, "passage")
    inside = f"Documents that fit the filter: {documents:,}"
    with widgets.empty(":material/filter_alt_off:", "Nothing fits", f"{inside}. Found without it: {many}."):
        st.button("Take the filter off", on_click=_unfiltered)


def _unfiltered() -> None:
    st.session_state.update({"since": None, "until": None, "language": [], "document": _EVERYTHING})


# -- a passage --------------------------------------------------------------------------------------


def _passage(number: int, passage: Passage, spans: Sequence[tuple[int, int]], *, glossed: bool) -> None:
    with st.container(border=True, gap="xsmall"):
        inside = passage.within
        place = [f"p. {passage.page}" if passage.page else "", f"row {passage.row}" if passage.row else ""]
        where = ", ".join(p for p in (passage.title, inside, *place) if p)
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{number}. {marks.plain(where)}**", width="stretch")
            st.badge(f"fit {passage.score:.2f}", color="blue", help=_FIT)
            st.badge(_rank("words", passage.rank_words), color="grey", help=_score("bm25", passage.score_words))
            st.badge(_rank("meaning", passage.rank_meaning), color="grey", help=_score("cosine", passage.score_meaning))
            if passage.rank_reranker:
                st.badge(_rank("reranker", passage.rank_reranker), color="grey", help="Read once more by the reranker")
        if len(passage.text) <= LONG:
            st.markdown(marks.lit(passage.text, spans))
        else:
            cut = passage.text[:LONG].rsplit(" ", 1)[0]
            st.markdown(marks.lit(cut, [s for s in spans if s[1] <= len(cut)]) + " \u2026")
            with st.expander("The whole passage"):
                st.markdown(marks.lit(passage.text, spans))
        said = list(dict.fromkeys(passage.text[a:b].casefold() for a, b in spans))
        if said:
            of = "Of the question, in English" if glossed else "Of the question"
            st.caption(f"{of}: {marks.plain(', '.join(said[:12]))}")
        elif passage.rank_meaning:
            st.caption("None of the question's words; found by its meaning")
        if passage.page:
            pdf_page.button(passage.document_id, passage.page, passage.text, passage.title, str(passage.chunk_id))
        if passage.also:
            st.caption(f"Says the same: {marks.plain(', '.join(passage.also))}")


def _rank(side: str, rank: int | None) -> str:
    return f"{side} no. {rank}" if rank else f"{side} \u2013"


def _score(name: str, score: float | None) -> str:
    return f"{name} {score:.3f}" if score is not None else "not found by this side"
