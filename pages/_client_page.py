"""One page a person: what they want now, what waits for a yes, what happened, what comes next.

Invariant: everything shown is read anew from the Coach; what came from a message leads back to it.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import streamlit as st

from coach_core.errors import CoachError
from coach_core.types import Actor, Client, now
from coach_core.ui import marks, shared, widgets
from pages import (
    _client_brief,
    _client_goals,
    _client_memories,
    _client_profile,
    _client_timeline,
    _client_work,
    _dialog,
    _undo,
)

if TYPE_CHECKING:
    from coach_core.coach import Coach

NOW, MEMORIES, BRIEF = VIEWS = ("Now", "Memories", "Brief")
LOOK_EVERY = 5.0  # seconds
FORMS = {"markdown": ("Markdown", "md", "text/markdown"), "json": ("JSON", "json", "application/json")}


def open_(client: str, show: str = NOW) -> None:
    """Open a client's page at one of its views; for callbacks."""
    widgets.go(client=client, **({} if show == NOW else {"show": show}))


def ahead(moment: datetime) -> bool:
    return moment >= now()


def session(moment: datetime) -> str:
    """When a session is, in the viewer's zone."""
    return f"{shared.day(moment)}, {shared.local(moment):%H:%M}"


def draw(coach: Coach, actor: Actor, client: Client) -> None:
    st.button("All clients", icon=":material/arrow_back:", type="tertiary", on_click=widgets.go)
    if client.deleted_at is not None:
        _gone(client)
        return
    _head(coach, actor, client)
    _undo.draw("clients")
    forms = _client_profile.DIALOGS | _client_goals.DIALOGS | _client_work.DIALOGS | _client_memories.DIALOGS
    _dialog.draw("clients", forms, coach, actor)
    waiting = _client_memories.waiting(coach, actor, client.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        view = st.segmented_control(
            "View", VIEWS, default=NOW, required=True, key="show", bind="query-params", label_visibility="collapsed"
        )
        if waiting and view != MEMORIES:
            st.badge(f"{len(waiting):,} to approve", icon=":material/how_to_reg:", color="orange")
    if view == MEMORIES:
        _client_memories.draw(coach, actor, client.id, waiting)
    elif view == BRIEF:
        _client_brief.draw(coach, actor, client)
    else:
        left, right = st.columns([3, 2], gap="large")
        with left:
            _client_memories.queue(coach, actor, client.id, waiting, partial(open_, str(client.id), MEMORIES))
            _client_goals.draw(coach, actor, client.id)
            _client_timeline.draw(coach, actor, client.id)
        with right:
            _about(client)
            _client_work.homework(coach, actor, client.id)
            _client_work.notes(coach, actor, client.id)
            _client_work.threads(coach, actor, client.id)
    _look(client.id, len(waiting))


@st.fragment(run_every=LOOK_EVERY)
def _look(client_id: UUID, waiting: int) -> None:
    """Show what a thread that has just ended proposes; never while a dialog is open."""
    if _dialog.ASKED in st.session_state:
        return
    try:
        there = shared.coach().pending_count(shared.actor()).get(client_id, 0)
    except CoachError:
        return
    if there != waiting:
        st.rerun()


def _head(coach: Coach, actor: Actor, client: Client) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(marks.plain(client.name), width="stretch")
        st.button(
            f"New thread about {marks.plain(client.name.split()[0])}", type="primary", icon=":material/edit_square:",
            key="new_thread", on_click=_chat, args=(client,),
        )  # fmt: skip
        with st.popover("More", icon=":material/more_horiz:", type="tertiary", help="Edit, export, delete"):
            ask: dict[str, Any] = {"on_click": _dialog.ask, "type": "tertiary"}
            st.button("Edit", icon=":material/edit:", args=("clients", "edit", client), key="edit_client", **ask)
            for form, (label, ending, mime) in FORMS.items():
                st.download_button(
                    f"Export as {label}", partial(coach.export_client, actor, client.id, form),
                    f"{client.name}.{ending}", mime, icon=":material/download:", type="tertiary", on_click="ignore",
                )  # fmt: skip
            st.button(
                "Delete", icon=":material/delete:", args=("clients", "delete", client), key="delete_client", **ask
            )
    if st.session_state.pop("_to_chat", None) == client.id:
        st.switch_page(widgets.page("chat"), query_params=widgets.link(client=str(client.id)))


def _chat(client: Client) -> None:
    """Lead on to an empty thread about them; a page can only be switched while it is drawn."""
    st.session_state.pop("_thread_id", None)
    st.session_state["_to_chat"] = client.id


def _about(client: Client) -> None:
    draft = client.draft
    lines: list[tuple[str, str]] = []
    if draft.next_session:
        label = "Next session" if ahead(draft.next_session) else "Session was planned for"
        lines.append((label, session(draft.next_session)))
    lines += [("Style", draft.style)] if draft.style else []
    lines += [("Values", ", ".join(draft.values))] if draft.values else []
    lines += [("To be respected", ", ".join(draft.constraints))] if draft.constraints else []
    lines.append(("Memory", _client_profile.MODES[draft.memory_mode][0].lower()))
    with st.container(border=True, gap="xsmall", key="about"):
        st.markdown("  \n".join(f":gray[{label}:] {marks.plain(text)}" for label, text in lines))
        if draft.next_session is None:
            st.button(
                "Set the next session", icon=":material/event:", type="tertiary", key="set_session",
                on_click=_dialog.ask, args=("clients", "edit", client),
            )  # fmt: skip


def _gone(client: Client) -> None:
    _undo.draw("clients")
    say = "Nothing of them comes to mind in any answer."
    with widgets.empty(":material/delete:", f"{client.name} was deleted", say):
        st.button("Bring back", icon=":material/restore_from_trash:", on_click=_restore, args=(client,))


@shared.safely
def _restore(client: Client) -> None:
    shared.coach().restore_client(shared.actor(), client.id)
    _undo.offer("clients", f"{marks.plain(client.name)} is back, with all that was kept.")
