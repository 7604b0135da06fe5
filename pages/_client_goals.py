"""What a client wants now: goals and challenges with what came of them; the dialogs that write them down.

Invariant: a change keeps what it does not name; what is taken out can be put back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, Goal, GoalStatus, Progress, Source
from coach_core.ui import marks, shared
from pages import _client_source, _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

SHOWN = 3
REACHED, DROPPED, REOPEN = ":material/flag: Reached", ":material/block: Let go", ":material/undo: Open again"
EDIT, DELETE = ":material/edit: Edit", ":material/delete: Delete"
STATUS: Mapping[str, GoalStatus] = {REACHED: "reached", DROPPED: "dropped", REOPEN: "open"}
SAID = {"reached": "reached", "dropped": "let go", "open": "open again"}
KINDS = {"goal": "Something they want", "challenge": "Something that is hard"}


def draw(coach: Coach, actor: Actor, client_id: UUID) -> None:
    goals = coach.goals(actor, client_id)
    ids = [i for g in goals for i in (g.message_id, *(p.message_id for p in g.progress)) if i]
    sources = coach.sources(actor, ids)
    wanted = [g for g in goals if g.kind == "goal" and g.status == "open"]
    hard = [g for g in goals if g.kind == "challenge" and g.status == "open"]
    past = [g for g in goals if g.status != "open"]
    _heading("What they want now", "goal", client_id)
    if not wanted:
        with st.container(border=True, gap="xsmall"):
            st.markdown(":gray[No goal yet. What would they like to be different?]")
            st.button(
                "Write down the first goal", icon=":material/flag:", key="first_goal", on_click=_dialog.ask,
                args=("clients", "goal", client_id, None, "goal"),
            )  # fmt: skip
    for goal in wanted:
        _goal(goal, sources)
    if hard or wanted:
        _heading("What is hard", "challenge", client_id)
        for goal in hard:
            _goal(goal, sources)
        if not hard:
            st.caption("No challenge noted.")
    if past:
        with st.expander(f"Reached or let go ({len(past):,})", icon=":material/inventory_2:"):
            for goal in past:
                _goal(goal, sources)


def _heading(title: str, kind: str, client_id: UUID) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"line-head-{kind}"):
        st.subheader(title, anchor=False, width="stretch")
        st.button(
            f"Add a {kind}", icon=":material/add:", type="tertiary", key=f"add_{kind}", help=f"Add a {kind}",
            on_click=_dialog.ask, args=("clients", "goal", client_id, None, kind),
        )  # fmt: skip


def _goal(goal: Goal, sources: Mapping[UUID, Source]) -> None:
    with st.container(border=True, gap="xsmall", key=f"goal_{goal.id}"):
        with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="xsmall"):
            st.markdown(f"**{marks.plain(goal.text)}**", width="stretch")
            options = [REOPEN] if goal.status != "open" else [REACHED, DROPPED]
            key = f"goal_more_{goal.id}"
            st.menu_button(
                "", [*options, EDIT, DELETE], icon=":material/more_horiz:", type="tertiary", key=key,
                help="Reached, let go, edit, delete", on_click=partial(_act, goal, key),
            )  # fmt: skip
        facts = [] if goal.status == "open" else [SAID[goal.status]]
        facts += [f"by {shared.day(goal.due_at)}"] if goal.due_at else []
        facts += [f"since {shared.day(goal.created_at)}"]
        st.caption(marks.plain(", ".join(facts)))
        if goal.message_id in sources:
            _client_source.draw(sources[goal.message_id])
        _steps(goal, sources)
        if goal.status == "open":
            st.button(
                "Note progress", icon=":material/trending_up:", type="tertiary", key=f"step_{goal.id}",
                on_click=_dialog.ask, args=("clients", "progress", goal.client_id, goal, None),
            )  # fmt: skip


def _steps(goal: Goal, sources: Mapping[UUID, Source]) -> None:
    for step in goal.progress[:SHOWN]:
        _step(goal, step, sources)
    if older := goal.progress[SHOWN:]:
        with st.expander(f"{len(older):,} earlier"):
            for step in older:
                _step(goal, step, sources)


def _step(goal: Goal, step: Progress, sources: Mapping[UUID, Source]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="xsmall", key=f"line-{step.id}"):
        st.markdown(
            f":green[:material/trending_up:] {marks.plain(step.text)} :gray[{marks.plain(shared.day(step.at))}]",
            width="stretch",
        )
        st.button(
            "Edit", icon=":material/edit:", type="tertiary", key=f"edit_{step.id}", help="Edit or take out",
            on_click=_dialog.ask, args=("clients", "progress", goal.client_id, goal, step),
        )  # fmt: skip
    if step.message_id in sources:
        _client_source.link(sources[step.message_id])


@shared.safely
def _act(goal: Goal, key: str) -> None:
    chosen = st.session_state[key]
    if chosen == EDIT:
        _dialog.ask("clients", "goal", goal.client_id, goal, goal.kind)
    elif chosen == DELETE:
        take_out("goal", goal.id, f"“{goal.text}” deleted.")
    else:
        _stand(goal, STATUS[chosen])
        _undo.offer("clients", f"{marks.plain(goal.text)}: {SAID[STATUS[chosen]]}.", partial(_stand, goal, goal.status))


def _stand(goal: Goal, status: GoalStatus) -> None:
    shared.coach().save_goal(
        shared.actor(), goal.client_id, goal.text, kind=goal.kind, status=status, due_at=goal.due_at, goal_id=goal.id
    )


def take_out(kind: Any, row_id: UUID, say: str) -> None:
    """Remove a goal, progress, note or homework, with Undo."""
    coach, actor = shared.coach(), shared.actor()
    removed = coach.remove(actor, kind, row_id)
    _undo.offer("clients", marks.plain(say), partial(coach.put_back, actor, removed))


def at_noon(day: date | None) -> datetime | None:
    """A day as a moment that is on that day wherever it is looked at from nearby."""
    return datetime.combine(day, time(12), shared.zone()) if day else None


def day_of(moment: datetime | None) -> date | None:
    return shared.local(moment).date() if moment else None


@st.dialog("What they want, or what is hard", icon=":material/flag:", on_dismiss=_dialog.forget)
def _goal_form(coach: Coach, actor: Actor, client_id: UUID, goal: Goal | None, kind: str) -> None:
    of = goal.id if goal else "new"
    kinds: Any = list(KINDS)
    chosen: Any = st.segmented_control(
        "Kind", kinds, default=goal.kind if goal else kind, required=True, format_func=lambda k: KINDS[k],
        key=f"goal_kind_{of}_{kind}", label_visibility="collapsed",
    )  # fmt: skip
    text = st.text_area("In their words, if you can", goal.text if goal else "", height=90, key=f"goal_text_{of}")
    due = st.date_input(
        "By when (optional)", day_of(goal.due_at) if goal else None, key=f"goal_due_{of}", format="YYYY-MM-DD"
    )
    if _dialog.buttons("Save", "really_goal", no="Cancel"):
        with shared.guard():
            kept: dict[str, Any] = {"status": goal.status, "goal_id": goal.id} if goal else {}
            coach.save_goal(actor, client_id, text, kind=chosen, due_at=at_noon(due), **kept)
            _dialog.close()


@st.dialog("Progress", icon=":material/trending_up:", on_dismiss=_dialog.forget)
def _progress_form(coach: Coach, actor: Actor, client_id: UUID, goal: Goal | None, step: Progress | None) -> None:
    of = step.id if step else "new"
    goals: Sequence[Goal] = [g for g in coach.goals(actor, client_id) if g.status == "open" or g == goal]
    names = {g.id: g.text for g in goals}
    at = step.goal_id if step else goal.id if goal else None
    chosen = st.selectbox(
        "Towards", list(names), index=list(names).index(at) if at in names else None, format_func=lambda i: names[i],
        key=f"progress_goal_{of}", placeholder="No goal in particular",
    )  # fmt: skip
    text = st.text_area("What has moved", step.text if step else "", height=90, key=f"progress_text_{of}")
    day = st.date_input(
        "When", day_of(step.at) if step else "today", key=f"progress_at_{of}", format="YYYY-MM-DD", max_value="today"
    )
    if step and st.button("Take it out", icon=":material/delete:", type="tertiary", key="progress_out"):
        with shared.guard():
            take_out("progress", step.id, f"“{step.text}” taken out.")
            _dialog.close()
    if _dialog.buttons("Save", "really_progress", no="Cancel"):
        with shared.guard():
            moved = None if step and day == day_of(step.at) else at_noon(day)
            if moved is not None and moved > shared.local(_now()):
                moved = None  # noted in the morning of that day
            coach.save_progress(actor, client_id, text, goal_id=chosen, at=moved, progress_id=step.id if step else None)
            _dialog.close()


def _now() -> datetime:
    return datetime.now(shared.zone())


DIALOGS = {"goal": _goal_form, "progress": _progress_form}
