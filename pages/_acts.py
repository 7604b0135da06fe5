"""What the controls of the chat page do: each callback does one thing, its errors are drawn at the top.

Invariant: what cannot be asked now is not lost; the words stay in the input and the files stay attached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import streamlit as st

from coach_core.errors import BadLink, CoachError, FileError, NotFound
from coach_core.types import Persona, StoredFile, Thread
from coach_core.ui import client, shared
from coach_core.ui.shared import safely
from pages import _client_picker

ASK = "ask"  # key of the input

state = st.session_state


# -- what is on show -----------------------------------------------------------------------------------


def thread_on_show() -> Thread | None:
    """The thread of the link; a link that leads nowhere is told at the top, and the page stays usable."""
    link = st.query_params.get("thread", "")
    if not link:
        return None
    try:
        thread_id = UUID(link)
    except ValueError:
        shared.show_error(BadLink())
        return None
    try:
        return shared.coach().thread(shared.actor(), thread_id)
    except NotFound as error:
        shared.show_error(error)
        return None


def chosen_persona(personas: Sequence[Persona], thread: Thread | None) -> Persona | None:
    """The thread's persona; on an empty page the one picked, or linked to, or the first."""
    wanted = thread.persona_id if thread else state.get("_persona_id")
    linked = "" if thread else st.query_params.get("persona", "")
    for persona in personas:
        if persona.id == wanted or (wanted is None and persona.slug == linked):
            return persona
    if thread:
        return None
    return next((p for p in personas if p.slug == "general"), next(iter(personas), None))


# -- callbacks: each does one thing, its errors are drawn at the top of the next run -----------------------


@safely
def submit() -> None:
    value: Any = state[ASK]
    if value is None:
        return
    text, uploads = (value, []) if isinstance(value, str) else (value.text, list(value.files))
    kept: list[StoredFile] = state.setdefault("_files", [])
    for upload in uploads:
        try:
            kept.append(shared.coach().attach(shared.actor(), upload.name, upload.getvalue()))
        except FileError as error:
            state["_draft"] = text
            raise type(error)(f"{upload.name}: {error.sentence}") from error
    ask(text)


@safely
def ask(text: str) -> None:
    """Ask in the thread on show, or in a new one; what cannot be asked now stays in the input."""
    coach, actor = shared.coach(), shared.actor()
    thread = thread_on_show()
    try:
        if thread is None:
            persona = chosen_persona(coach.personas(actor), None)
            if persona is None:
                raise CoachError("There is no persona yet. An admin makes one on the page Personas.")
            coach.check_question(actor, text, state.get("_files", []), persona.id)
            client_id = about.id if (about := _client_picker.client_of(None)) else None
            thread = coach.new_thread(actor, persona.id, backend=state.pop("_backend", None), client_id=client_id)
        coach.start(actor, thread.id, text, files=state.get("_files", []))
    except CoachError:
        state["_draft"] = text
        raise
    state["_files"] = []
    st.query_params["thread"] = str(thread.id)
    for name in ("persona", "client", "message"):
        st.query_params.pop(name, None)


def call_tool(name: str) -> None:
    """Begin the input with the tool's call; in the browser client.js does it, and keeps what was typed."""
    state["_draft"] = f"{name} "


@safely
def drop_file(file_id: UUID) -> None:
    state["_files"] = [f for f in state.get("_files", []) if f.id != file_id]


@safely
def pick_persona(key: str, thread: Thread | None) -> None:
    persona_id = state[key]
    if thread is not None:
        shared.coach().set_persona(shared.actor(), thread.id, persona_id)
    else:
        state["_persona_id"] = persona_id


@safely
def pick_backend(key: str, thread: Thread | None) -> None:
    chosen = state[key] or None
    if thread is not None:
        shared.coach().set_backend(shared.actor(), thread.id, chosen)
    else:
        state["_backend"] = chosen


@safely
def stop(turn_id: UUID) -> None:
    shared.coach().cancel(shared.actor(), turn_id)


@safely
def again(message_id: UUID) -> None:
    shared.coach().regenerate(shared.actor(), message_id)


@safely
def go_on(message_id: UUID) -> None:
    shared.coach().resume(shared.actor(), message_id)


@safely
def resend(message_id: UUID) -> None:
    shared.coach().edit(shared.actor(), message_id, state[f"edited-{message_id}"])
    state.pop("_editing", None)


@safely
def show_branch(thread_id: UUID, message_id: UUID) -> None:
    shared.coach().show_branch(shared.actor(), thread_id, message_id)


@safely
def rate(message_id: UUID) -> None:
    value = state[f"feedback-{message_id}"]
    shared.coach().feedback(shared.actor(), message_id, 0 if value is None else (-1, 1)[value])


@safely
def give_reason(message_id: UUID, value: int) -> None:
    words = state.get(f"reasons-{message_id}") or []
    more = (state.get(f"reason-{message_id}") or "").strip()
    shared.coach().feedback(shared.actor(), message_id, value, ", ".join([*words, *([more] if more else [])]))
    shared.tell_later("Thank you. The reason is kept with the answer.", "success")


@safely
def rename(thread_id: UUID) -> None:
    shared.coach().rename(shared.actor(), thread_id, state[f"title-{thread_id}"])


@safely
def delete(thread: Thread) -> None:
    shared.coach().delete_threads(shared.actor(), [thread.id])
    st.query_params.pop("thread", None)
    state["_deleted"] = thread


@safely
def undelete(thread: Thread) -> None:
    shared.coach().undelete_threads(shared.actor(), [thread.id])
    st.query_params["thread"] = str(thread.id)
    state.pop("_deleted", None)


def edit(message_id: UUID | None) -> None:
    state["_editing"] = message_id


def open_cite(value: str) -> None:
    st.query_params["cite"] = value
    state.pop("_turn_shown", None)


def open_linked_cite() -> None:
    if value := getattr(state.get(client.KEY), "cite", None):
        open_cite(value)


def open_turn(message_id: UUID) -> None:
    state["_turn_shown"] = message_id
    st.query_params.pop("cite", None)


def close_drawer() -> None:
    state.pop("_turn_shown", None)
    st.query_params.pop("cite", None)
