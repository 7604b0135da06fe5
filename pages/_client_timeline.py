"""What happened, the newest first, by month, with the words behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, TimelineItem
from coach_core.ui import marks, shared
from pages import _client_memories, _client_source

if TYPE_CHECKING:
    from coach_core.coach import Coach

FIRST, MORE = 12, 40
ICONS = {
    "goal": ":material/flag:",
    "challenge": ":material/terrain:",
    "progress": ":material/trending_up:",
    "note": ":material/edit_note:",
    "homework": ":material/assignment:",
    "memory": ":material/bookmark:",
}
SAID = {"dropped": "let go", "reached": "reached", "done": "done", "given": "given"}


def draw(coach: Coach, actor: Actor, client_id: UUID) -> None:
    items = coach.timeline(actor, client_id)
    st.subheader("Timeline", anchor=False)
    if not items:
        st.caption("Goals, progress, notes, homework and what is remembered stand here in their order.")
        return
    key = f"timeline_{client_id}"
    shown = items[: st.session_state.get(key, FIRST)]
    month = ""
    with st.container(gap="xsmall", key="timeline"):
        for item in shown:
            if (at := shared.local(item.at).strftime("%B %Y")) != month:
                st.caption(at)
                month = at
            _item(item)
    if len(shown) < len(items):
        left = len(items) - len(shown)
        st.button(
            f"Show {min(left, MORE):,} earlier", type="tertiary", key="timeline_more", on_click=_more, args=(key,)
        )


def _more(key: str) -> None:
    st.session_state[key] = st.session_state.get(key, FIRST) + MORE


def _item(item: TimelineItem) -> None:
    with st.container(gap="xxsmall", key=f"item_{item.kind}_{item.id}"):
        what = item.text if item.kind != "note" or len(item.text) <= 200 else f"{item.text[:199].rstrip()}…"
        day = shared.local(item.at).strftime("%-d %b")
        st.markdown(f":gray[{ICONS[item.kind]} {day}] {_kind(item)} {marks.plain(' '.join(what.split()))}")
        if item.source is not None:
            with st.container(key=f"quote_{item.kind}_{item.id}", gap="xxsmall"):
                _client_source.draw(item.source, instead_of=item.text)


def _kind(item: TimelineItem) -> str:
    if item.kind == "memory":
        return f":gray[{_client_memories.KINDS.get(item.status, item.status).lower()}]"
    said = SAID.get(item.status, "")
    return f":gray[{item.kind if item.kind != 'note' else 'session note'}{f', {said}' if said else ''}]"
