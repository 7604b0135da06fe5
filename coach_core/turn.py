"""One turn: gather what the question needs, stream the answer, run the tools it asks for, cite.

Invariant: `run_turn` yields `start` first and exactly one terminal event last, numbered 1, 2, 3 ...;
it stores nothing. Another backend takes over only before the first text; a citation is yielded before
the text that mentions it.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from coach_core.backends import Backend, Request
from coach_core.context import gather, render_passages
from coach_core.errors import CoachError, EmptyAnswer, StreamCut, TimedOut
from coach_core.types import Citation, Event, Message, Part, Passage, ToolSpec, Usage, new_id, now

log = logging.getLogger(__name__)
_HOLD = re.compile(r"\s*\[[\d,;\s]{0,12}$")
_MARKS = re.compile(r"\[(\d{1,2}(?:\s*[,;]\s*\d{1,2})*)\](?!\()")


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    text: str
    error: str = ""


class Tools(Protocol):
    """The tools this turn may use, already bound to the actor."""

    def specs(self) -> Sequence[ToolSpec]: ...

    def call(self, name: str, arguments: Mapping[str, Any], key: str) -> ToolOutcome:
        """Run it. `key` is the idempotency key of this call; failures come back as `error`."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend to ask, with the model and state that go with it."""

    backend: Backend
    model: str = ""
    provider_state: Mapping[str, str] | None = None
    arm: str = ""


