"""Tables of what was said: threads, the tree of messages, turns and what they left behind.

Invariant: a message belongs to one thread and never moves; citations are snapshots and name documents
without a key, so that deleting a document leaves old answers readable.
"""

# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import DDL, ForeignKey, Index, event, text
from sqlmodel import Field

from coach_core.store.models.base import (
    UUID,
    Json,
    SQLModel,
    big_field,
    bytes_field,
    id_field,
    json_field,
    key_part,
    key_ref,
    maybe_ref,
    maybe_time,
    number_field,
    ref,
    table_of,
    time_field,
)

_ON_SHOW = text("deleted_at IS NULL AND archived_at IS NULL")
_IMPORTED = text("external_id IS NOT NULL")
_RUNNING = text("status = 'running'")


class ThreadRow(SQLModel, table=True):
    """`head_id` names the branch on show (no key: messages point back here)."""

    __tablename__ = "threads"
    __table_args__ = (
        Index("ix_threads_recent", "owner_id", "updated_at", sqlite_where=_ON_SHOW, postgresql_where=_ON_SHOW),
        Index("ix_threads_owner", "owner_id", "updated_at"),
        Index("ix_threads_deleted", "deleted_at"),
        Index(
            "uq_threads_external",
            "source",
            "external_id",
            unique=True,
            sqlite_where=_IMPORTED,
            postgresql_where=_IMPORTED,
        ),
    )

    id: UUID = id_field()
    owner_id: UUID = ref("users.id", index=False)
    client_id: UUID | None = maybe_ref("clients.id")
    persona_id: UUID = Field(foreign_key="personas.id", index=True)
    title: str = ""
    head_id: UUID | None = None
    backend: str | None = None
    last_backend: str = ""
    channel: str = "web"
    source: str = ""
    external_id: str | None = None
    import_id: UUID | None = maybe_ref("imports.id")
    extra: dict[str, Any] = json_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field(index=True)
    archived_at: datetime | None = maybe_time()
    deleted_at: datetime | None = maybe_time()


