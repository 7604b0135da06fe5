"""Threads: find a conversation by its words, or by who, when and what answered; tidy up without losing.

Invariant: nothing done here is final: archiving and deleting are undone from the line that says so, and
later from the views of archived and deleted threads.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pandas as pd
import streamlit as st

from coach_core.access import require
from coach_core.types import Actor, ThreadHit, ThreadQuery
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _export, _thread_clients, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

A_PAGE = 25
ANY_PERSONA, ANY_BACKEND, ANY_TIME, CHOOSE = "Any persona", "Any backend", "Any time", "Choose dates"
SPANS: dict[str, int] = {"Today": 1, "Last 7 days": 7, "Last 30 days": 30, "Last 12 months": 365}
VIEWS = ("Open", "Archived", "Deleted")
ICONS = {"Open": ":material/forum:", "Archived": ":material/archive:", "Deleted": ":material/delete:"}


def page() -> None:
    with st.container(width=widgets.WIDE), shared.guard():
        st.title("Threads")
        coach, actor = shared.coach(), shared.actor()
        require(actor, "threads")
        _undo.draw("threads")
        forms = {"delete": _delete, "rename": _rename} | _thread_clients.DIALOGS
        _dialog.draw("threads", forms, coach, actor)
        clients = _thread_clients.names(coach, actor)
        view, query = _ask(coach, actor, clients)
        hits, total = coach.threads(actor, query)
        if total and not hits:  # the page in the link lies behind the last one
            hits, total = coach.threads(actor, _at(query, 0))
        if not hits:
            _nothing(view, query)
            return
        bar = st.container(horizontal=True, vertical_alignment="center", key="threads_bar")
        picked = _found(hits, clients) if query.text else _table(hits, widgets.backend_labels(coach, actor), clients)
        _foot(total)
        with bar:
            _actions(coach, actor, view, picked, clients)


def _ask(coach: Coach, actor: Actor, clients: Mapping[UUID, str]) -> tuple[str, ThreadQuery]:
    """Search and filters, all of them kept in the link."""
    text = st.text_input(
        "Search in what was said",
        key="find",
        type="search",
        live="300ms",
        bind="query-params",
        placeholder="Search in what was said",
        label_visibility="collapsed",
        icon=":material/search:",
    )
    personas = {p.name: p.id for p in coach.personas(actor)}
    backends = {b.label: b.name for b in coach.backends(actor)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control(
            "View",
            VIEWS,
            default="Open",
            required=True,
            key="view",
            bind="query-params",
            label_visibility="collapsed",
        )
        persona = _choice("Persona", [ANY_PERSONA, *personas], "with")
        about = {name: i for i, name in clients.items()}
        client = _choice("Client", [_thread_clients.ANY, *about], "about") if about else ""
        backend = _choice("Backend", [ANY_BACKEND, *backends], "by")
        when = _choice("When", [ANY_TIME, *SPANS, CHOOSE], "when")
        since, until = _between(when)
    number = int(st.session_state.get("page", 1))
    return view, ThreadQuery(
        text=text or "",
        persona_id=personas.get(persona),
        client_id=about.get(client),
        backend=backends.get(backend, ""),
        since=since,
        until=until,
        archived=view == "Archived",
        deleted=view == "Deleted",
        limit=A_PAGE,
        offset=(number - 1) * A_PAGE,
    )


def _choice(label: str, options: Sequence[str], key: str) -> str:
    return st.selectbox(label, options, key=key, bind="query-params", label_visibility="collapsed", width=150)


def _between(when: str) -> tuple[datetime | None, datetime | None]:
    """The days meant, as moments: whole days of the viewer's zone."""
    zone = shared.zone()
    if when in SPANS:
        today = datetime.combine(datetime.now(zone), time(), zone)
        return today - timedelta(days=SPANS[when] - 1), None
    if when != CHOOSE:
        return None, None
    days = st.date_input("Dates", (), key="dates", bind="query-params", label_visibility="collapsed", width=230)
    chosen = [datetime.combine(day, time(), zone) for day in days] if isinstance(days, tuple) else []
    return (chosen[0] if chosen else None), (chosen[1] + timedelta(days=1) if len(chosen) > 1 else None)


