"""What was just done, in a line with Undo, at the top of the page that did it.

Invariant: the line stays until it is used, closed or replaced by the next one.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from coach_core.ui import shared


def offer(page: str, text: str, undo: Callable[[], object] | None = None) -> None:
    """Say `text` on the page's next run, with a button that calls `undo`."""
    st.session_state[f"{page}_done"] = (text, undo)


def draw(page: str) -> None:
    text, undo = st.session_state.get(f"{page}_done", ("", None))
    if not text:
        return
    with st.container(horizontal=True, border=True, vertical_alignment="center", key=f"{page}_undo"):
        st.markdown(text, width="stretch")
        if undo is not None:
            st.button("Undo", icon=":material/undo:", on_click=_back, args=(page, undo), key=f"{page}_back")
        st.button("Close", icon=":material/close:", type="tertiary", on_click=_close, args=(page,), key=f"{page}_close")


def _back(page: str, undo: Callable[[], object]) -> None:
    with shared.guard():
        undo()
    _close(page)


def _close(page: str) -> None:
    st.session_state.pop(f"{page}_done", None)
