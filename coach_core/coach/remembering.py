"""What a turn is told of a person, and what is kept of what they said, once it is over.

Invariant: whose memory it is, comes from the actor and the thread; what is proposed comes from the question's own
text. Nothing here delays an answer or fails a turn: it gathers beside it, and proposes after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from coach_core.backends import Backend, Request
from coach_core.context import Told
from coach_core.errors import CoachError
from coach_core.memory import extraction, rendering, rules, said, same
from coach_core.memory.recalling import Recaller
from coach_core.search import words
from coach_core.search.index import packed
from coach_core.search.meaning import Embedder
from coach_core.store import Database, clients, memories, messages
from coach_core.store import recall as rows
from coach_core.types import (
    RECALL_KINDS,
    Actor,
    Candidate,
    Memory,
    MemoryStatus,
    Message,
    Part,
    Recollection,
    Thread,
    TurnRecord,
    Whose,
    new_id,
    now,
)

log = logging.getLogger(__name__)
EVERY = 3.0
_AT_ONCE = 64
_BEFORE = 6  # messages before a question whose words are not the person's own
_MOST_TOLD = 200  # turns whose recollection waits for their end


@dataclass(frozen=True, slots=True)
class Ways:
    """Plain values from the settings. `extraction`: by rules, or by the thread's model too."""

    memories: int = 5
    tokens: int = 600
    mode: str = "review"
    extraction: str = "rules"


class Backends(Protocol):
    def get(self, name: str) -> Backend: ...


