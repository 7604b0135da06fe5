"""What an answer was told from memory: in its details, each memory with "right" and "not right".

Invariant: a click says something about this answer's memory alone; the memory itself is changed on the client's page.
"""

from __future__ import annotations

from uuid import UUID

import streamlit as st

from coach_core.errors import CoachError
from coach_core.memory import rendering
from coach_core.types import Memory, MemoryUse, Source, TurnRecord
from coach_core.ui import shared, widgets
from coach_core.ui.shared import escape

RIGHT, WRONG = "Right", "Not right"
_VERDICTS = {1: RIGHT, -1: WRONG}


def line(record: TurnRecord) -> str:
    """`remembered 1 event, 2 earlier remarks`, as the turn's notice told it; "" where nothing came to mind."""
    for notice in record.notices:
        if notice.startswith(rendering.REMEMBERING):
            return f"remembered {notice.removeprefix(rendering.REMEMBERING)}"
    return ""


def draw(record: TurnRecord) -> None:
    """The part of an answer's details; nothing where nothing was remembered."""
    coach, actor = shared.coach(), shared.actor()
    try:
        used = coach.memories_of_turn(actor, record.id)
        ids = [u.memory.message_id for u in used if u.memory.message_id is not None]
        sources = coach.sources(actor, ids) if ids and shared.may("clients") else {}
    except CoachError:
        return
    if not used:
        return
    st.subheader("What was remembered", anchor=False)
    for use in used:
        with st.container(border=True, gap="xsmall", key=f"used-{use.memory.id}"):
            _use(record, use, sources.get(use.memory.message_id) if use.memory.message_id else None)


def _use(record: TurnRecord, use: MemoryUse, source: Source | None) -> None:
    memory = use.memory
    since = " (changed since)" if memory.status in ("superseded", "rejected") else ""
    st.markdown(f":gray[{memory.kind}{since}:] {escape(memory.text)}")
    key = f"verdict-{record.id}-{memory.id}"
    st.segmented_control(
        "Was this right here?",
        [RIGHT, WRONG],
        default=_VERDICTS.get(use.verdict),
        key=key,
        on_change=_judge,
        args=(record.id, memory.id, key),
        label_visibility="collapsed",
    )
    if source is not None:
        st.page_link(
            widgets.page("chat"),
            label=f":small[Said {escape(shared.day(source.said_at))} in {escape(_short(source.thread_title))}]",
            icon=":material/format_quote:",
            help="Open the thread at this message",
            query_params=widgets.link(thread=str(source.thread_id), message=str(source.message_id)),
        )
    if use.verdict < 0:
        _mend(memory)


def _mend(memory: Memory) -> None:
    """Not right: the way to where it can be changed or forgotten."""
    clients = st.session_state.get("_pages", {}).get("clients")
    if clients is not None:
        whose = str(memory.client_id) if memory.client_id else "me"
        st.page_link(
            clients,
            label=":small[Change or forget it]",
            icon=":material/edit:",
            query_params=widgets.link(client=whose, show="Memories"),
        )


@shared.safely
def _judge(turn_id: UUID, memory_id: UUID, key: str) -> None:
    said = st.session_state[key]
    right = None if said is None else said == RIGHT
    shared.coach().judge_memory(shared.actor(), turn_id, memory_id, right)


def _short(title: str) -> str:
    title = title or "Untitled"
    return title if len(title) <= 40 else f"{title[:39].rstrip()}…"
