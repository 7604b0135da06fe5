"""Clients: whom a coach works with. A card each; one opened is a page of its own.

Invariant: the link says which client is open, so that the page can be shared and reloaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.access import require
from coach_core.errors import BadLink
from coach_core.types import Actor, ClientQuery, ClientSummary
from coach_core.ui import marks, shared, widgets
from pages import _client_memories, _client_page, _client_profile, _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

A_PAGE = 48
OWN = "me"
ADD = ("clients", "add")


def page() -> None:
    with st.container(width=widgets.WIDE), shared.guard():
        coach, actor = shared.coach(), shared.actor()
        require(actor, "clients")
        link = st.query_params.get("client", "")
        with shared.guard():
            if link == OWN:
                _client_memories.own(coach, actor)
                return
            if link:
                _client_page.draw(coach, actor, coach.client(actor, _id_in(link)))
                return
        _cards(coach, actor)


def _id_in(link: str) -> UUID:
    try:
        return UUID(link)
    except ValueError:
        raise BadLink("This link is not complete. Open the client from the list below.") from None


def _cards(coach: Coach, actor: Actor) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Clients", width="content")
        st.button("New client", icon=":material/person_add:", type="primary", on_click=_dialog.ask, args=ADD)
    _undo.draw("clients")
    _dialog.draw("clients", _client_profile.DIALOGS, coach, actor)
    gone, _ = coach.clients(actor, ClientQuery(deleted=True))
    if not coach.clients(actor, ClientQuery(limit=1))[1]:
        _none()
    else:
        _found(coach, actor)
    _foot(coach, actor, gone)


def _none() -> None:
    say = "A client has goals, notes, homework and a memory of their own, which no other client's thread ever sees."
    with widgets.empty(":material/group:", "No clients yet", say):
        st.button("Add your first client", type="primary", icon=":material/person_add:", on_click=_dialog.ask, args=ADD)


def _found(coach: Coach, actor: Actor) -> None:
    text = st.text_input(
        "Search clients", key="find", type="search", live="300ms", bind="query-params",
        placeholder="Search by name", label_visibility="collapsed", icon=":material/search:",
    )  # fmt: skip
    number = int(st.session_state.get("page", 1))
    query = ClientQuery(text or "", limit=A_PAGE, offset=(number - 1) * A_PAGE)
    found, total = coach.clients(actor, query)
    if total and not found:  # the page in the link lies behind the last one
        st.session_state.pop("page", None)
        found, total = coach.clients(actor, ClientQuery(text or "", limit=A_PAGE))
    if not found:
        with widgets.empty(":material/search_off:", "No client of that name", "Try a part of the name."):
            st.button("Clear search", on_click=_clear)
        return
    with st.grid(min_column_width=310, gap="small"):
        for summary in found:
            with st.container(border=True, height="stretch", gap="small", key=f"card_{summary.client.id}"):
                _card(summary)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(widgets.count(total, "client"), width="content")
        if total > A_PAGE:
            st.pagination(-(-total // A_PAGE), key="page", bind="query-params")


def _card(summary: ClientSummary) -> None:
    client = summary.client
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.markdown(f"**{marks.plain(client.name)}**", width="stretch")
        if summary.pending:
            say = "1 memory waits" if summary.pending == 1 else f"{summary.pending:,} memories wait"
            st.badge(f"{summary.pending:,} to approve", icon=":material/how_to_reg:", color="orange",
                     help=f"{say} for your yes")  # fmt: skip
    wants = "  \n".join(marks.plain(text) for text in summary.wants[:2])
    more = len(summary.wants) - 2
    st.markdown(wants + (f"  \n:gray[and {more} more]" if more > 0 else "") if wants else ":gray[No goal noted yet]")
    st.space("stretch")
    st.markdown("  \n".join(f":small[{fact}]" for fact in _facts(summary)))
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.button("Open", key=f"open_{client.id}", on_click=widgets.go, kwargs={"client": str(client.id)})
        brief = {"client": str(client.id), "show": _client_page.BRIEF}
        st.button("Brief", key=f"brief_{client.id}", type="tertiary", on_click=_client_page.open_, kwargs=brief)
        chat = widgets.link(client=str(client.id))
        st.page_link(widgets.page("chat"), label="New thread", query_params=chat)


def _facts(summary: ClientSummary) -> list[str]:
    """When they met last, when they meet next, what is due; each only where it is known."""
    upcoming = summary.client.draft.next_session
    out: list[str] = []
    if upcoming and _client_page.ahead(upcoming):
        out.append(f":gray[Next session {_client_page.session(upcoming)}]")
    if summary.last_session:
        out.append(f":gray[Last session {shared.day(summary.last_session)}]")
    elif summary.last_activity:
        out.append(f":gray[Last thread {shared.day(summary.last_activity)}]")
    if summary.homework_due:
        due = f"Homework due {shared.day(summary.homework_due)}"
        late = not _client_page.ahead(summary.homework_due)
        out.append(f":orange[:material/schedule: {due}]" if late else f":gray[{due}]")
    elif summary.open_homework:
        out.append(f":gray[{widgets.count(summary.open_homework, 'piece')} of homework open]")
    return out or [":gray[No session noted yet]"]


def _foot(coach: Coach, actor: Actor, gone: list[ClientSummary]) -> None:
    """What is remembered of the coach, and clients that were deleted."""
    own = coach.pending_count(actor).get(None, 0)
    with st.container(horizontal=True, vertical_alignment="center"):
        waits = f" ({own:,} to approve)" if own else ""
        st.button(
            f"What is remembered of you{waits}", icon=":material/person:", type="tertiary",
            on_click=widgets.go, kwargs={"client": OWN},
        )  # fmt: skip
        if gone:
            with st.popover(f"Deleted clients ({len(gone):,})", icon=":material/delete:", type="tertiary"):
                for summary in gone:
                    st.button(
                        f"Bring back {marks.plain(summary.client.name)}",
                        key=f"restore_{summary.client.id}",
                        icon=":material/restore_from_trash:",
                        type="tertiary",
                        on_click=_restore,
                        args=(summary.client.id,),
                    )


@shared.safely
def _restore(client_id: UUID) -> None:
    client = shared.coach().restore_client(shared.actor(), client_id)
    _undo.offer("clients", f"{marks.plain(client.name)} is back, with all that was kept.")


def _clear() -> None:
    st.session_state["find"] = ""


page()
