"""Trying a persona beside its editor: a small chat of its own, in a thread that says what it is for.

Invariant: the saved version answers, never what is only typed, and the panel says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, Message, Persona, PersonaDraft, TurnRecord
from coach_core.ui import marks, shared, widgets
from pages import _draw

if TYPE_CHECKING:
    from coach_core.coach import Coach


def draw(coach: Coach, actor: Actor, persona: Persona, edited: PersonaDraft) -> None:
    """The chat; `edited` is what the editor holds, shown in the preview and compared with what answers."""
    key = f"try_{persona.id}"
    thread: UUID | None = st.session_state.get(key)
    said = coach.messages(actor, thread) if thread else []
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        same = edited == persona.draft
        note = "" if same else " \u2013 save to try your changes"
        st.caption(f"Version {persona.version} answers{note}", width="content")
        if said:
            again = {"on_click": st.session_state.pop, "args": (key, None)}
            st.button("Start again", icon=":material/restart_alt:", type="tertiary", key="try_again", **again)
    room = st.container(height=520, border=True, autoscroll=bool(said), key="try_room")
    typed = st.chat_input("Try a question", key="try_input")
    with room:
        if not said:
            typed = preview(coach, persona, edited) or typed
        for message in said:
            _message(coach, actor, message)
        running = coach.running(actor, thread) if thread else None
        if running:
            _follow(coach, actor, running)
            st.rerun()
        if typed:
            with shared.guard():
                thread = thread or coach.new_thread(actor, persona.id, title=f"Trying {persona.name}").id
                st.session_state[key] = thread
                turn = coach.start(actor, thread, typed)
                with st.chat_message("user", avatar=":material/person:"):
                    st.markdown(marks.plain(typed))
                _follow(coach, actor, turn)
                st.rerun()


def preview(coach: Coach, persona: Persona | None, draft: PersonaDraft) -> str | None:
    """What a person meets on an empty page; the starter that was pressed."""
    with st.container(horizontal_alignment="center", gap="xsmall"):
        widgets.face(coach.picture(persona) if persona else None, draft.icon, 56)
        st.markdown(f"**{marks.plain(draft.name or 'New persona')}**", width="content")
        if draft.empty_state:
            st.markdown(f":gray[{marks.plain(draft.empty_state)}]", width="content", text_alignment="center")
    if draft.greeting:
        with st.chat_message("assistant", avatar=widgets.glyph(draft.icon)):
            st.markdown(marks.plain(draft.greeting))
    pressed = None
    for number, starter in enumerate(draft.starters):
        if st.button(shared.escape(starter), key=f"starter_{number}", disabled=persona is None, width="stretch"):
            pressed = starter
    return pressed


def _message(coach: Coach, actor: Actor, message: Message) -> None:
    if message.speaker == "user":
        with st.chat_message("user", avatar=":material/person:"):
            st.markdown(marks.plain(message.text))
        return
    if message.status == "streaming":
        return
    cited = coach.citations(actor, [message.id]).get(message.id, [])
    with st.chat_message("assistant", avatar=":material/psychology:"):
        _draw.answer(st.container(), message.text, (), "")
        if message.status != "complete":
            st.caption(f"This answer was {message.status}.")
        if cited:
            with st.expander(f"Rests on {widgets.count(len(cited), 'passage')}", icon=":material/format_quote:"):
                for citation in cited:
                    st.markdown(f"**{citation.number} {marks.plain(_draw.place_of(citation))}**")
                    st.caption(marks.plain(citation.quote or citation.text))


def _follow(coach: Coach, actor: Actor, turn: TurnRecord) -> None:
    """Paint the answer as it comes."""
    with st.chat_message("assistant", avatar=":material/psychology:"):
        place, status = st.container(), st.empty()
        _draw.follow(place, status, coach.tail(actor, turn.id), "", "")
