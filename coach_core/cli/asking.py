"""`ask`: one turn from the terminal, as every page would run it.

Invariant: exit code 0 only for a completed turn. The turn is stored like any other, so a process that is
killed here leaves what had arrived in the thread.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from coach_core.cli import answered, shell
from coach_core.errors import CoachError, PersonaNotFound, told_in_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coach_core.coach import Coach
    from coach_core.types import Actor, Citation, Event, StoredFile, TurnRecord

STOPPED = 130
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")
_NOT_WHOLE = {
    "length": "The answer is not complete: it reached its greatest length; press Continue.",
    "content_filter": "The answer is not complete: the model's server broke it off here.",
    "tool_rounds": "The answer is not complete: the tools were used as often as one answer may.",
}


def ask(
    text: Annotated[str, typer.Argument(help="The question; - reads it from standard input.", metavar="TEXT")],
    thread: Annotated[str, typer.Option(help="Go on in this thread (its id). Without it a new one is made.")] = "",
    persona: Annotated[
        str, typer.Option(help="Who answers in a new thread, by name; `personas list` shows them.")
    ] = "",
    backend: Annotated[str, typer.Option(help="Which backend answers this once; `doctor` shows them.")] = "",
    file: Annotated[
        list[Path] | None,
        typer.Option(help="Attach a file to the question; may be given several times.", exists=True, dir_okay=False),
    ] = None,
    schema: Annotated[
        Path | None,
        typer.Option(help="A JSON Schema in a file: the answer is JSON that follows it.", exists=True, dir_okay=False),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print one event a line as JSON, as it happens; the last one with all it takes to ask again."
        ),
    ] = False,
) -> None:
    """Ask a question and see the answer come, with its sources.

    The answer goes to standard output, the thread's id to standard error. The exit code is 0 only when the
    answer is complete. Ctrl-C stops the answer, keeps what has come, and leaves with 130. A question that
    begins with a tool of the persona's runs that tool first.

        python -m coach_core ask --persona career "How do I prepare for an interview?"

        python -m coach_core ask --thread ID "And the day before?"

        python -m coach_core ask "/search_documents sleep hygiene"

        python -m coach_core ask --schema plan.json "Plan my week."
    """
    wanted = answered.read_schema(schema)
    question = sys.stdin.read() if text == "-" else text
    with shell.opened() as (coach, actor):
        shell.wait_for_search(coach, actor)
        files = [coach.attach(actor, path.name, path.read_bytes()) for path in file or []]
        turn = _start(coach, actor, question, thread, persona, backend, files, wanted)
        code = _turn(coach, actor, turn, as_json, wanted)
    raise typer.Exit(code)


def _start(
    coach: Coach,
    actor: Actor,
    text: str,
    thread: str,
    persona: str,
    backend: str,
    files: Sequence[StoredFile],
    schema: answered.Schema | None,
) -> TurnRecord:
    if thread:
        return coach.start(actor, shell.as_uuid(thread), text, files=files, backend=backend or None, schema=schema)
    fresh = coach.new_thread(actor, _persona_id(coach, actor, persona)).id
    try:
        return coach.start(actor, fresh, text, files=files, backend=backend or None, schema=schema)
    except CoachError:
        coach.delete_threads(actor, [fresh])  # nothing was asked in it
        raise


def _persona_id(coach: Coach, actor: Actor, wanted: str) -> UUID:
    known = coach.personas(actor)
    for persona in known:
        if wanted.casefold() in {persona.slug, persona.name.casefold(), str(persona.id)}:
            return persona.id
    if wanted or not known:
        names = ", ".join(p.slug for p in known) or "none; `personas create` makes one"
        raise PersonaNotFound(f"There is no persona called {wanted!r}. There are: {names}.")
    return next((p for p in known if p.slug == "general"), known[0]).id


def _turn(coach: Coach, actor: Actor, turn: TurnRecord, as_json: bool, schema: answered.Schema | None) -> int:
    """Show the turn to its end; the exit code."""
    shell.say(f"thread {turn.thread_id}")
    show = _Lines(coach, actor, schema) if as_json else _Words(coach, actor, turn)
    events: list[Event] = []
    stopped = False
    while True:
        try:
            for event in coach.tail(actor, turn.id, after=events[-1].seq if events else 0):
                if event is None:
                    continue
                events.append(event)
                show.event(event)
                if event.terminal:
                    return STOPPED if stopped else _code(event, events, schema)
            return STOPPED if stopped else _ended(coach, actor, turn)
        except KeyboardInterrupt:
            if stopped:
                return STOPPED
            stopped = True
            coach.cancel(actor, turn.id)


def _code(end: Event, events: Sequence[Event], schema: answered.Schema | None) -> int:
    if end.kind != "done" or end.status != "completed":
        return 1
    trouble = answered.departs(_text(events), schema) if schema is not None else ""
    if trouble:
        shell.say(trouble)
    return 1 if trouble else 0


def _text(events: Sequence[Event]) -> str:
    """The answer: what was said since anything was taken back."""
    since = max((i for i, e in enumerate(events) if e.kind == "retract"), default=0)
    return "".join(e.text for e in events[since:] if e.kind == "text")


def _ended(coach: Coach, actor: Actor, turn: TurnRecord) -> int:
    """The events ended without a terminal one: the process that ran the turn was lost."""
    record = coach.turn(actor, turn.id)
    if record.status == "completed":
        return 0
    text = record.error_text or f"The answer is {record.status}; what had arrived is kept in the thread."
    shell.say(told_in_terminal(text, str(turn.thread_id)))
    return 1


class _Lines:
    """--json: each event as it comes; the last one with the turn's `record`."""

    def __init__(self, coach: Coach, actor: Actor, schema: answered.Schema | None) -> None:
        self._coach, self._actor, self._schema = coach, actor, schema
        self._events: list[Event] = []

    def event(self, event: Event) -> None:
        self._events.append(event)
        if not event.terminal or event.turn is None:
            shell.put(event.to_json())
            return
        record = answered.record_of(self._coach.turn(self._actor, event.turn), self._events)
        if self._schema is not None:
            record["schema"] = {"follows": not (why := answered.departs(_text(self._events), self._schema)), "why": why}
        shell.put(json.dumps({**event.to_dict(), "record": record}, ensure_ascii=False, default=str))


