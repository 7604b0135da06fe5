"""Who reads what: personas down, collections across, a tick where one answers from the other.

Invariant: nothing changes before Save; saving makes one new version of each persona that changed, and Undo
makes another that is as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import pandas as pd
import streamlit as st

from coach_core.types import Actor, Collection, Persona
from coach_core.ui import marks, shared, widgets
from pages import _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

COUNT = "_readers_count"  # a saved table is another one: its ticks begin anew


def draw(coach: Coach, actor: Actor, collections: Sequence[Collection]) -> None:
    personas = coach.personas(actor)
    if not personas:
        with widgets.empty(":material/group:", "No personas yet", "A persona answers from the collections it reads."):
            st.page_link(widgets.page("personas"), label="Make the first persona", query_params=widgets.link())
        return
    st.caption("A persona answers from the collections ticked here, and from no other.")
    frame = pd.DataFrame(
        {"Persona": [p.name for p in personas]}
        | {str(c.id): [c.id in p.draft.collections for p in personas] for c in collections}
    )
    columns = {"Persona": st.column_config.TextColumn(disabled=True, pinned=True, width=190)}
    columns |= {
        str(c.id): st.column_config.CheckboxColumn(c.name, help=_about(c), width=_wide(c.name)) for c in collections
    }
    key = f"readers_table_{st.session_state.get(COUNT, 0)}"
    edited = st.data_editor(frame, hide_index=True, column_config=columns, key=key, height="content")
    wanted = _changed(edited, personas, collections)
    unread = [c.name for c in collections if True not in edited[str(c.id)].tolist()]
    if unread:
        st.caption(f":orange[:material/visibility_off:] Nobody reads {marks.plain(', '.join(unread))}.")
    say = f"Save {widgets.count(len(wanted), 'persona')}" if wanted else "Save"
    note = "Each persona that changed gets a new version."
    st.button(say, type="primary", disabled=not wanted, key="readers_save", help=note, on_click=_save, args=(wanted,))


def _wide(name: str) -> int:
    """Room for a collection's name, within reason."""
    return min(max(110, 8 * len(name) + 45), 230)


def _about(collection: Collection) -> str:
    return f"{widgets.count(collection.documents, 'document')}. {shared.escape(collection.description)}".strip()


def _changed(
    edited: pd.DataFrame, personas: Sequence[Persona], collections: Sequence[Collection]
) -> dict[UUID, list[UUID]]:
    found: dict[UUID, list[UUID]] = {}
    for row, persona in enumerate(personas):
        ticked = [c.id for c in collections if edited[str(c.id)].tolist()[row]]
        before = [c for c in persona.draft.collections if c in {k.id for k in collections}]
        if set(ticked) != set(before):
            found[persona.id] = ticked
    return found


@shared.safely
def _save(wanted: Mapping[UUID, Sequence[UUID]]) -> None:
    save(shared.coach(), shared.actor(), wanted)
    st.session_state[COUNT] = st.session_state.get(COUNT, 0) + 1


def save(coach: Coach, actor: Actor, wanted: Mapping[UUID, Sequence[UUID]]) -> None:
    """Have these personas read these collections, and offer to undo it."""
    before = {p.id: list(p.draft.collections) for p in coach.personas(actor) if p.id in wanted}
    saved = coach.read_by(actor, {persona: list(ids) for persona, ids in wanted.items()})
    names = ", ".join(f"{marks.plain(p.name)} (version {p.version})" for p in saved)
    if saved:
        _undo.offer("knowledge", f"Saved: {names}.", partial(_back, before))


def _back(before: Mapping[UUID, Sequence[UUID]]) -> None:
    shared.coach().read_by(shared.actor(), {persona: list(ids) for persona, ids in before.items()})
    st.session_state[COUNT] = st.session_state.get(COUNT, 0) + 1
    for key in [k for k in st.session_state if k.startswith("readers_")]:
        if not key.startswith("readers_table"):
            st.session_state.pop(key)