def _at(query: ThreadQuery, offset: int) -> ThreadQuery:
    st.session_state.pop("page", None)
    return ThreadQuery(**{f: getattr(query, f) for f in ThreadQuery.__dataclass_fields__} | {"offset": offset})


def _nothing(view: str, query: ThreadQuery) -> None:
    narrowed = query.text or query.persona_id or query.client_id or query.backend or query.since or query.until
    if narrowed:
        with widgets.empty(":material/search_off:", "No thread fits this search", "Try fewer words or another time."):
            st.button("Clear search and filters", on_click=_clear)
    elif view == "Open":
        say = "Every conversation you have is kept here."
        with widgets.empty(":material/forum:", "No threads yet", say):
            st.page_link(widgets.page("chat"), label="Ask your first question", icon=":material/add:")
    else:
        what = "Archive a thread to take it off the list without losing it."
        gone = "A thread you delete waits here and can be brought back."
        say = what if view == "Archived" else gone
        with widgets.empty(ICONS[view], f"No {view.lower()} threads", say):
            pass


def _clear() -> None:
    st.session_state.update(
        {"find": "", "with": ANY_PERSONA, "by": ANY_BACKEND, "when": ANY_TIME, "about": _thread_clients.ANY}
    )
    st.session_state.pop("page", None)


def _table(hits: Sequence[ThreadHit], backends: Mapping[str, str], clients: Mapping[UUID, str]) -> list[ThreadHit]:
    """The threads as a table; the rows ticked are returned, a click on a title opens it."""
    cared = shared.coach().with_referrals(shared.actor(), [h.thread.id for h in hits])
    rows = [
        {
            "Title": _title(h),
            **({"Client": _client(h, clients)} if clients else {}),
            "Persona": h.persona_name,
            "Last activity": h.thread.updated_at,
            "Messages": h.messages,
            "Backend": backends.get(h.last_backend, h.last_backend),
            "Marks": _marks(h, h.thread.id in cared),
        }
        for h in hits
    ]
    zone = str(shared.zone())
    columns: dict[str, Any] = {
        "Title": st.column_config.ButtonColumn(type="tertiary", alignment="left", width=330, key="threads_open"),
        "Last activity": st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm", timezone=zone),
        "Messages": st.column_config.NumberColumn(width="small"),
    }
    # Another set of rows is another table: a tick must never move on to the thread that took the row.
    key = f"threads_{zlib.crc32(b''.join(h.thread.id.bytes for h in hits)):08x}"
    state = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        on_select="rerun",
        selection_mode="multi-row",
        column_config=columns,
        key=key,
        alt="Threads",
    )
    click = st.session_state.get("threads_open")
    if click is not None:
        _open(hits[click["row"]])
    return [hits[row] for row in state.selection.rows if row < len(hits)]


def _client(hit: ThreadHit, clients: Mapping[UUID, str]) -> str:
    return clients.get(hit.thread.client_id, "") if hit.thread.client_id else ""


def _found(hits: Sequence[ThreadHit], clients: Mapping[UUID, str]) -> list[ThreadHit]:
    """What a search found: each thread with the words in the sentence where they were said."""
    picked: list[ThreadHit] = []
    for hit in hits:
        with st.container(horizontal=True, wrap=False, gap="small", key=f"hit_{hit.thread.id}"):
            if st.checkbox(f"Select {_title(hit)}", key=f"tick_{hit.thread.id}", label_visibility="collapsed"):
                picked.append(hit)
            with st.container(gap="xxsmall"):
                st.page_link(
                    widgets.page("chat"),
                    label=f"**{marks.plain(_title(hit))}**",
                    icon="",
                    help=shared.exact(hit.thread.updated_at),
                    query_params=_link(hit),
                )
                st.markdown(marks.found(hit.snippet))
                about = _client(hit, clients)
                facts = [
                    about,
                    hit.persona_name,
                    widgets.count(hit.messages, "message"),
                    shared.when(hit.thread.updated_at),
                ]
                st.caption(" \u00b7 ".join(marks.plain(f) for f in (*facts, _marks(hit)) if f))
    return picked


