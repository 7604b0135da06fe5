"""What is remembered of a person: what waits for a yes, what is kept, and what was turned down.

Invariant: nothing is final: approving, rejecting, editing and forgetting are each undone from the line that
says so, and every state that a memory has had can be read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import streamlit as st

from coach_core.types import MEMORY_KINDS, Actor, Memory, MemoryKind, MemoryQuery, Source
from coach_core.ui import marks, shared, widgets
from pages import _client_goals, _client_source, _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

FEW, A_PAGE = 2, 40
KINDS: Mapping[str, str] = {
    "goal": "Goal",
    "challenge": "Challenge",
    "progress": "Progress",
    "preference": "Preference",
    "event": "Event",
    "fact": "Fact",
}
TONE: dict[str, Any] = {
    "goal": "primary",
    "challenge": "orange",
    "progress": "green",
    "preference": "violet",
    "event": "blue",
    "fact": "grey",
}
STATUS = {"pending": "waiting", "approved": "approved", "rejected": "rejected", "superseded": "replaced"}
MAKERS = {"rules": "found in the words", "model": "found by a model", "person": "written down by you"}


def waiting(coach: Coach, actor: Actor, client_id: UUID | None) -> list[Memory]:
    return coach.memories(actor, client_id, MemoryQuery(status="pending", limit=500))[0]


def own(coach: Coach, actor: Actor) -> None:
    """What is remembered of the coach, out of threads that are about no client."""
    st.button("All clients", icon=":material/arrow_back:", type="tertiary", on_click=widgets.go)
    st.title("What is remembered of you")
    st.caption("From your threads that are about no client. No thread about a client is told of it.")
    _undo.draw("clients")
    _dialog.draw("clients", DIALOGS, coach, actor)
    draw(coach, actor, None, waiting(coach, actor, None))


# -- waiting ------------------------------------------------------------------------------------------


def queue(coach: Coach, actor: Actor, client_id: UUID, memories: Sequence[Memory], all_: Callable[[], None]) -> None:
    """The first of those that wait, on the page of the client."""
    if not memories:
        return
    _waiting(coach, actor, memories, memories[:FEW])
    if len(memories) > FEW:
        st.button(
            f"See all {len(memories):,}", icon=":material/arrow_forward:", type="tertiary", on_click=_to, args=(all_,)
        )


def _to(all_: Callable[[], None]) -> None:
    st.session_state["show"] = "Memories"
    all_()


def _waiting(coach: Coach, actor: Actor, memories: Sequence[Memory], shown: Sequence[Memory]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="waiting_head"):
        st.subheader("Waiting for your yes", anchor=False, width="stretch")
        if len(memories) > 1:
            st.button(f"Approve all {len(memories):,}", icon=":material/done_all:", type="tertiary", key="approve_all",
                      on_click=_decide, args=(list(memories), "approved"))  # fmt: skip
            st.button("Reject all", icon=":material/close:", type="tertiary", key="reject_all", on_click=_decide,
                      args=(list(memories), "rejected"))  # fmt: skip
    sources, olds = coach.sources(actor, _messages(shown)), _replaced(coach, actor, shown)
    for memory in shown:
        with st.container(border=True, gap="xsmall", key=f"waits_{memory.id}"):
            _told(memory, sources)
            if memory.supersedes in olds:
                st.caption(f":material/swap_horiz: Replaces: {marks.plain(olds[memory.supersedes].text)}")
            with st.container(horizontal=True, gap="xsmall"):
                of = memory.id
                st.button("Approve", icon=":material/check:", key=f"approve_{of}", on_click=_decide,
                          args=([memory], "approved"))  # fmt: skip
                st.button("Edit", icon=":material/edit:", key=f"edit_{of}", type="tertiary", on_click=_dialog.ask,
                          args=("clients", "memory", memory))  # fmt: skip
                st.button("Reject", icon=":material/close:", key=f"reject_{of}", type="tertiary", on_click=_decide,
                          args=([memory], "rejected"))  # fmt: skip


def _told(memory: Memory, sources: Mapping[UUID, Source]) -> None:
    """A memory with the words behind it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.badge(KINDS[memory.kind], color=TONE[memory.kind])
        if memory.happened_at is not None:
            day = marks.plain(shared.day(memory.happened_at))
            st.caption(f"of {day}", width="content")
    st.markdown(f"**{marks.plain(memory.text)}**")
    source = sources.get(memory.message_id) if memory.message_id else None
    _client_source.draw(source, memory.quote, instead_of=memory.text)


def _messages(memories: Sequence[Memory]) -> list[UUID]:
    return [m.message_id for m in memories if m.message_id is not None]


def _replaced(coach: Coach, actor: Actor, memories: Sequence[Memory]) -> dict[UUID | None, Memory]:
    return {m.supersedes: coach.memory(actor, m.supersedes) for m in memories if m.supersedes is not None}


