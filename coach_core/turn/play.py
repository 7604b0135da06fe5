"""One turn being played: which backend is asked with what, again or instead, and the loop of tools.

Invariant: once text is out nobody is asked anew. Tools run once: whoever goes on is told their calls and
results. What was gathered for the question is gathered once and used by every backend that needs it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coach_core import context
from coach_core.backends import Request, holds_history
from coach_core.errors import (
    CoachError,
    ContextTooLong,
    EmptyAnswer,
    HostedSearchFailed,
    StreamCut,
    TimedOut,
    told_after,
)
from coach_core.guard import Leaked
from coach_core.tools import slash, unfit
from coach_core.turn import guarded
from coach_core.turn.cite import Citer
from coach_core.turn.exchange import exchange
from coach_core.types import Event, Passage, Usage

if TYPE_CHECKING:
    from coach_core.turn import Choice, Clock, Tools, Turn

log = logging.getLogger(__name__)
_KNOWLEDGE = "knowledge"
_GRACE = 1.0  # seconds in which a backend that keeps time itself may hand out what it holds
_FEWEST = 3  # passages that stay when even these are too long
_TOO_LONG = (
    "The question, with the passages and files that go with it, is too long for the model. Shorten the question, or "
    "choose a larger model."
)
_LEFT_OUT = "Older messages were left out to keep within the budget."
_SUMMED_UP = "Older messages are told as a summary."
_UNSEARCHED = (
    "The documents kept at the API could not be searched, or held nothing on this; the app's own search answers."
)


class Play:
    """Plays `turn` once. What it has come to so far is in here, whichever backend is asked."""

    def __init__(self, turn: Turn, cancel: threading.Event, clock: Clock) -> None:
        self._turn, self._cancel, self._clock = turn, cancel, clock
        self._gathering = context.Gathering(turn.sources)
        self._memory = ""
        self._passages: tuple[Passage, ...] | None = None
        self._unsearched = False  # the documents were to be searched, and nothing came of it
        self._exchange = turn.request.exchange
        self._wrote = bool(turn.so_far or turn.request.resume_from)
        self._shorter = bool(turn.left_out)  # the history lacks something, and nobody has said so
        self._said = False  # text is out: from now on this answer or none
        self._rounds = self._retries = 0
        self._usage = Usage()

    def events(self) -> Iterator[Event]:
        fault: CoachError | None = None
        number = 0
        for number, choice in enumerate(self._turn.choices, 1):
            if fault is not None:
                yield Event("notice", source="fallback", text=f"{fault.sentence} The backup answers instead.")
            request = self._request(choice)
            yield _start(choice, request)
            for source, text in choice.notices:
                yield Event("notice", source=source, text=text)
            if number == 1:
                yield from self._begin(request)
            try:
                for event in self._ask(choice, request):
                    if (late := self._turn.late()) is not None:
                        yield late
                    yield replace(event, attempts=number) if event.terminal else event
                return
            except CoachError as error:
                fault = self._of_a_first_question(error) if isinstance(error, ContextTooLong) else error
            except Exception:
                log.exception("turn %s failed in backend %s", self._turn.id, choice.backend.name)
                fault = CoachError()
            if self._cancel.is_set():
                yield Event("done", status="cancelled", usage=self._usage, finish_reason="cancelled", attempts=number)
                return
            if self._said:
                break
        assert fault is not None
        text = told_after(fault, partial=self._wrote)
        yield Event("error", error=fault.kind, text=text, usage=self._usage, attempts=number)

    def _of_a_first_question(self, fault: ContextTooLong) -> ContextTooLong:
        """A new thread helps where there is a conversation; a question that is too long must become shorter."""
        told = self._turn.request.history or self._turn.left_out or self._wrote
        return fault if told else ContextTooLong(_TOO_LONG)

    # -- before the model is asked ------------------------------------------------------------------

    def _request(self, choice: Choice) -> Request:
        """What this backend is asked, but for what is gathered."""
        given = self._turn.request
        times = choice.times
        tools = self._turn.tools
        return replace(
            given,
            instructions=(choice.stores and self._turn.hosted_instructions) or given.instructions,
            model=choice.model or given.model,
            parameters=given.parameters if choice.parameters is None else choice.parameters,
            provider_state=choice.state(),
            stores=choice.stores,
            tools=tuple(tools.specs()) if tools and choice.tools else (),
            first_token_timeout=times.first_token if times else given.first_token_timeout,
            token_timeout=times.between_tokens if times else given.token_timeout,
            total_timeout=times.turn if times else given.total_timeout,
        )

    def _begin(self, request: Request) -> Iterator[Event]:
        """Say what is known, wait for the sources that this request needs, run what the person called."""
        if self._turn.referral is not None:
            yield self._turn.referral
        for source, text in self._turn.notices:
            yield Event("notice", source=source, text=text)
        needed = [n for n in self._turn.sources if n != _KNOWLEDGE or not request.stores]
        yield from self._wait_for(needed)
        self._clock.mark("context")
        if self._turn.calls and self._turn.tools:
            yield from self._turn.calls
            results = yield from self._run(self._turn.tools, self._turn.calls)
            self._exchange += exchange(request.question.thread_id, "", self._turn.calls, results)

    def _wait_for(self, names: Sequence[str]) -> Iterator[Event]:
        gathered = self._gathering.wait(self._turn.deadline, names)
        self._clock.parts.update({f"context_{name}": ms for name, ms in gathered.milliseconds.items()})
        for source, text in gathered.notices:
            yield Event("notice", source=source, text=text)
        memory = gathered.values.get("memory")
        if isinstance(memory, context.Told):
            memory.used()
            yield Event("notice", source="memory", text=memory.notice)
            memory = memory.text
        self._memory = memory or self._memory
        if _KNOWLEDGE in names:
            self._passages = tuple(gathered.values.get(_KNOWLEDGE) or ())
            self._unsearched = any(context.unsearched(text) for _, text in gathered.notices)
            if self._passages:
                yield Event("notice", source="retrieval", text=_found(self._passages))

    def _filled(self, request: Request, passages: Sequence[Passage]) -> Request:
        told = (self._memory, context.render_passages(passages), self._turn.told)
        unsearched = self._unsearched and not request.stores
        context_ = "\n\n".join(t for t in told if t)
        return replace(request, passages=tuple(passages), unsearched=unsearched, context=context_)

    # -- one backend --------------------------------------------------------------------------------

    def _ask(self, choice: Choice, request: Request) -> Iterator[Event]:
        """One backend, asked anew once for each trouble that can be mended while nothing has been said."""
        mended: set[type[CoachError]] = set()
        yield from self._left_out(held=holds_history(choice.backend, request))
        if request.stores:
            request = self._filled(request, ())
        else:
            yield from self._local()
            request = self._filled(request, self._passages or ())
        while True:
            try:
                self._turn.asked(request)
                yield from self._answer(choice, request)
                return
            except (ContextTooLong, HostedSearchFailed) as fault:
                if self._said or type(fault) in mended or self._cancel.is_set():
                    raise
                mended.add(type(fault))
                if isinstance(fault, HostedSearchFailed):
                    choice.unsearched()
                    text = _UNSEARCHED
                    yield from self._local()
                    own = replace(request, stores=(), provider_state=None, instructions=self._turn.request.instructions)
                    shorter = self._filled(own, self._passages or ())
                else:
                    shorter, text = self._shortened(request)
                    self._shorter = False  # said with it
                if shorter is None:
                    raise
                request = shorter
                source = "hosted" if isinstance(fault, HostedSearchFailed) else "history"
                yield Event("notice", source=source, text=text)
                yield _start(choice, request)
                yield from self._left_out(held=holds_history(choice.backend, request))
                self._retries += 1

    def _left_out(self, *, held: bool) -> Iterator[Event]:
        """Say once that older messages are not told; where the server holds them itself, nothing lacks."""
        if self._shorter and not held:
            self._shorter = False
            summed_up = self._turn.request.summary
            yield Event("notice", source="history", text=_SUMMED_UP if summed_up else _LEFT_OUT)

    def _local(self) -> Iterator[Event]:
        if self._passages is None:
            yield from self._wait_for([n for n in self._turn.sources if n == _KNOWLEDGE])
            self._passages = self._passages or ()

    def _shortened(self, request: Request) -> tuple[Request | None, str]:
        """The request with less in it, and what was left out; None when nothing can be."""
        fresh = replace(request, provider_state=None)
        if self._exchange:  # the rounds of this turn hang on a conversation at the server that is too long
            fresh = replace(fresh, parameters={**request.parameters, "state": "stateless"})
        if request.history:
            fresh = replace(fresh, history=context.newer_half(request.history))
            return fresh, "This conversation is too long for the model: its older half is left out."
        best = context.best_few(request.passages, _FEWEST)
        if len(best) < len(request.passages):
            left = f"of the passages only the best {len(best)} are given" if best else "the passages are left out"
            text = f"This is too long for the model: {left}."
            return self._filled(fresh, best), text
        if request.provider_state:
            return fresh, "This conversation is too long for the model: what it kept of it is left out."
        return None, ""

    def _answer(self, choice: Choice, request: Request) -> Iterator[Event]:
        """What one backend says; asked once more where that was not for a person to read, then left at a sentence."""
        self._usage = Usage()
        wrote = self._wrote
        for again in (False, True):
            try:
                yield from self._played(choice, request)
                return
            except Leaked as leak:
                log.info("turn %s: the guard took back an answer (%s)", self._turn.id, leak.kind)
                self._usage += guarded.spent(request, leak.text)
                if self._said:
                    yield Event("retract", text="This was not meant for reading; a new answer comes.")
                self._said, self._wrote = False, wrote
                yield guarded.notice(leak, failed=again)
                if self._cancel.is_set():
                    yield Event("done", status="cancelled", usage=self._usage, finish_reason="cancelled")
                    return
                request = guarded.in_words(request, leak)
        self._wrote = self._said = True
        yield Event("text", text=guarded.sentence(request))
        yield Event("done", status="completed", usage=self._usage, finish_reason="guard", retries=self._retries)

    def _played(self, choice: Choice, request: Request) -> Iterator[Event]:
        """All rounds with one backend, ending in `done`."""
        turn, tools = self._turn, self._turn.tools
        so_far = turn.so_far or request.resume_from
        verbatim = request.schema is not None
        cites = Citer(request.passages, so_far, turn.cited, resolve=choice.resolve, verbatim=verbatim)
        request = replace(request, resume_from=cites.as_prompted(request.resume_from))
        until = time.monotonic() + request.total_timeout
        while True:
            last = self._rounds >= turn.tool_rounds
            asked = replace(
                request,
                exchange=self._exchange,
                tools=() if last else request.tools,
                resume_from="" if self._rounds else request.resume_from,
                total_timeout=_left(until),
            )
            calls: list[Event] = []
            said: list[str] = []
            done = yield from self._round(choice, asked, cites, calls, said)
            self._usage += done.usage or Usage()
            self._retries += done.retries
            if calls and last and tools is not None and done.status == "completed":
                done = replace(done, status="incomplete", finish_reason="tool_rounds")
            if done.status != "completed" or not calls or tools is None:
                self._must_say_something(done)
                yield replace(done, usage=self._usage, retries=self._retries)
                return
            results = yield from self._run(tools, calls)
            if self._cancel.is_set():
                yield replace(done, status="cancelled", usage=self._usage, retries=self._retries)
                return
            self._rounds += 1
            whole = asked.resume_from + "".join(said)
            self._exchange += exchange(request.question.thread_id, whole, calls, results)

    def _round(self, choice: Choice, asked: Request, cites: Citer, calls: list[Event], said: list[str]) -> Any:
        """One request to the backend; returns its `done`."""
        self._clock.mark("upstream")
        until = time.monotonic() + asked.total_timeout
        done: Event | None = None
        for event in guarded.watched(choice.backend.stream(asked, self._cancel), guarded.guard_for(asked)):
            if time.monotonic() > until + _GRACE and not event.terminal:
                raise _too_slow()
            if event.kind == "text":
                self._clock.mark("first_token")
                if not said and asked.exchange and not asked.resume_from and not event.text[:1].isspace():
                    yield from cites.paragraph()
                said.append(event.text)
                if event.text.strip():
                    self._wrote = self._said = True
                yield from cites.feed(event.text)
            elif event.kind == "citation" and event.citation is not None:
                for made in cites.cite(event.citation):
                    self._said = self._said or made.kind == "text"
                    yield made
            elif event.kind == "tool_call":
                calls.append(event)
                yield from cites.flush()
                yield event
            elif event.kind == "done":
                done = event
                break
            elif event.kind == "notice" and event.source == "tools":
                yield replace(event, text=f"{event.text} {self._by_hand()}".strip())
            else:
                yield event
                if event.kind == "notice" and event.source == "state":  # told anew, from the history
                    yield from self._left_out(held=False)
        yield from cites.flush()
        if done is None:
            raise StreamCut()
        return done

    def _must_say_something(self, done: Event) -> None:
        if self._wrote or done.status == "cancelled":
            return
        if done.status == "completed":
            raise EmptyAnswer()
        if done.finish_reason == "length":
            raise EmptyAnswer("The model reached its greatest length before it said a word. Allow a longer answer.")

    def _by_hand(self) -> str:
        """How a person calls the tools that a model cannot call."""
        specs = self._turn.tools.specs() if self._turn.tools else ()
        return f"You can call them yourself: {', '.join(map(slash.usage, specs))}." if specs else ""

    # -- tools --------------------------------------------------------------------------------------

    def _run(self, tools: Tools, calls: Sequence[Event]) -> Any:
        """Run the calls one by one, yielding each result; returns those there are when it was stopped."""
        results: list[Event] = []
        for call in calls:
            if self._cancel.is_set():
                break
            began = time.perf_counter()
            outcome = tools.call(call.name, call.arguments or {}, f"{self._turn.id}:{call.call_id}")
            log.info("tool %s took %.0f ms", call.name, (time.perf_counter() - began) * 1000)
            results.append(
                Event("tool_result", call_id=call.call_id, name=call.name, text=outcome.text, error=outcome.error)
            )
            yield results[-1]
            if unfit(outcome.error):
                text = f"The model called {call.name} in a way that cannot be run; it was told so."
                yield Event("notice", source="tools", text=text, arguments={"counts": {"tool_arguments_wrong": 1}})
        return results


def _start(choice: Choice, request: Request) -> Event:
    """Who is asked, and in `arguments` with what: enough to ask it so again."""
    backend = choice.backend
    asked: dict[str, Any] = {
        **choice.about,
        "parameters": dict(request.parameters),
        "timeouts": {
            "first_token": request.first_token_timeout,
            "between_tokens": request.token_timeout,
            "turn": request.total_timeout,
        },
        "history": len(request.history),
        "tools": [t.name for t in request.tools],
    }
    if request.stores:
        asked["stores"] = list(request.stores)
    if request.provider_state:
        asked["continues"] = {k: v for k, v in request.provider_state.items() if len(v) <= 200}
    return Event(
        "start",
        backend=choice.name or backend.name,
        model=request.model or backend.model,
        arm=choice.arm,
        arguments=asked,
    )


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise _too_slow()
    return left


def _too_slow() -> TimedOut:
    return TimedOut("The answer took longer than it may and was stopped. What had arrived is kept; press Continue.")


def _found(passages: Sequence[Passage]) -> str:
    titles = len({p.document_id for p in passages})
    return f"Reading {len(passages)} passages from {titles} document{'s' if titles > 1 else ''}"
