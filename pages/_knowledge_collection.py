"""One collection's head: its name, what is in it, who reads it; and making, changing and deleting one.

Invariant: who reads it changes by Save alone, which says that personas get a new version, and can be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from coach_core.access import allowed
from coach_core.errors import InputError
from coach_core.types import Actor, Collection, Persona
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _knowledge_readers, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

NEXT = "_collection_next"  # the address of the collection to choose in the next run


def head(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    personas = coach.personas(actor)
    readers = [p for p in personas if collection.id in p.draft.collections]
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.header(marks.plain(collection.name), width="content", anchor=False)
        if writes:
            with st.container(horizontal=True, width="content", gap="xsmall"):
                asked = ("knowledge", "edit_collection", collection)
                st.button("Edit", icon=":material/edit:", type="tertiary", on_click=_dialog.ask, args=asked)
                asked = ("knowledge", "delete_collection", collection, readers)
                icon = ":material/delete:"
                st.button("Delete collection", icon=icon, type="tertiary", on_click=_dialog.ask, args=asked)
    if collection.description:
        st.markdown(marks.plain(collection.description))
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        for reader in readers:
            st.badge(shared.escape(reader.name), icon=widgets.glyph(reader.draft.icon), color="blue")
        if not readers:
            st.badge("No persona reads this yet", icon=":material/visibility_off:", color="orange")
        if collection.licence:
            st.badge(shared.escape(collection.licence), icon=":material/copyright:", color="grey")
        if allowed(actor.role, "personas.write"):
            _readers(personas, collection)


def _readers(personas: Sequence[Persona], collection: Collection) -> None:
    """Say here who reads it."""
    key = f"readers_{collection.id}"
    with st.popover("Who reads it", icon=":material/group:", type="tertiary"):
        names = {p.id: p.name for p in personas}
        now = [p.id for p in personas if collection.id in p.draft.collections]
        chosen = st.multiselect(
            "Personas that answer from this collection",
            list(names),
            default=now,
            format_func=lambda i: names[i],
            key=key,
        )
        changed = set(chosen) ^ set(now)
        if changed:
            st.caption(f"Saves a new version of {', '.join(shared.escape(names[i]) for i in changed)}.")
        given = (collection, chosen)
        say = f"Save {widgets.count(len(changed), 'persona')}" if changed else "Save the change"
        st.button(say, type="primary", disabled=not changed, key=f"{key}_save", on_click=_save, args=given)


@shared.safely
def _save(collection: Collection, chosen: Sequence[object]) -> None:
    coach, actor = shared.coach(), shared.actor()
    wanted = {
        p.id: [*(c for c in p.draft.collections if c != collection.id), *([collection.id] if p.id in chosen else [])]
        for p in coach.personas(actor)
        if (p.id in chosen) != (collection.id in p.draft.collections)
    }
    _knowledge_readers.save(coach, actor, wanted)
    st.session_state.pop(f"readers_{collection.id}", None)


# -- dialogs ------------------------------------------------------------------------------------------


@st.dialog("New collection", icon=":material/create_new_folder:", on_dismiss=_dialog.forget)
def _create(coach: Coach, actor: Actor) -> None:
    with st.form("collection", border=False):
        given = _fields()
        if st.form_submit_button("Create", type="primary"):
            with shared.guard():
                made = coach.create_collection(actor, *_named(*given))
                st.session_state[NEXT] = widgets.address(made)
                _dialog.close()


@st.dialog("Edit collection", icon=":material/edit:", on_dismiss=_dialog.forget)
def _edit(coach: Coach, actor: Actor, collection: Collection) -> None:
    with st.form("collection", border=False):
        given = _fields(collection)
        if st.form_submit_button("Save", type="primary"):
            with shared.guard():
                made = coach.update_collection(actor, collection.id, *_named(*given))
                st.session_state[NEXT] = widgets.address(made)
                _dialog.close()


def _fields(at: Collection | None = None) -> tuple[str, str, str]:
    key = f"_{at.id}" if at else ""
    name = st.text_input("Name", at.name if at else "", key=f"collection_name{key}")  # too long is told, not cut
    before = at.description if at else ""
    about = st.text_area("What is in it (optional)", before, max_chars=500, height=80, key=f"collection_about{key}")
    licence = st.text_input(
        "Licence (optional)", at.licence if at else "", max_chars=200, placeholder="CC BY 4.0, our own, ...",
        key=f"collection_licence{key}",
    )  # fmt: skip
    return name, about, licence


def _named(name: str, description: str, licence: str) -> tuple[str, str, str]:
    if not name.strip():
        raise InputError("The collection has no name. Give it one.")
    return name.strip(), description.strip(), licence.strip()


@st.dialog("Delete collection", icon=":material/delete:", on_dismiss=_dialog.forget)
def _delete(coach: Coach, actor: Actor, collection: Collection, readers: Sequence[Persona]) -> None:
    st.markdown(
        f"**{marks.plain(collection.name)}** is taken out of every search at once, with "
        f"**{widgets.count(collection.documents, 'document')}** and "
        f"**{widgets.count(collection.chunks, 'passage')}**."
    )
    if readers:
        names = ", ".join(marks.plain(r.name) for r in readers)
        st.warning(f"{names} will answer without it.", icon=":material/warning:")
    st.caption("It can be brought back for 14 days. Passages that answers cite stay with those answers.")
    sure = st.checkbox("Yes, all of it") if collection.documents else True
    if _dialog.buttons("Delete", "really_delete_collection", disabled=not sure):
        with shared.guard():
            coach.delete_collection(actor, collection.id)
            undo = partial(_back, collection)
            _undo.offer("knowledge", f"{marks.plain(collection.name)} deleted.", undo)
            _dialog.close()


def _back(collection: Collection) -> None:
    shared.coach().bring_back(shared.actor(), collection.id)
    st.session_state[NEXT] = widgets.address(collection)


DIALOGS = {"create": _create, "edit_collection": _edit, "delete_collection": _delete}
