"""Tables about people: profiles, identities, clients and what a coach keeps about them.

Invariant: what belongs to one client hangs on `clients.id` and goes with it.
"""

# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field

from coach_core.store.models.base import (
    UUID,
    Json,
    SQLModel,
    bytes_field,
    id_field,
    json_field,
    key_part,
    key_ref,
    maybe_ref,
    maybe_time,
    ref,
    time_field,
)

_LIVE = text("deleted_at IS NULL")
_KNOWN = text("subject IS NOT NULL")


class UserRow(SQLModel, table=True):
    """Someone who may act. `client_id` (no key: clients point back here) is set for role client."""

    __tablename__ = "users"
    __table_args__ = (
        Index("uq_users_name", "name_key", unique=True, sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("uq_users_subject", "issuer", "subject", unique=True, sqlite_where=_KNOWN, postgresql_where=_KNOWN),
    )

    id: UUID = id_field()
    name: str
    name_key: str
    role: str
    client_id: UUID | None = None
    email: str = ""
    issuer: str = ""
    subject: str | None = None
    locale: str = ""
    time_zone: str = ""
    created_at: datetime = time_field()
    last_seen_at: datetime | None = maybe_time()
    deleted_at: datetime | None = maybe_time()


class ClientRow(SQLModel, table=True):
    __tablename__ = "clients"

    id: UUID = id_field()
    coach_id: UUID = ref("users.id")
    name: str
    style: str = ""
    core_values: list[str] = json_field(list)
    constraints: list[str] = json_field(list)
    locale: str = ""
    time_zone: str = ""
    memory_mode: str = "review"
    extra: dict[str, Any] = json_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    deleted_at: datetime | None = maybe_time()


class IdentityRow(SQLModel, table=True):
    """(channel, external id) as one user or client here; an imported guest goes on where the import ended."""

    __tablename__ = "identities"
    __table_args__ = (Index("uq_identities", "channel", "external_id", unique=True),)

    id: UUID = id_field()
    channel: str
    external_id: str
    user_id: UUID | None = maybe_ref("users.id")
    client_id: UUID | None = maybe_ref("clients.id")
    name: str = ""
    extra: dict[str, Any] = json_field()
    created_at: datetime = time_field()


class GoalRow(SQLModel, table=True):
    """A goal or a challenge of a client, with the message it came from."""

    __tablename__ = "goals"

    id: UUID = id_field()
    client_id: UUID = ref("clients.id")
    kind: str = "goal"
    text: str
    status: str = "open"
    due_at: datetime | None = maybe_time()
    message_id: UUID | None = maybe_ref("messages.id")
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class ProgressRow(SQLModel, table=True):
    __tablename__ = "progress"

    id: UUID = id_field()
    client_id: UUID = ref("clients.id")
    goal_id: UUID | None = maybe_ref("goals.id")
    text: str
    at: datetime = time_field()
    message_id: UUID | None = maybe_ref("messages.id")
    created_at: datetime = time_field()


class SessionNoteRow(SQLModel, table=True):
    __tablename__ = "session_notes"

    id: UUID = id_field()
    client_id: UUID = ref("clients.id")
    author_id: UUID | None = maybe_ref("users.id")
    thread_id: UUID | None = maybe_ref("threads.id")
    text: str
    at: datetime = time_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class HomeworkRow(SQLModel, table=True):
    __tablename__ = "homework"

    id: UUID = id_field()
    client_id: UUID = ref("clients.id")
    goal_id: UUID | None = maybe_ref("goals.id")
    text: str
    status: str = "given"
    due_at: datetime | None = maybe_time()
    done_at: datetime | None = maybe_time()
    message_id: UUID | None = maybe_ref("messages.id")
    created_at: datetime = time_field()


class ConsentRow(SQLModel, table=True):
    __tablename__ = "consents"

    id: UUID = id_field()
    client_id: UUID | None = maybe_ref("clients.id")
    user_id: UUID | None = maybe_ref("users.id")
    purpose: str
    wording: str = ""
    given_at: datetime = time_field()
    withdrawn_at: datetime | None = maybe_time()


class InvitationRow(SQLModel, table=True):
    """A link or code by which a client signs in the first time; only its hash is kept."""

    __tablename__ = "invitations"
    __table_args__ = (Index("uq_invitations_code", "code_hash", unique=True),)

    id: UUID = id_field()
    client_id: UUID = ref("clients.id")
    invited_by: UUID | None = maybe_ref("users.id")
    code_hash: str
    email: str = ""
    attempts: int = 0
    created_at: datetime = time_field()
    expires_at: datetime = time_field()
    used_at: datetime | None = maybe_time()


class ApiKeyRow(SQLModel, table=True):
    """A bearer key: hashed, scoped, expiring, revocable. `prefix` is what a person recognises it by."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("uq_api_keys_hash", "key_hash", unique=True),)

    id: UUID = id_field()
    user_id: UUID = ref("users.id")
    name: str
    prefix: str
    key_hash: str
    scopes: list[str] = json_field(list)
    created_at: datetime = time_field()
    expires_at: datetime | None = maybe_time()
    revoked_at: datetime | None = maybe_time()
    last_used_at: datetime | None = maybe_time()


class MemoryRow(SQLModel, table=True):
    """A fact about a client, or about `owner_id` where there is none; its history is in memory_versions.

    `message_ids` are all messages it was said in, `supersedes` what it replaces once it is approved.
    """

    __tablename__ = "memories"
    __table_args__ = (Index("ix_memories_recall", "client_id", "status", "kind"),)

    id: UUID = id_field()
    owner_id: UUID = ref("users.id")
    client_id: UUID | None = maybe_ref("clients.id", index=False)
    kind: str
    text: str
    words: str = ""
    language: str = ""
    status: str = "pending"
    version: int = 1
    confidence: float = 0.0
    happened_at: datetime | None = maybe_time()
    thread_id: UUID | None = maybe_ref("threads.id")
    message_id: UUID | None = maybe_ref("messages.id")
    superseded_by: UUID | None = None
    quote: str = ""
    importance: float = 0.5
    origin: str = ""
    message_ids: list[str] | None = Field(default=None, sa_type=Json, nullable=True)
    supersedes: UUID | None = None
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class MemoryVersionRow(SQLModel, table=True):
    __tablename__ = "memory_versions"
    __table_args__ = (Index("uq_memory_versions", "memory_id", "version", unique=True),)

    id: UUID = id_field()
    memory_id: UUID = ref("memories.id", index=False)
    version: int
    kind: str
    text: str
    status: str
    changed_by: str = ""
    why: str = ""
    created_at: datetime = time_field()


class MemoryVectorRow(SQLModel, table=True):
    """The float16 vector of a memory under one embedding model."""

    __tablename__ = "memory_vectors"

    memory_id: UUID = key_ref("memories.id")
    model: str = key_part()
    vector: bytes = bytes_field(nullable=False)


class MemoryUseRow(SQLModel, table=True):
    """A memory that went into a turn, and whether it was right (-1, 0 not judged, 1)."""

    __tablename__ = "memory_uses"
    __table_args__ = (Index("uq_memory_uses", "turn_id", "memory_id", unique=True),)

    id: UUID = id_field()
    turn_id: UUID = ref("turns.id", index=False)
    memory_id: UUID = ref("memories.id")
    rank: int = 0
    score: float = 0.0
    verdict: int = 0
    judged_at: datetime | None = maybe_time()
    created_at: datetime = time_field()