@shared.safely
def _decide(memories: Sequence[Memory], status: str) -> None:
    """Approve or reject, with the way back to what each was."""
    coach, actor, ids = shared.coach(), shared.actor(), [m.id for m in memories]
    (coach.approve_memories if status == "approved" else coach.reject_memories)(actor, ids)
    one = f"“{marks.plain(memories[0].text)}”"
    was = memories[0].status
    did = "will be remembered" if status == "approved" else "is forgotten" if was == "approved" else "is rejected"
    many = f"{len(ids):,} memories {'approved' if status == 'approved' else 'rejected'}"
    _undo.offer("clients", f"{one} {did}." if len(ids) == 1 else f"{many}.", partial(_back, ids, was))


def _back(ids: Sequence[UUID], was: str) -> None:
    coach, actor = shared.coach(), shared.actor()
    again = {"approved": coach.approve_memories, "rejected": coach.reject_memories}
    again.get(was, coach.reconsider_memories)(actor, ids)


# -- kept ---------------------------------------------------------------------------------------------


def draw(coach: Coach, actor: Actor, client_id: UUID | None, memories: Sequence[Memory]) -> None:
    """The view of all memories of a person."""
    with st.container(width=760):
        if memories:
            _waiting(coach, actor, memories, memories[:A_PAGE])
            if len(memories) > A_PAGE:
                st.caption(f"and {len(memories) - A_PAGE:,} more, once these are decided")
        _kept(coach, actor, client_id)
        _folded(coach, actor, client_id, "Replaced by newer ones", "superseded")
        _folded(coach, actor, client_id, "Rejected or forgotten", "rejected")


def _kept(coach: Coach, actor: Actor, client_id: UUID | None) -> None:
    everything, _ = coach.memories(actor, client_id, MemoryQuery(status="approved", limit=2000))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Remembered", anchor=False, width="stretch")
        st.button("Write one down", icon=":material/add:", type="tertiary", key="add_memory", on_click=_dialog.ask,
                  args=("clients", "new_memory", client_id))  # fmt: skip
    if not everything:
        with widgets.empty(":material/bookmark:", "Nothing is remembered yet", _WHAT):
            st.button("Write down the first", key="first_memory", on_click=_dialog.ask,
                      args=("clients", "new_memory", client_id))  # fmt: skip
        return
    kind, text = _ask(everything)
    wanted = (text or "").casefold().split()
    fit = [m for m in everything if (not kind or m.kind == kind) and _has(m, wanted)]
    if not fit:
        st.caption("None of these words is remembered.")
    sources = coach.sources(actor, _messages(fit[:A_PAGE]))
    for memory in fit[:A_PAGE]:
        _row(memory, sources)
    if len(fit) > A_PAGE:
        st.caption(f"The newest {A_PAGE} of {len(fit):,}. Search to see others.")


_WHAT = "What they say in threads is proposed here; what you approve comes to mind when it fits a question."


def _has(memory: Memory, wanted: Sequence[str]) -> bool:
    return all(word in f"{memory.text} {memory.quote}".casefold() for word in wanted)


def _ask(memories: Sequence[Memory]) -> tuple[str | None, str | None]:
    often = Counter(m.kind for m in memories)
    there = [k for k in MEMORY_KINDS if often[k]]
    with st.container(horizontal=True, vertical_alignment="center"):
        kind = st.pills(
            "Kind", there, format_func=lambda k: f"{KINDS[k]} {often[k]:,}", key="kind", label_visibility="collapsed"
        )
        text = st.text_input(
            "Search memories", key="search_memories", type="search", live="300ms", placeholder="Search",
            label_visibility="collapsed", icon=":material/search:", width=220,
        )  # fmt: skip
    return kind, text


def _row(memory: Memory, sources: Mapping[UUID, Source]) -> None:
    with st.container(border=True, gap="xxsmall", key=f"kept_{memory.id}"):
        with st.container(
            horizontal=True, vertical_alignment="center", wrap=False, gap="xsmall", key=f"line-{memory.id}"
        ):
            st.markdown(marks.plain(memory.text), width="stretch")
            say = "History, edit, forget"
            st.button(say, icon=":material/more_horiz:", type="tertiary", key=f"more_{memory.id}", help=say,
                      on_click=_dialog.ask, args=("clients", "told", memory.id))  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
            st.badge(KINDS[memory.kind], color=TONE[memory.kind])
            if memory.message_id in sources:
                _client_source.link(sources[memory.message_id])
            else:
                st.caption(f"kept {marks.plain(shared.day(memory.created_at))}", width="content")


