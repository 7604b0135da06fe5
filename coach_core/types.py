"""Values that every layer shares: frozen, without behaviour beyond their own shape, free of storage.

Invariant: nothing here reads a clock, a database, a file or the network, and nothing here imports
another module of the project. Ids are UUIDv7, times are aware UTC, money is integer micro-dollars
(1 dollar = 1,000,000), durations are milliseconds, token counts are whole numbers.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7

Role = Literal["owner", "admin", "coach", "client", "stakeholder"]
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
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
TERMINAL: frozenset[str] = frozenset({"done", "error"})


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): sorts by the time it was made."""
    return _uuid7()


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def clean_text(text: str) -> str:
    """`text` as it may be stored: NUL bytes and lone surrogates become U+FFFD, all else is kept."""
    return _UNSTORABLE.sub("\ufffd", text)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. Made at the edge by page, CLI or HTTP; a model or a request body never names it."""

    user_id: UUID
    role: Role
    name: str = ""
    client_id: UUID | None = None
    channel: str = "web"


@dataclass(frozen=True, slots=True)
class User:
    id: UUID
    name: str
    role: Role
    created_at: datetime
    client_id: UUID | None = None


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
        return _without_empty(self)

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
class Passage:
    """A piece of a document that a search returned.

    `start` and `end` are character offsets into the document's extracted text. `score` is the fused
    one (0..1); `rank_words` and `rank_meaning` count from 1 and are None when that side did not
    find it; `score_words` is bm25 (higher is better), `score_meaning` a cosine.
    """

    chunk_id: UUID
    document_id: UUID
    collection_id: UUID
    document_hash: str
    title: str
    text: str
    section: str = ""
    page: int | None = None
    row: int | None = None
    start: int = 0
    end: int = 0
    language: str = ""
    score: float = 0.0
    rank_words: int | None = None
    rank_meaning: int | None = None
    score_words: float | None = None
    score_meaning: float | None = None

    @property
    def within(self) -> str:
        """The section as it reads beside the title: without the title at its head."""
        return _within(self.title, self.section)


@dataclass(frozen=True, slots=True)
class Citation:
    """A snapshot of the passage behind [number] in one answer; it outlives the document."""

    number: int
    title: str = ""
    text: str = ""
    document_id: UUID | None = None
    chunk_id: UUID | None = None
    document_hash: str = ""
    section: str = ""
    page: int | None = None
    row: int | None = None
    start: int = 0
    end: int = 0
    quote: str = ""
    score: float = 0.0
    rank_words: int | None = None
    rank_meaning: int | None = None

    @property
    def within(self) -> str:
        """The section as it reads beside the title: without the title at its head."""
        return _within(self.title, self.section)

    def to_dict(self) -> dict[str, Any]:
        return _without_empty(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Citation:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        for key in ("document_id", "chunk_id"):
            if values.get(key):
                values[key] = UUID(str(values[key]))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a turn. `seq` counts 1, 2, 3 ... within the turn; a backend leaves it 0.

    start: backend, model, arm. text, reasoning: text. tool_call: call_id, name, arguments (whole).
    tool_result: call_id, name, text, error. citation: citation. notice: source, text.
    retract: text says why; what was shown of this attempt is taken back.
    done: status, usage, finish_reason, ids, attempts. error: error (its kind), text (the sentence).
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
    error: str = ""

    @property
    def terminal(self) -> bool:
        return self.kind in TERMINAL

    def to_dict(self) -> dict[str, Any]:
        """Only the fields that are set; what `--json` prints, SSE sends and the table keeps."""
        out = _without_empty(self)
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


@dataclass(frozen=True, slots=True)
class PersonaDraft:
    """What an admin edits; every save of it is a new version.

    `parameters` may hold temperature, max_output_tokens, top_p, reasoning_effort. An empty
    `backend` or `model` means the default of the settings. `collections` are collection ids.
    `empty_state` is the persona's own sentence on an empty page.
    """

    name: str
    instructions: str = ""
    greeting: str = ""
    empty_state: str = ""
    starters: tuple[str, ...] = ()
    backend: str = ""
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tools: tuple[str, ...] = ()
    collections: tuple[UUID, ...] = ()
    picture_id: UUID | None = None
    icon: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The draft as JSON values: what a version's row keeps."""
        return {
            "name": self.name,
            "instructions": self.instructions,
            "greeting": self.greeting,
            "empty_state": self.empty_state,
            "starters": list(self.starters),
            "backend": self.backend,
            "model": self.model,
            "parameters": dict(self.parameters),
            "tools": list(self.tools),
            "collections": [str(c) for c in self.collections],
            "picture_id": str(self.picture_id) if self.picture_id else None,
            "icon": self.icon,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PersonaDraft:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        for key in ("starters", "tools"):
            values[key] = tuple(values.get(key) or ())
        values["collections"] = tuple(UUID(str(c)) for c in values.get("collections") or ())
        values["picture_id"] = UUID(str(values["picture_id"])) if values.get("picture_id") else None
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Persona:
    id: UUID
    slug: str
    version: int
    version_id: UUID
    draft: PersonaDraft
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.draft.name


@dataclass(frozen=True, slots=True)
class PersonaVersion:
    id: UUID
    persona_id: UUID
    version: int
    draft: PersonaDraft
    created_at: datetime
    created_by: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Collection:
    id: UUID
    name: str
    description: str
    generation: int
    created_at: datetime
    documents: int = 0
    chunks: int = 0
    licence: str = ""


DocumentStatus = Literal["queued", "reading", "chunking", "embedding", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Document:
    """One uploaded document. `embedded` of `chunks` have a vector; words find it before that."""

    id: UUID
    collection_id: UUID
    name: str
    title: str
    media_type: str
    size: int
    sha256: str
    status: DocumentStatus
    created_at: datetime
    pages: int | None = None
    chunks: int = 0
    embedded: int = 0
    language: str = ""
    added_by: str = ""
    error: str = ""
    file_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """Where one file stands: `done` of `total` in units of its stage (pages, passages)."""

    document_id: UUID | None
    name: str
    stage: DocumentStatus
    done: int = 0
    total: int = 0
    error: str = ""
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as told to a model: JSON Schema (draft 2020-12) of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A backend as a person picks it. `ready` says whether it could answer now; if not, `why`."""

    name: str
    label: str
    model: str
    ready: bool
    why: str = ""
    needs_key: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """One line of `doctor`: `state` is ok, warn or fail; `mend` says what to do."""

    name: str
    state: Literal["ok", "warn", "fail"]
    detail: str
    mend: str = ""
    milliseconds: float | None = None


def _within(title: str, section: str) -> str:
    head, _, rest = section.partition(" > ")
    return rest if head.strip() == title.strip() else section


def _without_empty(value: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if item is None or item == "" or (f.name in {"attempts", "seq"} and item == 0):
            continue
        if isinstance(item, UUID):
            item = str(item)
        out[f.name] = item
    return out
