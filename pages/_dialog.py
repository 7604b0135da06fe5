"""One dialog at a time, asked for in one run and open until it is answered or dismissed.

Invariant: an open dialog outlives reruns of its page (a refresh never takes it away), and is gone with the
page. Its function is decorated with `st.dialog(..., on_dismiss=_dialog.forget)` and ends with `close()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

ASKED = "_dialog"


def ask(page: str, name: str, *values: Any) -> None:
    """Open the dialog `name` of `page` when `draw` is reached next."""
    st.session_state[ASKED] = (page, name, values)


def draw(page: str, dialogs: Mapping[str, Callable[..., None]], *given: Any) -> None:
    """Draw the dialog that was asked for, called with `given` and the values it was asked with."""
    asked_on, name, values = st.session_state.get(ASKED, (page, "", ()))
    if asked_on != page:
        forget()
    elif name in dialogs:
        dialogs[name](*given, *values)


def forget() -> None:
    st.session_state.pop(ASKED, None)


def close() -> None:
    """Close the open dialog and run the page anew."""
    forget()
    st.rerun()


def buttons(yes: str, key: str, *, no: str = "Keep", disabled: bool = False) -> bool:
    """The two answers of a dialog, the harmless one first; whether it was yes."""
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button(no, key=f"{key}_no"):
            close()
        return st.button(yes, type="primary", key=key, disabled=disabled)
