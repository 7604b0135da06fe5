"""How a question becomes a turn: route it, write it down, gather its sources, hand it to the runner.

Invariant: the question is on disk before `ask` returns; everything after that happens off the page. What
cannot be asked (a tool's call that is written wrongly) is refused before anything is written.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from uuid import UUID

from coach_core import context, personas, routing
from coach_core.backends import Backend, Request, patience
from coach_core.coach.caring import Caring, Found
from coach_core.coach.looking_back import Ended
from coach_core.coach.options import Limits, options
from coach_core.errors import CoachError, PersonaNotFound, ThreadNotFound
from coach_core.runner import Runner
from coach_core.store import Database, files, messages, state, threads, turns
from coach_core.store import personas as persona_rows
from coach_core.tools import Bound, Tool, slash, tool
from coach_core.turn import Choice, Clock, ToolOutcome, Turn, hold, run_turn
from coach_core.turn.exchange import gone_before
from coach_core.types import (
    Actor,
    BackendInfo,
    Citation,
    Event,
    Message,
    Part,
    Passage,
    Persona,
    PersonaDraft,
    RecallKind,
    Thread,
    TurnRecord,
)

__all__ = ["Ask", "Asking", "Backends", "Hosted", "Limits"]
log = logging.getLogger(__name__)


class Backends(Protocol):
    """The backends of this process, built when first needed."""

    def get(self, name: str) -> Backend: ...
    def infos(self) -> Mapping[str, BackendInfo]: ...
    def endpoint_name(self, name: str) -> str: ...

    def parameters(self, name: str) -> Mapping[str, Any]:
        """What the endpoint of `name` says of temperature, length, times and the like."""
        ...


class Hosted(Protocol):
    """Documents that an API keeps a copy of and searches itself."""

    def stores(self, backend: str, persona: Persona) -> tuple[str, ...]:
        """The stores at that backend's API that hold what the persona reads; none where they are not in step."""
        ...

    def unstored(self, backend: str, persona: Persona) -> str:
        """Why there are none, in a few words; "" where there is nothing to search."""
        ...

    def resolve(self, endpoint: str, citation: Citation) -> Citation:
        """The citation of a hosted file as one of our own document, where it is known."""
        ...

    def unsearched(self, stores: Sequence[str]) -> None:
        """A search in these stores failed, or found nothing."""
        ...


class Memory(Protocol):
    """What is remembered of the person that a thread is about; coach/remembering.py."""

    def profile(self, actor: Actor, thread: Thread) -> str: ...

    def sources(
        self, actor: Actor, thread: Thread, turn_id: UUID, text: str, told: Sequence[Message]
    ) -> dict[str, Callable[[], Any]]: ...

    def tool(self, actor: Actor, thread: Thread, query: str, kind: str) -> Any: ...

    def after(self, actor: Actor, thread: Thread, record: TurnRecord, *, answered: bool, again: bool) -> None: ...


class Summaries(Protocol):
    """What the older part of a long thread is told as; coach/summaries.py."""

    def told(self, actor: Actor, thread: Thread, before: Sequence[Message], left_out: int) -> str: ...

    def after(self, actor: Actor, thread: Thread, record: TurnRecord) -> object: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: new `parts` below `parent_id` (with `at_end`, at the end of the branch on show), or the
    question `question_id` once more.

    `resume_of` is an answer to go on with; `backend` overrides the thread's choice for this turn; `schema`
    is the JSON Schema that the answer must follow.
    """

    parts: tuple[Part, ...] | None = None
    parent_id: UUID | None = None
    at_end: bool = False
    question_id: UUID | None = None
    resume_of: Message | None = None
    backend: str | None = None
    key: str | None = None
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question on its way to a turn: everything that is known once it is written down."""

    actor: Actor
    ask: Ask
    thread: Thread
    persona: Persona
    route: routing.Route
    infos: Mapping[str, BackendInfo]
    limits: Limits
    record: TurnRecord
    cited: tuple[Citation, ...] = ()
    requests: list[Request] = field(default_factory=list)