class Remembering:
    """Built once by coach.py. `embedders` are those that are open now."""

    def __init__(
        self,
        db: Database,
        recaller: Recaller,
        ways: Callable[[], Ways],
        backends: Backends,
        embedders: Callable[[], Sequence[Embedder]],
    ) -> None:
        self._db = db
        self.recaller = recaller
        self._ways = ways
        self._backends = backends
        self._embedders = embedders
        self._told: dict[UUID, Recollection] = {}
        self._gate = threading.Lock()

    # -- before the answer --------------------------------------------------------------------------

    def profile(self, actor: Actor, thread: Thread) -> str:
        """Who the thread is about, as part of the instructions; "" where it is about nobody."""
        if thread.client_id is None:
            return ""
        try:
            client = clients.get(self._db, actor, thread.client_id)
            return rendering.profile(client, clients.goals(self._db, actor, client.id))
        except CoachError as error:
            log.warning("the profile was left out: %s", error.kind)
            return ""

    def sources(
        self, actor: Actor, thread: Thread, turn_id: UUID, text: str, told: Sequence[Message]
    ) -> dict[str, Callable[[], Any]]:
        """The context source "memory"; `told` are the messages that the model is told anyway."""
        ways = self._ways()
        if not ways.memories or not ways.tokens or not text.strip():
            return {}

        def memory() -> Told | None:
            subject = self._subject(actor, thread)
            if subject is None:
                return None
            found = self.recaller.recall(
                actor,
                subject,
                text,
                thread_id=thread.id,
                k=ways.memories,
                budget=ways.tokens,
                exclude={m.id for m in told},
                name=self._name(actor, subject),
            )
            if not found.items:
                return None
            return Told(found.text, f"{rendering.REMEMBERING}{found.summary}", lambda: self._keep(turn_id, found))

        return {"memory": memory}

    def tool(self, actor: Actor, thread: Thread, query: str, kind: str) -> dict[str, Any]:
        """What the tool `recall` gives: the same, for words that a model chose; never for a person it names."""
        subject = self._subject(actor, thread)
        if subject is None:
            return {"memories": []}
        ways = self._ways()
        chosen = kind if kind in RECALL_KINDS else "relevant"
        found = self.recaller.recall(
            actor,
            subject,
            query,
            thread_id=thread.id,
            kind=chosen,  # type: ignore[arg-type]
            k=max(ways.memories, 1),
            budget=max(ways.tokens, 100),
        )
        return {"summary": found.summary, "memories": [rendering.line(item)[2:] for item in found.items]}

    # -- after it -----------------------------------------------------------------------------------

    def after(self, actor: Actor, thread: Thread, record: TurnRecord, *, answered: bool, again: bool) -> None:
        """A turn has ended: note what it was told, and look at what was said in it."""
        with self._gate:
            told = self._told.pop(record.id, None)
        if not answered:
            return
        if told is not None:
            used = [(i.memory.id, i.rank, i.score) for i in told.items if i.memory is not None]
            if used:
                memories.record_uses(self._db, record.id, used)
        question = messages.get(self._db, actor, record.question_id)
        subject = self._subject(actor, thread)
        if subject is None:
            return
        if not again:
            self.propose(actor, thread, question, backend=record.backend)
        self.recaller.went_on(subject, thread.id)
        self.recaller.recall(actor, subject, question.text, thread_id=thread.id)  # so that the next turn finds it built

    def warm(self, actor: Actor, thread: Thread) -> None:
        """A thread was opened: what it reaches back into is read before anybody asks, for of a long one it is much."""
        subject = self._subject(actor, thread)
        if subject is not None and thread.head_id is not None and not self.recaller.ready(subject, thread.id):
            self.recaller.recall(actor, subject, thread.title or "warm", thread_id=thread.id)

    def propose(self, actor: Actor, thread: Thread, question: Message, *, backend: str = "") -> list[Memory]:
        """The memories that come new of what a person typed."""
        subject, text = self._subject(actor, thread), question.text
        if subject is None or question.speaker != "user" or not text.strip():
            return []
        mode = self._mode(subject)
        if mode == "off":
            return []
        status: MemoryStatus = "approved" if mode == "automatic" else "pending"
        name = self._name(actor, subject)
        found = rules.propose(text, question.created_at, name)
        if backend and self._ways().extraction == "model":
            found = self._by_model(backend, question, name) or found
        return self._kept(actor, subject, thread, question, found, status) if found else []

    def subject(self, actor: Actor, thread: Thread | None, client_id: UUID | None = None) -> Whose | None:
        return memories.of_client(self._db, actor, client_id) if client_id else memories.whose(self._db, actor, thread)

    # -- vectors ------------------------------------------------------------------------------------

    def embed(self, wait: Callable[[float], bool]) -> None:
        """A job: give what waits its vectors, the newest first, with every embedder that is open."""
        for embedder in self._embedders():
            while not wait(0.0):
                with self._db.read() as connection:
                    told = rows.unembedded(connection, embedder.name, _AT_ONCE)
                    known = rows.unembedded_memories(connection, embedder.name, _AT_ONCE)
                if not told and not known:
                    break
                if known:
                    vectors = packed(embedder.passages([text for _, text in known]))
                    made = {i: v for (i, _), v in zip(known, vectors, strict=True)}
                    rows.keep_vectors(self._db, embedder.name, made, memories=True)
                if told:
                    vectors = packed(embedder.passages([t.text[:2000] for t in told]))
                    made = {t.id: v for t, v in zip(told, vectors, strict=True)}
                    rows.keep_vectors(self._db, embedder.name, made)

    # -- within -------------------------------------------------------------------------------------

    def _subject(self, actor: Actor, thread: Thread) -> Whose | None:
        return memories.whose(self._db, actor, thread)

    def _name(self, actor: Actor, subject: Whose) -> str:
        return clients.get(self._db, actor, subject.client_id).name if subject.client_id else ""

    def _mode(self, subject: Whose) -> str:
        if subject.client_id is None:
            return self._ways().mode
        with self._db.read() as connection:
            return clients.mode_of(connection, subject.client_id)

    def _keep(self, turn_id: UUID, found: Recollection) -> None:
        with self._gate:
            self._told[turn_id] = found
            for old in list(self._told)[:-_MOST_TOLD]:
                del self._told[old]

    def _kept(
        self,
        actor: Actor,
        subject: Whose,
        thread: Thread,
        question: Message,
        found: Sequence[Candidate],
        status: MemoryStatus,
    ) -> list[Memory]:
        branch = messages.branch(self._db, actor, thread.id, question.id, last=_BEFORE + 1)[:-1]
        heard = [m.text[a:b] for m in branch if m.speaker == "assistant" for a, b in said.sentences(m.text)]
        with self._db.read() as connection:
            told = memories.used_in_thread(connection, thread.id)
        vectors = self._vectors(subject, found)

        def decide(there: Sequence[Memory]) -> list[memories.Change]:
            return same.decide(found, there, told=list(told), said_before=heard, vectors=vectors)

        return memories.propose(self._db, subject, question, status, decide)

    def _vectors(self, subject: Whose, found: Sequence[Candidate]) -> Mapping[str, Any]:
        """The vectors of the candidates, and those that memories have, by text."""
        embedder = next(iter(self._embedders()), None)
        if embedder is None:
            return {}
        try:
            fresh = embedder.passages([c.text for c in found])
        except CoachError as error:
            log.warning("facts could not be embedded: %s", error.kind)
            return {}
        with self._db.read() as connection:
            known = rows.vectors_by_text(connection, subject, embedder.name)
        return known | {c.text: v for c, v in zip(found, fresh, strict=True)}

    def _by_model(self, backend: str, question: Message, name: str) -> list[Candidate]:
        """What the thread's model reads in the message; nothing when it cannot, or says what cannot be trusted."""
        asked = Message(
            id=new_id(),
            thread_id=question.thread_id,
            parent_id=None,
            speaker="user",
            parts=(Part("text", text := extraction.question(question.text, question.created_at, name)),),
            text=text,
            status="complete",
            created_at=now(),
        )
        request = Request(
            asked,
            instructions=extraction.INSTRUCTIONS,
            schema=extraction.SCHEMA,
            parameters={"temperature": 0.0, "max_output_tokens": 1000, "state": "stateless"},
            trial=True,
        )
        try:
            events = self._backends.get(backend).stream(request, threading.Event())
            answer = "".join(e.text for e in events if e.kind == "text")
        except CoachError as error:
            log.info("facts by the model were left out: %s", error.kind)
            return []
        return extraction.validated(answer, question.text, words.language_of(question.text))
