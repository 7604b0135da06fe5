"""Whom threads are about, on the page of threads: the filter, the column, and moving several at once.

Invariant: only a role that has clients sees any of it; moving is undone thread by thread to whom each was about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.access import allowed
from coach_core.types import Actor, ClientQuery, ThreadHit
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

ANY, NOBODY = "Any client", "No client"


def names(coach: Coach, actor: Actor) -> dict[UUID, str]:
    """The actor's clients by id, each called as nobody else is; those deleted too, which threads may be about."""
    if not allowed(actor.role, "clients"):
        return {}
    out: dict[UUID, str] = {}
    for deleted in (False, True):
        for summary in coach.clients(actor, ClientQuery(deleted=deleted, limit=1000))[0]:
            name = base = summary.client.name + (" (deleted)" if deleted else "")
            number = 2
            while name in out.values():
                name, number = f"{base} ({number})", number + 1
            out[summary.client.id] = name
    return out


def button(known: Mapping[UUID, str], picked: Sequence[ThreadHit]) -> None:
    if known:
        st.button("About", icon=":material/person:", disabled=not picked, help="Say whom they are about",
                  key="threads_about", on_click=_dialog.ask, args=("threads", "about", picked))  # fmt: skip


@st.dialog("Whom are they about?", icon=":material/person:", on_dismiss=_dialog.forget)
def _about(coach: Coach, actor: Actor, hits: Sequence[ThreadHit]) -> None:
    known = {i: name for i, name in names(coach, actor).items() if not name.endswith("(deleted)")}
    now = {h.thread.client_id for h in hits}
    options: list[UUID | None] = [None, *known]
    at = options.index(now.pop()) if len(now) == 1 and now <= set(options) else 0
    chosen = st.selectbox(
        "Client", options, index=at, format_func=lambda i: known[i] if i else NOBODY, key="about_client",
        label_visibility="collapsed",
    )  # fmt: skip
    st.caption(
        "Answers in them are told this client's memory from now on. What was remembered from them before "
        "stays with whom it was kept for."
    )
    if _dialog.buttons("Move", "really_about", no="Cancel"):
        with shared.guard():
            _move(coach, actor, [(h.thread.id, chosen) for h in hits])
            what = widgets.count(len(hits), "thread")
            say = f"{what} about {marks.plain(known[chosen])} now." if chosen else f"{what} about no client now."
            _undo.offer("threads", say, partial(_move, coach, actor, [(h.thread.id, h.thread.client_id) for h in hits]))
            _dialog.close()


def _move(coach: Coach, actor: Actor, pairs: Sequence[tuple[UUID, UUID | None]]) -> None:
    for thread_id, client_id in pairs:
        coach.move_thread(actor, thread_id, client_id)


DIALOGS = {"about": _about}
