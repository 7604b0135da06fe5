"""Clients and memories in dictionaries: a part of both fake Coaches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from coach_core import clients as sheets
from coach_core.access import require
from coach_core.errors import ClientNotFound, MemoryNotFound
from coach_core.types import (
    Actor,
    Brief,
    Client,
    ClientDraft,
    ClientQuery,
    ClientSummary,
    Goal,
    Homework,
    Memory,
    MemoryQuery,
    MemoryUse,
    MemoryVersion,
    Progress,
    SessionNote,
    Source,
    TimelineItem,
    new_id,
    now,
)

_KEEP: Any = object()


class FakeClients:
    """Mixed into the fakes, which have `new_thread` and call `admit` first."""

    def admit(self) -> None:
        self.people: dict[UUID, Client] = {}
        self.items: dict[str, dict[UUID, Any]] = {"goal": {}, "progress": {}, "note": {}, "homework": {}}
        self.known: dict[UUID, Memory] = {}
        self.states: dict[UUID, list[MemoryVersion]] = {}
        self.recalled: dict[UUID, list[MemoryUse]] = {}
        self.said: dict[UUID, Source] = {}

    # -- for tests
    def meet(self, actor: Actor, name: str, **values: Any) -> Client:
        return self.save_client(actor, ClientDraft(name, **values))

    def remember(self, actor: Actor, text: str, client: Client | None = None, **values: Any) -> Memory:
        """A memory that waits for a yes, unless `values` say otherwise; said in a message of its own."""
        given = {"kind": "event", "status": "pending", "created_at": now(), "updated_at": now(), **values}
        message = given.setdefault("message_id", new_id())
        self.said[message] = Source(message, new_id(), "The talk", f"Well, {text}", now())
        client_id = client.id if client else None
        memory = Memory(new_id(), actor.user_id, text=text, client_id=client_id, **given)
        return self._put_memory(memory, "the app", "proposed")

    # -- clients
    def clients(self, actor: Actor, query: ClientQuery | None = None) -> tuple[list[ClientSummary], int]:
        require(actor, "clients")
        query = query or ClientQuery()
        words = query.text.casefold().split()
        mine = [c for c in self.people.values() if c.coach_id == actor.user_id]
        fit = [c for c in mine if bool(c.deleted_at) == query.deleted and all(w in c.name.casefold() for w in words)]
        fit.sort(key=lambda c: c.name.casefold())
        page = [self._summary(actor, c) for c in fit[query.offset : query.offset + query.limit]]
        return page, len(fit)

    def client(self, actor: Actor, client_id: UUID) -> Client:
        require(actor, "clients")
        client = self.people.get(client_id)
        if client is None or client.coach_id != actor.user_id:
            raise ClientNotFound
        return client

    def save_client(self, actor: Actor, draft: ClientDraft, client_id: UUID | None = None) -> Client:
        require(actor, "clients")
        draft = sheets.checked(draft)
        if client_id is None:
            client = Client(new_id(), actor.user_id, draft, now(), now())
        else:
            client = dataclasses.replace(self.client(actor, client_id), draft=draft)
        self.people[client.id] = client
        return client

    def delete_client(self, actor: Actor, client_id: UUID) -> Client:
        return self._stamp(actor, client_id, now())

    def restore_client(self, actor: Actor, client_id: UUID) -> Client:
        return self._stamp(actor, client_id, None)

    def _stamp(self, actor: Actor, client_id: UUID, moment: datetime | None) -> Client:
        self.people[client_id] = dataclasses.replace(self.client(actor, client_id), deleted_at=moment)
        return self.people[client_id]

    def _summary(self, actor: Actor, client: Client) -> ClientSummary:
        goals = [g for g in self.goals(actor, client.id) if g.kind == "goal" and g.status == "open"]
        due = [h.due_at for h in self.homework(actor, client.id) if h.status == "given" and h.due_at]
        notes = [n.at for n in self.session_notes(actor, client.id)]
        waits = len(self.memories(actor, client.id, MemoryQuery(status="pending"))[0])
        return ClientSummary(
            client, 0, len(goals), len(due), waits, None, tuple(g.text for g in goals),
            max(notes, default=None), min(due, default=None),
        )  # fmt: skip

    # -- what hangs on them
    def goals(self, actor: Actor, client_id: UUID) -> list[Goal]:
        steps = self._of(actor, "progress", client_id)
        goals = self._of(actor, "goal", client_id)
        return [dataclasses.replace(g, progress=tuple(p for p in steps if p.goal_id == g.id)) for g in goals]

    def save_goal(
        self,
        actor: Actor,
        client_id: UUID,
        text: str,
        *,
        kind: Any = "goal",
        status: Any = "open",
        due_at: datetime | None = None,
        message_id: UUID | None = None,
        goal_id: UUID | None = None,
    ) -> Goal:
        text = sheets.text_of(text, kind)
        old = self.items["goal"].get(goal_id)
        at = old.created_at if old else now()
        goal = Goal(goal_id or new_id(), client_id, kind, text, status, at, now(), due_at, message_id)
        return self._put("goal", goal)

    def save_progress(
        self,
        actor: Actor,
        client_id: UUID,
        text: str,
        *,
        goal_id: UUID | None = None,
        at: datetime | None = None,
        message_id: UUID | None = None,
        progress_id: UUID | None = None,
    ) -> Progress:
        text = sheets.text_of(text, "progress")
        step = Progress(progress_id or new_id(), client_id, text, at or now(), goal_id, message_id, now())
        return self._put("progress", step)

    def session_notes(self, actor: Actor, client_id: UUID) -> list[SessionNote]:
        return self._of(actor, "note", client_id)

    def save_note(
        self,
        actor: Actor,
        client_id: UUID,
        text: str,
        *,
        at: datetime | None = None,
        thread_id: UUID | None = None,
        note_id: UUID | None = None,
    ) -> SessionNote:
        text = sheets.text_of(text, "note")
        return self._put("note", SessionNote(note_id or new_id(), client_id, text, at or now(), now(), now()))

    def homework(self, actor: Actor, client_id: UUID) -> list[Homework]:
        return self._of(actor, "homework", client_id)

    def save_homework(
        self,
        actor: Actor,
        client_id: UUID,
        text: str,
        *,
        status: Any = "given",
        goal_id: UUID | None = None,
        due_at: datetime | None = None,
        message_id: UUID | None = None,
        homework_id: UUID | None = None,
    ) -> Homework:
        text = sheets.text_of(text, "homework")
        done = now() if status == "done" else None
        work = Homework(homework_id or new_id(), client_id, text, status, now(), goal_id, due_at, done, message_id)
        return self._put("homework", work)

    def remove(
        self, actor: Actor, kind: Literal["goal", "progress", "note", "homework"], row_id: UUID
    ) -> Mapping[str, Any]:
        return {"kind": kind, "row": self.items[kind].pop(row_id)}

    def put_back(self, actor: Actor, removed: Mapping[str, Any]) -> None:
        self._put(removed["kind"], removed["row"])

    def sources(self, actor: Actor, message_ids: Sequence[UUID]) -> dict[UUID, Source]:
        return {i: self.said[i] for i in message_ids if i in self.said}

    def timeline(self, actor: Actor, client_id: UUID) -> list[TimelineItem]:
        known = self.memories(actor, client_id, MemoryQuery(status="approved"))[0]
        steps, notes = self._of(actor, "progress", client_id), self.session_notes(actor, client_id)
        work = self.homework(actor, client_id)
        return sheets.timeline(self.goals(actor, client_id), steps, notes, work, known, self.said)

    def brief(self, actor: Actor, client_id: UUID) -> Brief:
        known = self.memories(actor, client_id)[0]
        items, notes = self.timeline(actor, client_id), self.session_notes(actor, client_id)
        goals, work = self.goals(actor, client_id), self.homework(actor, client_id)
        return sheets.brief(self.client(actor, client_id), goals, work, notes, items, known, now())

    def brief_markdown(self, actor: Actor, client_id: UUID) -> str:
        return sheets.brief_markdown(self.brief(actor, client_id))

    def export_client(self, actor: Actor, client_id: UUID, form: Literal["json", "markdown"] = "json") -> str:
        return f"{form} of {self.client(actor, client_id).name}"

    def _of(self, actor: Actor, kind: str, client_id: UUID) -> list[Any]:
        self.client(actor, client_id)
        return [x for x in reversed(self.items[kind].values()) if x.client_id == client_id]

    def _put(self, kind: str, item: Any) -> Any:
        self.items[kind][item.id] = item
        return item

    # -- memories
    def memories(
        self, actor: Actor, client_id: UUID | None = None, query: MemoryQuery | None = None
    ) -> tuple[list[Memory], int]:
        require(actor, "clients")
        query = query or MemoryQuery()
        mine = [m for m in self.known.values() if m.client_id == client_id and m.owner_id == actor.user_id]
        fit = [m for m in reversed(mine) if query.status in (None, m.status) and query.kind in (None, m.kind)]
        return fit[query.offset : query.offset + query.limit], len(fit)

    def memory(self, actor: Actor, memory_id: UUID) -> Memory:
        if memory_id not in self.known:
            raise MemoryNotFound
        return self.known[memory_id]

    def memory_history(self, actor: Actor, memory_id: UUID) -> list[MemoryVersion]:
        return self.states[memory_id]

    def pending_count(self, actor: Actor) -> dict[UUID | None, int]:
        waits = [m.client_id for m in self.known.values() if m.status == "pending"]
        return {i: waits.count(i) for i in waits}

    def approve_memories(self, actor: Actor, memory_ids: Sequence[UUID]) -> list[Memory]:
        return [self._stand(actor, i, "approved") for i in memory_ids]

    def reject_memories(self, actor: Actor, memory_ids: Sequence[UUID]) -> list[Memory]:
        return [self._stand(actor, i, "rejected") for i in memory_ids]

    def reconsider_memories(self, actor: Actor, memory_ids: Sequence[UUID]) -> list[Memory]:
        return [self._stand(actor, i, "pending") for i in memory_ids]

    def edit_memory(
        self,
        actor: Actor,
        memory_id: UUID,
        *,
        text: str | None = None,
        kind: Any = None,
        happened_at: datetime | None = _KEEP,
    ) -> Memory:
        memory = self.memory(actor, memory_id)
        at = memory.happened_at if happened_at is _KEEP else happened_at
        text = memory.text if text is None else sheets.text_of(text, "memory")
        changed = dataclasses.replace(memory, text=text, kind=kind or memory.kind, happened_at=at, status="approved")
        return self._put_memory(changed, actor.name, "edited")

    def add_memory(
        self,
        actor: Actor,
        text: str,
        kind: Any,
        client_id: UUID | None = None,
        happened_at: datetime | None = None,
    ) -> Memory:
        text = sheets.text_of(text, "memory")
        memory = Memory(new_id(), actor.user_id, kind, text, "approved", now(), now(), client_id, origin="person")
        return self._put_memory(memory, actor.name, "written down")

    def memories_of_turn(self, actor: Actor, turn_id: UUID) -> list[MemoryUse]:
        return self.recalled.get(turn_id, [])

    def judge_memory(self, actor: Actor, turn_id: UUID, memory_id: UUID, right: bool | None) -> None:
        verdict = 0 if right is None else 1 if right else -1
        uses = self.recalled[turn_id]
        self.recalled[turn_id] = [
            dataclasses.replace(u, verdict=verdict) if u.memory.id == memory_id else u for u in uses
        ]

    def _stand(self, actor: Actor, memory_id: UUID, status: Any) -> Memory:
        memory = self.memory(actor, memory_id)
        if status == "approved" and memory.supersedes is not None:
            self._stand(actor, memory.supersedes, "superseded")
        return self._put_memory(dataclasses.replace(memory, status=status), actor.name, status)

    def _put_memory(self, memory: Memory, by: str, why: str) -> Memory:
        states = self.states.setdefault(memory.id, [])
        version = MemoryVersion(memory.id, len(states) + 1, memory.kind, memory.text, memory.status, now(), by, why)
        states.append(version)
        self.known[memory.id] = memory
        return memory
