"""The chat: pick a persona, ask, watch the answer come, look at its sources.

Invariant: the page holds no turn. Everything it shows is read anew from the Coach at each run, and a turn
that runs is only watched: reload, click or leave, it goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from coach_core.errors import CoachError
from coach_core.types import Client, Message, Persona, StoredFile, Thread, TurnRecord
from coach_core.ui import client, drawers, remembered, shared
from coach_core.ui.shared import escape
from pages import _acts, _client_picker, _draw, _summary, _window

LOOK_EVERY = 5.0  # seconds
REASONS = ("Wrong", "Not what I asked", "No good source", "Too long", "Unclear")
FILE_TYPES = [
    "pdf", "docx", "pptx", "xlsx", "epub", "md", "txt", "html", "htm", "csv", "json", "jsonl", "eml", "zip",
    "png", "jpg", "jpeg", "webp",
]  # fmt: skip
_STATE = {
    "interrupted": "Interrupted. What had arrived is kept.",
    "cancelled": "Stopped.",
}
#: Why an answer that came in order is not whole.
_ENDED = {
    "length": "The answer reached its greatest length. Continue goes on with it.",
    "content_filter": "The model's server broke the answer off here.",
    "tool_rounds": "The tools were used as often as one answer may. What came of them is kept.",
}

state = st.session_state


# -- drawing -------------------------------------------------------------------------------------------


def header(personas: Sequence[Persona], persona: Persona | None, thread: Thread | None, about: Client | None) -> None:
    suffix = thread.id if thread else "new"
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        by_id = {p.id: p for p in personas}
        key = f"persona-{suffix}"
        st.selectbox(
            "Persona",
            list(by_id),
            index=list(by_id).index(persona.id) if persona else None,
            format_func=lambda i: by_id[i].name,
            placeholder="This persona was deleted: choose another",
            key=key,
            on_change=_acts.pick_persona,
            args=(key, thread),
            label_visibility="collapsed",
            width=260,
        )
        _client_picker.draw(about, thread)
        with st.popover("More", icon=":material/more_horiz:", type="tertiary", help="Who answers; this thread"):
            answered_by(thread, f"backend-{suffix}")
            if thread is not None:
                _client_picker.menu(thread)
                thread_menu(thread)


def answered_by(thread: Thread | None, key: str) -> None:
    infos = {b.name: b for b in shared.coach().backends(shared.actor())}
    now = (thread.backend if thread else state.get("_backend")) or ""
    names = list(dict.fromkeys(["", *infos, now]))

    def label(name: str) -> str:
        if name in infos:
            return infos[name].label + ("" if infos[name].ready else " (not set up)")
        return f"{name} (removed)" if name else "As set for everyone"

    st.selectbox(
        "Answered by",
        names,
        index=names.index(now),
        format_func=label,
        key=key,
        on_change=_acts.pick_backend,
        args=(key, thread),
    )
    if now in infos and not infos[now].ready:
        st.caption(f":material/warning: {escape(infos[now].why)}")


def thread_menu(thread: Thread) -> None:
    coach, actor = shared.coach(), shared.actor()
    key = f"title-{thread.id}"
    st.text_input("Title", thread.title, key=key, max_chars=200, on_change=_acts.rename, args=(thread.id,))
    for label, form, ending in (("Markdown", "markdown", "md"), ("JSON", "json", "json")):
        st.download_button(
            f"Export as {label}",
            data=lambda form=form: coach.export(actor, thread.id, form),
            file_name=f"{thread.title[:60] or 'thread'}.{ending}",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )
    st.button("Delete this thread", icon=":material/delete:", type="tertiary", on_click=_acts.delete, args=(thread,))


def empty(persona: Persona, about: Client | None) -> None:
    """What a person meets first: the persona's own sentence and four starters."""
    with st.container(key="empty", gap="medium"):
        st.header(escape(persona.draft.empty_state or f"What is on your mind? {persona.name} listens."), anchor=False)
        if persona.draft.greeting and persona.draft.greeting != persona.draft.empty_state:
            st.markdown(escape(persona.draft.greeting))
        with st.container(key="starters", gap="small"):
            for n, starter in enumerate(_client_picker.starters(about, persona)):
                st.button(
                    escape(starter),
                    key=f"starter-{persona.id}-{n}",
                    icon=":material/arrow_forward:",
                    width="stretch",
                    on_click=_acts.ask,
                    args=(starter,),
                )


