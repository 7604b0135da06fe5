"""`threads`: find, read and export conversations.

Invariant: only threads of the one who acts are ever listed.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from coach_core.cli import shell

app = typer.Typer(help="List, read and export threads.", no_args_is_help=True)


@app.command("list")
def list_threads(
    text: Annotated[str, typer.Option("--search", "-s", help="Only threads with these words in a message.")] = "",
    persona: Annotated[str, typer.Option(help="Only this persona's.")] = "",
    backend: Annotated[str, typer.Option(help="Only those that this backend answered last.")] = "",
    archived: Annotated[bool, typer.Option("--archived", help="The archived ones.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list.")] = False,
) -> None:
    """List threads, the latest first."""
    from coach_core.types import ThreadQuery

    with shell.opened() as (coach, actor):
        persona_id = coach.persona(actor, persona).id if persona else None
        query = ThreadQuery(text=text, persona_id=persona_id, backend=backend, archived=archived, limit=limit)
        hits, total = coach.threads(actor, query)
    if as_json:
        shell.put_json(
            [
                {
                    "id": hit.thread.id,
                    "title": hit.thread.title,
                    "persona": hit.persona_name,
                    "messages": hit.messages,
                    "backend": hit.last_backend,
                    "interrupted": hit.interrupted,
                    "updated_at": hit.thread.updated_at.isoformat(),
                    "snippet": hit.snippet,
                }
                for hit in hits
            ]
        )
        return
    for hit in hits:
        mark = " (interrupted)" if hit.interrupted else ""
        when = _local(hit.thread.updated_at)
        shell.put(f"{hit.thread.id}  {when}  {hit.messages:>4}  {hit.persona_name:<14.14}  {hit.thread.title}{mark}")
        if hit.snippet:
            shell.put(f"{'':38}{hit.snippet}")
    if not hits:
        shell.say("No thread was found." if text or persona or backend else "There are no threads yet.")
    elif total > len(hits):
        shell.say(f"{len(hits)} of {total} threads; --limit shows more.")


@app.command("show")
def show(
    thread: Annotated[str, typer.Argument(help="The thread's id.", metavar="ID")],
    as_json: Annotated[bool, typer.Option("--json", help="With every branch, as JSON.")] = False,
) -> None:
    """Read a thread: the branch on show, with the sources of each answer."""
    with shell.opened() as (coach, actor):
        text = coach.export(actor, shell.as_uuid(thread), "json" if as_json else "markdown")
    shell.put(text.rstrip("\n"))


@app.command("export")
def export(
    thread: Annotated[str, typer.Argument(help="The thread's id.", metavar="ID")],
    form: Annotated[
        Literal["markdown", "json"],
        typer.Option("--format", "-f", help="markdown: the branch on show. json: everything, branches too."),
    ] = "markdown",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write. Without it: standard output.")
    ] = None,
) -> None:
    """Write a thread as Markdown or JSON."""
    with shell.opened() as (coach, actor):
        text = coach.export(actor, shell.as_uuid(thread), form)
    if output is None:
        shell.put(text.rstrip("\n"))
        return
    shell.write_file(output, text.encode())
    shell.say(f"Written to {output}.")


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"
