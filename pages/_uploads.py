"""Files on their way in: dropped, read, ready, or in trouble with a way out.

Invariant: a file is handed over once; the field is empty again at once, and where each file stands is
asked of the Coach, so that a reload loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

import streamlit as st

from coach_core.errors import CoachError
from coach_core.knowledge import loaders
from coach_core.types import Actor, IngestProgress
from coach_core.ui import marks, shared, widgets

if TYPE_CHECKING:
    from coach_core.coach import Coach

UNITS = {"reading": "page", "chunking": "passage", "embedding": "passage", "ready": "passage"}
SEEN = "_uploads_seen"  # what was on its way when the page was drawn
SAYS = {"queued": "waits its turn", "reading": "reading", "chunking": "cutting into passages", "embedding": "embedding"}
KINDS = loaders.SAID


def drop(label: str, key: str, into: Callable[[], UUID], replace: UUID | None = None) -> None:
    """A field for files; what is dropped goes into the collection that `into()` names, at once."""
    count = st.session_state.get(f"{key}_count", 0)
    most = shared.coach().largest_upload()
    st.file_uploader(
        label,
        accept_multiple_files=replace is None,
        key=f"{key}_{count}",
        on_change=_send,
        args=(key, into, replace),
        help=f"{KINDS}, at most {widgets.size(most)} each. Words in it are found as soon as it is read; "
        "its meaning follows.",
    )


@shared.safely
def _send(key: str, into: Callable[[], UUID], replace: UUID | None) -> None:
    count = st.session_state.get(f"{key}_count", 0)
    given = st.session_state.get(f"{key}_{count}")
    files = given if isinstance(given, list) else [given] if given else []
    st.session_state[f"{key}_count"] = count + 1
    if files:
        coach, actor, collection = shared.coach(), shared.actor(), into()
        for file in files:
            try:
                coach.upload(actor, collection, file.name, file.getvalue(), replace)
            except CoachError as error:  # the others still go in
                shared.tell_later(f"{file.name}: {error.sentence}", "error")


def busy(coach: Coach, actor: Actor, collection: UUID | None) -> bool:
    """Whether something is on its way, or waits in `collection` for its meaning: worth looking again soon."""
    documents = coach.documents(actor, collection) if collection else []
    return _state(coach, actor)[0] or ended(coach, actor) or any(d.embedded < d.chunks for d in documents)


def seen(coach: Coach, actor: Actor) -> None:
    """Remember what is on its way; call it where the page begins, before it counts documents."""
    st.session_state[SEEN] = _state(coach, actor)


def ended(coach: Coach, actor: Actor) -> bool:
    """Whether a file came in since the page was drawn: what it counted is old then."""
    state, before = _state(coach, actor), st.session_state.get(SEEN)
    return before is not None and bool(state[1] - before[1] or (before[0] and not state[0]))


def refresh(coach: Coach, actor: Actor) -> None:
    """Draw the whole page anew, once, when a file came in; last in a fragment, so that no click is lost."""
    if ended(coach, actor):
        seen(coach, actor)
        st.rerun(scope="app")


def _state(coach: Coach, actor: Actor) -> tuple[bool, frozenset[UUID]]:
    """(whether a file is on its way, those that are in)."""
    uploads = coach.uploads(actor)
    ready = frozenset(upload for upload, step in uploads if step.stage == "ready")
    return any(step.stage not in {"ready", "failed"} for _, step in uploads), ready


def progress(coach: Coach, actor: Actor, collection: UUID | None) -> None:
    """One line a file of `collection`, the newest first; call it inside a fragment."""
    if collection is None:
        return
    uploads = coach.uploads(actor, collection)
    for upload, step in reversed(uploads):
        with st.container(border=True, key=f"upload_{upload}", gap="xsmall"):
            _line(coach, actor, upload, step)
    ready = [upload for upload, step in uploads if step.stage == "ready"]
    if len(ready) > 1:
        st.button("Clear those that are in", type="tertiary", on_click=_dismiss, args=(coach, actor, ready))
    failed = [upload for upload, step in uploads if step.stage == "failed"]
    if len(failed) > 1:
        st.button("Clear all failed", type="tertiary", on_click=_dismiss, args=(coach, actor, failed))


def _line(coach: Coach, actor: Actor, upload: UUID, step: IngestProgress) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{_sign(step)} **{marks.plain(step.name)}** {_say(step)}", width="stretch")
        if step.stage == "failed":
            st.button(
                "Try again", icon=":material/refresh:", key=f"retry_{upload}", args=(actor, upload),
                on_click=shared.safely(coach.retry_upload),
            )  # fmt: skip
        if step.stage in {"failed", "ready"}:
            label = "Remove" if step.stage == "failed" else "Done"
            st.button(
                label, icon=":material/close:", type="tertiary", key=f"dismiss_{upload}", on_click=_dismiss,
                args=(coach, actor, [upload]),
            )  # fmt: skip
    if step.stage == "failed":
        st.markdown(f":red[{marks.plain(step.error)}]")
    elif step.stage != "ready":
        st.progress(min(1.0, step.done / step.total) if step.total else 0.0)


@shared.safely
def _dismiss(coach: Coach, actor: Actor, uploads: list[UUID]) -> None:
    for upload in uploads:
        coach.dismiss_upload(actor, upload)


def _sign(step: IngestProgress) -> str:
    return {"failed": ":red[:material/error:]", "ready": ":green[:material/check_circle:]"}.get(
        step.stage, ":gray[:material/hourglass_top:]"
    )


def _say(step: IngestProgress) -> str:
    if step.stage == "failed":
        return ""
    if step.duplicate:
        return ":gray[was here already; nothing was added]"
    archive = step.stage == "reading" and step.name.lower().endswith(".zip")
    unit = "document" if archive else UNITS.get(step.stage, "")
    if step.stage == "ready":
        return f":gray[is in, {widgets.count(step.total, unit)}]"
    much = f", {step.done:,} of {widgets.count(step.total, unit)}" if step.total else ""
    return f":gray[{SAYS[step.stage]}{much}]"
