"""What is remembered of a person, and what was recalled of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

MemoryKind = Literal["goal", "challenge", "progress", "preference", "event", "fact"]
MemoryStatus = Literal["pending", "approved", "rejected", "superseded"]
MemoryOrigin = Literal["rules", "model", "person"]
RecallKind = Literal["relevant", "recent", "goals", "challenges", "progress"]
MEMORY_KINDS: tuple[MemoryKind, ...] = get_args(MemoryKind)
RECALL_KINDS: tuple[RecallKind, ...] = get_args(RecallKind)


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose memory: a client's, else the own of `owner_id`. Made of an Actor and a thread, of nothing else."""

    owner_id: UUID
    client_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """A fact. `quote` stands word for word in the message `message_id`; `message_ids` are all it was said in.

    `happened_at` is when it is about, `supersedes` what it replaces once it is approved, `superseded_by` what
    replaced it. `origin` is empty for one without a known maker.
    """

    id: UUID
    owner_id: UUID
    kind: MemoryKind
    text: str
    status: MemoryStatus
    created_at: datetime
    updated_at: datetime
    client_id: UUID | None = None
    quote: str = ""
    confidence: float = 0.0
    importance: float = 0.5
    happened_at: datetime | None = None
    thread_id: UUID | None = None
    message_id: UUID | None = None
    message_ids: tuple[UUID, ...] = ()
    supersedes: UUID | None = None
    superseded_by: UUID | None = None
    origin: str = ""
    language: str = ""
    version: int = 1


@dataclass(frozen=True, slots=True)
class MemoryVersion:
    memory_id: UUID
    version: int
    kind: MemoryKind
    text: str
    status: MemoryStatus
    created_at: datetime
    changed_by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fact that somebody's own words hold: `quote` is a piece of them, verbatim."""

    kind: MemoryKind
    text: str
    quote: str
    importance: float = 0.5
    confidence: float = 0.5
    happened_at: datetime | None = None
    language: str = ""
    origin: MemoryOrigin = "rules"


@dataclass(frozen=True, slots=True)
class OldTurn:
    """Something said earlier, as evidence: a message with what stood around it, `message_ids` in order."""

    message_id: UUID
    thread_id: UUID
    speaker: str
    text: str
    said_at: datetime
    message_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Recalled:
    """A memory, or old turns, as recalled for a question; `why` is said in words."""

    rank: int
    score: float
    why: str
    memory: Memory | None = None
    turn: OldTurn | None = None

    @property
    def message_ids(self) -> tuple[UUID, ...]:
        """The messages that stand behind it."""
        if self.memory is not None:
            return self.memory.message_ids
        return self.turn.message_ids if self.turn is not None else ()


@dataclass(frozen=True, slots=True)
class Recollection:
    """What came to mind, best first, with a line that sums it up and its length in tokens as it is told."""

    items: tuple[Recalled, ...] = ()
    summary: str = ""
    text: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """A memory that went into a turn; `verdict` is -1 for not right, 1 for right, 0 while nobody has said."""

    memory: Memory
    turn_id: UUID
    rank: int
    score: float
    verdict: int = 0


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    status: MemoryStatus | None = None
    kind: MemoryKind | None = None
    text: str = ""
    limit: int = 200
    offset: int = 0