def conversation(thread: Thread, shown: _window.Shown, persona: Persona | None, busy: bool) -> DeltaGenerator | None:
    """Draw the branch on show; returns the place where the answer that is being written grows."""
    growing: DeltaGenerator | None = None
    _window.earlier(shown)
    summary = _summary.of(thread)
    _summary.on_top(summary, shown)
    cited = shared.coach().citations(shared.actor(), [m.id for m in shown.messages if m.speaker == "assistant"])
    referrals = shared.coach().referrals(shared.actor(), thread.id)
    for message in shown.messages:
        if summary is not None and message.parent_id == summary.message_id:
            _summary.line(summary)
        with st.container(key=f"{message.speaker}-{message.id}", gap="xsmall"):
            if message.speaker == "user":
                user_message(thread, message, busy)
            elif message.speaker == "assistant":
                st.caption(escape(persona.name if persona else "Coach"))
                place = st.container(key=f"text-{message.id}", gap="small")
                if message.status == "streaming":
                    growing = place
                    continue
                if message.id in referrals:
                    with place:
                        _draw.referral(referrals[message.id].as_told())
                citations = cited.get(message.id, [])
                _draw.answer(place, message.text, citations, str(message.id))
                if citations:
                    _draw.sources(citations, message.id, _acts.open_cite)
                _draw.tools(message.parts)
                row(thread, message, busy)
    _window.later(shown)
    return growing


def user_message(thread: Thread, message: Message, busy: bool) -> None:
    if state.get("_editing") == message.id:
        st.text_area("Your message", message.text, key=f"edited-{message.id}", label_visibility="collapsed")
        with st.container(horizontal=True):
            st.button("Send", type="primary", key=f"send-{message.id}", on_click=_acts.resend, args=(message.id,))
            st.button("Cancel", type="tertiary", key=f"keep-{message.id}", on_click=_acts.edit, args=(None,))
        return
    with st.container(key=f"bubble-{message.id}", gap=None):
        _draw.question(message)
    with st.container(key=f"row-{message.id}", horizontal=True, vertical_alignment="center", gap="xsmall"):
        branches(thread, message, busy)
        tool(f"edit-{message.id}", ":material/edit:", "Edit and ask again", _acts.edit, message.id, disabled=busy)


def row(thread: Thread, message: Message, busy: bool) -> None:
    """The small machinery under an answer."""
    record = turn_of(message)
    if message.status in _STATE:
        why = _ENDED.get(record.finish_reason, "") if record and record.status == "incomplete" else ""
        st.caption(why or _STATE[message.status])
    elif message.status == "failed":
        words = record.error_text if record and record.error_text else "The answer failed. Try again."
        st.error(escape(words), icon=":material/error:")
    if record is not None:
        _draw.unsearched(record.notices, message.id, busy, _acts.again)
    begun = message.text or any(p.kind == "tool_result" for p in message.parts)
    if message.status != "complete" and begun:
        st.button(
            "Continue",
            key=f"continue-{message.id}",
            icon=":material/play_arrow:",
            on_click=_acts.go_on,
            args=(message.id,),
            disabled=busy,
        )
    with st.container(key=f"row-{message.id}", horizontal=True, vertical_alignment="center", gap="xsmall"):
        if message.text:
            feedback(message)
            tool(f"copy-{message.id}", ":material/content_copy:", "Copy", lambda: None)
        tool(f"again-{message.id}", ":material/refresh:", "Answer again", _acts.again, message.id, disabled=busy)
        branches(thread, message, busy)
        if record is not None:
            if "total" in record.timing:
                st.caption(shared.seconds(record.timing["total"]), width="content")
            if line := remembered.line(record):
                st.caption(f":material/bookmark: {escape(line)}", width="content")
            tool(f"turn-{message.id}", ":material/info:", "How this answer came about", _acts.open_turn, message.id)