Find = Callable[[str, Sequence[UUID], int], Sequence[Passage]]
FindAttached = Callable[[str, Sequence[Part]], Sequence[Passage]]


class Asking:
    """Built once by coach.py with the parts it needs. `find` searches collections, `attached` files."""

    def __init__(
        self,
        db: Database,
        runner: Runner,
        backends: Backends,
        limits: Callable[[], Limits],
        find: Find,
        attached: FindAttached,
        hosted: Hosted | None = None,
        after: Callable[[Ended], None] | None = None,
        score: hold.Score | None = None,
        note: Callable[[], str] = str,
        memory: Memory | None = None,
        caring: Caring | None = None,
        summaries: Summaries | None = None,
    ) -> None:
        self._db = db
        self._runner = runner
        self._backends = backends
        self._limits = limits
        self._find = find
        self._attached = attached
        self._hosted = hosted
        self._caring = caring
        self._after = after
        self._score = score
        self._note = note  # what there is to say of the search, once
        self._memory = memory
        self._summaries = summaries

    def ask(self, actor: Actor, thread_id: UUID, ask: Ask) -> TurnRecord:
        """Write the question down and start its turn. With a `key` seen before: that turn, not started again."""
        if ask.key and (before := turns.of_key(self._db, actor, ask.key)):
            return before
        thread = threads.get(self._db, actor, thread_id)
        if thread.deleted_at is not None:
            raise ThreadNotFound("This thread was deleted. Bring it back from the list of threads first.")
        persona = persona_rows.get(self._db, thread.persona_id)
        if persona.deleted_at is not None:
            raise PersonaNotFound(f"The persona {persona.name} was deleted. Choose another persona for this thread.")
        self.check(persona, ask.parts or ())
        limits, infos = self._limits(), self._backends.infos()
        route = self._route(infos, limits, persona, ask.backend, thread.backend)
        first = route.backends[0]
        record = turns.begin(
            self._db,
            actor,
            thread_id,
            question=ask.parts,
            question_id=ask.question_id,
            parent_id=thread.head_id if ask.at_end else ask.parent_id,
            backend=first,
            endpoint=self._backends.endpoint_name(first),
            model=persona.draft.model if self._own(persona, first, limits) else "",
            persona_id=persona.id,
            persona_version_id=persona.version_id,
            arm="",
            key=ask.key,
            lease_owner=self._runner.owner,
            lease_seconds=self._runner.lease_seconds,
            resume_of=ask.resume_of.id if ask.resume_of else None,
        )
        cited = self._cited(actor, ask.resume_of)
        asked = _Asked(actor, ask, thread, persona, route, infos, limits, record, cited)

        def produce(cancel: threading.Event, timing: dict[str, float]) -> Iterator[Event]:
            clock = Clock(parts=timing)
            turn = self._turn(asked, cancel)
            clock.mark("prepare")
            return run_turn(turn, cancel, clock)

        self._runner.start(
            record,
            produce,
            resumed=ask.resume_of,
            cited=cited,
            state_of=_state_of,
            endpoint_of=self._backends.endpoint_name,
            ended=lambda end, made: self._ended(asked, end, made),
            verify=lambda text, sources: self._verified(asked, text, sources),
        )
        return record

    def check(self, persona: Persona, parts: Sequence[Part]) -> None:
        """Raise InputError when a question calls a tool of the persona's in a way that cannot be run."""
        self._called(messages.plain_text(parts), self._tools(persona.draft))

    def commands(self, persona: Persona, backend: str | None) -> tuple[list[slash.Command], str]:
        """The persona's tools as a person may call them, and why the model that would answer calls none itself."""
        tools = self._tools(persona.draft)
        if tools is None:
            return [], ""
        infos, why = self._backends.infos(), ""
        try:
            first = infos[self._route(infos, self._limits(), persona, None, backend).backends[0]]
            why = "" if first.tools else f"{first.label} uses no tools by itself: call them here."
        except CoachError:
            pass  # nobody can answer now, which asking says better
        return slash.commands(tools.specs()), why

    # -- one turn -----------------------------------------------------------------------------------

    def _turn(self, asked: _Asked, cancel: threading.Event) -> Turn:
        persona, limits, ask = asked.persona, asked.limits, asked.ask
        question, before = self._branch(asked)
        tools = self._tools(persona.draft, asked)
        exchange, resume_from = _gone_before(ask.resume_of)
        call = None if ask.resume_of else self._called(question.text, tools)
        question = _as_asked(question, call, tools)
        history, left_out = context.fit_history(
            before, most_messages=limits.history_messages, most_tokens=limits.history_tokens
        )
        request = Request(
            question=question,
            instructions=self._instructions(asked),
            summary=self._summaries.told(asked.actor, asked.thread, before, left_out) if self._summaries else "",
            history=history,
            exchange=exchange,
            schema=ask.schema,
            resume_from=resume_from,
            read_file=lambda file_id: files.read(self._db, file_id),
        )
        choices, notices = self._choices(asked, before[-1].id if before else None)
        if any(p.kind == "file" for m in (*history, question) for p in m.parts):
            choices = [replace(c, stores=()) for c in choices]  # an API's search sees no file of the person's own
        call_id = f"call_{asked.record.id.hex[-20:]}"
        care = self._caring
        found = care.look(asked.actor, asked.record.id, question.text, choices[0], cancel) if care else Found()
        return Turn(
            id=asked.record.id,
            request=replace(request, referral=found.text),
            choices=choices,
            sources=self._sources(asked, question, history),
            hosted_instructions=self._instructions(asked, hosted=True),
            tools=tools,
            calls=[Event("tool_call", call_id=call_id, name=call.name, arguments=call.arguments)] if call else (),
            deadline=max(limits.context_deadline, patience(choices[0].backend)),
            tool_rounds=limits.tool_rounds,
            notices=tuple(notices),
            so_far=ask.resume_of.text if ask.resume_of else "",
            cited=asked.cited,
            left_out=left_out,
            referral=found.event,
            told=found.told,
            late=found.late,
            asked=asked.requests.append,
        )

    def _instructions(self, asked: _Asked, *, hosted: bool = False) -> str:
        """The persona's, then who the thread is about: what stays the same from turn to turn."""
        own = personas.instructions(asked.persona.draft, as_data=asked.ask.schema is not None, hosted=hosted)
        about = self._memory.profile(asked.actor, asked.thread) if self._memory is not None else ""
        return "\n\n".join(t for t in (own, about) if t)

    def _verified(self, asked: _Asked, text: str, sources: Sequence[Citation]) -> Sequence[Citation]:
        """The sources with what the check of the answer's sentences found; what the person said needs no source."""
        said = [m.text for r in asked.requests[-1:] for m in (*r.history, r.question) if m.speaker == "user"]
        return hold.checked(text, sources, self._score, "\n".join(said))

    def _ended(self, asked: _Asked, end: Event, made: Sequence[Citation]) -> None:
        """An answer of a person's own, whole or cut off by its length, is looked back at."""
        if self._memory is not None and asked.record.arm not in {"shadow", "compare"}:
            answered = end.kind == "done" and end.status in {"completed", "incomplete"}
            again = asked.ask.question_id is not None or asked.ask.resume_of is not None
            self._memory.after(asked.actor, asked.thread, asked.record, answered=answered, again=again)
        self._looked_back(asked, end, made)
        if self._summaries is not None and asked.record.arm not in {"shadow", "compare"}:
            self._summaries.after(asked.actor, asked.thread, asked.record)

    def _looked_back(self, asked: _Asked, end: Event, made: Sequence[Citation]) -> None:
        if self._after is None or not asked.requests or asked.record.arm in {"shadow", "compare"}:
            return
        request, draft = asked.requests[-1], asked.persona.draft
        if end.kind != "done" or end.status not in {"completed", "incomplete"}:
            return
        files = any(p.kind == "file" for m in (*request.history, request.question) for p in m.parts)
        self._after(
            Ended(
                asked.persona,
                request.question.text,
                [p for p in request.passages if p.collection_id in draft.collections],
                request.stores,
                made,
                searched=bool(draft.collections)
                and not request.unsearched
                and bool(request.stores or asked.limits.passages),
                again=asked.ask.question_id is not None or asked.ask.resume_of is not None,
                own_files=files,
            )
        )

    def _branch(self, asked: _Asked) -> tuple[Message, list[Message]]:
        """The question, and what was said before it."""
        last = 2 * asked.limits.history_messages + 9
        branch = messages.branch(self._db, asked.actor, asked.thread.id, asked.record.question_id, last=last)
        *before, question = (m for m in branch if m.text or any(p.kind != "text" for p in m.parts))
        return question, before

    def _route(
        self, infos: Mapping[str, BackendInfo], limits: Limits, persona: Persona, asked: str | None, thread: str | None
    ) -> routing.Route:
        return routing.choose(
            infos,
            asked=asked,
            thread=thread,
            persona=persona.draft.backend,
            default=limits.default_backend,
            fallback=limits.fallback,
        )

    def _choices(self, asked: _Asked, last_answer: UUID | None) -> tuple[list[Choice], list[tuple[str, str]]]:
        """The backends of the route; a backup that cannot be built is left out and named."""
        first, *backups = asked.route.backends
        choices, notices = [self._choice(asked, first, last_answer)], list(asked.route.notices)
        for name in backups:
            try:
                choices.append(self._choice(asked, name, last_answer))
            except CoachError as error:
                notices.append(("routing", f"The backup cannot answer. {error.sentence}"))
        return choices, notices

    def _choice(self, asked: _Asked, name: str, last_answer: UUID | None) -> Choice:
        persona, info = asked.persona, asked.infos.get(name)
        endpoint = self._backends.endpoint_name(name)
        own = self._own(persona, name, asked.limits)
        chosen = options(asked.limits, self._backends.parameters(name), persona.draft, own=own)
        hosted = self._hosted if chosen.hosted and endpoint else None

        def known() -> Mapping[str, str] | None:
            return state.take(self._db, asked.thread.id, endpoint, last_answer) if endpoint and last_answer else None

        def resolve(citation: Citation) -> Citation:
            return self._hosted.resolve(endpoint, citation) if self._hosted and citation.external_id else citation

        stores = hosted.stores(name, persona) if hosted else ()
        why = hosted.unstored(name, persona) if hosted and not stores else ""
        return Choice(
            self._backends.get(name),
            name=name,
            model=persona.draft.model if own else "",
            state=known,
            parameters=chosen.parameters,
            times=chosen.times,
            stores=stores,
            resolve=resolve,
            unsearched=lambda: hosted.unsearched(stores) if hosted else None,
            tools=info.tools if info else True,
            notices=[("hosted", f"The app's own search answers: {why}.")] if why else (),
            about={
                "endpoint": endpoint,
                "wire": (info.wire if info else "") or name,
                "persona": persona.slug,
                "version": persona.version,
            },
        )

    def _sources(self, asked: _Asked, question: Message, history: Sequence[Message]) -> dict[str, Callable[[], Any]]:
        persona, limits = asked.persona, asked.limits
        text = context.search_text(question.text, history)
        attached = [p for m in (*history, question) for p in m.parts if p.kind == "file"]
        collections = persona.draft.collections

        def knowledge() -> list[Passage] | context.Noted:
            found = list(self._attached(text, attached)) if attached else []
            if collections and limits.passages and text.strip():
                found += self._find(text, collections, limits.passages)
            return context.Noted(found, ("reranker", note)) if (note := self._note()) else found

        sources = {"knowledge": knowledge} if attached or (collections and limits.passages) else {}
        if self._memory is not None:
            told = (*history, question)
            sources |= self._memory.sources(asked.actor, asked.thread, asked.record.id, text, told)
        return sources

    # -- tools --------------------------------------------------------------------------------------

    def _called(self, text: str, tools: Bound | None) -> slash.Slash | None:
        """The tool that the question calls by hand. Raises InputError with how to write it."""
        if tools is None or not text.lstrip().startswith("/"):
            return None
        call = slash.parse(text, tools.specs())
        if call is not None:
            tools.check(call.name, call.arguments)
        return call

    def _tools(self, draft: PersonaDraft, asked: _Asked | None = None) -> Bound | None:
        """The persona's tools, to be run within the turn `asked`; without one, to look at."""
        chosen = [replace(_TOOLS[name], run=self._bound(name, draft, asked)) for name in draft.tools if name in _TOOLS]
        return Bound(chosen, ToolOutcome) if chosen else None

    def _bound(self, name: str, draft: PersonaDraft, asked: _Asked | None) -> Callable[..., Any]:
        """The tool's function with what it needs of the turn that calls it."""

        def search_documents(query: str) -> list[dict[str, Any]]:
            found = self._find(query, draft.collections, self._limits().passages)
            return [{"title": p.title, "section": p.section, "page": p.page, "text": p.text} for p in found]

        def recall(query: str, kind: RecallKind = "relevant") -> Any:
            if self._memory is None or asked is None:
                return {"memories": []}
            return self._memory.tool(asked.actor, asked.thread, query, kind)

        return {"search_documents": search_documents, "recall": recall}[name]

    def _cited(self, actor: Actor, answer: Message | None) -> tuple[Citation, ...]:
        return tuple(messages.citations(self._db, actor, [answer.id]).get(answer.id, ())) if answer else ()

    def _own(self, persona: Persona, backend: str, limits: Limits) -> bool:
        """Whether a persona's model is known there: at its own backend, else where the default one is."""
        if persona.draft.backend:
            return backend == persona.draft.backend and bool(self._backends.endpoint_name(backend))
        places = (self._backends.endpoint_name(n).partition("@")[2] for n in {backend, limits.default_backend})
        return len(set(places)) == 1 and bool(self._backends.endpoint_name(backend))


