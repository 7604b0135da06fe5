"""How a question becomes a turn: route it, write it down, gather its sources, hand it to the runner.

Invariant: the question is on disk before `ask` returns; everything after that happens off the page.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from coach_core import context, personas, routing
from coach_core.backends import Backend, Request
from coach_core.errors import PersonaNotFound, ThreadNotFound
from coach_core.runner import Runner
from coach_core.store import Database, files, messages, state, threads, turns
from coach_core.store import personas as persona_rows
from coach_core.tools import Bound, Tool, tool
from coach_core.turn import Choice, Clock, ToolOutcome, Turn, run_turn
from coach_core.types import (
    Actor,
    BackendInfo,
    Citation,
    Event,
    Message,
    Part,
    Passage,
    Persona,
    Thread,
    TurnRecord,
)


class Backends(Protocol):
    """The backends of this process, built when first needed."""

    def get(self, name: str) -> Backend: ...
    def infos(self) -> Mapping[str, BackendInfo]: ...
    def endpoint_name(self, name: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Plain values from the settings; seconds where they are times."""

    default_backend: str
    fallback: str = ""
    history_messages: int = 20
    history_tokens: int = 6000
    passages: int = 8
    answer_tokens: int = 2000
    temperature: float = 0.7
    first_token: float = 25.0
    between_tokens: float = 30.0
    turn: float = 180.0
    tool_rounds: int = 8
    context_deadline: float = 0.4


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: new `parts` below `parent_id` (with `at_end`, at the end of the branch on show), or the
    question `question_id` once more.

    `resume_of` is an answer to go on with; `backend` overrides the thread's choice for this turn.
    """

    parts: tuple[Part, ...] | None = None
    parent_id: UUID | None = None
    at_end: bool = False
    question_id: UUID | None = None
    resume_of: Message | None = None
    backend: str | None = None
    key: str | None = None


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
    ) -> None:
        self._db = db
        self._runner = runner
        self._backends = backends
        self._limits = limits
        self._find = find
        self._attached = attached

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
        limits = self._limits()
        route = routing.choose(
            self._backends.infos(),
            asked=ask.backend,
            thread=thread.backend,
            persona=persona.draft.backend,
            default=limits.default_backend,
            fallback=limits.fallback,
        )
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
            model=self._model(persona, first),
            persona_id=persona.id,
            persona_version_id=persona.version_id,
            arm="",
            key=ask.key,
            lease_owner=self._runner.owner,
            lease_seconds=self._runner.lease_seconds,
            resume_of=ask.resume_of.id if ask.resume_of else None,
        )
        cited = self._cited(actor, ask.resume_of)
        began = ask.resume_of.text if ask.resume_of else ""

        def produce(cancel: threading.Event, timing: dict[str, float]) -> Iterator[Event]:
            clock = Clock(parts=timing)
            turn = self._turn(actor, thread, persona, record, route, limits, began, cited)
            clock.mark("prepare")
            return run_turn(turn, cancel, clock)

        self._runner.start(record, produce, began=began, cited=cited, state_of=_state_of)
        return record

    def _turn(
        self,
        actor: Actor,
        thread: Thread,
        persona: Persona,
        record: TurnRecord,
        route: routing.Route,
        limits: Limits,
        began: str,
        cited: Sequence[Citation],
    ) -> Turn:
        branch = [
            m
            for m in messages.branch(
                self._db, actor, thread.id, record.question_id, last=2 * limits.history_messages + 9
            )
            if m.text or any(p.kind != "text" for p in m.parts)
        ]
        question, before = branch[-1], branch[:-1]
        history, left_out = context.fit_history(
            before, most_messages=limits.history_messages, most_tokens=limits.history_tokens
        )
        request = Request(
            question=question,
            instructions=personas.instructions(persona.draft),
            history=history,
            parameters={
                "temperature": limits.temperature,
                "max_output_tokens": limits.answer_tokens,
                **persona.draft.parameters,
            },
            resume_from=began,
            read_file=lambda file_id: files.read(self._db, file_id),
            first_token_timeout=limits.first_token,
            token_timeout=limits.between_tokens,
            total_timeout=limits.turn,
        )
        notices = list(route.notices)
        if left_out:
            notices.append(("history", "Older messages were left out to keep within the budget."))
        last_answer = before[-1].id if before else None
        return Turn(
            id=record.id,
            request=request,
            choices=[self._choice(persona, name, thread.id, last_answer) for name in route.backends],
            sources=self._sources(persona, question, history, limits, cited),
            tools=self._tools(persona),
            deadline=limits.context_deadline,
            tool_rounds=limits.tool_rounds,
            total_timeout=limits.turn,
            notices=tuple(notices),
            cited=cited,
        )

    def _choice(self, persona: Persona, name: str, thread_id: UUID, last_answer: UUID | None) -> Choice:
        endpoint = self._backends.endpoint_name(name)
        known = state.get(self._db, thread_id, endpoint) if endpoint and last_answer else None
        valid = known is not None and known.message_id == last_answer
        return Choice(
            self._backends.get(name),
            model=self._model(persona, name),
            provider_state=known.data if known is not None and valid else None,
        )

    def _sources(
        self,
        persona: Persona,
        question: Message,
        history: Sequence[Message],
        limits: Limits,
        cited: Sequence[Citation],
    ) -> dict[str, Callable[[], Any]]:
        text = context.search_text(question.text, history)
        attached = [p for m in (*history, question) for p in m.parts if p.kind == "file"]
        collections = persona.draft.collections

        def knowledge() -> list[Passage]:
            found = list(self._attached(text, attached)) if attached else []
            if collections and limits.passages and text.strip():
                found += self._find(text, collections, limits.passages)
            return found

        return {"knowledge": knowledge} if attached or (collections and limits.passages) else {}

    def _tools(self, persona: Persona) -> Bound | None:
        chosen = [t for t in self._offered(persona) if t.spec.name in persona.draft.tools]
        return Bound(chosen, ToolOutcome) if chosen else None

    def _offered(self, persona: Persona) -> list[Tool]:
        def search_documents(query: str) -> list[dict[str, Any]]:
            """Search the practice's documents for passages about something the given passages do not cover."""
            found = self._find(query, persona.draft.collections, self._limits().passages)
            return [{"title": p.title, "section": p.section, "page": p.page, "text": p.text} for p in found]

        return [tool(search_documents)]

    def _cited(self, actor: Actor, answer: Message | None) -> tuple[Citation, ...]:
        return tuple(messages.citations(self._db, actor, [answer.id]).get(answer.id, ())) if answer else ()

    def _model(self, persona: Persona, backend: str) -> str:
        """A persona's model belongs to the persona's backend; any other backend uses its own."""
        own = persona.draft.model
        if own and persona.draft.backend in {backend, ""} and self._backends.endpoint_name(backend):
            return own
        return ""


#: The tools a persona may be given, by name.
TOOL_NAMES = ("search_documents",)


def _state_of(end: Event) -> Mapping[str, str] | None:
    return dict(end.ids) if end.kind == "done" and end.status == "completed" and end.ids else None