def tool(key: str, icon: str, words: str, then: Any, *args: Any, disabled: bool = False) -> None:
    st.button(words, key=key, icon=icon, help=words, type="tertiary", on_click=then, args=args, disabled=disabled)


def branches(thread: Thread, message: Message, busy: bool) -> None:
    """`< 2/3 >` when there are other versions beside this one."""
    if len(message.siblings) < 2:
        return
    at = message.siblings.index(message.id)
    for step, icon, words in (
        (-1, ":material/chevron_left:", "The version before"),
        (1, ":material/chevron_right:", "The next version"),
    ):
        if step == 1:
            st.caption(f"{at + 1}/{len(message.siblings)}", width="content")
        to = at + step
        there = 0 <= to < len(message.siblings)
        tool(
            f"branch{step}-{message.id}",
            icon,
            words,
            _acts.show_branch,
            thread.id,
            message.siblings[to if there else at],
            disabled=busy or not there,
        )


def feedback(message: Message) -> None:
    """Thumbs, and once one is given, why."""
    now = {1: 1, -1: 0}.get(message.feedback)
    st.feedback("thumbs", key=f"feedback-{message.id}", default=now, on_change=_acts.rate, args=(message.id,))
    if message.feedback:
        with st.popover("Say why", icon=":material/comment:", type="tertiary", help="Say why"):
            if message.feedback_reason:
                st.caption(f"Kept: {escape(message.feedback_reason)}")
            if message.feedback < 0:
                st.pills("Why", REASONS, selection_mode="multi", key=f"reasons-{message.id}")
            st.text_area("In your words", key=f"reason-{message.id}", max_chars=2000, height=80)
            st.button(
                "Keep", key=f"keep-reason-{message.id}", on_click=_acts.give_reason, args=(message.id, message.feedback)
            )


def turn_of(message: Message) -> TurnRecord | None:
    """The turn of a finished answer: it does not change any more, so it is read once a session."""
    known: dict[UUID, TurnRecord | None] = state.setdefault("_turns", {})
    if message.id not in known:
        known[message.id] = shared.coach().turn_of(shared.actor(), message.id)
    return known[message.id]


def commands(persona: Persona | None, thread: Thread | None) -> bool:
    """The persona's tools as chips; whether there are any."""
    if persona is None or not persona.draft.tools:
        return False
    backend = thread.backend if thread else state.get("_backend")
    known, why = shared.coach().slash_commands(shared.actor(), persona.id, backend)
    if not known:
        return False
    with st.container(key="commands", horizontal=True, vertical_alignment="center", gap="xsmall"):
        for command in known:
            st.button(
                escape(command.name),
                key=f"command-{command.name[1:]}",
                icon=":material/build:",
                type="tertiary",
                help=f"{escape(command.does)}  \nWrite {escape(command.usage)}",
                on_click=_acts.call_tool,
                args=(command.name,),
            )
        if why:
            st.caption(escape(why), width="content")
    return True


def composer(running: TurnRecord | None, persona: Persona | None, thread: Thread | None) -> None:
    with st.bottom, st.container(gap="xsmall"):
        callable_ = commands(persona, thread)
        files: list[StoredFile] = state.get("_files", [])
        if files:
            with st.container(horizontal=True, gap="xsmall", key="files"):
                for file in files:
                    st.button(
                        escape(file.name),
                        icon=":material/close:",
                        key=f"drop-{file.id}",
                        help="Take this file off",
                        on_click=_acts.drop_file,
                        args=(file.id,),
                    )
        if (draft := state.pop("_draft", None)) is not None:
            state[_acts.ASK] = draft
        with st.container(horizontal=True, vertical_alignment="center", gap="small", key="composer"):
            st.chat_input(
                "Ask, or / for a tool" if callable_ else "Ask, or attach a file",
                key=_acts.ASK,
                accept_file="multiple",
                file_type=FILE_TYPES,
                on_submit=_acts.submit,
            )
            if running is not None:
                st.button(
                    "Stop",
                    key="stop",
                    icon=":material/stop_circle:",
                    shortcut="Esc",
                    on_click=_acts.stop,
                    args=(running.id,),
                )


