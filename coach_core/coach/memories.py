"""Memories: proposed by the app, decided by the coach whose client they are about."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from coach_core import access, clients
from coach_core.coach.base import Base
from coach_core.errors import ClientNotFound, InputError, MessageNotFound
from coach_core.search import words
from coach_core.store import memories, messages, threads
from coach_core.types import (
    MEMORY_KINDS,
    Actor,
    Candidate,
    Memory,
    MemoryKind,
    MemoryQuery,
    MemoryUse,
    MemoryVersion,
    RecallKind,
    Recollection,
    Whose,
)

_KEEP: Any = object()


class Memories(Base):
    def memories(
        self, actor: Actor, client_id: UUID | None = None, query: MemoryQuery | None = None
    ) -> tuple[list[Memory], int]:
        """One page of what is kept about a client (None: about the actor), the newest first, and how many fit."""
        return memories.find(self._db, actor, self._whose(actor, client_id), query or MemoryQuery())

    def memory(self, actor: Actor, memory_id: UUID) -> Memory:
        access.require(actor, "threads")
        return memories.get(self._db, actor, memory_id)

    def memory_history(self, actor: Actor, memory_id: UUID) -> list[MemoryVersion]:
        """Every state a memory has had, the oldest first."""
        access.require(actor, "threads")
        return memories.history(self._db, actor, memory_id)

    def pending_count(self, actor: Actor) -> dict[UUID | None, int]:
        """How many memories wait for a yes, by client (None: about the actor)."""
        access.require(actor, "clients")
        return memories.pending(self._db, actor)

    def approve_memories(self, actor: Actor, memory_ids: Sequence[UUID]) -> list[Memory]:
        access.require(actor, "clients")
        return self._decided(actor, [memories.decide(self._db, actor, i, "approved") for i in memory_ids])

    def reject_memories(self, actor: Actor, memory_ids: Sequence[UUID]) -> list[Memory]:
        """Said again, it is not proposed again. Approving brings it back."""
        access.require(actor, "clients")
        return self._decided(actor, [memories.decide(self._db, actor, i, "rejected") for i in memory_ids])

    def reconsider_memories(self, actor: Actor, memory_ids: Sequence[UUID]) -> list[Memory]:
        """Back to waiting for a yes: undoes approving and rejecting."""
        access.require(actor, "clients")
        return self._decided(actor, [memories.decide(self._db, actor, i, "pending", "undone") for i in memory_ids])

    def edit_memory(
        self,
        actor: Actor,
        memory_id: UUID,
        *,
        text: str | None = None,
        kind: MemoryKind | None = None,
        happened_at: datetime | None = _KEEP,
    ) -> Memory:
        """Change the words, kind or date; what was edited is approved."""
        access.require(actor, "clients")
        values: dict[str, Any] = {}
        if text is not None:
            values["text"] = clients.text_of(text, "memory")
        if kind is not None:
            values["kind"] = _checked(kind)
        if happened_at is not _KEEP:
            values["happened_at"] = happened_at
        return self._decided(actor, [memories.edit(self._db, actor, memory_id, values)])[0]

    def merge_memories(self, actor: Actor, memory_id: UUID, others: Sequence[UUID]) -> Memory:
        """Join `others` into one, which is then linked to all the messages they came from."""
        access.require(actor, "clients")
        return self._decided(actor, [memories.merge(self._db, actor, memory_id, others)])[0]

    def add_memory(
        self,
        actor: Actor,
        text: str,
        kind: MemoryKind,
        client_id: UUID | None = None,
        happened_at: datetime | None = None,
    ) -> Memory:
        """A memory that a coach writes down themselves."""
        access.require(actor, "clients")
        text = clients.text_of(text, "memory")
        language = words.language_of(text)
        candidate = Candidate(_checked(kind), text, "", 0.7, 1.0, happened_at, language, "person")
        made = memories.add(self._db, self._whose(actor, client_id), candidate, actor.name)
        return self._decided(actor, [made])[0]

    def propose_memories(self, actor: Actor, message_id: UUID) -> list[Memory]:
        """Look at a message once more for what is to be remembered; what comes new of it."""
        access.require(actor, "threads")
        message = messages.get(self._db, actor, message_id)
        if message.speaker != "user":
            raise MessageNotFound("Only what a person typed is looked at. Choose a question.")
        return self._remembering.propose(actor, threads.get(self._db, actor, message.thread_id), message)

    def recall(
        self,
        actor: Actor,
        question: str,
        *,
        client_id: UUID | None = None,
        kind: RecallKind = "relevant",
        k: int | None = None,
        budget: int | None = None,
    ) -> Recollection:
        """What would come to mind for a question about a client (None: about the actor)."""
        subject = self._whose(actor, client_id)
        most, tokens = self.settings.memories if k is None else k, budget or self.settings.memory_tokens
        return self._remembering.recaller.recall(actor, subject, question, kind=kind, k=most, budget=tokens)

    # -- what an answer used ------------------------------------------------------------------------

    def memories_of_turn(self, actor: Actor, turn_id: UUID) -> list[MemoryUse]:
        """The memories that an answer was given, in their order, with whether they were judged."""
        access.require(actor, "threads")
        return memories.uses(self._db, actor, turn_id)

    def judge_memory(self, actor: Actor, turn_id: UUID, memory_id: UUID, right: bool | None) -> None:
        """Whether a memory was right in an answer; None takes it back."""
        access.require(actor, "threads")
        verdict = 0 if right is None else 1 if right else -1
        memories.judge(self._db, actor, turn_id, memory_id, verdict)

    def _whose(self, actor: Actor, client_id: UUID | None) -> Whose:
        """Whose memory is meant: the actor's own client, or the actor."""
        access.require(actor, "clients" if actor.role != "client" or client_id is not None else "threads")
        subject = self._remembering.subject(actor, None, client_id)
        if subject is None:
            raise ClientNotFound()
        return subject

    def _decided(self, actor: Actor, changed: list[Memory]) -> list[Memory]:
        for memory in changed:
            self._note(actor, f"memory.{memory.status}", str(memory.id), {}, {"version": memory.version})
            self._remembering.recaller.forget(Whose(memory.owner_id, memory.client_id))
        return changed


def _checked(kind: MemoryKind) -> MemoryKind:
    if kind not in MEMORY_KINDS:
        raise InputError(f"There is no kind {kind!r}. Choose one of: {', '.join(MEMORY_KINDS)}.")
    return kind
