"""What the model is told instead of a long thread's older part, folded into one quiet line where that part ends.

Invariant: it only shows. What people said is shown as it is, never as marks or links.
"""

from __future__ import annotations

import streamlit as st

from coach_core.types import Summary, Thread
from coach_core.ui import drawers, shared
from coach_core.ui.shared import escape
from pages import _window


def of(thread: Thread) -> Summary | None:
    return shared.coach().summary(shared.actor(), thread.id)


def on_top(summary: Summary | None, shown: _window.Shown) -> None:
    """Where all that is told word for word is further down than what is drawn begins, the line stands first."""
    if summary is None or not shown.earlier or shown.later:
        return
    if all(m.id != summary.message_id and m.parent_id != summary.message_id for m in shown.messages):
        line(summary)


def line(summary: Summary) -> None:
    with (
        st.container(key=f"summary-{summary.id}"),
        st.expander("Told to the model as a summary", icon=":material/short_text:"),
    ):
        st.caption(f"What was said above, as the model is told it. {written(summary)}")
        st.markdown(drawers.summed_up(summary))


def written(summary: Summary) -> str:
    who = f"Written by {escape(summary.model)}" if summary.model else "Chosen from what was said, by rules"
    return f"{who}; {summary.tokens:,} tokens."