def _foot(total: int) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(widgets.count(total, "thread"), width="content")
        if total > A_PAGE:
            st.pagination(-(-total // A_PAGE), key="page", bind="query-params")


def _actions(coach: Coach, actor: Actor, view: str, picked: Sequence[ThreadHit], clients: Mapping[UUID, str]) -> None:
    none, one = not picked, picked[0] if len(picked) == 1 else None
    st.markdown(f"**{len(picked)} selected**" if picked else ":gray[Tick threads to act on them]", width="stretch")
    if view == "Deleted":
        act = partial(_move, coach, actor, "brought back", picked, coach.undelete_threads, coach.delete_threads)
        st.button("Bring back", icon=":material/restore_from_trash:", disabled=none, on_click=act)
        return
    st.button(
        "Rename", icon=":material/edit:", disabled=one is None, on_click=_dialog.ask, args=("threads", "rename", one)
    )
    _thread_clients.button(clients, picked)
    if view == "Archived":
        act = partial(_move, coach, actor, "taken out of the archive", picked, coach.unarchive, coach.archive)
        st.button("Unarchive", icon=":material/unarchive:", disabled=none, on_click=act)
    else:
        act = partial(_move, coach, actor, "archived", picked, coach.archive, coach.unarchive)
        st.button("Archive", icon=":material/archive:", disabled=none, on_click=act)
    with st.popover("Export", icon=":material/download:", disabled=none):
        for label, form in (("Markdown", "markdown"), ("JSON", "json")) if picked else ():
            file = _export.File(coach, actor, picked, form)
            st.download_button(
                label, file.read, file.name, file.mime, key=f"export_{form}", on_click="ignore", width="stretch"
            )
    st.button(
        "Delete", icon=":material/delete:", disabled=none, on_click=_dialog.ask, args=("threads", "delete", picked)
    )


def _move(coach: Coach, actor: Actor, did: str, hits: Sequence[ThreadHit], there: Any, back: Any) -> None:
    ids = [h.thread.id for h in hits]
    with shared.guard():
        there(actor, ids)
        what = f"\u201c{marks.plain(_title(hits[0]))}\u201d" if len(hits) == 1 else widgets.count(len(hits), "thread")
        _undo.offer("threads", f"{what} {did}.", partial(back, actor, ids))


@st.dialog("Delete threads", icon=":material/delete:", on_dismiss=_dialog.forget)
def _delete(coach: Coach, actor: Actor, hits: Sequence[ThreadHit]) -> None:
    said = widgets.count(sum(h.messages for h in hits), "message")
    st.markdown(f"This takes away **{widgets.count(len(hits), 'thread')}** with **{said}**:")
    st.markdown("\n".join(f"- {marks.plain(_title(h))}" for h in hits[:8]))
    if len(hits) > 8:
        st.caption(f"and {len(hits) - 8} more")
    st.caption("You can undo it at once, or later under Deleted.")
    if _dialog.buttons("Delete", "really_delete"):
        _move(coach, actor, "deleted", hits, coach.delete_threads, coach.undelete_threads)
        _dialog.close()


@st.dialog("Rename thread", icon=":material/edit:", on_dismiss=_dialog.forget)
def _rename(coach: Coach, actor: Actor, hit: ThreadHit) -> None:
    with st.form("rename", border=False):
        title = st.text_input("Title", hit.thread.title, max_chars=200, key="new_title")
        if st.form_submit_button("Save", type="primary"):
            with shared.guard():
                coach.rename(actor, hit.thread.id, title.strip())
                _dialog.close()


def _open(hit: ThreadHit) -> None:
    st.switch_page(widgets.page("chat"), query_params=_link(hit))


def _link(hit: ThreadHit) -> dict[str, str]:
    found = {"message": str(hit.message_id)} if hit.message_id else {}
    return widgets.link(thread=str(hit.thread.id), **found)


def _title(hit: ThreadHit) -> str:
    return hit.thread.title or "Untitled"


def _marks(hit: ThreadHit, cared: bool = False) -> str:
    own = [("help lines", cared), ("interrupted", hit.interrupted), ("imported", bool(hit.thread.external_id))]
    return ", ".join(name for name, is_so in own if is_so)


page()
