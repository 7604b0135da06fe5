"""What was deleted lately: back with one click, or gone for good.

Invariant: nothing here goes for good without a second click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, Deleted
from coach_core.ui import marks, shared, widgets
from pages import _dialog

if TYPE_CHECKING:
    from coach_core.coach import Coach

A_PAGE = 30


def button(coach: Coach, actor: Actor) -> None:
    """Opens the list; nothing is drawn while nothing is in it."""
    if coach.deleted(actor, 1):
        asked = ("knowledge", "deleted")
        icon = ":material/restore_from_trash:"
        st.button("Recently deleted", icon=icon, type="tertiary", on_click=_dialog.ask, args=asked)


@st.dialog("Recently deleted", width="medium", icon=":material/restore_from_trash:", on_dismiss=_dialog.forget)
def _deleted(coach: Coach, actor: Actor) -> None:
    gone = coach.deleted(actor)
    if not gone:
        st.markdown("Nothing is left here.")
        return
    names = {c.id: c.name for c in coach.collections(actor)}
    st.caption("Kept for 14 days, found by no search. Passages that answers cite stay with those answers.")
    for one in gone[:A_PAGE]:
        _line(one, names)
    if len(gone) > A_PAGE:
        st.caption(f"and {len(gone) - A_PAGE:,} older ones")


def _line(one: Deleted, names: dict[UUID, str]) -> None:
    facts = [f"in {names[one.collection_id]}"] if one.kind == "document" and one.collection_id in names else []
    facts += [widgets.count(one.documents, "document")] if one.kind == "collection" else []
    facts += [widgets.count(one.chunks, "passage"), f"by {one.by}" if one.by else "", shared.when(one.deleted_at)]
    icon = ":material/folder:" if one.kind == "collection" else ":material/description:"
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        said = ", ".join(f for f in facts if f)
        st.markdown(f"{icon} **{marks.plain(one.name)}**  \n:gray[{marks.plain(said)}]", width="stretch")
        st.button("Bring back", icon=":material/undo:", key=f"back_{one.id}", on_click=_back, args=(one,))
        with st.popover("", icon=":material/delete_forever:", type="tertiary", help="Delete for good"):
            st.markdown("Its passages and its file are deleted now, for good.")
            st.button("Delete for good", key=f"erase_{one.id}", on_click=_erase, args=(one,))


@shared.safely
def _back(one: Deleted) -> None:
    shared.coach().bring_back(shared.actor(), one.id)


@shared.safely
def _erase(one: Deleted) -> None:
    shared.coach().erase_deleted(shared.actor(), one.id)


DIALOGS = {"deleted": _deleted}