@dataclass(slots=True)
class Clock:
    """Parts of the turn's time in ms from its beginning, filled in as it goes."""

    began: float = field(default_factory=time.perf_counter)
    parts: dict[str, float] = field(default_factory=dict)

    def mark(self, name: str) -> None:
        self.parts.setdefault(name, (time.perf_counter() - self.began) * 1000)


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn is made of. `choices` are tried in order; `request` lacks only what is gathered.

    `notices` (source, sentence) are said first. `cited` is what an answer that is gone on with
    (request.resume_from) has cited so far; its numbers stay.
    """

    id: UUID
    request: Request
    choices: Sequence[Choice]
    sources: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    tools: Tools | None = None
    deadline: float = 0.4
    tool_rounds: int = 8
    total_timeout: float = 180.0
    notices: Sequence[tuple[str, str]] = ()
    cited: Sequence[Citation] = ()


def run_turn(turn: Turn, cancel: threading.Event, clock: Clock | None = None) -> Iterator[Event]:
    """The events of one turn, from `start` to `done` or `error`."""
    for seq, event in enumerate(_steps(turn, cancel, clock or Clock()), 1):
        yield replace(event, turn=turn.id, seq=seq)


def _steps(turn: Turn, cancel: threading.Event, clock: Clock) -> Iterator[Event]:
    first = turn.choices[0]
    yield _start(first)
    for source, text in turn.notices:
        yield Event("notice", source=source, text=text)
    gathered = gather(turn.sources, turn.deadline)
    clock.mark("context")
    clock.parts.update({f"context_{name}": ms for name, ms in gathered.milliseconds.items()})
    for source, text in gathered.notices:
        yield Event("notice", source=source, text=text)
    passages: tuple[Passage, ...] = tuple(gathered.values.get("knowledge") or ())
    if passages:
        yield Event("notice", source="retrieval", text=_found(passages))
    context = "\n\n".join(t for t in (gathered.values.get("memory"), render_passages(passages)) if t)
    request = replace(turn.request, passages=passages, context=context)
    error: CoachError | None = None
    for attempt, choice in enumerate(turn.choices, 1):
        if attempt > 1 and error is not None:
            yield Event("notice", source="fallback", text=f"{error.sentence} The backup answers instead.")
            yield _start(choice)
        shown = False
        try:
            for event in _attempt(turn, choice, request, cancel, clock):
                shown = shown or event.kind in {"text", "tool_call"}
                yield replace(event, attempts=attempt) if event.terminal else event
            return
        except CoachError as fault:
            error = fault
            if shown or cancel.is_set():
                break
        except Exception:
            log.exception("turn %s failed in backend %s", turn.id, choice.backend.name)
            error = CoachError()
            break
    assert error is not None
    yield Event("error", error=error.kind, text=error.sentence, attempts=len(turn.choices))


def _attempt(turn: Turn, choice: Choice, request: Request, cancel: threading.Event, clock: Clock) -> Iterator[Event]:
    """All rounds with one backend, ending in `done`."""
    backend = choice.backend
    cites = Citer(request.passages, request.resume_from, turn.cited)
    request = replace(request, resume_from=cites.as_prompted(request.resume_from))
    tools = turn.tools
    specs = tuple(tools.specs()) if tools else ()
    request = replace(request, model=choice.model or request.model, provider_state=choice.provider_state, tools=specs)
    usage = Usage()
    wrote = bool(request.resume_from)
    until = time.monotonic() + turn.total_timeout
    for round_ in range(turn.tool_rounds + 1):
        calls: list[Event] = []
        said: list[str] = []
        done: Event | None = None
        last_round = round_ == turn.tool_rounds
        asked = replace(request, tools=()) if last_round else request
        clock.mark("upstream")
        for event in backend.stream(asked, cancel):
            if time.monotonic() > until and not event.terminal:
                raise TimedOut(f"The answer took longer than {turn.total_timeout:.0f} s and was stopped.")
            if event.kind == "text":
                clock.mark("first_token")
                said.append(event.text)
                wrote = wrote or bool(event.text.strip())
                yield from cites.feed(event.text)
            elif event.kind == "tool_call":
                calls.append(event)
                yield from cites.flush()
                yield event
            elif event.kind == "done":
                done = event
                break
            else:
                yield event
        yield from cites.flush()
        if done is None:
            raise StreamCut()
        usage = usage + (done.usage or Usage())
        if last_round and calls:
            done = replace(done, status="incomplete", finish_reason="tool_rounds")
        if done.status != "completed" or not calls or tools is None:
            if done.status == "completed" and not wrote:
                raise EmptyAnswer()
            yield replace(done, usage=usage)
            return
        results = [_run_tool(turn, tools, call) for call in calls]
        yield from results
        if cancel.is_set():
            yield replace(done, status="cancelled", usage=usage)
            return
        request = replace(request, exchange=request.exchange + _exchange(request, said, calls, results))


def _run_tool(turn: Turn, tools: Tools, call: Event) -> Event:
    began = time.perf_counter()
    outcome = tools.call(call.name, call.arguments or {}, f"{turn.id}:{call.call_id}")
    log.info("tool %s took %.0f ms", call.name, (time.perf_counter() - began) * 1000)
    return Event("tool_result", call_id=call.call_id, name=call.name, text=outcome.text, error=outcome.error)


def _exchange(
    request: Request, said: Sequence[str], calls: Sequence[Event], results: Sequence[Event]
) -> tuple[Message, ...]:
    """One round of tools as messages: what the assistant said and called, then each result."""
    text = "".join(said)
    parts = (Part("text", text),) if text else ()
    parts += tuple(Part("tool_call", call_id=c.call_id, name=c.name, arguments=c.arguments) for c in calls)
    thread = request.question.thread_id
    out = [Message(new_id(), thread, None, "assistant", parts, text, "complete", now())]
    for result in results:
        part = Part("tool_result", result.text, call_id=result.call_id, name=result.name, error=result.error)
        out.append(Message(new_id(), thread, None, "tool", (part,), result.text or result.error, "complete", now()))
    return tuple(out)


class Citer:
    """Renumbers [n] in a stream by first mention and yields each citation before the text naming it.

    `n` counts the passages of the prompt; numbers out of that range and anything in code stay as they
    are. A text that is gone on with (`so_far`, which has `cited`) keeps the numbers it has.
    """

    def __init__(self, passages: Sequence[Passage], so_far: str = "", cited: Sequence[Citation] = ()) -> None:
        known = {c.chunk_id: c.number for c in cited}
        self._passages = passages
        self._numbers = {n: known[p.chunk_id] for n, p in enumerate(passages, 1) if p.chunk_id in known}
        self._held = ""
        self._fences = so_far.count("```")
        self._next = 1 + max(known.values(), default=0)

    def as_prompted(self, text: str) -> str:
        """`text` with its citation numbers turned back into those of the prompt, where they are known."""
        back = {shown: n for n, shown in self._numbers.items()}
        return _MARKS.sub(
            lambda m: "".join(f"[{back.get(int(n), int(n))}]" for n in re.findall(r"\d+", m.group(1))), text
        )

    def feed(self, text: str) -> Iterator[Event]:
        text = self._held + text
        held = _HOLD.search(text) if "[" in text[-16:] else None
        self._held = text[held.start() :] if held else ""
        yield from self._out(text[: held.start()] if held else text)

    def flush(self) -> Iterator[Event]:
        text, self._held = self._held, ""
        yield from self._out(text)

    def _out(self, text: str) -> Iterator[Event]:
        if not text:
            return
        cited: list[Citation] = []

        def number(match: re.Match[str]) -> str:
            if (self._fences + text.count("```", 0, match.start())) % 2:
                return match.group()
            wanted = [int(n) for n in re.findall(r"\d+", match.group(1))]
            if not all(1 <= n <= len(self._passages) for n in wanted):
                return match.group()
            for n in wanted:
                if n not in self._numbers:
                    self._numbers[n], self._next = self._next, self._next + 1
                    cited.append(citation_of(self._passages[n - 1], self._numbers[n]))
            return "".join(f"[{self._numbers[n]}]" for n in wanted)

        text_out = _MARKS.sub(number, text)
        self._fences += text.count("```")
        for citation in cited:
            yield Event("citation", citation=citation)
        yield Event("text", text=text_out)


def citation_of(passage: Passage, number: int) -> Citation:
    """The snapshot of `passage` that is stored with an answer."""
    return Citation(
        number=number,
        title=passage.title,
        text=passage.text,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        document_hash=passage.document_hash,
        section=passage.section,
        page=passage.page,
        row=passage.row,
        start=passage.start,
        end=passage.end,
        score=passage.score,
        rank_words=passage.rank_words,
        rank_meaning=passage.rank_meaning,
    )


def _start(choice: Choice) -> Event:
    backend = choice.backend
    return Event("start", backend=backend.name, model=choice.model or backend.model, arm=choice.arm)


def _found(passages: Sequence[Passage]) -> str:
    titles = len({p.document_id for p in passages})
    return f"Reading {len(passages)} passages from {titles} document{'s' if titles > 1 else ''}"
