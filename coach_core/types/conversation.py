"""Threads, messages, turns and the events of a turn."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from coach_core.types.base import without_empty
from coach_core.types.knowledge import Citation

Speaker = Literal["user", "assistant", "system", "tool"]
MessageStatus = Literal["complete", "streaming", "interrupted", "cancelled", "failed"]
TurnStatus = Literal["running", "completed", "incomplete", "cancelled", "failed", "interrupted"]
DoneStatus = Literal["completed", "incomplete", "cancelled"]
EventKind = Literal[
    "start",
    "text",
    "reasoning",
    "tool_call",
    "tool_result",
    "citation",
    "notice",
    "retract",
    "done",
    "error",
]
PartKind = Literal["text", "image", "file", "tool_call", "tool_result"]
TERMINAL: frozenset[str] = frozenset({"done", "error"})


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file kept by its content. `sha256` is hex; the same bytes are stored once."""

    id: UUID
    sha256: str
    name: str
    media_type: str
    size: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """One ordered piece of a message. Which fields are set depends on `kind`.

    text: text. image and file: file_id, name, media_type, and text when the file's text was read.
    tool_call: call_id, name, arguments. tool_result: call_id, name, text, error.
    """

    kind: PartKind
    text: str = ""
    file_id: UUID | None = None
    name: str = ""
    media_type: str = ""
    call_id: str = ""
    arguments: Mapping[str, Any] | None = None
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        return without_empty(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Part:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        if values.get("file_id"):
            values["file_id"] = UUID(str(values["file_id"]))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Message:
    """One node of a thread's tree. `text` is the plain text of its text parts."""

    id: UUID
    thread_id: UUID
    parent_id: UUID | None
    speaker: Speaker
    parts: tuple[Part, ...]
    text: str
    status: MessageStatus
    created_at: datetime
    turn_id: UUID | None = None
    siblings: tuple[UUID, ...] = ()
    feedback: int = 0
    feedback_reason: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a branch in its order, and whether there is more of it before and behind."""

    messages: tuple[Message, ...] = ()
    earlier: bool = False
    later: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said on a branch up to and with `message_id`, in short; `model` is empty when rules wrote it."""

    id: UUID
    thread_id: UUID
    message_id: UUID
    text: str
    tokens: int
    created_at: datetime
    model: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one turn as the API reported them, or as counted here when `estimated`."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
            self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a turn. `seq` counts 1, 2, 3 ... within the turn; a backend leaves it 0.

    start: backend, model, arm, arguments (what it is asked with: endpoint, wire, parameters ...).
    text, reasoning: text. tool_call: call_id, name, arguments (whole).
    tool_result: call_id, name, text, error. citation: citation.
    notice: source, text; arguments may hold `counts` (for the metrics) and what a source says besides.
    retract: text says why; what was shown of this attempt is taken back.
    done: status, usage, finish_reason, ids, attempts (backends asked), retries (requests sent again), model
    (as the server calls what answered, where it says so), verdicts ("holds" or "fails" by a citation's number).
    error: error (its kind), text (the sentence), usage and attempts as far as it came.
    """

    kind: EventKind
    turn: UUID | None = None
    seq: int = 0
    text: str = ""
    backend: str = ""
    model: str = ""
    arm: str = ""
    call_id: str = ""
    name: str = ""
    arguments: Mapping[str, Any] | None = None
    source: str = ""
    citation: Citation | None = None
    status: DoneStatus | None = None
    usage: Usage | None = None
    finish_reason: str = ""
    ids: Mapping[str, str] | None = None
    attempts: int = 0
    retries: int = 0
    error: str = ""
    verdicts: Mapping[str, str] | None = None

    @property
    def terminal(self) -> bool:
        return self.kind in TERMINAL

    def to_dict(self) -> dict[str, Any]:
        """Only the fields that are set; what `--json` prints, SSE sends and the table keeps."""
        out = without_empty(self)
        if self.citation is not None:
            out["citation"] = self.citation.to_dict()
        if self.usage is not None:
            out["usage"] = dataclasses.asdict(self.usage)
        return out

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        if values.get("turn"):
            values["turn"] = UUID(str(values["turn"]))
        if values.get("citation"):
            values["citation"] = Citation.from_dict(values["citation"])
        if values.get("usage"):
            values["usage"] = Usage(**values["usage"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Thread:
    id: UUID
    owner_id: UUID
    title: str
    persona_id: UUID
    created_at: datetime
    updated_at: datetime
    client_id: UUID | None = None
    head_id: UUID | None = None
    backend: str | None = None
    channel: str = "web"
    archived_at: datetime | None = None
    deleted_at: datetime | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class ThreadHit:
    """A row of the threads page; `snippet` marks found words as **word** and is empty without a search."""

    thread: Thread
    persona_name: str
    messages: int
    last_backend: str
    interrupted: bool
    snippet: str = ""
    message_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ThreadQuery:
    text: str = ""
    persona_id: UUID | None = None
    client_id: UUID | None = None
    backend: str = ""
    since: datetime | None = None
    until: datetime | None = None
    archived: bool = False
    deleted: bool = False
    limit: int = 50
    offset: int = 0


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One turn as stored. `timing` maps parts of the time (routing, context, first_token, total) to ms."""

    id: UUID
    thread_id: UUID
    question_id: UUID
    answer_id: UUID
    user_id: UUID
    status: TurnStatus
    backend: str
    created_at: datetime
    persona_id: UUID | None = None
    persona_version_id: UUID | None = None
    endpoint: str = ""
    model: str = ""
    arm: str = ""
    attempts: int = 0
    attempt: int = 1
    lease_owner: str = ""
    lease_until: datetime | None = None
    cancel_requested: bool = False
    ended_at: datetime | None = None
    usage: Usage = field(default_factory=Usage)
    cost: int = 0
    timing: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    error_text: str = ""
    finish_reason: str = ""
    notices: tuple[str, ...] = ()
    key: str | None = None
