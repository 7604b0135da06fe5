"""Personas: who answers, and how. Cards to choose from; one persona opened in its editor.

Invariant: the link says which persona is open, so that an editor can be shared and reloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.access import require
from coach_core.types import Actor, Persona
from coach_core.ui import marks, shared, widgets
from pages import _dialog, _persona_editor, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

DUPLICATE, DELETE = ":material/content_copy: Duplicate", ":material/delete: Delete"
MORE = (DUPLICATE, DELETE)


def page() -> None:
    with st.container(width=widgets.WIDE), shared.guard():
        coach, actor = shared.coach(), shared.actor()
        require(actor, "personas.write")
        opened = st.query_params.get("edit", "")
        if opened == "new":
            _persona_editor.draw(coach, actor, None)
            return
        with shared.guard():
            if opened:
                _persona_editor.draw(coach, actor, coach.persona(actor, opened))
                return
        _cards(coach, actor)


def _cards(coach: Coach, actor: Actor) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.title("Personas", width="content")
        st.button("New persona", icon=":material/add:", type="primary", on_click=_persona_editor.open_, args=("new",))
    st.caption("Who answers in the chat: each with its own voice, model, tools and documents.")
    _undo.draw("personas")
    _dialog.draw("personas", {"delete": _delete}, coach, actor)
    personas = coach.personas(actor)
    if not personas:
        with widgets.empty(":material/face:", "No personas yet", "A persona is who answers in the chat."):
            st.button("Create the first persona", type="primary", on_click=_persona_editor.open_, args=("new",))
        return
    names = {c.id: c.name for c in coach.collections(actor)}
    backends = widgets.backend_labels(coach, actor)
    with st.grid(min_column_width=290, gap="small"):
        for persona in personas:
            with st.container(border=True, height="stretch", key=f"card_{persona.slug}"):
                _card(coach, actor, persona, names, backends)


def _card(coach: Coach, actor: Actor, persona: Persona, names: Mapping[UUID, str], backends: Mapping[str, str]) -> None:
    draft = persona.draft
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", wrap=False):
        widgets.face(coach.picture(persona), draft.icon, 44)
        st.markdown(f"**{marks.plain(draft.name)}**", width="stretch")
        act = partial(_act, coach, actor, persona, f"more_{persona.slug}")
        st.menu_button(
            "", list(MORE), icon=":material/more_horiz:", type="tertiary", key=f"more_{persona.slug}", on_click=act
        )
    st.markdown(marks.plain(_first_sentence(draft.greeting or draft.instructions)) or ":gray[No greeting yet]")
    seen = [names[c] for c in draft.collections if c in names]
    model = draft.model or backends.get(draft.backend, draft.backend) or "Default model"
    st.caption(marks.plain(f"{model}\n" + ("Reads " + ", ".join(seen) if seen else "Reads no documents")))
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        edit = partial(_persona_editor.open_, persona.slug)
        st.button("Edit", icon=":material/edit:", on_click=edit, key=f"edit_{persona.slug}")
        st.page_link(widgets.page("chat"), label="Chat", query_params=widgets.link(persona=persona.slug))
        st.space("stretch")
        saved = f"Saved {shared.exact(persona.updated_at)}"
        st.badge(f"version {persona.version}", color="grey", help=saved)


@shared.safely
def _act(coach: Coach, actor: Actor, persona: Persona, key: str) -> None:
    if st.session_state[key] == DELETE:
        _dialog.ask("personas", "delete", persona)
        return
    copy = coach.duplicate_persona(actor, persona.id)
    undo = partial(coach.delete_persona, actor, copy.id)
    _undo.offer("personas", f"{marks.plain(copy.name)} is a copy you can change.", undo)


@st.dialog("Delete persona", icon=":material/delete:", on_dismiss=_dialog.forget)
def _delete(coach: Coach, actor: Actor, persona: Persona) -> None:
    st.markdown(
        f"**{marks.plain(persona.name)}** and its {widgets.count(persona.version, 'version')} will no longer "
        "be offered. Threads with it stay readable, its documents stay in their collections."
    )
    if _dialog.buttons("Delete", "really_delete"):
        with shared.guard():
            coach.delete_persona(actor, persona.id)
            undo = partial(coach.undelete_persona, actor, persona.id)
            _undo.offer("personas", f"{marks.plain(persona.name)} deleted.", undo)
            _dialog.close()


def _first_sentence(text: str) -> str:
    first = text.strip().split("\n")[0]
    return first if len(first) <= 160 else first[:157].rsplit(" ", 1)[0] + " \u2026"


page()
