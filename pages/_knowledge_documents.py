"""The documents of a collection: the table, what can be done with the ticked ones, one opened beside it.

Invariant: a tick belongs to a document, never to a place in the table; a deleted document can be brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pandas as pd
import streamlit as st

from coach_core.types import Actor, Collection, Document, DocumentPage, DocumentSort, DocumentUse
from coach_core.ui import marks, pdf_page, shared, widgets
from pages import _dialog, _search_models, _undo, _uploads
from pages._ticks import Ticks, forget

if TYPE_CHECKING:
    from coach_core.coach import Coach

Use = DocumentUse | None
MANY = 8  # documents beyond which there is a field to filter them by
A_PAGE = 50
_TALL = 15  # rows beyond which the table scrolls
SORTS: dict[str, DocumentSort] = {
    "Newest first": "newest", "Oldest first": "oldest", "By name": "name", "Most cited": "most_cited",
    "Least cited": "least_cited", "Last used": "last_used",
}  # fmt: skip


def draw(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    _uploads.progress(coach, actor, collection.id)
    figures = coach.figures(actor, collection.id)
    _meaning(figures.embedded, figures.chunks)
    if not figures.documents:
        say = "Drop files above; each is read at once." if writes else "An admin has not added any yet."
        with widgets.empty(":material/draft:", "No documents in this collection", say):
            pass
        return
    head = st.container(horizontal=True, vertical_alignment="center")
    bar = st.container(horizontal=True, vertical_alignment="center")
    with head if figures.documents > MANY else bar:
        find, sort = _narrowed(figures.documents)
    ticks = Ticks("documents", collection.id)
    get = partial(coach.documents_page, actor, collection.id, find=find, sort=sort)
    shown = paged(get, "page", lambda rows: ticks.table(rows[0], partial(_table, *rows)))
    with bar:
        every = partial(coach.document_ids, actor, collection.id, find=find)
        actions(ticks, writes, _counted(shown.total, figures.documents), shown, every)


def _meaning(done: int, total: int) -> None:
    share, sentence = _search_models.said(shared.coach().embedding_state(shared.actor()), done, total)
    if share is not None:
        st.progress(share, sentence)
    elif sentence:
        st.caption(sentence)


def _narrowed(documents: int) -> tuple[str, DocumentSort]:
    """(words of the name, the order), where there are many."""
    if documents <= MANY:
        return "", "newest"
    typed = st.text_input(
        "Filter", key="filter", type="search", icon=":material/filter_list:", placeholder="Filter by name",
        label_visibility="collapsed", width=260, bind="query-params", on_change=first_page,
    )  # fmt: skip
    order = st.selectbox(
        "Order", list(SORTS), key="sort", label_visibility="collapsed", width=160, bind="query-params",
        on_change=first_page,
    )  # fmt: skip
    return typed or "", SORTS[order]


def _counted(fit: int, documents: int) -> str:
    if fit == documents:
        return widgets.count(documents, "document")
    return f"{fit:,} of {widgets.count(documents, 'document')}"


# -- a table of many pages ----------------------------------------------------------------------------


def first_page(key: str = "page") -> None:
    if st.session_state.get(key, 1) != 1:
        st.session_state[key] = 1


def paged(
    get: Callable[..., DocumentPage], key: str, draw: Callable[[tuple[list[Document], list[Use]]], None]
) -> DocumentPage:
    """Draw the page of a table that the link names, and below it the way to the others; what is on it."""
    body, foot = st.container(), st.container()
    number = _number(key)
    shown = get(limit=A_PAGE, offset=(number - 1) * A_PAGE)
    pages = -(-shown.total // A_PAGE)
    if pages > 1:
        with foot:
            chosen = st.pagination(pages, key=key, bind="query-params", width="stretch")
        if chosen != number:
            shown = get(limit=A_PAGE, offset=(chosen - 1) * A_PAGE)
    elif shown.total and not shown.rows:
        shown = get(limit=A_PAGE, offset=0)
    if shown.rows:
        with body:
            draw(([d for d, _ in shown.rows], [u for _, u in shown.rows]))
    return shown


def _number(key: str) -> int:
    """The page that is looked at, before its widget is drawn."""
    told = str(st.session_state.get(key) or st.query_params.get(key, ""))
    return max(1, int(told)) if told.isascii() and told.isdigit() and len(told) < 7 else 1


def _table(documents: Sequence[Document], uses: Sequence[Use], **ticks: Any) -> Any:
    frame = pd.DataFrame([_row(d, u) for d, u in zip(documents, uses, strict=True)])
    frame["Pages"] = frame["Pages"].astype("Int64")
    frame["Last used"] = pd.to_datetime(frame["Last used"], utc=True)
    for name, empty in (
        ("Pages", all(d.pages is None for d in documents)),
        ("File", all(d.title in ("", d.name) for d in documents)),
    ):
        if empty:
            del frame[name]
    return table(frame, documents, "documents", **ticks)


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


def table(frame: pd.DataFrame, documents: Sequence[Document], name: str, **ticks: Any) -> Any:
    """A table of documents, a row each, that opens one by its name; what is ticked."""
    state = st.dataframe(
        frame, hide_index=True, height="content" if len(documents) <= _TALL else 560, on_select="rerun",
        placeholder="", selection_mode="multi-row", column_config=_columns(f"{name}_open"), alt="Documents", **ticks,
    )  # fmt: skip
    click = st.session_state.get(f"{name}_open")
    if click is not None and click["row"] < len(documents):
        _ask_for("preview", [documents[click["row"]].id])
    return state


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


def _ask_for(what: str, ids: Sequence[UUID]) -> None:
    """Ask for a dialog from within the fragment; it is opened by the page."""
    _dialog.ask("knowledge", what, list(ids))
    st.rerun(scope="app")


def actions(
    ticks: Ticks, writes: bool, count: str, shown: DocumentPage, every: Callable[[], Sequence[UUID]], prefix: str = "do"
) -> None:
    """What can be done with the ticked ones; with all that fit, where a page does not show them all."""
    picked = ticks.ids
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{len(picked):,} selected**" if picked else f":gray[{count}]", width="content")
        if picked and shown.total > len(shown.rows) and len(picked) < shown.total:
            say = f"Select all {shown.total:,}"
            st.button(say, type="tertiary", key=f"{prefix}_all", on_click=lambda: ticks.set(every()))
        if len(picked) > 1:
            st.button("Clear", type="tertiary", key=f"{prefix}_none", on_click=lambda: ticks.set(()))
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
def _preview(coach: Coach, actor: Actor, ids: Sequence[UUID]) -> None:
    documents = coach.documents_of(actor, ids)
    if not documents:
        _gone()
        return
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
def _replace(coach: Coach, actor: Actor, ids: Sequence[UUID]) -> None:
    documents = coach.documents_of(actor, ids)
    if not documents:
        _gone()
        return
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
def _delete(coach: Coach, actor: Actor, ids: Sequence[UUID]) -> None:
    documents = coach.documents_of(actor, ids)
    if not documents:
        _gone()
        return
    passages = widgets.count(sum(d.chunks for d in documents), "passage")
    st.markdown(
        f"This takes **{widgets.count(len(documents), 'document')}** with **{passages}** out of every search at once:"
    )
    st.markdown("\n".join(f"- {marks.plain(d.title or d.name)}" for d in documents[:8]))
    if len(documents) > 8:
        st.caption(f"and {len(documents) - 8:,} more")
    st.caption("They can be brought back for 14 days. Passages that answers cite stay with those answers.")
    if _dialog.buttons("Delete", "really_delete"):
        with shared.guard():
            count = coach.delete_documents(actor, [d.id for d in documents])
            said = f"{widgets.count(count, 'document')} deleted."
            _undo.offer("knowledge", said, partial(_back, [d.id for d in documents]))
            forget()
            _dialog.close()


def _back(ids: Sequence[UUID]) -> None:
    with st.spinner(f"Bringing {widgets.count(len(ids), 'document')} back"):
        shared.coach().bring_back(shared.actor(), *ids)


def _gone() -> None:
    st.markdown("It is not there any more: somebody deleted or moved it meanwhile.")
    if st.button("Close", key="gone_close"):
        _dialog.close()


@st.dialog("Move or copy documents", icon=":material/drive_file_move:", on_dismiss=_dialog.forget)
def _move(coach: Coach, actor: Actor, ids: Sequence[UUID]) -> None:
    documents = coach.documents_of(actor, ids)
    if not documents:
        _gone()
        return
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
            placed = _placed(coach, actor, documents, target, keep)
            done = "copied" if keep else "moved"
            said = f"{widgets.count(len(documents), 'document')} {done} to {marks.plain(names[target])}."
            undo = partial(_take_away, placed) if keep else partial(_put_back, before)
            _undo.offer("knowledge", said, undo)
            forget()
            _dialog.close()


def _placed(coach: Coach, actor: Actor, documents: Sequence[Document], target: UUID, copy: bool) -> list[UUID]:
    """Move or copy them one after the other; of many it says how far it is."""
    bar = st.progress(0.0) if len(documents) > MANY else None
    placed: list[UUID] = []
    for number, document in enumerate(documents, 1):
        placed.append(coach.place_document(actor, document.id, target, copy=copy).id)
        if bar is not None:
            bar.progress(number / len(documents), f"{number:,} of {widgets.count(len(documents), 'document')}")
    return placed


def _put_back(before: Mapping[UUID, UUID]) -> None:
    for document_id, collection_id in before.items():
        shared.coach().place_document(shared.actor(), document_id, collection_id)


def _take_away(ids: Sequence[UUID]) -> None:
    shared.coach().delete_documents(shared.actor(), ids)


DIALOGS = {"preview": _preview, "replace": _replace, "move": _move, "delete": _delete}
