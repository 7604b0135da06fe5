"""Values that every layer shares: frozen, without behaviour beyond their own shape, free of storage.

Invariant: nothing here reads a clock, a database, a file or the network, and nothing here imports
another package of the project. Ids are UUIDv7, times are aware UTC, money is integer micro-dollars
(1 dollar = 1,000,000), durations are milliseconds, token counts are whole numbers.
"""

from __future__ import annotations

from coach_core.types.base import clean_text, new_id, now
from coach_core.types.conversation import (
    TERMINAL,
    DoneStatus,
    Event,
    EventKind,
    Message,
    MessageStatus,
    Part,
    PartKind,
    Speaker,
    StoredFile,
    Thread,
    ThreadHit,
    ThreadQuery,
    TurnRecord,
    TurnStatus,
    Usage,
)
from coach_core.types.endpoints import EndpointDraft, EndpointInfo, Fact, FactKind, KeyState, Trial, Vendor
from coach_core.types.hosted import HostedFailure, HostedState
from coach_core.types.knowledge import (
    Citation,
    Collection,
    Document,
    DocumentStatus,
    IngestProgress,
    Passage,
    UploadCounts,
    UploadStage,
)
from coach_core.types.parts import BackendInfo, Check, ToolSpec
from coach_core.types.people import Actor, Persona, PersonaDraft, PersonaVersion, Role, User
from coach_core.types.use import Deleted, DocumentUse, Unanswered, UnansweredStatus, UnansweredVerdict

__all__ = [
    "TERMINAL",
    "Actor",
    "BackendInfo",
    "Check",
    "Citation",
    "Collection",
    "Deleted",
    "Document",
    "DocumentStatus",
    "DocumentUse",
    "DoneStatus",
    "EndpointDraft",
    "EndpointInfo",
    "Event",
    "EventKind",
    "Fact",
    "FactKind",
    "HostedFailure",
    "HostedState",
    "IngestProgress",
    "KeyState",
    "Message",
    "MessageStatus",
    "Part",
    "PartKind",
    "Passage",
    "Persona",
    "PersonaDraft",
    "PersonaVersion",
    "Role",
    "Speaker",
    "StoredFile",
    "Thread",
    "ThreadHit",
    "ThreadQuery",
    "ToolSpec",
    "Trial",
    "TurnRecord",
    "TurnStatus",
    "Unanswered",
    "UnansweredStatus",
    "UnansweredVerdict",
    "UploadCounts",
    "UploadStage",
    "Usage",
    "User",
    "Vendor",
    "clean_text",
    "new_id",
    "now",
]
