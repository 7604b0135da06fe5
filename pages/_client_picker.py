"""Whom a thread is about: chosen at its start, shown at its head, changed in its menu.

Invariant: nobody is chosen unless a person did it: a new thread is about the client in the link, or about nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import streamlit as st

from coach_core.errors import ClientNotFound, NotFound
from coach_core.types import Client, ClientQuery, Persona, Thread
from coach_core.ui import shared, widgets
from coach_core.ui.shared import escape, safely

NOBODY = "No client"
LONGEST = 90
_ALL = ClientQuery(limit=1000)


def client_of(thread: Thread | None) -> Client | None:
    """Whom the thread, or the one that would begin now, is about; a link that leads to nobody is told at the top."""
    if not shared.may("clients"):
        return None
    link = "" if thread else st.query_params.get("client", "")
    if not link and (thread is None or thread.client_id is None):
        return None
    coach, actor = shared.coach(), shared.actor()
    try:
        client = coach.client(actor, thread.client_id if thread and thread.client_id else UUID(link))
        if thread is None and client.deleted_at is not None:
            raise ClientNotFound
        return client
    except (ValueError, NotFound):
        if thread is None:
            shared.show_error(ClientNotFound())
        return None


def draw(client: Client | None, thread: Thread | None) -> None:
    """The second choice of a new thread; of one that has begun, a link to the client's page."""
    if thread is not None:
        if client is not None:
            gone = " (deleted)" if client.deleted_at else ""
            st.page_link(
                widgets.page("clients"),
                label=escape(f"About {client.name}{gone}"),
                icon=":material/person:",
                help="Open the client's page",
                query_params=widgets.link(client=str(client.id)),
            )
        return
    names = _names()
    if not names:
        return
    ids = [None, *names]
    st.selectbox(
        "Client",
        ids,
        index=ids.index(client.id) if client and client.id in names else 0,
        format_func=lambda i: names[i] if i else NOBODY,
        key="client-new",
        on_change=_pick,
        label_visibility="collapsed",
        width=190,
        help="Whom this thread is about: only their memory is used in it",
    )


def menu(thread: Thread) -> None:
    """Whom the thread is about, to be changed."""
    names = _names() if shared.may("clients") else {}
    if not names and thread.client_id is None:
        return
    ids = [None, *names]
    if thread.client_id is not None and thread.client_id not in names:
        ids.append(thread.client_id)
    key = f"client-{thread.id}"
    st.selectbox(
        "About",
        ids,
        index=ids.index(thread.client_id),
        format_func=lambda i: names.get(i, "A deleted client") if i else NOBODY,
        key=key,
        on_change=_move,
        args=(thread, key),
    )


def starters(client: Client | None, persona: Persona) -> list[str]:
    """Four ways to begin: about a client, the first come from what they want now and what is hard."""
    own: Sequence[str] = persona.draft.starters[:4]
    if client is None:
        return list(own)
    goals = shared.coach().goals(shared.actor(), client.id)
    name = client.name.split()[0]
    wants = next((g for g in goals if g.status == "open" and g.kind == "goal"), None)
    hard = next((g for g in goals if g.status == "open" and g.kind == "challenge"), None)
    first = [f"What would bring {name} a step nearer to “{_short(wants.text)}”?"] if wants else []
    first += [f"How can I help {name} with “{_short(hard.text)}”?"] if hard else []
    return [*first, *own][:4]


def _names() -> dict[UUID, str]:
    if not shared.may("clients"):
        return {}
    found, _ = shared.coach().clients(shared.actor(), _ALL)
    return {s.client.id: s.client.name for s in found}


def _pick() -> None:
    chosen = st.session_state["client-new"]
    if chosen is None:
        st.query_params.pop("client", None)
    else:
        st.query_params["client"] = str(chosen)


@safely
def _move(thread: Thread, key: str) -> None:
    coach, actor, to = shared.coach(), shared.actor(), st.session_state[key]
    coach.move_thread(actor, thread.id, to)
    name = coach.client(actor, to).name if to else ""
    say = f"This thread is about {name} now." if to else "This thread is about no client now."
    if thread.client_id is not None:
        say += f" What was remembered from it stays with {coach.client(actor, thread.client_id).name}."
    shared.tell_later(say, "success")


def _short(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"
