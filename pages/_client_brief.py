"""One sheet before a session: to read, to print, to take along.

Invariant: the sheet holds nothing that can be clicked, and nothing beside it comes onto the paper.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from coach_core.types import Actor, Brief, Client, Goal, now
from coach_core.ui import marks, printing, shared
from pages import _client_memories

if TYPE_CHECKING:
    from coach_core.coach import Coach


def draw(coach: Coach, actor: Actor, client: Client) -> None:
    with st.container(width=760):
        with st.container(horizontal=True, vertical_alignment="center", key="sheet-tools"):
            printing.button()
            st.download_button(
                "Download Markdown", partial(coach.brief_markdown, actor, client.id),
                f"{client.name} {shared.local(now()):%Y-%m-%d}.md", "text/markdown", icon=":material/download:",
                on_click="ignore",
            )  # fmt: skip
        with st.container(border=True, key="sheet", gap="small"):
            _sheet(coach.brief(actor, client.id))


def _sheet(sheet: Brief) -> None:
    draft = sheet.client.draft
    st.header(marks.plain(sheet.client.name), anchor=False)
    facts = [f"Brief of {shared.local(sheet.made_at):%-d %B %Y}"]
    facts += (
        [f"session {shared.day(draft.next_session)}, {shared.local(draft.next_session):%H:%M}"]
        if (draft.next_session and draft.next_session >= sheet.made_at)
        else []
    )
    st.caption(marks.plain(", ".join(facts)))
    if sheet.question:
        st.markdown(f"**To open with**  \n{marks.plain(sheet.question)}")
    _part("What they want now", [_goal(g) for g in sheet.goals])
    _part("What is hard", [_goal(g) for g in sheet.challenges])
    since = f", since {shared.day(sheet.since)}" if sheet.since else ""
    _part(f"Progress{since}", [f"{_day(i.at)} {marks.plain(i.text)}" for i in sheet.progress])
    _part("Open homework", [marks.plain(h.text) + (f" :gray[(due {_plain(h.due_at)})]" if h.due_at else "")
                            for h in sheet.homework])  # fmt: skip
    _part("Commitments", [marks.plain(c) for c in sheet.commitments])
    if note := sheet.last_note:
        st.markdown(f"**Last session, {_plain(note.at)}**  \n{marks.plain(note.text)}")
    _part("Also known", [f":gray[{_client_memories.KINDS[m.kind]}:] {marks.plain(m.text)}" for m in sheet.known])
    _part(
        "Not approved yet", [f":gray[{_client_memories.KINDS[m.kind]}:] {marks.plain(m.text)}" for m in sheet.pending]
    )
    about = [
        ("Values", ", ".join(draft.values)),
        ("To be respected", ", ".join(draft.constraints)),
        ("Style", draft.style),
    ]
    _part("About them", [f":gray[{label}:] {marks.plain(text)}" for label, text in about if text])


def _part(title: str, lines: list[str]) -> None:
    if lines:
        st.markdown(f"**{marks.plain(title)}**\n\n" + "\n".join(f"- {line}" for line in lines))


def _goal(goal: Goal) -> str:
    due = f" :gray[(by {_plain(goal.due_at)})]" if goal.due_at else ""
    last = f"  \n  :gray[{_plain(goal.progress[0].at)}: {marks.plain(goal.progress[0].text)}]" if goal.progress else ""
    return f"{marks.plain(goal.text)}{due}{last}"


def _plain(moment: object) -> str:
    return marks.plain(shared.day(moment))  # type: ignore[arg-type]


def _day(moment: object) -> str:
    return f":gray[{_plain(moment)}:]"