def open_drawer(thread: Thread | None, messages: Sequence[Message]) -> None:
    """The drawer that the address or a click asks for."""
    if value := st.query_params.get("cite", ""):
        at = drawers.parse_cite(value)
        shown = next((m for m in messages if at is not None and m.id == at[0]), None)
        if shown is None and at is not None and thread is not None:
            shown = _window.message(thread, at[0])
        if at is not None and shown is not None:
            for citation in shared.coach().citations(shared.actor(), [at[0]]).get(at[0], []):
                if citation.number == at[1]:
                    drawers.passage(citation, shown, _acts.close_drawer)
                    return
        shared.tell("This link leads to a passage that is not in this thread.", "warning")
    elif message_id := state.get("_turn_shown"):
        record = shared.coach().turn_of(shared.actor(), message_id)
        if record is not None:
            cited = shared.coach().citations(shared.actor(), [message_id]).get(message_id, [])
            drawers.turn(record, len(cited), _acts.close_drawer)


@st.fragment(run_every=LOOK_EVERY)
def look_elsewhere(thread_id: UUID, head_id: UUID | None, running: bool) -> None:
    """Show what another tab or channel adds to the thread while nothing is written on this page."""
    try:
        now = shared.coach().thread(shared.actor(), thread_id).head_id
        ended = running and shared.coach().running(shared.actor(), thread_id) is None
    except CoachError:
        return
    if now != head_id or ended:
        st.rerun()


def watch(turn: TurnRecord, place: DeltaGenerator) -> None:
    """Follow the running turn to its end, then draw the page anew with the whole answer."""
    coach, actor = shared.coach(), shared.actor()
    text = place.container(gap="small")
    status = place.empty()  # below the text, so that nothing moves when it goes
    partial = coach.partial(actor, turn.id)
    if _draw.follow(text, status, coach.tail(actor, turn.id, poll=0.1), str(turn.answer_id), partial) is None:
        time.sleep(0.5)  # it was cut off: look again, but not at once
    st.rerun()


def moved(thread: Thread | None) -> bool:
    """Whether another thread is shown than in the run before; what belonged to that one is forgotten."""
    on_show = thread.id if thread else None
    before = state.get("_on_show", on_show)
    state["_on_show"] = on_show
    if before == on_show:
        return False
    for name in ("_editing", "_turn_shown", *_window.STATE):
        state.pop(name, None)
    # A link within the same page reaches the script, but not the address bar.
    st.query_params.from_dict(st.query_params.to_dict())
    return True


def conversation_place(*, clear: bool) -> DeltaGenerator:
    """Where the messages stand, emptied when another thread is shown, so that no old message lingers."""
    place = st.empty()
    if clear:
        place.empty()
        time.sleep(0.05)  # the browser joins what comes at once
    return place.container()


def main() -> None:
    coach, actor = shared.coach(), shared.actor()
    thread = _acts.thread_on_show()
    another = moved(thread)
    personas = coach.personas(actor)
    persona = _acts.chosen_persona(personas, thread)
    if thread is not None and state.get("_opened") != thread.id:
        coach.opened(actor, thread.id)
        state["_opened"] = thread.id
    running, shown = _window.read(thread) if thread else (None, _window.Shown())
    growing: DeltaGenerator | None = None
    about = _client_picker.client_of(thread)
    header(personas, persona, thread, about)
    if deleted := state.get("_deleted"):
        if thread is None:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f"{escape(deleted.title or 'The thread')} was deleted.", width="content")
                st.button("Undo", type="tertiary", on_click=_acts.undelete, args=(deleted,))
        else:
            state.pop("_deleted")
    with conversation_place(clear=another):
        if thread is not None:
            growing = conversation(thread, shown, persona, running is not None)
        elif persona is not None:
            empty(persona, about)
    composer(running, persona, thread)
    questions = [m.text for m in shown.messages if m.speaker == "user"]
    client.mount(
        thread=str(thread.id) if thread else "new",
        last=questions[-1] if questions else "",
        running=running is not None,
        message=shown.link,
        on_cite=_acts.open_linked_cite,
    )
    open_drawer(thread, shown.messages)
    if running is not None and growing is not None:
        watch(running, growing)
    elif thread is not None:
        look_elsewhere(thread.id, thread.head_id, running is not None)


main()
