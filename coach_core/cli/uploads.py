"""`uploads`: the files handed over on the pages, as every process of this home sees them.

Invariant: without an option nothing changes; reading goes on in the app, not here. Each collection has its own
figures, the same as on its page: what ended in one is no part of a batch in another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coach_core.cli import shell

if TYPE_CHECKING:
    from coach_core.types import UploadCounts

_MOST = 20  # failures that are told one by one


def uploads(
    collection: Annotated[str | None, typer.Option("--collection", "-c", help="Only of this collection.")] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Leave alone what waits, also after a restart.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was paused.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up what is not in yet.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what failed.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Take off the list what is in or failed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show and steer the uploads of the pages: what is in, in work, waits or failed, and the time left.

    python -m coach_core uploads --pause
    """
    with shell.opened() as (coach, actor):
        chosen = shell.collection_named(coach, actor, collection).id if collection else None
        for wanted, do, said in (
            (pause, coach.pause_uploads, "paused"),
            (resume, coach.resume_uploads, "wait again"),
            (cancel, coach.cancel_uploads, "cancelled"),
            (retry, coach.retry_uploads, "are tried again"),
            (clear, coach.clear_uploads, "taken off the list"),
        ):
            if wanted:
                shell.say(f"Files: {do(actor, chosen)} {said}.")
        named = {c.id: c.name for c in coach.collections(actor) if chosen in (None, c.id)}
        parts = {name: count for key, name in named.items() if (count := coach.upload_counts(actor, key)).total}
        failed = [(s.name, s.error) for _, s in coach.uploads(actor, chosen, ("failed",), _MOST)]
        moving = any(c.moving for c in parts.values())
        idle = moving and not coach.uploads_worked_on(actor)
    if as_json:
        errors = [{"name": name, "error": error} for name, error in failed]
        each = [{"collection": name, **_told([count])} for name, count in parts.items()]
        shell.put_json(_told(_going_on(list(parts.values()))) | {"collections": each, "errors": errors})
        return
    for name in sorted(parts, key=lambda n: (not parts[n].moving, n.casefold())):
        shell.put(f"{name}: {_said(parts[name])}" if len(parts) > 1 else _said(parts[name]))
    if not parts:
        shell.put("No uploads.")
    for name, error in failed:
        shell.put(f"  {name}: {error}")
    more = sum(c.failed for c in parts.values()) - len(failed)
    if more > 0:
        shell.put(f"  and {more} more")
    if idle:
        shell.say("The app is not running; it goes on with them when it starts: `python -m coach_core serve`.")


def _going_on(counts: list[UploadCounts]) -> list[UploadCounts]:
    """Of the batches that are on their way; of all when none is."""
    return [c for c in counts if c.moving or c.paused] or counts


def _told(counts: list[UploadCounts]) -> dict[str, float | None]:
    names = ("total", "ready", "failed", "waiting", "paused", "working", "duplicates")
    seconds = [c.seconds for c in counts if c.seconds is not None]  # each with what waits before it
    return {name: sum(getattr(c, name) for c in counts) for name in names} | {"seconds": max(seconds, default=None)}


def _said(counts: UploadCounts) -> str:
    parts = [f"{counts.ready + counts.failed} of {counts.total} files"]
    for number, what in (
        (counts.failed, "failed"),
        (counts.duplicates, "there already"),
        (counts.working, "in work"),
        (counts.waiting, "waiting"),
        (counts.paused, "paused"),
    ):
        if number:
            parts.append(f"{number} {what}")
    if counts.seconds is not None:
        parts.append(f"about {max(1, round(counts.seconds / 60))} min left")
    return ", ".join(parts) + "."
