"""Knowledge: collections of documents, what is in them, and what a persona would find there.

Invariant: what goes on by itself (files coming in, meaning catching up) is drawn in one fragment that
looks again; it opens no dialog, so that a look never takes away what the person is doing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pandas as pd
import streamlit as st

from coach_core.access import allowed, require
from coach_core.errors import InputError
from coach_core.types import Actor, Collection, Document, Persona
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _search, _search_models, _undo, _uploads

if TYPE_CHECKING:
    from coach_core.coach import Coach

LOOK = 1.0  # seconds between two looks while something is on its way
BUTTON = "documents_open"
NEXT = "_collection_next"  # the collection to choose in the next run
CREATE = ("knowledge", "create")


def page() -> None:
    st.set_page_config(layout="wide")
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
            st.button("New collection", icon=":material/create_new_folder:", on_click=_dialog.ask, args=CREATE)
    _undo.draw("knowledge")
    _dialog.draw("knowledge", DIALOGS, coach, actor)
    if not collections:
        with widgets.empty(":material/local_library:", "No collections yet", "Documents are kept in collections."):
            if writes:
                st.button("Create the first collection", type="primary", on_click=_dialog.ask, args=CREATE)
        return
    left, right = st.columns([2, 7], gap="large")
    with left:
        chosen = _choose(collections)
    with right:
        _collection(coach, actor, chosen, writes)


def _choose(collections: Sequence[Collection]) -> Collection:
    names = [c.name for c in collections]
    says = [widgets.count(c.documents, "document") for c in collections]
    if (new := st.session_state.pop(NEXT, None)) in names:  # set before it is drawn, or the browser's choice wins
        st.session_state["in"] = new
    name = st.radio("Collections", names, captions=says, key="in", bind="query-params", format_func=shared.escape)
    return collections[names.index(name)]


def _collection(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    readers = [p for p in coach.personas(actor) if collection.id in p.draft.collections]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.header(marks.plain(collection.name), width="content", anchor=False)
        if writes:
            asked = ("knowledge", "delete_collection", collection, readers)
            st.button("Delete collection", icon=":material/delete:", type="tertiary", on_click=_dialog.ask, args=asked)
    if collection.description:
        st.markdown(marks.plain(collection.description))
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        for reader in readers:
            st.badge(shared.escape(reader.name), icon=widgets.glyph(reader.draft.icon), color="blue")
        if not readers:
            st.badge("No persona reads this yet", icon=":material/visibility_off:", color="orange")
        if collection.licence:
            st.badge(shared.escape(collection.licence), icon=":material/copyright:", color="grey")
        if writes:
            st.page_link(
                widgets.page("personas"), label=":small[Change who reads it]", query_params=widgets.link(), icon=""
            )
    inside, attempt = st.tabs(["Documents", "Try a search"], key="show", on_change="rerun", bind="query-params")
    if inside.open:
        with inside:
            if writes:
                into = partial(_id_of, collection)
                most = widgets.size(coach.largest_upload())
                _uploads.drop(f"Add documents ({_uploads.KINDS}; at most {most} each)", f"add_{collection.id}", into)
            look = LOOK if _uploads.busy(coach, actor, collection.id) else None
            st.fragment(_documents, run_every=look, key="documents")(collection, writes)
    if attempt.open:
        with attempt:
            _search.draw(coach, actor, collection)


def _id_of(collection: Collection) -> UUID:
    return collection.id


# -- documents --------------------------------------------------------------------------------------


def _documents(collection: Collection, writes: bool) -> None:
    """Files on their way, how far meaning is, and the table; looks again while something goes on."""
    with shared.guard():
        coach, actor = shared.coach(), shared.actor()
        _inside(coach, actor, collection, writes)
        _uploads.refresh(coach, actor)


def _inside(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    _uploads.progress(coach, actor, collection.id)
    documents = coach.documents(actor, collection.id)
    _meaning(sum(d.embedded for d in documents), sum(d.chunks for d in documents))
    if not documents:
        say = "Drop files above; each is read at once." if writes else "An admin has not added any yet."
        with widgets.empty(":material/draft:", "No documents in this collection", say):
            pass
        return
    bar = st.container(horizontal=True, vertical_alignment="center")
    picked = _table(documents)
    with bar:
        _actions(picked, writes, len(documents))


def _meaning(done: int, total: int) -> None:
    share, sentence = _search_models.said(shared.coach().embedding_state(shared.actor()), done, total)
    if share is not None:
        st.progress(share, sentence)
    elif sentence:
        st.caption(sentence)


def _table(documents: Sequence[Document]) -> list[Document]:
    rows = [
        {
            "Document": d.title or d.name,
            "Passages": d.chunks,
            "By meaning": round(100 * d.embedded / d.chunks) if d.chunks else 0,
            "Size": widgets.size(d.size),
            "Added": d.created_at,
            "Added by": d.added_by,
            "File": "" if d.title in ("", d.name) else d.name,
            "Language": d.language,
            "Pages": d.pages,
        }
        for d in documents
    ]
    columns = {
        "Document": st.column_config.ButtonColumn(type="tertiary", alignment="left", width=230, key=BUTTON),
        "Passages": st.column_config.NumberColumn(width=70, format="localized"),
        "By meaning": st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100, width=90),
        "Language": st.column_config.TextColumn(width=70),
        "Size": st.column_config.TextColumn(width=75),
        "Added": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm", timezone=str(shared.zone()), width=130),
        "Added by": st.column_config.TextColumn(width=85),
        "File": st.column_config.TextColumn(width=150),
        "Pages": st.column_config.NumberColumn(width=60),
    }
    frame = pd.DataFrame(rows)
    frame["Pages"] = frame["Pages"].astype("Int64")
    if all(d.pages is None for d in documents):
        del frame["Pages"]
    if not any(row["File"] for row in rows):
        del frame["File"]
    state = st.dataframe(
        frame, hide_index=True, height="content" if len(rows) <= 15 else 560, on_select="rerun", placeholder="",
        selection_mode="multi-row", column_config=columns, key=_key(documents), alt="Documents",
    )  # fmt: skip
    click = st.session_state.get(BUTTON)
    if click is not None:
        _ask_for("preview", [documents[click["row"]]])
    return [documents[row] for row in state.selection.rows if row < len(documents)]


def _ask_for(what: str, documents: Sequence[Document]) -> None:
    """Ask for a dialog from within the fragment; it is opened by the page."""
    _dialog.ask("knowledge", what, list(documents))
    st.rerun(scope="app")


def _key(documents: Sequence[Document]) -> str:
    """Another set of rows is another table: a tick must never move on to another document."""
    return f"documents_{zlib.crc32(b''.join(d.id.bytes for d in documents)):08x}"


def _actions(picked: Sequence[Document], writes: bool, total: int) -> None:
    say = f"**{len(picked)} selected**" if picked else f":gray[{widgets.count(total, 'document')}]"
    st.markdown(say, width="stretch")
    for what, icon, most in (
        ("Preview", ":material/visibility:", 1),
        ("Replace", ":material/sync:", 1),
        ("Delete", ":material/delete:", len(picked)),
    ):
        fits = bool(picked) and len(picked) <= most
        if (writes or what == "Preview") and st.button(what, icon=icon, disabled=not fits, key=f"do_{what}"):
            _ask_for(what.lower(), picked)


@st.dialog("Document", width="medium", position="right", icon=":material/description:", on_dismiss=_dialog.forget)
def _preview(coach: Coach, actor: Actor, documents: Sequence[Document]) -> None:
    document = documents[0]
    with shared.guard():
        st.subheader(marks.plain(document.title or document.name), anchor=False)
        facts = [
            document.name,
            widgets.size(document.size),
            widgets.count(document.chunks, "passage"),
            document.language,
        ]
        st.caption(" \u00b7 ".join(marks.plain(f) for f in facts if f))
        stored, data = coach.document_file(actor, document.id)
        st.download_button(
            "Download", data, stored.name, stored.media_type, icon=":material/download:", on_click="ignore"
        )
        if stored.media_type != "application/pdf":
            _text(coach, actor, document)
            return
        text, original = st.tabs(["Text", "PDF"], key="preview_as", on_change="rerun")
        with text:
            _text(coach, actor, document)
        if original.open:
            with original:
                st.pdf(data, height=720, alt=document.name)


def _text(coach: Coach, actor: Actor, document: Document) -> None:
    """The text as it was read, one page or section at a time."""
    text, places = coach.document_text(actor, document.id)
    if not places:
        st.markdown(marks.plain(text))
        return
    numbers = range(len(places))
    at = st.selectbox("Page or section", numbers, format_func=lambda i: _place(places[i][0], i), key="place")
    _, start, end = places[at or 0]
    with st.container(border=True):
        st.markdown(marks.plain(text[start:end].strip()) or ":gray[no text here]")


def _place(name: str | int, index: int) -> str:
    return f"Page {name}" if str(name).isdigit() else str(name) or f"Part {index + 1}"


@st.dialog("Replace document", icon=":material/sync:", on_dismiss=_dialog.forget)
def _replace(coach: Coach, actor: Actor, documents: Sequence[Document]) -> None:
    document = documents[0]
    st.markdown(
        f"The new file takes the place of **{marks.plain(document.title or document.name)}**. "
        "Answers that cite the old one keep their passages."
    )
    given = st.file_uploader("New file", key="replacement", label_visibility="collapsed")
    if st.button("Replace", type="primary", disabled=given is None, key="really_replace") and given is not None:
        with shared.guard():
            coach.upload(actor, document.collection_id, given.name, given.getvalue(), document.id)
            _dialog.close()


@st.dialog("Delete documents", icon=":material/delete:", on_dismiss=_dialog.forget)
def _delete(coach: Coach, actor: Actor, documents: Sequence[Document]) -> None:
    passages = widgets.count(sum(d.chunks for d in documents), "passage")
    st.markdown(f"This takes **{widgets.count(len(documents), 'document')}** with **{passages}** away for good:")
    st.markdown("\n".join(f"- {marks.plain(d.title or d.name)}" for d in documents[:8]))
    if len(documents) > 8:
        st.caption(f"and {len(documents) - 8} more")
    st.caption("Passages that answers cite stay with those answers.")
    if _dialog.buttons("Delete", "really_delete"):
        with shared.guard():
            for document in documents:
                coach.delete_document(actor, document.id)
            _undo.offer("knowledge", f"{widgets.count(len(documents), 'document')} deleted.")
            _dialog.close()


# -- collections ------------------------------------------------------------------------------------


@st.dialog("New collection", icon=":material/create_new_folder:", on_dismiss=_dialog.forget)
def _create(coach: Coach, actor: Actor) -> None:
    with st.form("collection", border=False):
        name = st.text_input("Name", key="collection_name")  # one that is too long is told, not cut
        description = st.text_area("What is in it (optional)", max_chars=500, height=80)
        licence = st.text_input(
            "Licence (optional)", max_chars=200, placeholder="CC BY 4.0, our own, ...", key="collection_licence"
        )
        if st.form_submit_button("Create", type="primary"):
            with shared.guard():
                if not name.strip():
                    raise InputError("The collection has no name. Give it one.")
                made = coach.create_collection(actor, name.strip(), description.strip(), licence.strip())
                st.session_state[NEXT] = made.name
                _dialog.close()


@st.dialog("Delete collection", icon=":material/delete:", on_dismiss=_dialog.forget)
def _delete_collection(coach: Coach, actor: Actor, collection: Collection, readers: Sequence[Persona]) -> None:
    st.markdown(
        f"**{marks.plain(collection.name)}** goes for good, with **{widgets.count(collection.documents, 'document')}** "
        f"and **{widgets.count(collection.chunks, 'passage')}**."
    )
    if readers:
        names = ", ".join(marks.plain(r.name) for r in readers)
        st.warning(f"{names} will answer without it.", icon=":material/warning:")
    st.caption("Passages that answers cite stay with those answers.")
    sure = st.checkbox("Yes, all of it") if collection.documents else True
    if _dialog.buttons("Delete", "really_delete_collection", disabled=not sure):
        with shared.guard():
            coach.delete_collection(actor, collection.id)
            _undo.offer("knowledge", f"{marks.plain(collection.name)} deleted.")
            _dialog.close()


DIALOGS = {
    "create": _create,
    "delete_collection": _delete_collection,
    "preview": _preview,
    "replace": _replace,
    "delete": _delete,
}

page()
