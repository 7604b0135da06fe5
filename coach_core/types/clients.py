"""Clients and what a coach keeps about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from coach_core.types.memory import Memory

MemoryMode = Literal["review", "automatic", "off"]
GoalKind = Literal["goal", "challenge"]
GoalStatus = Literal["open", "reached", "dropped"]
HomeworkStatus = Literal["given", "done", "dropped"]
TimelineKind = Literal["goal", "challenge", "progress", "note", "homework", "memory"]


@dataclass(frozen=True, slots=True)
class ClientDraft:
    """What a coach writes down of a client. `memory_mode`: whether memories wait for a yes, or are not kept."""

    name: str
    style: str = ""
    values: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    locale: str = ""
    time_zone: str = ""
    memory_mode: MemoryMode = "review"
    next_session: datetime | None = None


@dataclass(frozen=True, slots=True)
class Client:
    id: UUID
    coach_id: UUID
    draft: ClientDraft
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.draft.name


@dataclass(frozen=True, slots=True)
class ClientSummary:
    """A row of the list of clients. `wants` are the open goals, the newest first."""

    client: Client
    threads: int = 0
    open_goals: int = 0
    open_homework: int = 0
    pending: int = 0
    last_activity: datetime | None = None
    wants: tuple[str, ...] = ()
    last_session: datetime | None = None
    homework_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class ClientQuery:
    text: str = ""
    deleted: bool = False
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """The message that something came from, where the viewer may read it."""

    message_id: UUID
    thread_id: UUID
    thread_title: str
    text: str
    said_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    id: UUID
    client_id: UUID
    text: str
    at: datetime
    goal_id: UUID | None = None
    message_id: UUID | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal or a challenge, with what came of it, newest first."""

    id: UUID
    client_id: UUID
    kind: GoalKind
    text: str
    status: GoalStatus
    created_at: datetime
    updated_at: datetime
    due_at: datetime | None = None
    message_id: UUID | None = None
    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionNote:
    id: UUID
    client_id: UUID
    text: str
    at: datetime
    created_at: datetime
    updated_at: datetime
    author_id: UUID | None = None
    thread_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Homework:
    id: UUID
    client_id: UUID
    text: str
    status: HomeworkStatus
    created_at: datetime
    goal_id: UUID | None = None
    due_at: datetime | None = None
    done_at: datetime | None = None
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """Something that happened, with the words behind it; `status` is the goal's, homework's or memory's."""

    at: datetime
    kind: TimelineKind
    text: str
    id: UUID
    status: str = ""
    goal_id: UUID | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Brief:
    """One sheet before a session."""

    client: Client
    made_at: datetime
    since: datetime | None
    goals: tuple[Goal, ...] = ()
    challenges: tuple[Goal, ...] = ()
    progress: tuple[TimelineItem, ...] = ()
    homework: tuple[Homework, ...] = ()
    commitments: tuple[str, ...] = ()
    last_note: SessionNote | None = None
    known: tuple[Memory, ...] = ()
    pending: tuple[Memory, ...] = ()
    question: str = ""
