"""What an API holds of a persona's documents: said before it is switched on, shown while it is.

Invariant: whoever switches it on has read who gets the documents, and how they come back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, HostedState, Persona, PersonaDraft
from coach_core.ui import marks, shared, widgets

if TYPE_CHECKING:
    from coach_core.coach import Coach

LOOK_AGAIN = 2.0


def draw(coach: Coach, actor: Actor, persona: Persona | None, edited: PersonaDraft) -> None:
    """Draw it below the documents of the persona; nothing where no API searches and none is to."""
    saved = coach.hosted_state(actor, persona.id) if persona else HostedState(False)
    unchanged = persona is not None and edited == persona.draft
    wanted = saved if unchanged else coach.hosted_state(actor, persona.id if persona else None, edited)
    if wanted.wanted and (not saved.wanted or (wanted.endpoint, wanted.host) != (saved.endpoint, saved.host)):
        _before(wanted)
    if persona is not None and (saved.wanted or saved.why):
        moving = saved.wanted and saved.documents > 0 and not saved.ready
        st.fragment(_state, run_every=LOOK_AGAIN if moving or saved.to_remove else None, key="hosted")(
            coach, actor, persona.id
        )


def _before(state: HostedState) -> None:
    """What saving this will do."""
    if not state.endpoint:
        st.warning(marks.plain(state.why), icon=":material/cloud_off:")
        return
    documents = widgets.count(state.documents, "document")
    st.warning(
        f"**Once this is saved, copies leave this app's own machine.** The app uploads the {documents} of these "
        f"collections to **{marks.plain(state.host)}** and keeps the copies in step; what its vendor does with them is "
        "a matter of your contract there. Switch back, or delete a document or the persona, and the app deletes the "
        "copies there.",
        icon=":material/cloud_upload:",
    )


def _state(coach: Coach, actor: Actor, persona_id: UUID) -> None:
    state = coach.hosted_state(actor, persona_id)
    with st.container(border=True, gap="xsmall"):
        if not state.wanted:
            st.markdown(f":material/cloud_sync: {marks.plain(state.why or 'The copies at the API are deleted.')}")
            return
        _head(state)
        if state.why:
            st.caption(marks.plain(state.why))
        for failure in state.failed:
            again = f" It is tried again {marks.plain(shared.exact(failure.again))}." if failure.again else ""
            st.markdown(f":red[:material/error:] **{marks.plain(failure.name)}** {marks.plain(failure.why)}{again}")
        if state.documents and not state.ready and shared.may("personas.write"):
            st.button("Try again now", icon=":material/refresh:", on_click=_soon, key="hosted_again")


def _head(state: HostedState) -> None:
    icon = ":green[:material/cloud_done:]" if state.ready else ":material/cloud_sync:"
    facts = [f"{state.there} of {widgets.count(state.documents, 'document')} copied to {state.host or 'the API'}"]
    if state.bytes:
        facts.append(widgets.size(state.bytes))
    if state.to_remove:
        facts.append(f"{state.to_remove} being removed")
    if state.synced_at:
        facts.append(f"{'' if state.ready else 'last '}in step {shared.when(state.synced_at)}")
    note = f"Unless it is searched, the API drops it {shared.exact(state.expires_at)}." if state.expires_at else None
    st.markdown(f"{icon} {marks.plain(', '.join(facts))}", help=note)


@shared.safely
def _soon() -> None:
    shared.coach().hosted_soon(shared.actor())
