"""Clients: each coach's own, and nobody else's, in every call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from coach_core import access, clients
from coach_core.coach.base import Base
from coach_core.errors import ClientNotFound, InputError
from coach_core.store import clients as rows
from coach_core.store import memories, messages, threads
from coach_core.types import (
    Actor,
    Brief,
    Client,
    ClientDraft,
    ClientQuery,
    ClientSummary,
    Goal,
    GoalKind,
    GoalStatus,
    Homework,
    HomeworkStatus,
    Memory,
    MemoryQuery,
    Progress,
    SessionNote,
    Source,
    Thread,
    TimelineItem,
    clean_text,
    now,
)

Kind = Literal["goal", "progress", "note", "homework"]
_ALL = MemoryQuery(limit=100_000)


class Clients(Base):
    def clients(self, actor: Actor, query: ClientQuery | None = None) -> tuple[list[ClientSummary], int]:
        """One page of the actor's clients by name, and how many there are."""
        access.require(actor, "clients")
        return rows.find(self._db, actor, query or ClientQuery())

    def client(self, actor: Actor, client_id: UUID) -> Client:
        """The client, also when deleted (its `deleted_at` says so)."""
        access.require(actor, "clients")
        return rows.get(self._db, actor, client_id, deleted=True)

    def client_named(self, actor: Actor, name: str) -> Client:
        """The client by id or name, as a person types it."""
        access.require(actor, "clients")
        found, _ = rows.find(self._db, actor, ClientQuery(limit=100_000))
        wanted = name.strip().casefold()
        same = [s.client for s in found if wanted in {s.client.name.casefold(), str(s.client.id)}]
        if len(same) == 1:
            return same[0]
        if same:
            raise InputError(f"There are {len(same)} clients called {name!r}. Name one by its id.")
        raise ClientNotFound(f"There is no client called {name!r}. `clients list` shows yours.")

    def save_client(self, actor: Actor, draft: ClientDraft, client_id: UUID | None = None) -> Client:
        """A new client of the actor's, or the changed one. Raises InputError with what to change."""
        access.require(actor, "clients")
        saved = rows.save(self._db, actor, clients.checked(draft), client_id)
        self._note(actor, "client.change" if client_id else "client.add", str(saved.id), {}, {})
        return saved

    def delete_client(self, actor: Actor, client_id: UUID) -> Client:
        """Out of every list and every recall; `restore_client` brings all of it back."""
        access.require(actor, "clients")
        deleted = rows.delete(self._db, actor, client_id)
        self._note(actor, "client.delete", str(client_id), {}, {})
        return deleted

    def restore_client(self, actor: Actor, client_id: UUID) -> Client:
        access.require(actor, "clients")
        restored = rows.undelete(self._db, actor, client_id)
        self._note(actor, "client.restore", str(client_id), {}, {})
        return restored

    # -- goals, progress, notes, homework -----------------------------------------------------------

    def goals(self, actor: Actor, client_id: UUID) -> list[Goal]:
        """Goals and challenges, the newest first, each with its progress."""
        access.require(actor, "clients")
        return rows.goals(self._db, actor, client_id)

    def save_goal(
        self,
        actor: Actor,
        client_id: UUID,
        text: str,
        *,
        kind: GoalKind = "goal",
        status: GoalStatus = "open",
        due_at: datetime | None = None,
        message_id: UUID | None = None,
        goal_id: UUID | None = None,
    ) -> Goal:
        """A new goal or challenge, or (with `goal_id`) the changed one."""
        access.require(actor, "clients")
        values: dict[str, Any] = {"text": clients.text_of(text, kind), "kind": kind, "status": status, "due_at": due_at}
        return rows.save_goal(self._db, actor, client_id, _with_message(values, message_id, goal_id), goal_id)

    def progress(self, actor: Actor, client_id: UUID) -> list[Progress]:
        access.require(actor, "clients")
        return rows.progress(self._db, actor, client_id)

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
        access.require(actor, "clients")
        values: dict[str, Any] = {"text": clients.text_of(text, "progress"), "goal_id": goal_id}
        if at is not None or progress_id is None:
            values["at"] = at or now()
        return rows.save_progress(
            self._db, actor, client_id, _with_message(values, message_id, progress_id), progress_id
        )

    def session_notes(self, actor: Actor, client_id: UUID) -> list[SessionNote]:
        access.require(actor, "clients")
        return rows.notes(self._db, actor, client_id)

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
        access.require(actor, "clients")
        values: dict[str, Any] = {"text": clients.text_of(text, "note")}
        if note_id is None:
            values |= {"author_id": actor.user_id, "thread_id": thread_id}
        if at is not None or note_id is None:
            values["at"] = at or now()
        return rows.save_note(self._db, actor, client_id, values, note_id)

    def homework(self, actor: Actor, client_id: UUID) -> list[Homework]:
        access.require(actor, "clients")
        return rows.homework(self._db, actor, client_id)

    def save_homework(
        self,
        actor: Actor,
        client_id: UUID,
        text: str,
        *,
        status: HomeworkStatus = "given",
        goal_id: UUID | None = None,
        due_at: datetime | None = None,
        message_id: UUID | None = None,
        homework_id: UUID | None = None,
    ) -> Homework:
        access.require(actor, "clients")
        values: dict[str, Any] = {"text": clients.text_of(text, "homework"), "status": status}
        values |= {"goal_id": goal_id, "due_at": due_at, "done_at": now() if status == "done" else None}
        return rows.save_homework(
            self._db, actor, client_id, _with_message(values, message_id, homework_id), homework_id
        )

    def remove(self, actor: Actor, kind: Kind, row_id: UUID) -> Mapping[str, Any]:
        """Take a goal, progress, note or homework out; what comes back undoes it with `put_back`."""
        access.require(actor, "clients")
        return rows.remove(self._db, actor, kind, row_id)

    def put_back(self, actor: Actor, removed: Mapping[str, Any]) -> None:
        access.require(actor, "clients")
        rows.put_back(self._db, actor, removed)

    # -- threads ------------------------------------------------------------------------------------

    def client_threads(self, actor: Actor, client_id: UUID) -> list[Thread]:
        """The actor's threads about a client, the latest first."""
        access.require(actor, "clients")
        rows.get(self._db, actor, client_id, deleted=True)
        return threads.about(self._db, actor, client_id)

    def move_thread(self, actor: Actor, thread_id: UUID, client_id: UUID | None) -> Thread:
        """Say whom a thread is about (None: nobody). Memories that came from it stay with whom they were kept for."""
        access.require(actor, "clients")
        if client_id is not None:
            rows.get(self._db, actor, client_id)
        return threads.update(self._db, actor, thread_id, client_id=client_id)

    # -- the whole of a client ----------------------------------------------------------------------

    def timeline(self, actor: Actor, client_id: UUID) -> list[TimelineItem]:
        """Everything that happened, the newest first, each with the message it came from."""
        access.require(actor, "clients")
        return self._timeline(actor, client_id, self._all_memories(actor, client_id))

    def sources(self, actor: Actor, message_ids: Sequence[UUID]) -> dict[UUID, Source]:
        """The messages behind goals, memories and the like, as far as the actor may read them."""
        access.require(actor, "clients")
        return rows.sources(self._db, actor, message_ids)

    def brief(self, actor: Actor, client_id: UUID) -> Brief:
        """One sheet before a session."""
        access.require(actor, "clients")
        known = self._all_memories(actor, client_id)
        return clients.brief(
            rows.get(self._db, actor, client_id),
            rows.goals(self._db, actor, client_id),
            rows.homework(self._db, actor, client_id),
            rows.notes(self._db, actor, client_id),
            self._timeline(actor, client_id, known),
            known,
            now(),
        )

    def brief_markdown(self, actor: Actor, client_id: UUID) -> str:
        return clients.brief_markdown(self.brief(actor, client_id))

    def export_client(self, actor: Actor, client_id: UUID, form: Literal["json", "markdown"] = "json") -> str:
        """Everything of one client: JSON with all there is, or Markdown to read."""
        access.require(actor, "clients")
        client = rows.get(self._db, actor, client_id, deleted=True)
        known, about = self._all_memories(actor, client_id), threads.about(self._db, actor, client_id)
        notes = rows.notes(self._db, actor, client_id)
        self._note(actor, "client.export", str(client_id), {}, {"format": form})
        if form == "markdown":
            told = [self._thread_text(actor, thread) for thread in about]
            items = self._timeline(actor, client_id, known)
            goals, homework = rows.goals(self._db, actor, client_id), rows.homework(self._db, actor, client_id)
            sheet = clients.brief(client, goals, homework, notes, items, known, now())
            return clients.exported_markdown(sheet, items, notes, told)
        return clients.exported(
            client,
            rows.goals(self._db, actor, client_id),
            rows.progress(self._db, actor, client_id),
            notes,
            rows.homework(self._db, actor, client_id),
            [(m, memories.history(self._db, actor, m.id)) for m in known] if client.deleted_at is None else [],
            [self._thread_data(actor, thread) for thread in about],
        )

    def _timeline(self, actor: Actor, client_id: UUID, known: Sequence[Memory]) -> list[TimelineItem]:
        goals, steps = rows.goals(self._db, actor, client_id), rows.progress(self._db, actor, client_id)
        notes, homework = rows.notes(self._db, actor, client_id), rows.homework(self._db, actor, client_id)
        approved = [m for m in known if m.status == "approved"]
        ids = [x.message_id for x in (*goals, *steps, *homework, *approved)]
        return clients.timeline(goals, steps, notes, homework, approved, rows.sources(self._db, actor, ids))

    def _all_memories(self, actor: Actor, client_id: UUID) -> list[Memory]:
        rows.get(self._db, actor, client_id, deleted=True)
        subject = memories.of_client(self._db, actor, client_id)
        return memories.find(self._db, actor, subject, _ALL)[0] if subject is not None else []

    def _thread_text(self, actor: Actor, thread: Thread) -> str:
        said = messages.branch(self._db, actor, thread.id)
        lines = [f"**{'Person' if m.speaker == 'user' else 'Assistant'}:** {m.text}" for m in said if m.text]
        return f"## Thread: {clean_text(thread.title) or 'Untitled'}\n\n" + "\n\n".join(lines)

    def _thread_data(self, actor: Actor, thread: Thread) -> dict[str, Any]:
        said = messages.tree(self._db, actor, thread.id)
        told = [
            {"id": m.id, "parent_id": m.parent_id, "speaker": m.speaker, "text": m.text, "at": m.created_at}
            for m in said
        ]
        return {"id": thread.id, "title": thread.title, "created_at": thread.created_at, "messages": told}


def _with_message(values: dict[str, Any], message_id: UUID | None, row_id: UUID | None) -> dict[str, Any]:
    """A change leaves the message that it came from alone, unless another is given."""
    return values | {"message_id": message_id} if message_id is not None or row_id is None else values