class _Words:
    """The answer as it streams, its sources after it; what happens meanwhile beside it."""

    def __init__(self, coach: Coach, actor: Actor, turn: TurnRecord) -> None:
        self._coach, self._actor, self._turn = coach, actor, turn
        self._thread = str(turn.thread_id)
        self._citations: list[Citation] = []
        self._open_line = False
        self._cut = False  # whether a backslash waits for the sign it is for

    def event(self, event: Event) -> None:
        if event.kind == "text":
            text = self._unescaped(event.text)
            shell.put(text, end="")
            self._open_line = not text.endswith("\n")
        elif event.kind == "citation" and event.citation is not None:
            self._citations.append(event.citation)
        elif event.kind == "retract":
            self._break()
            self._citations.clear()
            shell.say(f"(taken back: {event.text})" if event.text else "(taken back)")
        elif event.kind == "notice" and event.source == "care":
            self._break()
            shell.put(f"{event.text}\n")
        elif event.kind == "notice":
            self._beside(event.text)
        elif event.kind == "tool_call":
            self._beside(f"using {event.name} ...")
        elif event.terminal:
            self._end(event)

    def _unescaped(self, text: str) -> str:
        """The next piece for a terminal: what is escaped in a quote, to be shown letter by letter, is not there."""
        if self._turn.backend != "extractive":
            return text
        text = "\\" * self._cut + text
        self._cut = len(text) - len(text.rstrip("\\")) & 1 == 1
        return _ESCAPE.sub(r"\1", text[:-1] if self._cut else text)

    def _doubts(self) -> None:
        """Which sentences may go beyond what they cite."""
        from coach_core.coach.export import doubts

        answer = self._turn.answer_id
        text = next((m.text for m in self._coach.messages(self._actor, self._turn.thread_id) if m.id == answer), "")
        for citation in self._coach.citations(self._actor, [answer]).get(answer, []):
            for line in doubts(citation, text):
                shell.put(f"  [{citation.number}] {line}")

    def _beside(self, text: str) -> None:
        self._break()
        shell.say(f"({text})")

    def _break(self) -> None:
        if self._open_line:
            shell.put("")
            self._open_line = False

    def _end(self, event: Event) -> None:
        from coach_core.coach.export import place

        self._break()
        if self._citations:
            shell.put("\nSources:")
            for number, citation in sorted({c.number: c for c in self._citations}.items()):
                shell.put(f"  [{number}] {place(citation)}")
        if "fails" in (event.verdicts or {}).values():
            self._doubts()
        if event.kind == "error":
            shell.say(told_in_terminal(event.text, self._thread))
        elif event.status == "incomplete":
            text = _NOT_WHOLE.get(event.finish_reason, "The answer is not complete; press Continue.")
            shell.say(told_in_terminal(text, self._thread))
        elif event.status == "cancelled":
            shell.say("Stopped. What had come is kept in the thread.")
