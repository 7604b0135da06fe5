"""`doctor`, `backup`, `restore`, `cleanup`: what keeps a house in order.

Invariant: doctor always has something to say, also when nothing else works; restore never destroys what
it replaces.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coach_core.cli import shell
from coach_core.errors import CoachError, InputError

if TYPE_CHECKING:
    from coach_core.types import Check


def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="Also every setting and where it comes from.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="Ask each backend a small question, as `endpoints test` does.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what is configured, reachable and missing, and how to mend it.

    Each backend's server is looked at, which costs nothing; --live asks each for an answer of a word, which
    costs a few tokens and is the only proof. The exit code is 1 when something has failed; a warning is no
    failure.
    """
    checks, view = _examine(live)
    if as_json:
        shell.put_json(
            {
                "checks": [dataclasses.asdict(c) for c in checks],
                "settings": [{"name": n, "value": v, "from": w} for n, v, w in view],
            }
        )
    else:
        for check in checks:
            _print(check)
        for name, value, where in view if settings else ():
            shell.put(f"{name:<22} {value:<40} {where}")
    if any(c.state == "fail" for c in checks):
        raise typer.Exit(1)


def backup(
    file: Annotated[Path, typer.Argument(help="The file to write, such as coach-2026-11-21.zip.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Write over a file that is there.")] = False,
) -> None:
    """Put the database and all files into one file, while the app runs."""
    if file.exists() and not overwrite:
        raise InputError(f"{file} is there already. Choose another name, or say --overwrite.")
    if not file.absolute().parent.is_dir():
        raise InputError(f"The folder {file.absolute().parent} does not exist.")
    with shell.opened() as (coach, actor):
        coach.backup(actor, file)
    shell.say(f"{file}: {file.stat().st_size / 1e6:.1f} MB.")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` made.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the place of what is there. Stop the app first; what was there is kept aside."""
    if not file.is_file():
        raise InputError(f"{file} does not exist.")
    settings = shell.load_settings()
    from coach_core.coach import Coach

    shell.confirmed(f"Replace what is in {settings.home} by {file}?", yes)
    Coach.restore(settings, file)
    shell.say("Restored. Start the app again.")


def cleanup() -> None:
    """Do now what the running app does by the hour: clear away events and measures past their time."""
    with shell.opened() as (coach, actor):
        cleared = coach.cleanup(actor)
    shell.put("\n".join(f"{name}: {count} cleared" for name, count in cleared.items()))


def _examine(live: bool) -> tuple[list[Check], list[tuple[str, str, str]]]:
    from coach_core.types import Check

    try:
        with shell.opened() as (coach, actor):
            return coach.doctor(actor, live), coach.settings_view(actor)
    except CoachError as error:
        # Nothing could be opened: say so as a check, with the settings that led there if they can be read.
        found = [Check(error.kind.replace("_", " "), "fail", error.sentence)]
    try:
        return found, shell.load_settings().view()
    except CoachError:
        return found, []


def _print(check: Check) -> None:
    took = f"  {check.milliseconds:.0f} ms" if check.milliseconds is not None and check.milliseconds >= 1 else ""
    state = f"{check.state:<4}"
    if sys.stdout.isatty():
        state = typer.style(state, fg=shell.COLOURS[check.state])
    shell.put(f"{state}  {check.name:<18} {check.detail}{took}")
    if check.mend:
        shell.put(f"{'':<25}{check.mend}")
