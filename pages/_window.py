"""Which messages of the thread the chat page draws: its end, or what lies around a message that a link leads to.

Invariant: a long thread costs what is drawn of it. A link to an old message opens there, its branch is shown once,
and the way back to the newest is one click.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import streamlit as st

from coach_core.errors import MessageNotFound, NotFound
from coach_core.types import Message, Thread, TurnRecord, Window
from coach_core.ui import shared

PAGE = 20  # messages drawn at first
MORE = 40
AROUND = (10, 20)  # before and behind a message that a link leads to
STATE = ("_window_before", "_window_after", "_window_around", "_window_link")

state = st.session_state


@dataclass(frozen=True, slots=True)
class Shown:
    """What is drawn; `link` is the message that the address leads to, where it is among it."""

    messages: tuple[Message, ...] = ()
    earlier: bool = False
    later: bool = False
    link: str = ""


def read(thread: Thread) -> tuple[TurnRecord | None, Shown]:
    """The running turn and the messages as of one moment: a turn may end, or begin, between the two looks."""
    coach, actor = shared.coach(), shared.actor()
    running = coach.running(actor, thread.id)
    while True:
        shown = _shown(thread, running is not None)
        after = coach.running(actor, thread.id)
        if (after and after.id) == (running and running.id):
            return running, shown
        running = after


def earlier(shown: Shown) -> None:
    """Above the messages: the way to those before them."""
    if shown.earlier:
        st.button(
            "Show earlier messages", key="earlier", icon=":material/expand_less:", type="tertiary", on_click=_more
        )


def later(shown: Shown) -> None:
    """Below them, where they are not the newest."""
    if shown.later:
        with st.container(key="later-row", horizontal=True):
            st.button("Show later messages", key="later", icon=":material/expand_more:", type="tertiary", on_click=_on)
            st.button("To the newest", key="newest", icon=":material/south:", type="tertiary", on_click=to_newest)


def message(thread: Thread, message_id: UUID) -> Message | None:
    """A message that is not drawn, when it is one of the thread's."""
    try:
        found = shared.coach().message(shared.actor(), message_id)
    except NotFound:
        return None
    return found if found.thread_id == thread.id else None


def to_newest() -> None:
    for name in STATE:
        state.pop(name, None)
    st.query_params.pop("message", None)


def _more() -> None:
    state["_window_before"] = state.get("_window_before", PAGE) + MORE


def _on() -> None:
    state["_window_after"] = state.get("_window_after", AROUND[1]) + MORE


def _shown(thread: Thread, busy: bool) -> Shown:
    link = st.query_params.get("message", "")
    if not link:
        for name in ("_window_around", "_window_after", "_window_link"):
            state.pop(name, None)
        return _of(_end(thread))
    try:
        wanted = UUID(link)
        if state.get("_window_link") == wanted:
            return _again(thread, wanted)
        return _of(_found(thread, wanted, busy), link)
    except (ValueError, NotFound):
        shared.tell("This link leads to a message that is not in this thread.", "warning")
        return _of(_end(thread))


def _found(thread: Thread, wanted: UUID, busy: bool) -> Window:
    """Where the link leads to, looked up once; while an answer is written, the branch stays as it is."""
    coach, actor = shared.coach(), shared.actor()
    window = _end(thread)
    if all(m.id != wanted for m in window.messages):
        try:
            window = coach.window(actor, thread.id, AROUND[0], around=wanted, after=AROUND[1])
        except MessageNotFound:
            if not busy:
                coach.show_branch(actor, thread.id, wanted)
            window = coach.window(actor, thread.id, AROUND[0], around=wanted, after=AROUND[1])
        state["_window_around"], state["_window_before"], state["_window_after"] = wanted, *AROUND
    state["_window_link"] = wanted
    return window


def _again(thread: Thread, wanted: UUID) -> Shown:
    """As the person has gone on from there: further up, further down, or to another branch."""
    if state.get("_window_around") != wanted:
        return _of(_end(thread), str(wanted))
    last, after = state.get("_window_before", AROUND[0]), state.get("_window_after", AROUND[1])
    try:
        return _of(shared.coach().window(shared.actor(), thread.id, last, around=wanted, after=after), str(wanted))
    except MessageNotFound:
        state.pop("_window_around", None)
        return _of(_end(thread))


def _end(thread: Thread) -> Window:
    return shared.coach().window(shared.actor(), thread.id, state.get("_window_before", PAGE))


def _of(window: Window, link: str = "") -> Shown:
    return Shown(window.messages, window.earlier, window.later, link)
