"""`ingest` and `search`: documents in, passages out.

Invariant: a file that cannot be read costs its own sentence and nothing else; the exit code tells.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coach_core.cli import intake, shell
from coach_core.errors import CollectionNotFound, InputError
from coach_core.types import Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from coach_core.coach import Coach
    from coach_core.types import Actor, Collection, Passage

Collections = Annotated[
    list[str] | None, typer.Option("--collection", "-c", help="Only this collection; may be given several times.")
]


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders; folders are walked.", metavar="PATH...")],
    collection: Annotated[str, typer.Option("--collection", "-c", help="Where to; made if it is new.")],
    description: Annotated[str, typer.Option(help="What a new collection holds.")] = "",
    licence: Annotated[str, typer.Option(help="The licence of a new collection's documents.")] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="A file of the same name replaces the document there.")
    ] = False,
    words_only: Annotated[
        bool, typer.Option("--words-only", help="Leave the embedding to the running app; words find the documents.")
    ] = False,
) -> None:
    """Take documents in: PDF, DOCX, PPTX, XLSX, EPUB, Markdown, text, HTML, CSV, JSON, EML, ZIP of these.

    A document that is there already is left as it is, so that after Ctrl-C the same command goes on. In folders,
    hidden files and kinds of file that cannot be read are passed over and counted. The exit code is 1 when a file
    failed.

        python -m coach_core ingest handbook.pdf notes/ --collection Handbook
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]} does not exist.")
    with shell.opened() as (coach, actor):
        target = _collection(coach, actor, collection, description, licence)
        files, passed_over = _walk(paths)
        taken = intake.take_in(coach, actor, target, files, replace)
        if taken.stopped:
            shell.say(f"Stopped at {taken.said()}. Run the same command again to go on: what is in is passed over.")
            raise typer.Exit(130)
        if passed_over:
            shell.say(f"Passed over: {passed_over} files of kinds that cannot be read.")
        if not files:
            raise InputError("There is no file here that can be read.")
        if not words_only:
            _embed(coach, actor)
        made = next(c for c in coach.collections(actor) if c.id == target.id)
    shell.say(f"{made.name}: {made.documents} documents, {made.chunks} passages.")
    if taken.there:
        shell.say(f"{taken.there} of {len(files)} files were there already.")
    if taken.failed:
        shell.say(f"{len(taken.failed)} of {len(files)} files could not be taken in.")
        raise typer.Exit(1)


def search(
    text: Annotated[str, typer.Argument(help="What to look for; - reads it from standard input.", metavar="TEXT")],
    collection: Collections = None,
    document: Annotated[
        list[str] | None, typer.Option("--document", "-d", help="Only this document, by name, title or id.")
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", "-l", help="Only documents in this language: en, es, ...")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only documents of that day or later.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only documents of that day or earlier.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=200, help="How many passages.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="As a JSON list, best first.")] = False,
) -> None:
    """Find passages as a persona would: by words and by meaning.

    Each comes with its places by words and by meaning and the words of the question that stand in it.
    A document's date is the one it gives itself, else the day it came in. --collection, --document and
    --language may be given several times.

        python -m coach_core search "plan the week" --collection Handbook --k 5 --json
        python -m coach_core search "sleep" --language en --since 2025-01-01
    """
    wanted = sys.stdin.read() if text == "-" else text
    with shell.opened() as (coach, actor):
        chosen = [shell.collection_named(coach, actor, name).id for name in collection or []]
        shell.wait_for_search(coach, actor)
        fits = Filter(
            documents=tuple(_documents_named(coach, actor, chosen, document or [])),
            languages=tuple(code.strip().lower() for code in language or []),
            since=since.date() if since else None,
            until=until.date() if until else None,
        )
        passages = coach.search(actor, wanted, collections=chosen or None, fits=fits, k=k)
        why = coach.why(actor, wanted, passages)
        state = coach.embedding_state(actor)
        glossed = coach.glossed(actor, wanted, passages)
        away = bool(passages) and coach.verdict(actor, wanted, passages) == "nothing"
        names = {d.id: d.name for c in {p.collection_id for p in passages} for d in coach.documents(actor, c)}
        nothing = "" if passages else _nothing(coach, actor, wanted, chosen or None, fits)
    if away:
        shell.say("No passage answers this; these are the nearest.")
    if glossed:
        shell.say(f"The question's words in English: {', '.join(glossed)}")
    if state.instead:
        shell.say(f"(by words, and by {state.instead} in place of the model chosen: {state.trouble})")
    elif state.alone:
        shell.say(f"(by words alone: {state.trouble})")
    if as_json:
        shell.put_json(
            [
                {
                    "text": p.text,
                    "document": names.get(p.document_id, p.title),
                    "title": p.title,
                    "section": p.section,
                    "page": p.page,
                    "row": p.row,
                    "score": round(p.score, 4),
                    "rank_words": p.rank_words,
                    "rank_meaning": p.rank_meaning,
                    "rank_reranker": p.rank_reranker,
                    "words": _said(p.text, spans),
                    "spans": spans,
                    "language": p.language,
                    "also": p.also,
                    "document_id": p.document_id,
                    "chunk_id": p.chunk_id,
                    "start": p.start,
                    "end": p.end,
                }
                for p, spans in zip(passages, why, strict=True)
            ]
        )
        if nothing:
            shell.say(nothing)
        return
    for number, (p, spans) in enumerate(zip(passages, why, strict=True), 1):
        page = f", p. {p.page}" if p.page is not None else ""
        section = f", {p.within}" if p.within else ""
        shell.put(f"{number}. {p.title}{section}{page}  ({p.score:.2f})")
        shell.put(f"   {' '.join(p.text.split())}")
        shell.put(f"   {_why(p, _said(p.text, spans))}\n")
    if nothing:
        shell.say(nothing)


