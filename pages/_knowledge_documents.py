"""The documents of a collection: the table, what can be done with the ticked ones, one opened beside it.

Invariant: a tick belongs to a document, never to a place in the table; a deleted document can be brought back.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pandas as pd
import streamlit as st

from coach_core.types import Actor, Collection, Document, DocumentUse
from coach_core.ui import marks, pdf_page, shared, widgets
from pages import _dialog, _search_models, _undo, _uploads

if TYPE_CHECKING:
    from coach_core.coach import Coach

BUTTON = "documents_open"
MANY = 8  # documents beyond which there is a field to filter them by
_TALL = 15  # rows beyond which the table scrolls


def draw(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    _uploads.progress(coach, actor, collection.id)
    documents = coach.documents(actor, collection.id)
    _meaning(sum(d.embedded for d in documents), sum(d.chunks for d in documents))
    if not documents:
        say = "Drop files above; each is read at once." if writes else "An admin has not added any yet."
        with widgets.empty(":material/draft:", "No documents in this collection", say):
            pass
        return
    bar = st.container(horizontal=True, vertical_alignment="center")
    with bar:
        shown = _filtered(documents)
    picked = _table(shown, coach.document_uses(actor, collection.id)) if shown else []
    with bar:
        actions(picked, writes, _counted(shown, documents))


def _meaning(done: int, total: int) -> None:
    share, sentence = _search_models.said(shared.coach().embedding_state(shared.actor()), done, total)
    if share is not None:
        st.progress(share, sentence)
    elif sentence:
        st.caption(sentence)


def _filtered(documents: Sequence[Document]) -> Sequence[Document]:
    """Those whose title or file name holds every word typed; of few documents all."""
    if len(documents) <= MANY:
        return documents
    typed = st.text_input(
        "Filter", key="filter", type="search", icon=":material/filter_list:", placeholder="Filter by name",
        label_visibility="collapsed", width=220,
    )  # fmt: skip
    wanted = (typed or "").casefold().split()
    return [d for d in documents if all(w in f"{d.title} {d.name}".casefold() for w in wanted)]


def _counted(shown: Sequence[Document], documents: Sequence[Document]) -> str:
    if len(shown) == len(documents):
        return widgets.count(len(documents), "document")
    return f"{len(shown):,} of {widgets.count(len(documents), 'document')}"


def _table(documents: Sequence[Document], uses: Mapping[UUID, DocumentUse]) -> list[Document]:
    frame = pd.DataFrame([_row(d, uses.get(d.id)) for d in documents])
    frame["Pages"] = frame["Pages"].astype("Int64")
    frame["Last used"] = pd.to_datetime(frame["Last used"], utc=True)
    for name, empty in (
        ("Pages", all(d.pages is None for d in documents)),
        ("File", all(d.title in ("", d.name) for d in documents)),
    ):
        if empty:
            del frame[name]
    return pick(frame, documents, "documents")


def _row(document: Document, use: DocumentUse | None) -> dict[str, Any]:
    d = document
    return {
        "Document": d.title or d.name,
        "Passages": d.chunks,
        "By meaning": round(100 * d.embedded / d.chunks) if d.chunks else 0,
        "Cited": use.cited if use else 0,
        "Size": widgets.size(d.size),
        "Added by": d.added_by,
        "Last used": use.last_at if use else None,
        "Added": d.created_at,
        "File": "" if d.title in ("", d.name) else d.name,
        "Language": d.language,
        "Pages": d.pages,
    }


def pick(frame: pd.DataFrame, documents: Sequence[Document], key: str) -> list[Document]:
    """A table of documents, a row each, that opens one by its name; those that are ticked."""
    state = st.dataframe(
        frame, hide_index=True, height="content" if len(documents) <= _TALL else 560, on_select="rerun",
        placeholder="", selection_mode="multi-row", column_config=_columns(f"{key}_open"),
        key=_key(key, documents), alt="Documents",
    )  # fmt: skip
    click = st.session_state.get(f"{key}_open")
    if click is not None:
        _ask_for("preview", [documents[click["row"]]])
    return [documents[row] for row in state.selection.rows if row < len(documents)]


def _columns(button: str) -> dict[str, Any]:
    zone = str(shared.zone())
    return {
        "Document": st.column_config.ButtonColumn(type="tertiary", alignment="left", width=230, key=button),
        "Passages": st.column_config.NumberColumn(width=70, format="localized"),
        "By meaning": st.column_config.ProgressColumn(format="%d %%", min_value=0, max_value=100, width=90),
        "Cited": st.column_config.NumberColumn(
            width=60, format="localized", help="Answers that cited it. The tab Use has more."
        ),
        "Found": st.column_config.NumberColumn(
            width=60, format="localized", help="Answers that were given passages of it."
        ),
        "Last used": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm", timezone=zone, width=130),
        "Language": st.column_config.TextColumn(width=70),
        "Size": st.column_config.TextColumn(width=75),
        "Added": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm", timezone=zone, width=130),
        "Added by": st.column_config.TextColumn(width=85),
        "File": st.column_config.TextColumn(width=150),
        "Pages": st.column_config.NumberColumn(width=60),
    }


def _ask_for(what: str, documents: Sequence[Document]) -> None:
    """Ask for a dialog from within the fragment; it is opened by the page."""
    _dialog.ask("knowledge", what, list(documents))
    st.rerun(scope="app")


def _key(name: str, documents: Sequence[Document]) -> str:
    """Another set of rows is another table: a tick must never move on to another document."""
    return f"{name}_{zlib.crc32(b''.join(d.id.bytes for d in documents)):08x}"


def actions(picked: Sequence[Document], writes: bool, count: str, prefix: str = "do") -> None:
    """What can be done with the ticked ones."""
    st.markdown(f"**{len(picked):,} selected**" if picked else f":gray[{count}]", width="stretch")
    for what, icon, most in (
        ("Preview", ":material/visibility:", 1),
        ("Replace", ":material/sync:", 1),
        ("Move", ":material/drive_file_move:", len(picked)),
        ("Delete", ":material/delete:", len(picked)),
    ):
        fits = bool(picked) and len(picked) <= most
        if (writes or what == "Preview") and st.button(what, icon=icon, disabled=not fits, key=f"{prefix}_{what}"):
            _ask_for(what.lower(), picked)


# -- dialogs ------------------------------------------------------------------------------------------


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
        text, paged, original = st.tabs(["Text", "Page", "PDF"], key="preview_as", on_change="rerun")
        with text:
            _text(coach, actor, document)
        if paged.open:
            with paged:
                pdf_page.show(document.id, 1)
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
    st.markdown(
        f"This takes **{widgets.count(len(documents), 'document')}** with **{passages}** out of every search at once:"
    )
    st.markdown("\n".join(f"- {marks.plain(d.title or d.name)}" for d in documents[:8]))
    if len(documents) > 8:
        st.caption(f"and {len(documents) - 8} more")
    st.caption("They can be brought back for 14 days. Passages that answers cite stay with those answers.")
    if _dialog.buttons("Delete", "really_delete"):
        with shared.guard():
            for document in documents:
                coach.delete_document(actor, document.id)
            said = f"{widgets.count(len(documents), 'document')} deleted."
            _undo.offer("knowledge", said, partial(_back, [d.id for d in documents]))
            _dialog.close()


def _back(ids: Sequence[UUID]) -> None:
    for document_id in ids:
        shared.coach().bring_back(shared.actor(), document_id)


@st.dialog("Move or copy documents", icon=":material/drive_file_move:", on_dismiss=_dialog.forget)
def _move(coach: Coach, actor: Actor, documents: Sequence[Document]) -> None:
    others = [c for c in coach.collections(actor) if c.id != documents[0].collection_id]
    if not others:
        st.markdown("There is no other collection. Make one first.")
        return
    names = {c.id: c.name for c in others}
    st.markdown(f"**{widgets.count(len(documents), 'document')}**, with passages and meaning; nothing is read anew.")
    target = st.selectbox("Into", list(names), format_func=lambda i: names[i], key="move_into")
    keep = st.toggle("Keep them here too (copy)", key="move_copy")
    if _dialog.buttons("Copy" if keep else "Move", "really_move", no="Cancel") and target is not None:
        with shared.guard():
            before = {d.id: d.collection_id for d in documents}
            placed = [coach.place_document(actor, d.id, target, copy=keep).id for d in documents]
            done = "copied" if keep else "moved"
            said = f"{widgets.count(len(documents), 'document')} {done} to {marks.plain(names[target])}."
            undo = partial(_take_away, placed) if keep else partial(_put_back, before)
            _undo.offer("knowledge", said, undo)
            _dialog.close()


def _put_back(before: Mapping[UUID, UUID]) -> None:
    for document_id, collection_id in before.items():
        shared.coach().place_document(shared.actor(), document_id, collection_id)


def _take_away(ids: Sequence[UUID]) -> None:
    for document_id in ids:
        shared.coach().delete_document(shared.actor(), document_id)


DIALOGS = {"preview": _preview, "replace": _replace, "move": _move, "delete": _delete}
