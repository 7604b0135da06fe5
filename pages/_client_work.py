"""Beside the goals: homework, session notes, and the threads about a client; the dialogs that write them down.

Invariant: a change keeps what it does not name; what is taken out can be put back.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import streamlit as st

from coach_core.types import Actor, Homework, HomeworkStatus, SessionNote, now
from coach_core.ui import marks, shared, widgets
from pages import _client_goals, _client_source, _dialog, _undo

if TYPE_CHECKING:
    from coach_core.coach import Coach

FEW = 3


def _heading(title: str, what: str, kind: str, client_id: UUID) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"line-head-{kind}"):
        st.subheader(title, anchor=False, width="stretch")
        st.button(
            f"Add {what}", icon=":material/add:", type="tertiary", key=f"add_{kind}", help=f"Add {what}",
            on_click=_dialog.ask, args=("clients", kind, client_id, None),
        )  # fmt: skip


# -- homework -----------------------------------------------------------------------------------------


def homework(coach: Coach, actor: Actor, client_id: UUID) -> None:
    _heading("Homework", "homework", "homework", client_id)
    given = coach.homework(actor, client_id)
    sources = coach.sources(actor, [h.message_id for h in given if h.message_id])
    still = [h for h in given if h.status == "given"]
    past = [h for h in given if h.status != "given"]
    if not still:
        st.caption("Nothing is open.")
    for work in still:
        _work(work)
        if work.message_id in sources:
            _client_source.link(sources[work.message_id])
    if past:
        with st.expander(f"Done or dropped ({len(past):,})"):
            for work in past:
                _work(work)


def _work(work: Homework) -> None:
    key = f"done_{work.id}"
    with st.container(horizontal=True, vertical_alignment="center", wrap=False, gap="xsmall", key=f"line-{work.id}"):
        # What the row says wins over what this box was before somebody undid it.
        st.session_state[key] = work.status == "done"
        st.checkbox(marks.plain(work.text), key=key, on_change=_tick, args=(work, key), label_visibility="collapsed")
        st.markdown(_says(work), width="stretch")
        st.button(
            "Edit", icon=":material/edit:", type="tertiary", key=f"edit_{work.id}", help="Edit, drop or delete",
            on_click=_dialog.ask, args=("clients", "homework", work.client_id, work),
        )  # fmt: skip


def _says(work: Homework) -> str:
    text = marks.plain(work.text)
    if work.status == "done":
        return f"{text} :gray[done {marks.plain(shared.day(work.done_at or work.created_at))}]"
    if work.status == "dropped":
        return f"{text} :gray[dropped]"
    if work.due_at is None:
        return text
    late = shared.local(work.due_at).date() < shared.local(now()).date()
    due = f"due {marks.plain(shared.day(work.due_at))}"
    return f"{text} :orange[:material/schedule: {due}]" if late else f"{text} :gray[{due}]"


@shared.safely
def _tick(work: Homework, key: str) -> None:
    status: HomeworkStatus = "done" if st.session_state[key] else "given"
    _stand(work, status)
    did = "is done" if status == "done" else "is open again"
    _undo.offer("clients", f"{marks.plain(work.text)} {did}.", partial(_stand, work, work.status))


def _stand(work: Homework, status: HomeworkStatus) -> None:
    shared.coach().save_homework(
        shared.actor(), work.client_id, work.text, status=status, goal_id=work.goal_id, due_at=work.due_at,
        homework_id=work.id,
    )  # fmt: skip


@st.dialog("Homework", icon=":material/assignment:", on_dismiss=_dialog.forget)
def _homework_form(coach: Coach, actor: Actor, client_id: UUID, work: Homework | None) -> None:
    of = work.id if work else "new"
    text = st.text_area("What they take home", work.text if work else "", height=90, key=f"work_text_{of}")
    due = st.date_input(
        "Due (optional)", _client_goals.day_of(work.due_at) if work else None, key=f"work_due_{of}",
        format="YYYY-MM-DD",
    )  # fmt: skip
    names = {
        g.id: g.text for g in coach.goals(actor, client_id) if g.status == "open" or (work and g.id == work.goal_id)
    }
    at = work.goal_id if work else None
    goal = st.selectbox(
        "Towards (optional)", list(names), index=list(names).index(at) if at in names else None,
        format_func=lambda i: names[i], key=f"work_goal_{of}", placeholder="No goal in particular",
    )  # fmt: skip
    if work:
        with st.container(horizontal=True):
            if work.status == "given" and st.button(
                "Drop it", icon=":material/block:", type="tertiary", key="work_drop"
            ):
                with shared.guard():
                    _stand(work, "dropped")
                    _undo.offer("clients", f"{marks.plain(work.text)} dropped.", partial(_stand, work, work.status))
                    _dialog.close()
            _take_out("homework", work.id, "Homework deleted.")
    if _dialog.buttons("Save", "really_homework", no="Cancel"):
        with shared.guard():
            kept: dict[str, Any] = {"status": work.status, "homework_id": work.id} if work else {}
            coach.save_homework(actor, client_id, text, goal_id=goal, due_at=_client_goals.at_noon(due), **kept)
            _dialog.close()


def _take_out(kind: str, row_id: UUID, say: str) -> None:
    if st.button("Delete it", icon=":material/delete:", type="tertiary", key=f"{kind}_out"):
        with shared.guard():
            _client_goals.take_out(kind, row_id, say)
            _dialog.close()


# -- session notes ------------------------------------------------------------------------------------


def notes(coach: Coach, actor: Actor, client_id: UUID) -> None:
    _heading("Session notes", "a note", "note", client_id)
    kept = coach.session_notes(actor, client_id)
    if not kept:
        st.caption("For your eyes only: no client and no model is told of them.")
    for note in kept[:FEW]:
        _note(note)
    if older := kept[FEW:]:
        with st.expander(f"{len(older):,} earlier"):
            for note in older:
                _note(note)


def _note(note: SessionNote) -> None:
    with st.container(border=True, gap="xsmall", key=f"note_{note.id}"):
        with st.container(horizontal=True, vertical_alignment="center", key=f"line-{note.id}"):
            day = marks.plain(shared.day(note.at))
            st.markdown(f"**{day[:1].upper()}{day[1:]}**", width="stretch")
            st.button(
                "Edit", icon=":material/edit:", type="tertiary", key=f"edit_{note.id}", help="Edit or delete",
                on_click=_dialog.ask, args=("clients", "note", note.client_id, note),
            )  # fmt: skip
        st.markdown(marks.plain(note.text))


@st.dialog("Session note", icon=":material/edit_note:", width="medium", on_dismiss=_dialog.forget)
def _note_form(coach: Coach, actor: Actor, client_id: UUID, note: SessionNote | None) -> None:
    of = note.id if note else "new"
    text = st.text_area("What you want to know next time", note.text if note else "", height=220, key=f"note_text_{of}")
    day = st.date_input(
        "Session of", _client_goals.day_of(note.at) if note else "today", key=f"note_at_{of}", format="YYYY-MM-DD"
    )
    if note:
        _take_out("note", note.id, "Session note deleted.")
    if _dialog.buttons("Save", "really_note", no="Cancel"):
        with shared.guard():
            today = day == datetime.now(shared.zone()).date()
            same = bool(note) and day == _client_goals.day_of(note.at if note else None)
            at = None if same or (today and not note) else _client_goals.at_noon(day)
            coach.save_note(actor, client_id, text, at=at, note_id=note.id if note else None)
            _dialog.close()


# -- threads ------------------------------------------------------------------------------------------


def threads(coach: Coach, actor: Actor, client_id: UUID) -> None:
    st.subheader("Threads", anchor=False)
    about = coach.client_threads(actor, client_id)
    if not about:
        st.caption("None yet. What is said in a thread about them is what is remembered of them.")
    with st.container(gap="xxsmall"):
        for thread in about[:8]:
            st.page_link(
                widgets.page("chat"), label=marks.plain(_short(thread.title or "Untitled")), icon=":material/forum:",
                help=shared.exact(thread.updated_at), query_params=widgets.link(thread=str(thread.id)),
            )  # fmt: skip
    if len(about) > 8:
        name = coach.client(actor, client_id).name
        st.page_link(
            widgets.page("threads"), label=f"All {len(about):,} threads", query_params=widgets.link(about=name)
        )


def _short(title: str) -> str:
    return title if len(title) <= 42 else f"{title[:41].rstrip()}…"


DIALOGS = {"homework": _homework_form, "note": _note_form}
