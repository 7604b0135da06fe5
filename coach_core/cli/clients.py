"""`clients`: whom a coach works with, the sheet before a session, and what is remembered of them.

Invariant: only clients of the one who acts are ever reached.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from coach_core.cli import shell

if TYPE_CHECKING:
    from coach_core.types import Memory

app = typer.Typer(help="List, add, read and export clients.", no_args_is_help=True)
memories = typer.Typer(help="What is remembered of a client: read it, approve it, correct it.", no_args_is_help=True)
app.add_typer(memories, name="memories")

Name = Annotated[str, typer.Argument(help="The client's name or id.", metavar="CLIENT")]
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Id = Annotated[list[str], typer.Argument(help="Ids of memories, as `memories list` shows them.", metavar="ID...")]
Kind = Literal["goal", "challenge", "progress", "preference", "event", "fact"]
Status = Literal["pending", "approved", "rejected", "superseded"]


@app.command("list")
def list_clients(
    text: Annotated[str, typer.Option("--search", "-s", help="Only those with this in their name.")] = "",
    deleted: Annotated[bool, typer.Option("--deleted", help="The deleted ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List your clients by name."""
    from coach_core.types import ClientQuery

    with shell.opened() as (coach, actor):
        found, total = coach.clients(actor, ClientQuery(text, deleted, limit))
    if as_json:
        shell.put_json([_plain(s) for s in found])
        return
    for s in found:
        waits = f", {s.pending} memories wait" if s.pending else ""
        shell.put(f"{s.client.id}  {s.client.name:<24.24}  {s.threads} threads, {s.open_goals} open goals{waits}")
    if not found:
        shell.say(
            "No client was found." if text or deleted else "There are no clients yet. `clients add NAME` adds one."
        )
    elif total > len(found):
        shell.say(f"{len(found)} of {total} clients; --limit shows more.")


@app.command("show")
def show(client: Name, as_json: Json = False) -> None:
    """A client's profile, goals and timeline."""
    with shell.opened() as (coach, actor):
        found = coach.client_named(actor, client)
        goals, items = coach.goals(actor, found.id), coach.timeline(actor, found.id)
    if as_json:
        shell.put_json(
            {"client": _plain(found), "goals": [_plain(g) for g in goals], "timeline": [_plain(i) for i in items]}
        )
        return
    draft = found.draft
    shell.put(f"{found.name}\n{found.id}")
    for label, value in (
        ("values", ", ".join(draft.values)),
        ("to be respected", ", ".join(draft.constraints)),
        ("style", draft.style),
        ("time zone", draft.time_zone),
        ("memories", draft.memory_mode),
    ):
        if value:
            shell.put(f"{label}: {value}")
    for item in items:
        status = f" ({item.status})" if item.status else ""
        shell.put(f"{_local(item.at)}  {item.kind:<9}  {' '.join(item.text.split())}{status}")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="The client's name.", metavar="NAME")],
    style: Annotated[str, typer.Option(help="How they like to be spoken to.")] = "",
    value: Annotated[list[str] | None, typer.Option("--value", help="What they value; may be given again.")] = None,
    constraint: Annotated[
        list[str] | None, typer.Option("--constraint", help="What is to be respected; may be given again.")
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Such as Europe/Berlin.")] = "",
    locale: Annotated[str, typer.Option(help="Such as de-DE.")] = "",
    mode: Annotated[
        Literal["review", "automatic", "off"], typer.Option("--memories", help="How memories come to be.")
    ] = "review",
    as_json: Json = False,
) -> None:
    """Add a client."""
    from coach_core.types import ClientDraft

    draft = ClientDraft(name, style, tuple(value or ()), tuple(constraint or ()), locale, time_zone, mode)
    with shell.opened() as (coach, actor):
        made = coach.save_client(actor, draft)
    shell.put_json(_plain(made)) if as_json else shell.put(str(made.id))


@app.command("brief")
def brief(client: Name, as_json: Json = False) -> None:
    """One sheet before a session: what they want now, what has happened, what is open."""
    with shell.opened() as (coach, actor):
        found = coach.client_named(actor, client)
        sheet, text = coach.brief(actor, found.id), coach.brief_markdown(actor, found.id)
    shell.put_json(_plain(sheet)) if as_json else shell.put(text.rstrip("\n"))


@app.command("export")
def export(
    client: Name,
    form: Annotated[
        Literal["json", "markdown"], typer.Option("--format", "-f", help="json: everything. markdown: to read.")
    ] = "json",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write. Without it: standard output.")
    ] = None,
) -> None:
    """Everything of a client: profile, goals, notes, homework, memories with their history, threads."""
    with shell.opened() as (coach, actor):
        text = coach.export_client(actor, coach.client_named(actor, client).id, form)
    if output is None:
        shell.put(text.rstrip("\n"))
        return
    shell.write_file(output, text.encode())
    shell.say(f"Written to {output}.")


@memories.command("list")
def list_memories(
    client: Annotated[
        str, typer.Argument(help="The client's name or id; without it: your own.", metavar="[CLIENT]")
    ] = "",
    status: Annotated[Status | None, typer.Option(help="Only those that are so.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    text: Annotated[str, typer.Option("--search", "-s", help="Only those with these words.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """List what is remembered, the newest first."""
    from coach_core.types import MemoryQuery

    with shell.opened() as (coach, actor):
        client_id = coach.client_named(actor, client).id if client else None
        found, total = coach.memories(actor, client_id, MemoryQuery(status, kind, text, limit))
    if as_json:
        shell.put_json([_plain(m) for m in found])
        return
    for memory in found:
        shell.put(f"{memory.id}  {memory.status:<10}  {memory.kind:<10}  {' '.join(memory.text.split())}")
    if not found:
        shell.say("Nothing is remembered.")
    elif total > len(found):
        shell.say(f"{len(found)} of {total}; --limit shows more.")


@memories.command("approve")
def approve(ids: Id, as_json: Json = False) -> None:
    """Say yes: from now on it comes to mind."""
    with shell.opened() as (coach, actor):
        _told(coach.approve_memories(actor, _ids(ids)), as_json)


@memories.command("reject")
def reject(ids: Id, as_json: Json = False) -> None:
    """Say no: it never comes to mind, and is not proposed again."""
    with shell.opened() as (coach, actor):
        _told(coach.reject_memories(actor, _ids(ids)), as_json)


@memories.command("edit")
def edit(
    memory: Annotated[str, typer.Argument(help="The memory's id.", metavar="ID")],
    text: Annotated[str | None, typer.Option(help="What it shall say.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="What kind it is.")] = None,
    as_json: Json = False,
) -> None:
    """Correct a memory; it is approved with that."""
    with shell.opened() as (coach, actor):
        _told([coach.edit_memory(actor, _ids([memory])[0], text=text, kind=kind)], as_json)


def _ids(texts: list[str]) -> list[UUID]:
    from coach_core.errors import MemoryNotFound

    return [shell.as_uuid(text, MemoryNotFound) for text in texts]


def _told(changed: list[Memory], as_json: bool) -> None:
    if as_json:
        shell.put_json([_plain(m) for m in changed])
        return
    for memory in changed:
        shell.put(f"{memory.id}  {memory.status}  {' '.join(memory.text.split())}")


def _plain(value: Any) -> dict[str, Any]:
    """A value as JSON takes it: times in ISO form, ids as text."""
    return {k: _value(v) for k, v in dataclasses.asdict(value).items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {k: _value(v) for k, v in value.items()}  # type: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_value(v) for v in value]  # type: ignore[reportUnknownVariableType]
    return value


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d}"