def _documents_named(coach: Coach, actor: Actor, collections: list[UUID], names: list[str]) -> list[UUID]:
    """The ids of the documents of these names, titles or ids."""
    if not names:
        return []
    there = [d for c in coach.collections(actor) if not collections or c.id in collections
             for d in coach.documents(actor, c.id)]  # fmt: skip
    out: list[UUID] = []
    for name in names:
        wanted = name.casefold()
        same = [d.id for d in there if wanted in (d.name.casefold(), d.title.casefold(), str(d.id))]
        if not same:
            raise InputError(f"There is no document called {name!r} there. The page Knowledge lists them.")
        out += same
    return out


def _said(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return list(dict.fromkeys(text[start:end].casefold() for start, end in spans))


def _why(passage: Passage, said: list[str]) -> str:
    """Why it was found, in a line."""
    ranks = (("words", passage.rank_words), ("meaning", passage.rank_meaning), ("reranker", passage.rank_reranker))
    parts = [f"{name} no. {rank}" for name, rank in ranks if rank]
    parts += [f"says {', '.join(said[:12])}"] if said else []
    parts += [f"the same in {', '.join(passage.also)}"] if passage.also else []
    return f"[{'; '.join(parts)}]"


def _nothing(coach: Coach, actor: Actor, wanted: str, collections: list[UUID] | None, fits: Filter) -> str:
    if not fits:
        return "Nothing was found."
    documents = coach.fitting(actor, fits, collections=collections)
    others = len(coach.search(actor, wanted, collections=collections, k=50))
    more = "50 or more" if others >= 50 else str(others)
    fit = "no document fits" if not documents else f"{documents} document{'s' if documents > 1 else ''} fit"
    return f"Nothing was found: {fit} the filter. Without it {more} passage{'' if more == '1' else 's'} would be found."


def _collection(coach: Coach, actor: Actor, name: str, description: str, licence: str) -> Collection:
    if not name.strip():
        raise InputError("The collection needs a name.")
    try:
        return shell.collection_named(coach, actor, name)
    except CollectionNotFound:
        return coach.create_collection(actor, name, description, licence)


def _walk(paths: list[Path]) -> tuple[list[tuple[str, Path]], int]:
    """(name, file) of all files given or below folders given, in order; how many were passed over."""
    from coach_core.knowledge import loaders

    files: list[tuple[str, Path]] = []
    passed_over = 0
    for path in paths:
        if not path.is_dir():
            files.append((path.name, path))
            continue
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            inside = file.relative_to(path)
            if any(part.startswith(".") for part in inside.parts):
                continue
            if loaders.readable(file.name):
                files.append((inside.as_posix(), file))
            else:
                passed_over += 1
    return files, passed_over


def _embed(coach: Coach, actor: Actor) -> None:
    """Find by meaning what words find already; stopped here, the app goes on with it later."""
    done, total = coach.embedding_progress(actor)
    if done >= total:
        return
    with _bar("Embedding", total) as advance:
        coach.embed_now(actor, lambda done, _total: advance(done, "passages"))


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[float, str], None]]:
    """A progress bar on a terminal's stderr; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda _done, _text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[Any] = [TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, TextColumn("{task.fields[what]}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, what="")
        yield lambda done, text: bar.update(task, completed=done, what=text[-60:])
