"""Knowledge: collections of documents, what is in them and who reads it, and what they did not answer.

Invariant: what goes on by itself (files coming in, meaning catching up) is drawn in one fragment that
looks again; it opens no dialog, so that a look never takes away what the person is doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.access import allowed, require
from coach_core.knowledge import loaders
from coach_core.types import Actor, Collection
from coach_core.ui import shared, widgets
from pages import (
    _dialog,
    _hosted_copies,
    _knowledge_collection,
    _knowledge_deleted,
    _knowledge_documents,
    _knowledge_questions,
    _knowledge_readers,
    _knowledge_use,
    _search,
    _undo,
    _uploads,
)

if TYPE_CHECKING:
    from coach_core.coach import Coach

LOOK = 1.0  # seconds between two looks while something is on its way
LAST = "_collection_last"  # the address of the collection that was looked at last
CREATE = ("knowledge", "create")
COLLECTIONS, QUESTIONS, READERS = VIEWS = ("Collections", "Questions that found nothing", "Who reads what")
TABS = ["Documents", "Try a search", "Use", "Hosted copies"]


def page() -> None:
    with st.container(width=widgets.WIDE), shared.guard():
        coach, actor = shared.coach(), shared.actor()
        require(actor, "knowledge.read")
        _page(coach, actor, allowed(actor.role, "knowledge.write"))


def _page(coach: Coach, actor: Actor, writes: bool) -> None:
    _uploads.seen(coach, actor)
    collections = coach.collections(actor)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Knowledge", width="content")
        if writes:
            with st.container(horizontal=True, width="content"):
                _knowledge_deleted.button(coach, actor)
                st.button("New collection", icon=":material/create_new_folder:", on_click=_dialog.ask, args=CREATE)
    _undo.draw("knowledge")
    _dialog.draw("knowledge", DIALOGS, coach, actor)
    if not collections:
        with widgets.empty(":material/local_library:", "No collections yet", "Documents are kept in collections."):
            if writes:
                st.button("Create the first collection", type="primary", on_click=_dialog.ask, args=CREATE)
        return
    view = _view(len(coach.unanswered(actor))) if writes else COLLECTIONS
    if view == QUESTIONS:
        _knowledge_questions.draw(coach, actor, collections)
    elif view == READERS:
        _knowledge_readers.draw(coach, actor, collections)
    else:
        left, right = st.columns([2, 7], gap="large")
        with left:
            chosen = _choose(collections)
        with right:
            _collection(coach, actor, chosen, writes)


def _view(questions: int) -> str:
    with st.container(horizontal=True, vertical_alignment="center"):
        chosen: str = st.segmented_control(
            "View", VIEWS, default=COLLECTIONS, required=True, key="view", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        if questions and chosen != QUESTIONS:
            st.badge(f"{widgets.count(questions, 'open question')}", icon=":material/contact_support:", color="orange")
    return chosen


def _choose(collections: Sequence[Collection]) -> Collection:
    """The collection that the link names. Its address there outlives a new name."""
    there = {widgets.address(c): c for c in collections}
    says = [widgets.count(c.documents, "document") for c in collections]
    new, told = st.session_state.pop(_knowledge_collection.NEXT, ""), st.query_params.get("in", "")
    asked = new or told or st.session_state.get(LAST, "")  # an address that is on its way may not have reached the link
    chosen = widgets.addressed(collections, asked) if asked else None
    if chosen is not None and widgets.address(chosen) != told:
        st.query_params["in"] = widgets.address(chosen)
    st.session_state["chosen"] = widgets.address(chosen or collections[0])  # the link says which, not the browser
    with st.container(key="collections"):
        address = st.radio(
            "Collections", list(there), captions=says, key="chosen", on_change=_chosen,
            format_func=lambda a: shared.escape(there[a].name) if a in there else a,
        )  # fmt: skip
    st.session_state[LAST] = address
    return there[address]


def _chosen() -> None:
    st.query_params["in"] = st.session_state["chosen"]
    for key in ("page", "use_page"):
        _knowledge_documents.first_page(key)


def _collection(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    _knowledge_collection.head(coach, actor, collection, writes)
    inside, attempt, use, copies = st.tabs(TABS, key="show", on_change="rerun", bind="query-params")
    if inside.open:
        with inside:
            if writes:
                into = partial(_id_of, collection)
                most = widgets.size(coach.largest_upload())
                _uploads.drop(f"Add documents ({loaders.said()}; at most {most} each)", f"add_{collection.id}", into)
            look = LOOK if _uploads.busy(coach, actor, collection.id) else None
            st.fragment(_documents, run_every=look, key="documents")(collection, writes)
    if attempt.open:
        with attempt:
            _search.draw(coach, actor, collection)
    if use.open:
        with use:
            _knowledge_use.draw(coach, actor, collection, writes)
    if copies.open:
        with copies:
            _hosted_copies.draw(coach, actor, collection, writes)


def _id_of(collection: Collection) -> UUID:
    return collection.id


def _documents(collection: Collection, writes: bool) -> None:
    """Files on their way, how far meaning is, and the table; looks again while something goes on."""
    with shared.guard():
        coach, actor = shared.coach(), shared.actor()
        _knowledge_documents.draw(coach, actor, collection, writes)
        _uploads.refresh(coach, actor)


DIALOGS = {
    **_knowledge_collection.DIALOGS,
    **_knowledge_documents.DIALOGS,
    **_knowledge_deleted.DIALOGS,
    **_knowledge_questions.DIALOGS,
    **_hosted_copies.DIALOGS,
}

page()