def _folded(coach: Coach, actor: Actor, client_id: UUID | None, title: str, status: Any) -> None:
    memories, total = coach.memories(actor, client_id, MemoryQuery(status=status, limit=A_PAGE))
    if not total:
        return
    box = st.expander(f"{title} ({total:,})", key=f"folded_{status}", on_change="rerun")
    if not box.open:
        return
    with box:
        for memory in memories:
            with st.container(horizontal=True, vertical_alignment="center", wrap=False, key=f"line-{memory.id}"):
                st.markdown(f":gray[{KINDS[memory.kind]}:] {marks.plain(memory.text)}", width="stretch")
                st.button("History", icon=":material/history:", type="tertiary", key=f"more_{memory.id}",
                          help="History", on_click=_dialog.ask, args=("clients", "told", memory.id))  # fmt: skip
                st.button("Bring back", icon=":material/undo:", type="tertiary", key=f"back_{memory.id}",
                          help="Bring back", on_click=_decide, args=([memory], "approved"))  # fmt: skip


# -- one of them --------------------------------------------------------------------------------------


@st.dialog("A memory", icon=":material/bookmark:", position="right", width="small", on_dismiss=_dialog.forget)
def _one(coach: Coach, actor: Actor, memory_id: UUID) -> None:
    with shared.guard():
        memory = coach.memory(actor, memory_id)
        sources = coach.sources(actor, memory.message_ids)
        _told(memory, sources)
        for other in [s for i, s in sources.items() if i != memory.message_id][:8]:
            _client_source.link(other)
        if memory.origin in MAKERS:
            st.caption(f"{STATUS[memory.status].capitalize()}, {MAKERS[memory.origin]}.")
        with st.container(horizontal=True):
            if st.button("Edit", icon=":material/edit:", key="told_edit"):
                _dialog.ask("clients", "memory", memory)
                st.rerun()
            if memory.status == "approved" and st.button(
                "Forget", icon=":material/bookmark_remove:", key="told_forget"
            ):
                _decide([memory], "rejected")
                _dialog.close()
        st.subheader("History", anchor=False)
        for version in reversed(coach.memory_history(actor, memory_id)):
            who = f" by {version.changed_by}" if version.changed_by else ""
            what = f"{version.why or STATUS[version.status]}{who}"
            st.caption(f"{marks.plain(shared.when(version.created_at))}: {marks.plain(what)}",
                       help=shared.exact(version.created_at))  # fmt: skip
            st.markdown(f":gray[{KINDS[version.kind]}:] {marks.plain(version.text)}")


@st.dialog("Edit memory", icon=":material/edit:", on_dismiss=_dialog.forget)
def _edit(coach: Coach, actor: Actor, memory: Memory) -> None:
    kind, text, day = _fields(memory)
    waits = memory.status == "pending"
    if memory.quote:
        st.caption(f"They said: {marks.plain(memory.quote)}")
    if _dialog.buttons("Save and approve" if waits else "Save", "really_memory", no="Cancel"):
        with shared.guard():
            moment = (
                memory.happened_at if day == _client_goals.day_of(memory.happened_at) else _client_goals.at_noon(day)
            )
            coach.edit_memory(actor, memory.id, text=text, kind=kind, happened_at=moment)
            _undo.offer("clients", f"“{marks.plain(text.strip())}” will be remembered.", partial(_undo_edit, memory))
            _dialog.close()


def _undo_edit(memory: Memory) -> None:
    """As it was before: its words first, then its standing."""
    coach, actor = shared.coach(), shared.actor()
    coach.edit_memory(actor, memory.id, text=memory.text, kind=memory.kind, happened_at=memory.happened_at)
    if memory.status != "approved":
        _back([memory.id], memory.status)


@st.dialog("Write down a memory", icon=":material/bookmark_add:", on_dismiss=_dialog.forget)
def _add(coach: Coach, actor: Actor, client_id: UUID | None) -> None:
    kind, text, day = _fields(None)
    if _dialog.buttons("Remember", "really_memory", no="Cancel"):
        with shared.guard():
            made = coach.add_memory(actor, text, kind, client_id, _client_goals.at_noon(day))
            undo = partial(coach.reject_memories, actor, [made.id])
            _undo.offer("clients", f"“{marks.plain(made.text)}” will be remembered.", undo)
            _dialog.close()


def _fields(memory: Memory | None) -> tuple[MemoryKind, str, Any]:
    of = memory.id if memory else "new"
    kinds: list[MemoryKind] = list(MEMORY_KINDS)
    text = st.text_area("What is to be remembered", memory.text if memory else "", height=90, key=f"memory_text_{of}")
    kind = st.selectbox(
        "Kind", kinds, index=kinds.index(memory.kind if memory else "fact"), format_func=lambda k: KINDS[k],
        key=f"memory_kind_{of}",
    )  # fmt: skip
    day = st.date_input(
        "When it happened (optional)", _client_goals.day_of(memory.happened_at) if memory else None,
        key=f"memory_day_{of}", format="YYYY-MM-DD",
    )  # fmt: skip
    return kind, text, day


DIALOGS = {"memory": _edit, "new_memory": _add, "told": _one}
