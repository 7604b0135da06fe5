"""The small script in the browser that the chat page needs; assets/client.js says what it does.

Invariant: without it everything still works but the links in the text, copying, and kept drafts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.components.v2 import component

KEY = "client"
_component = component("coach_client", js=(Path(__file__).parent / "assets" / "client.js").read_text(encoding="utf-8"))


def mount(*, thread: str, last: str, running: bool, message: str = "", on_cite: Callable[[], None]) -> None:
    """`message` is the one to show, if a link leads to one.

    `last` is the last question on show: what was sent and is not it was lost on the way.
    """
    with st.container(key="client-place"):
        _component(
            key=KEY,
            data={"thread": thread, "last": last.strip()[:300], "running": running, "message": message},
            on_cite_change=on_cite,
        )
