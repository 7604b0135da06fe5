"""`knowledge`: what an admin looks after: what documents are used for, what they did not answer, hosted copies.

Invariant: looking sends nothing anywhere; only `hosted` with --sync, --keep-alive or --others asks an API.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from coach_core.cli import shell

if TYPE_CHECKING:
    from coach_core.types import HostedCopy

app = typer.Typer(help="What documents are used for, what they did not answer, copies at APIs.", no_args_is_help=True)
Json = Annotated[bool, typer.Option("--json", help="As JSON.")]
Which = Annotated[str, typer.Argument(metavar="COLLECTION", help="The collection's name or id.")]
Days = Annotated[int, typer.Option("--days", min=1, help="Of the last days.")]
_SAID = {
    "nothing": "nothing was found",
    "no_answer": "the passages do not answer",
    "uncited": "the answer cites nothing",
}


@app.command()
def use(collection: Which, days: Days = 90, as_json: Json = False) -> None:
    """Say how often each document of a collection was found and cited, the most cited first."""
    with shell.opened() as (coach, actor):
        group = shell.collection_named(coach, actor, collection)
        uses = coach.document_uses(actor, group.id, days=days)
        found = [(d, uses.get(d.id)) for d in coach.documents(actor, group.id)]
    rows = sorted(found, key=lambda r: (-(r[1].cited if r[1] else 0), -(r[1].found if r[1] else 0), r[0].name))
    if as_json:
        shell.put_json(
            [
                {
                    "document": d.name,
                    "found": u.found if u else 0,
                    "cited": u.cited if u else 0,
                    "last": u.last_at if u else None,
                }
                for d, u in rows
            ]
        )
        return
    for document, used in rows:
        told = f"cited {used.cited}, found {used.found}, last {_local(used.last_at)}" if used else "not used"
        shell.put(f"{document.title or document.name}: {told}")


@app.command()
def unanswered(days: Days = 180, as_json: Json = False) -> None:
    """List the questions that found nothing, those asked most often first; never who asked."""
    with shell.opened() as (coach, actor):
        questions = coach.unanswered(actor, ("open",), days=days)
        names = {p.id: p.name for p in coach.personas(actor)}
    if as_json:
        shell.put_json([dataclasses.asdict(q) for q in questions])
        return
    if not questions:
        shell.put("No open questions: every one that was asked found something.")
    for q in questions:
        who = names.get(q.persona_id, "a deleted persona") if q.persona_id else ""
        shell.put(f"{q.times}x  {q.text}  ({who}, {_SAID[q.verdict]}, last {_local(q.last_at)})")


@app.command()
def hosted(
    collection: Which,
    fill: Annotated[str, typer.Option(metavar="ENDPOINT", help="Fill a store there from the collection.")] = "",
    drop: Annotated[str, typer.Option(metavar="ENDPOINT", help="Delete the store that was filled there.")] = "",
    keep_alive: Annotated[str, typer.Option(metavar="ENDPOINT", help="Let that store stay 30 days from now.")] = "",
    sync: Annotated[bool, typer.Option("--sync", help="Bring it in step now.")] = False,
    others: Annotated[str, typer.Option(metavar="ENDPOINT", help="List stores there that are not the app's.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Say which vector stores hold a collection's documents, how they differ, and until when they stay.

    --fill uploads whole documents to the endpoint's API; the running app (or --sync) does it and keeps it in step.
    """
    with shell.opened() as (coach, actor):
        group = shell.collection_named(coach, actor, collection)
        if fill:
            host = coach.hosted_places(actor).get(fill, fill)
            question = f"Upload the {group.documents} documents of {group.name} to {host}, and keep them in step there?"
            shell.confirmed(question, yes)
            coach.fill_hosted(actor, group.id, fill)
        if drop:
            shell.confirmed(f"Delete the store at {drop} that was filled from {group.name}?", yes)
            coach.drop_hosted(actor, group.id, drop)
        if (sync or fill or drop) and not coach.hosted_sync(actor, shell.say):
            shell.say("Another process is bringing it in step just now; this is how far it is.")
        if keep_alive:
            coach.keep_hosted_alive(actor, keep_alive, group.id)
        copies = coach.hosted_copies(actor, group.id)
        foreign = coach.hosted_others(actor, others) if others else []
    if as_json:
        found = {"copies": [dataclasses.asdict(c) for c in copies]}
        shell.put_json(found | ({"others": [dataclasses.asdict(o) for o in foreign]} if others else {}))
        return
    if not copies:
        shell.put(f"No API holds documents of {group.name}.")
    for copy in copies:
        for line in _lines(copy):
            shell.put(line)
    for other in foreign:
        until = f", expires {_local(other.expires_at)}" if other.expires_at else ""
        shell.put(f"{other.host}: {other.name or other.store} (not the app's), {other.files} files{until}")


def _lines(copy: HostedCopy) -> list[str]:
    whose = "filled from the collection" if copy.of_collection else f"of the persona {copy.name}"
    lines = [f"{copy.endpoint} ({copy.host}), {whose}: {copy.there} of {copy.documents}, {copy.bytes:,} bytes there"]
    named = (("missing there", copy.missing), ("changed here", copy.changed), ("extra there", copy.extra))
    lines += [f"  {what}: {', '.join(names)}" for what, names in named if names]
    lines += [f"  {failure.name}: {failure.why}" for failure in copy.failed]
    if copy.why:
        lines.append(f"  {copy.why}")
    if copy.synced_at:
        lines.append(f"  in step last at {_local(copy.synced_at)}")
    if copy.expires_at:
        lines.append(f"  expires at {_local(copy.expires_at)} unless it is searched")
    return lines


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}" if moment else "never"
