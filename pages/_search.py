"""Trying a search: the passages that would go with a question, and why each was found.

Invariant: what is asked and how it is narrowed stands in the link, so that a search can be handed on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from coach_core.types import Actor, Collection, Passage
from coach_core.ui import marks, widgets

if TYPE_CHECKING:
    from coach_core.coach import Coach

LONG = 420  # characters of a passage shown at first


def draw(coach: Coach, actor: Actor, collection: Collection) -> None:
    here = "This collection alone"
    personas = {f"As {p.name}": p for p in coach.personas(actor)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Ask as a person would", key="try", bind="query-params", type="search", icon=":material/search:",
            placeholder="How do I plan my week?", label_visibility="collapsed",
        )  # fmt: skip
        scope = st.selectbox("Where", [here, *personas], key="as", label_visibility="collapsed", width=240)
    if not (text or "").strip():
        st.caption("The passages that would go with a question, best first, with their places by words and by meaning.")
        return
    persona = personas.get(scope)
    where = list(persona.draft.collections) if persona else [collection.id]
    found = coach.search(actor, text, collections=where)
    if not found:
        with widgets.empty(":material/search_off:", "Nothing fits", "Other words may, or a document that answers it."):
            pass
    for number, passage in enumerate(found, 1):
        _passage(number, passage)


def _passage(number: int, passage: Passage) -> None:
    with st.container(border=True, gap="xsmall"):
        inside = passage.within
        place = [f"p. {passage.page}" if passage.page else "", f"row {passage.row}" if passage.row else ""]
        where = ", ".join(p for p in (passage.title, inside, *place) if p)
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"**{number}. {marks.plain(where)}**", width="stretch")
            st.badge(f"fit {passage.score:.2f}", color="blue", help="Words and meaning together; 1 is the best")
            st.badge(_rank("words", passage.rank_words), color="grey", help=_score("bm25", passage.score_words))
            st.badge(_rank("meaning", passage.rank_meaning), color="grey", help=_score("cosine", passage.score_meaning))
            if passage.rank_reranker:
                st.badge(_rank("reranker", passage.rank_reranker), color="violet", help="Read once more by the reranker")
        if len(passage.text) <= LONG:
            st.markdown(marks.plain(passage.text))
        else:
            st.markdown(marks.plain(passage.text[:LONG].rsplit(" ", 1)[0]) + " \u2026")
            with st.expander("The whole passage"):
                st.markdown(marks.plain(passage.text))


def _rank(side: str, rank: int | None) -> str:
    return f"{side} no. {rank}" if rank else f"{side} \u2013"


def _score(name: str, score: float | None) -> str:
    return f"{name} {score:.3f}" if score is not None else "not found by this side"