class MessageRow(SQLModel, table=True):
    """A node of the tree. `parent_id` has no cascade, since a thread goes whole, and is checked at the commit."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("ix_messages_thread", "thread_id", "created_at", "id", "parent_id"),
        Index(
            "uq_messages_external",
            "thread_id",
            "external_id",
            unique=True,
            sqlite_where=_IMPORTED,
            postgresql_where=_IMPORTED,
        ),
    )

    id: UUID = id_field()
    thread_id: UUID = ref("threads.id", index=False)
    parent_id: UUID | None = Field(
        default=None, index=True, sa_column_args=[ForeignKey("messages.id", deferrable=True, initially="DEFERRED")]
    )
    turn_id: UUID | None = None
    speaker: str
    status: str
    text: str = ""
    parts: list[dict[str, Any]] = json_field(list)
    encrypted_with: str = ""
    external_id: str | None = None
    extra: dict[str, Any] = json_field()
    created_at: datetime = time_field()


class MessageWordsRow(SQLModel, table=True):
    """The tokens of a message (or, without message_id, of a thread's title); the full-text index reads them."""

    __tablename__ = "message_words"
    __table_args__ = (Index("uq_message_words", "message_id", unique=True),)

    number: int | None = number_field()
    thread_id: UUID = ref("threads.id")
    message_id: UUID | None = Field(default=None, foreign_key="messages.id", ondelete="CASCADE", nullable=True)
    words: str


class MessageVectorRow(SQLModel, table=True):
    """The float16 vector of a message, with what was said before it, under one embedding model."""

    __tablename__ = "message_vectors"

    message_id: UUID = key_ref("messages.id")
    model: str = key_part()
    vector: bytes = bytes_field(nullable=False)


#: The full-text index over message_words, kept by triggers in SQLite; tokens come ready made, so that
#: neither database parses them again. A migration runs these; `create_all` does so by itself.
WORDS_INDEX = {
    "sqlite": (
        "CREATE VIRTUAL TABLE message_index USING fts5(words, content='message_words', content_rowid='number', "
        "detail=none, columnsize=0, tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\")",
        "CREATE TRIGGER message_words_added AFTER INSERT ON message_words BEGIN "
        "INSERT INTO message_index(rowid, words) VALUES (new.number, new.words); END",
        "CREATE TRIGGER message_words_gone AFTER DELETE ON message_words BEGIN "
        "INSERT INTO message_index(message_index, rowid, words) VALUES ('delete', old.number, old.words); END",
        "CREATE TRIGGER message_words_changed AFTER UPDATE OF words ON message_words BEGIN "
        "INSERT INTO message_index(message_index, rowid, words) VALUES ('delete', old.number, old.words); "
        "INSERT INTO message_index(rowid, words) VALUES (new.number, new.words); END",
    ),
    "postgresql": (
        "CREATE INDEX ix_message_words_index ON message_words "
        "USING gin (array_to_tsvector(string_to_array(words, ' ')))",
    ),
}
NO_WORDS_INDEX = {
    "sqlite": ("DROP TABLE IF EXISTS message_index",),
    "postgresql": ("DROP INDEX IF EXISTS ix_message_words_index",),
}
for _dialect, _made in WORDS_INDEX.items():
    for _statement in _made:
        event.listen(table_of(MessageWordsRow), "after_create", DDL(_statement).execute_if(dialect=_dialect))
    for _statement in NO_WORDS_INDEX[_dialect]:
        event.listen(table_of(MessageWordsRow), "before_drop", DDL(_statement).execute_if(dialect=_dialect))


class CitationRow(SQLModel, table=True):
    """The passage behind [number] in one answer, as it was; `verdict` says whether the sentences that cite it hold.

    `checks` are those sentences: [start, end, support, lacks] in the answer's text; None where nothing was checked.
    """

    __tablename__ = "citations"
    __table_args__ = (Index("uq_citations", "message_id", "number", unique=True),)

    id: UUID = id_field()
    message_id: UUID = ref("messages.id", index=False)
    number: int
    document_id: UUID | None = Field(default=None, index=True)
    chunk_id: UUID | None = None
    document_hash: str = ""
    title: str
    section: str = ""
    page: int | None = None
    row: int | None = None
    start: int = 0
    end: int = 0
    text: str
    quote: str = ""
    score: float = 0.0
    rank_words: int | None = None
    rank_meaning: int | None = None
    url: str = ""
    external_id: str = ""
    verdict: str = ""
    checks: list[Any] | None = Field(default=None, sa_type=Json, nullable=True)
    erased_at: datetime | None = maybe_time()


class FeedbackRow(SQLModel, table=True):
    __tablename__ = "feedback"
    __table_args__ = (Index("uq_feedback", "message_id", "user_id", unique=True),)

    id: UUID = id_field()
    message_id: UUID = ref("messages.id", index=False)
    user_id: UUID = ref("users.id")
    value: int
    reason: str = ""
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class TurnRow(SQLModel, table=True):
    """One question and its answer. At most one turn of a thread runs, by a partial unique index."""

    __tablename__ = "turns"
    __table_args__ = (
        Index("uq_turns_running", "thread_id", unique=True, sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        Index("uq_turns_key", "user_id", "key", unique=True),
        Index("ix_turns_thread", "thread_id", "created_at"),
        Index("ix_turns_created", "created_at", "thread_id", "backend"),
        Index("ix_turns_ended", "ended_at"),
        Index("ix_turns_lease", "lease_until", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )

    id: UUID = id_field()
    thread_id: UUID = ref("threads.id", index=False)
    question_id: UUID = ref("messages.id")
    answer_id: UUID = ref("messages.id")
    user_id: UUID = ref("users.id")
    resume_of: UUID | None = None
    status: str = "running"
    channel: str = "web"
    backend: str
    endpoint: str = ""
    model: str = ""
    persona_id: UUID | None = maybe_ref("personas.id")
    persona_version_id: UUID | None = maybe_ref("persona_versions.id")
    arm: str = ""
    key: str | None = None
    lease_owner: str = ""
    lease_until: datetime | None = maybe_time()
    attempt: int = 1
    attempts: int = 0
    cancel_requested: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    tokens_estimated: bool = False
    cost: int = big_field()
    timing: dict[str, float] = json_field()
    error: str = ""
    error_text: str = ""
    finish_reason: str = ""
    notices: list[str] = json_field(list)
    created_at: datetime = time_field()
    ended_at: datetime | None = maybe_time()


class TurnEventRow(SQLModel, table=True):
    """What viewers tail; kept until a day after the turn."""

    __tablename__ = "turn_events"

    turn_id: UUID = key_ref("turns.id")
    seq: int = key_part()
    event: dict[str, Any] = json_field()


class ProviderStateRow(SQLModel, table=True):
    """A cache of the provider's own state, valid for one message of the thread."""

    __tablename__ = "provider_state"

    thread_id: UUID = key_ref("threads.id")
    endpoint: str = key_part()
    message_id: UUID = ref("messages.id")
    state: dict[str, Any] = json_field()
    updated_at: datetime = time_field()


class RemoteObjectRow(SQLModel, table=True):
    """Something this app made at an endpoint (assistant, vector store, file), found again by a hash of its settings."""

    __tablename__ = "remote_objects"

    endpoint: str = key_part()
    kind: str = key_part()
    key: str = key_part()
    external_id: str
    state: dict[str, Any] = json_field()
    created_at: datetime = time_field()
    expires_at: datetime | None = maybe_time()


class ToolCallRow(SQLModel, table=True):
    """One call of a tool. `key` (turn, call) keeps a call that changes the world from acting twice."""

    __tablename__ = "tool_calls"
    __table_args__ = (Index("uq_tool_calls_key", "key", unique=True), Index("ix_tool_calls_name", "name", "created_at"))

    id: UUID = id_field()
    turn_id: UUID | None = Field(default=None, foreign_key="turns.id", ondelete="CASCADE", index=True, nullable=True)
    thread_id: UUID = ref("threads.id")
    call_id: str
    name: str
    arguments: dict[str, Any] = json_field()
    result: str = ""
    status: str = "asked"
    error: str = ""
    milliseconds: float | None = None
    dry_run: bool = False
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = maybe_time()
    key: str
    created_at: datetime = time_field()
    ended_at: datetime | None = maybe_time()


class ThreadSummaryRow(SQLModel, table=True):
    """The running summary of a branch up to and with `message_id`."""

    __tablename__ = "thread_summaries"

    id: UUID = id_field()
    thread_id: UUID = ref("threads.id")
    message_id: UUID = ref("messages.id")
    text: str
    tokens: int = 0
    model: str = ""
    created_at: datetime = time_field()


class InsightRow(SQLModel, table=True):
    """A theme, open question or commitment found in a thread, with its quote."""

    __tablename__ = "insights"

    id: UUID = id_field()
    thread_id: UUID = ref("threads.id")
    client_id: UUID | None = maybe_ref("clients.id")
    message_id: UUID | None = maybe_ref("messages.id")
    kind: str
    text: str
    quote: str = ""
    status: str = "open"
    model: str = ""
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class PersonaRow(SQLModel, table=True):
    """`version_id` names the version in force (no key: versions point back here)."""

    __tablename__ = "personas"
    __table_args__ = (Index("uq_personas_slug", "slug", unique=True),)

    id: UUID = id_field()
    slug: str
    name: str
    version: int = 1
    version_id: UUID
    source: str = ""
    external_id: str | None = None
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    deleted_at: datetime | None = maybe_time()


class PersonaVersionRow(SQLModel, table=True):
    __tablename__ = "persona_versions"
    __table_args__ = (Index("uq_persona_versions", "persona_id", "version", unique=True),)

    id: UUID = id_field()
    persona_id: UUID = ref("personas.id", index=False)
    version: int
    draft: dict[str, Any] = json_field()
    created_by: str = ""
    note: str = ""
    created_at: datetime = time_field()


class FileRow(SQLModel, table=True):
    """A name for bytes that are kept once by their hash."""

    __tablename__ = "files"
    __table_args__ = (Index("ix_files_content", "sha256", "owner_id", "name"),)

    id: UUID = id_field()
    sha256: str
    name: str
    media_type: str
    size: int = big_field()
    owner_id: UUID | None = maybe_ref("users.id")
    created_at: datetime = time_field()


class FileBytesRow(SQLModel, table=True):
    """The bytes themselves, where processes share a database and no disk."""

    __tablename__ = "file_bytes"

    sha256: str = key_part()
    data: bytes = bytes_field(nullable=False)