def search_documents(query: str) -> Any:
    """Search the practice's documents for passages about something the given passages do not cover."""


def recall(query: str, kind: RecallKind = "relevant") -> Any:
    """Recall what is known of the person this conversation is about: facts and earlier remarks that bear on `query`,
    or the newest, their goals, their challenges or their progress."""


_TOOLS: Mapping[str, Tool] = {t.spec.name: t for t in (tool(search_documents), tool(recall))}
#: The tools a persona may be given, by name.
TOOL_NAMES = tuple(_TOOLS)


def _gone_before(answer: Message | None) -> tuple[tuple[Message, ...], str]:
    """What an answer that is gone on with has asked of tools, and its text after that."""
    if answer is None:
        return (), ""
    if not any(p.kind == "tool_result" for p in answer.parts):
        return (), answer.text
    return gone_before(answer.thread_id, answer.parts)


def _as_asked(question: Message, call: slash.Slash | None, tools: Bound | None) -> Message:
    """The question as the model reads it: without a call at its head, or the slash that keeps it from being one."""
    text = question.text
    if call is not None:
        text = call.asked
    elif tools is not None and text.lstrip().startswith("//"):
        text = slash.plain(text, tools.specs())
    if text == question.text:
        return question
    others = tuple(p for p in question.parts if p.kind != "text")
    return replace(question, text=text, parts=(Part("text", text), *others))


def _state_of(end: Event) -> Mapping[str, str] | None:
    return dict(end.ids) if end.kind == "done" and end.status == "completed" and end.ids else None
