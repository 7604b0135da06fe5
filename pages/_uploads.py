"""Files on their way in: dropped, waiting, read, in, or in trouble with a way out.

Invariant: a file is handed over once; the field is empty again at once, and where the files stand is asked of
the Coach, so that a reload, a restart or another browser shows the same. Few files have a line each; of many
only those in work and in trouble do, the others are counted and unfold page by page.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import streamlit as st

from coach_core.access import allowed
from coach_core.errors import CoachError
from coach_core.knowledge import loaders
from coach_core.types import Actor, IngestProgress, UploadCounts, UploadStage
from coach_core.ui import marks, shared, widgets

if TYPE_CHECKING:
    from coach_core.coach import Coach

UNITS = {"reading": "page", "chunking": "passage", "embedding": "passage", "ready": "passage"}
SEEN = "_uploads_seen"  # what was on its way when the page was drawn
SAYS = {
    "queued": "waits its turn",
    "paused": "paused",
    "reading": "reading",
    "chunking": "cutting into passages",
    "embedding": "embedding",
}
FEW = 5  # files that have a line each
LONG = 20  # pages or passages of a file that has a bar of its own among many
PAGE = 10  # lines of those that wait or are in, and of those that failed
ANEW = 5.0  # seconds after which the page counts anew while files come in
WORKING: tuple[UploadStage, ...] = ("reading", "chunking", "embedding")
WAITING: tuple[UploadStage, ...] = ("queued", "paused")


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
        help=f"{loaders.said()}, at most {widgets.size(most)} each; hundreds at once are fine. Words in a file are "
        "found as soon as it is read; its meaning follows.",
    )


@shared.safely
def _send(key: str, into: Callable[[], UUID], replace: UUID | None) -> None:
    count = st.session_state.get(f"{key}_count", 0)
    given = st.session_state.get(f"{key}_{count}")
    files = given if isinstance(given, list) else [given] if given else []
    st.session_state[f"{key}_count"] = count + 1
    if not files:
        return
    coach, actor, collection = shared.coach(), shared.actor(), into()
    if not coach.upload_counts(actor, collection).moving:  # a new batch counts from nothing
        coach.clear_uploads(actor, collection, ("ready",))
    refused: list[str] = []
    for file in files:
        try:
            coach.upload(actor, collection, file.name, file.getvalue(), replace)
            if over := coach.passed_over(actor, file.name, file.getvalue()):
                shared.tell_later(over)
        except CoachError as error:  # the others still go in
            refused.append(f"{file.name}: {error.sentence}")
    for sentence in refused[:FEW]:
        shared.tell_later(sentence, "error")
    if len(refused) > FEW:
        shared.tell_later(f"And {widgets.count(len(refused) - FEW, 'more file')} could not be handed over.", "error")


def busy(coach: Coach, actor: Actor, collection: UUID | None) -> bool:
    """Whether something is on its way, or waits in `collection` for its meaning: worth looking again soon."""
    if coach.upload_counts(actor).moving or ended(coach, actor):
        return True
    figures = coach.figures(actor, collection) if collection else None
    return figures is not None and figures.embedded < figures.chunks


def seen(coach: Coach, actor: Actor) -> None:
    """Remember what is on its way; call it where the page begins, before it counts documents."""
    st.session_state[SEEN] = (coach.upload_counts(actor), time.monotonic())


def ended(coach: Coach, actor: Actor) -> bool:
    """Whether files came in since the page was drawn, or began to: what it shows is old then.

    While many come in, it grows old every few seconds only.
    """
    if SEEN not in st.session_state:
        return False
    (before, at), counts = st.session_state[SEEN], coach.upload_counts(actor)
    if counts.moving != before.moving:
        return True
    late = not counts.moving or time.monotonic() - at >= ANEW
    return counts.ready != before.ready and late


def refresh(coach: Coach, actor: Actor) -> None:
    """Draw the whole page anew, once, when a file came in; last in a fragment, so that no click is lost."""
    if ended(coach, actor):
        seen(coach, actor)
        st.rerun(scope="app")


def progress(coach: Coach, actor: Actor, collection: UUID | None) -> None:
    """Where the files of `collection` stand; call it inside a fragment."""
    if collection is None:
        return
    counts = coach.upload_counts(actor, collection)
    if not counts.total:
        return
    writes = allowed(actor.role, "knowledge.write")
    if counts.total <= FEW:
        for upload, step in reversed(coach.uploads(actor, collection)):
            _line(coach, actor, upload, step, writes)
    else:
        _together(coach, actor, collection, counts, writes)
    if writes and (counts.total <= FEW or not (counts.moving or counts.paused)):
        _clearing(coach, actor, collection, counts)


# -- many ---------------------------------------------------------------------------------------------


def _together(coach: Coach, actor: Actor, collection: UUID, counts: UploadCounts, writes: bool) -> None:
    with st.container(border=True, key="uploads", gap="small"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(_said(counts), width="stretch")
            if writes:
                _steering(coach, actor, collection, counts)
        if counts.moving or counts.paused:
            st.progress(counts.share)
        for upload, step in coach.uploads(actor, collection, WORKING, 4):
            _part(coach, actor, upload, step, writes)
        _failures(coach, actor, collection, counts.failed, writes)
        held = counts.waiting + counts.paused
        _folded(coach, actor, collection, "Paused" if counts.paused == held else "Waiting", WAITING, held, writes)
        _folded(coach, actor, collection, "In", ("ready",), counts.ready, writes)


def _said(counts: UploadCounts) -> str:
    """`213 of 500 files, 4 failed, about 6 min left`."""
    done = counts.ready + counts.failed
    failed = f":red[{counts.failed:,} failed]" if counts.failed else ""
    known = f"{counts.duplicates:,} {'was' if counts.duplicates == 1 else 'were'} here already"
    known = known if counts.duplicates else ""
    if counts.moving:
        head = f"{_sign('queued')} **{done:,} of {widgets.count(counts.total, 'file')}**"
        rest = [f"{counts.paused:,} paused" if counts.paused else "", left(counts.seconds)]
    elif counts.paused:
        head, rest = f":orange[:material/pause_circle:] **Paused at {done:,} of {counts.total:,} files**", []
    else:
        sign = _sign("ready" if counts.ready else "failed")
        head, rest = f"{sign} **{counts.ready:,} of {widgets.count(counts.total, 'file')} in**", []
    return ", ".join(part for part in (head, failed, known, *rest) if part)


def left(seconds: float | None) -> str:
    """The time left as one says it; coarse, for it is a guess."""
    if seconds is None:
        return ""
    if seconds < 45:
        return "less than a minute left"
    minutes = math.ceil(seconds / 60 - 0.25)
    if minutes <= 1:
        return "about a minute left"
    if minutes > 20:
        minutes = 5 * round(minutes / 5)
    if minutes < 90:
        return f"about {minutes} min left"
    return f"about {round(minutes / 60)} hours left"


def _steering(coach: Coach, actor: Actor, collection: UUID, counts: UploadCounts) -> None:
    given = (actor, collection)
    if counts.waiting:
        _button("Pause", "pause", "uploads_pause", coach.pause_uploads, given)
    if counts.paused:
        _button("Resume", "play_arrow", "uploads_resume", coach.resume_uploads, given, kind="primary")
    rest = counts.waiting + counts.paused + counts.working
    if rest:
        with st.popover("Cancel the rest", type="tertiary"):
            st.markdown(f"{widgets.count(rest, 'file')} will not be added. What is in stays.")
            _button(f"Cancel {widgets.count(rest, 'file')}", "close", "uploads_cancel", coach.cancel_uploads, given)


def _failures(coach: Coach, actor: Actor, collection: UUID, count: int, writes: bool) -> None:
    if not count:
        return
    offset = _offset("failed", count)
    with st.container(border=True, key="uploads_failed", gap="xsmall"):
        for upload, step in coach.uploads(actor, collection, ("failed",), PAGE, offset):
            _part(coach, actor, upload, step, writes)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            _pager("failed", count)
            if writes and count > 1:
                _button("Try all failed again", "refresh", "uploads_retry", coach.retry_uploads, (actor, collection))


def _folded(
    coach: Coach, actor: Actor, collection: UUID, label: str, stages: Sequence[UploadStage], count: int, writes: bool
) -> None:
    """Those of some stages: how many, and unfolded, which."""
    if not count:
        return
    box = st.expander(f"{label}: {count:,}", key=f"uploads_{stages[0]}", on_change="rerun", type="compact")
    if not box.open:
        return
    with box, st.container(gap="xsmall"):
        for upload, step in coach.uploads(actor, collection, stages, PAGE, _offset(stages[0], count)):
            _part(coach, actor, upload, step, writes and stages == WAITING)
        _pager(stages[0], count)


def _offset(what: str, count: int) -> int:
    last = max(0, (count - 1) // PAGE)
    page = min(int(st.session_state.get(f"uploads_page_{what}", 0)), last)
    st.session_state[f"uploads_page_{what}"] = page
    return page * PAGE


def _pager(what: str, count: int) -> None:
    if count <= PAGE:
        return
    first = _offset(what, count)
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
        _turn(what, -1, "chevron_left", "Before", first == 0)
        st.markdown(f":gray[{first + 1:,}-{min(first + PAGE, count):,} of {count:,}]", width="content")
        _turn(what, 1, "chevron_right", "Next", first + PAGE >= count)


def _turn(what: str, by: int, icon: str, label: str, disabled: bool) -> None:
    st.button(
        "", icon=f":material/{icon}:", help=label, type="tertiary", key=f"uploads_turn_{what}_{by}", disabled=disabled,
        on_click=_turned, args=(what, by),
    )  # fmt: skip


def _turned(what: str, by: int) -> None:
    st.session_state[f"uploads_page_{what}"] = max(0, st.session_state.get(f"uploads_page_{what}", 0) + by)


def _clearing(coach: Coach, actor: Actor, collection: UUID, counts: UploadCounts) -> None:
    few = counts.total <= FEW
    with st.container(horizontal=True, gap="small"):
        if counts.ready > (1 if few else 0):
            say = "Clear those that are in" if counts.failed or few else "Clear the list"
            stages: tuple[UploadStage, ...] = ("ready",)
            _button(say, "", "uploads_clear", coach.clear_uploads, (actor, collection, stages), kind="tertiary")
        if counts.failed > 1:
            stages = ("failed",)
            say = "Clear all failed"
            _button(say, "", "uploads_clear_failed", coach.clear_uploads, (actor, collection, stages), kind="tertiary")


def _button(
    label: str, icon: str, key: str, do: Callable[..., Any], args: Sequence[Any], *, kind: Any = "secondary"
) -> None:
    icon = f":material/{icon}:" if icon else ""
    st.button(label, icon=icon or None, type=kind, key=key, on_click=shared.safely(do), args=tuple(args))


# -- one ----------------------------------------------------------------------------------------------


def _line(coach: Coach, actor: Actor, upload: UUID, step: IngestProgress, writes: bool) -> None:
    with st.container(border=True, key=f"upload_{upload}", gap="xsmall"):
        _part(coach, actor, upload, step, writes, bar=True)


def _part(coach: Coach, actor: Actor, upload: UUID, step: IngestProgress, writes: bool, *, bar: bool = False) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"{_sign(step.stage)} **{marks.plain(step.name)}** {_say(step)}", width="stretch")
        if writes:
            _ways(coach, actor, upload, step)
    if step.stage == "failed":
        st.markdown(f":red[{marks.plain(step.error)}]")
    elif step.stage in WORKING and (bar or step.total >= LONG):
        st.progress(min(1.0, step.done / step.total) if step.total else 0.0)


def _ways(coach: Coach, actor: Actor, upload: UUID, step: IngestProgress) -> None:
    if step.stage == "failed":
        _button("Try again", "refresh", f"retry_{upload}", coach.retry_upload, (actor, upload))
    if step.stage in {"failed", "ready"}:
        label = "Remove" if step.stage == "failed" else "Done"
        _button(label, "close", f"dismiss_{upload}", coach.dismiss_upload, (actor, upload), kind="tertiary")
    else:
        given = (actor, None, upload)
        _button("Cancel", "close", f"cancel_{upload}", coach.cancel_uploads, given, kind="tertiary")


def _sign(stage: str) -> str:
    return {
        "failed": ":red[:material/error:]",
        "ready": ":green[:material/check_circle:]",
        "paused": ":orange[:material/pause_circle:]",
    }.get(stage, ":gray[:material/hourglass_top:]")


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
