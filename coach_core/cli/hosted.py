"""`personas hosted`: what an API holds of a persona's documents.

Invariant: looking sends nothing anywhere; only --sync does.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from coach_core.cli import shell
from coach_core.cli.personas import Which

if TYPE_CHECKING:
    from coach_core.types import HostedState


def hosted(
    persona: Which,
    sync: Annotated[bool, typer.Option("--sync", help="Bring it in step first, now.")] = False,
    backend: Annotated[
        str,
        typer.Option(help="For a thread that asks this backend; without it, the persona's own. `doctor` shows them."),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what an API holds of a persona's documents, and whether it searches them.

    It does so for a persona whose `search` is hosted (`personas edit NAME --search hosted`): its documents are
    uploaded to the API and kept in step. --sync does at once what the running app does by itself, for every
    persona, also what has to wait after a failure.
    """
    with shell.opened() as (coach, actor):
        found = coach.persona(actor, persona)
        if sync and not coach.hosted_sync(actor, shell.say):
            shell.say("Another process is bringing it in step just now; this is how far it is.")
        state = coach.hosted_state(actor, found.id, backend=backend)
    if as_json:
        shell.put_json(dataclasses.asdict(state))
        return
    for line in _lines(found.name, state):
        shell.put(line)


def _lines(name: str, state: HostedState) -> list[str]:
    if not state.wanted:
        kept = state.why or "Nothing of them is kept at an API."
        return [f"The documents of {name} are searched by the app itself. {kept}"]
    if not state.host:
        return [f"{name}: none of its {state.documents} documents is kept at an API.", state.why]
    lines = [f"{name}: {state.there} of {state.documents} documents at {state.host}, {state.bytes:,} bytes there"]
    lines.append("The API searches them." if state.ready else state.why)
    lines += [f"  {failure.name}: {failure.why}{_again(failure.again)}" for failure in state.failed]
    if state.to_remove:
        lines.append(f"{state.to_remove} more are there and are being removed.")
    if state.synced_at:
        lines.append(f"In step last at {_local(state.synced_at)}.")
    if state.expires_at:
        lines.append(
            f"Unless it is searched, the API drops its store at {_local(state.expires_at)}; it is made anew then."
        )
    return lines


def _again(moment: datetime | None) -> str:
    return f" It is tried again at {_local(moment)}." if moment else ""


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
