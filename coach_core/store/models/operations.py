"""Tables of running the app: settings, endpoints, audit, jobs, imports, channels, retention.

Invariant: no secret is ever in one of these rows; an endpoint names the variable that holds its key.
"""

# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text

from coach_core.store.models.base import (
    UUID,
    SQLModel,
    id_field,
    json_field,
    key_part,
    maybe_ref,
    maybe_time,
    number_field,
    ref,
    time_field,
)

_WAITING = text("status = 'waiting'")


class SettingRow(SQLModel, table=True):
    __tablename__ = "settings"

    name: str = key_part()
    value: str
    updated_at: datetime = time_field()
    updated_by: str = ""


class EndpointRow(SQLModel, table=True):
    """Where a model is served. `key_variable` names the environment variable with its key."""

    __tablename__ = "endpoints"
    __table_args__ = (Index("uq_endpoints_name", "name", unique=True),)

    id: UUID = id_field()
    name: str
    base_url: str
    key_variable: str = ""
    wire: str
    model: str = ""
    profile: dict[str, Any] = json_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class AuditRow(SQLModel, table=True):
    """Append-only. `hash` covers the row and the hash before it, so that a change or a gap shows."""

    __tablename__ = "audit_log"

    number: int | None = number_field()
    at: datetime = time_field(index=True)
    actor_id: UUID | None = None
    actor_name: str = ""
    role: str = ""
    action: str
    subject: str = ""
    before: dict[str, Any] | None = json_field()
    after: dict[str, Any] | None = json_field()
    why: str = ""
    hash: str


class JobRow(SQLModel, table=True):
    """Something to be done once, however many processes look. `key` makes asking twice the same."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("uq_jobs_key", "key", unique=True),
        Index("ix_jobs_due", "run_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )

    id: UUID = id_field()
    kind: str
    key: str | None = None
    payload: dict[str, Any] = json_field()
    status: str = "waiting"
    stage: str = ""
    done: int = 0
    total: int = 0
    attempts: int = 0
    error: str = ""
    lease_owner: str = ""
    lease_until: datetime | None = maybe_time()
    run_at: datetime = time_field()
    created_at: datetime = time_field()
    created_by: str = ""
    ended_at: datetime | None = maybe_time()


class ImportRow(SQLModel, table=True):
    """One run of an importer, with its report."""

    __tablename__ = "imports"

    id: UUID = id_field()
    source: str
    path: str = ""
    options: dict[str, Any] = json_field()
    status: str = "running"
    position: dict[str, Any] = json_field()
    report: dict[str, Any] = json_field()
    started_by: str = ""
    created_at: datetime = time_field()
    ended_at: datetime | None = maybe_time()
    reverted_at: datetime | None = maybe_time()


class ImportItemRow(SQLModel, table=True):
    """One thing brought over or set aside: file, line and reason when set aside."""

    __tablename__ = "import_items"
    __table_args__ = (Index("uq_import_items", "import_id", "kind", "external_id", unique=True),)

    id: UUID = id_field()
    import_id: UUID = ref("imports.id", index=False)
    kind: str
    external_id: str
    local_id: UUID | None = None
    status: str
    hash: str = ""
    place: str = ""
    reason: str = ""
    extra: dict[str, Any] = json_field()
    created_at: datetime = time_field()


class ToolAliasRow(SQLModel, table=True):
    """What an imported function's name means here; without `target` it waits on the imports page."""

    __tablename__ = "tool_aliases"

    name: str = key_part()
    kind: str = ""
    target: str = ""
    definition: dict[str, Any] = json_field()
    updated_at: datetime = time_field()


class McpServerRow(SQLModel, table=True):
    __tablename__ = "mcp_servers"
    __table_args__ = (Index("uq_mcp_servers_name", "name", unique=True),)

    id: UUID = id_field()
    name: str
    transport: str
    address: str
    key_variable: str = ""
    allowed: list[str] = json_field(list)
    enabled: bool = True
    updated_at: datetime = time_field()


class InboxRow(SQLModel, table=True):
    """A message from a channel, known by its id there: delivered twice, it is answered once."""

    __tablename__ = "channel_inbox"
    __table_args__ = (
        Index("uq_channel_inbox", "channel", "external_id", unique=True),
        Index("ix_channel_inbox_sender", "channel", "sender", "sent_at"),
    )

    id: UUID = id_field()
    channel: str
    external_id: str
    sender: str
    payload: dict[str, Any] = json_field()
    status: str = "waiting"
    error: str = ""
    attempts: int = 0
    thread_id: UUID | None = maybe_ref("threads.id")
    turn_id: UUID | None = maybe_ref("turns.id")
    lease_owner: str = ""
    lease_until: datetime | None = maybe_time()
    sent_at: datetime = time_field()
    created_at: datetime = time_field()


class OutboxRow(SQLModel, table=True):
    """A message to a channel until it is delivered, or dead after its last try."""

    __tablename__ = "channel_outbox"
    __table_args__ = (
        Index("uq_channel_outbox_key", "key", unique=True),
        Index("ix_channel_outbox_due", "next_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )

    id: UUID = id_field()
    channel: str
    recipient: str
    key: str
    payload: dict[str, Any] = json_field()
    status: str = "waiting"
    delivery: str = ""
    external_id: str | None = None
    error: str = ""
    attempts: int = 0
    message_id: UUID | None = maybe_ref("messages.id")
    lease_owner: str = ""
    lease_until: datetime | None = maybe_time()
    next_at: datetime = time_field()
    created_at: datetime = time_field()


class HandOverRow(SQLModel, table=True):
    """A thread that a coach, not the model, answers for now."""

    __tablename__ = "hand_overs"

    id: UUID = id_field()
    thread_id: UUID = ref("threads.id")
    coach_id: UUID | None = maybe_ref("users.id")
    reason: str = ""
    started_at: datetime = time_field()
    ended_at: datetime | None = maybe_time()


class PublishedPersonaRow(SQLModel, table=True):
    """A persona that visitors without an account may use at a link or in a widget."""

    __tablename__ = "published_personas"
    __table_args__ = (Index("uq_published_personas_link", "link", unique=True),)

    id: UUID = id_field()
    persona_id: UUID = ref("personas.id")
    link: str
    memory: bool = False
    origins: list[str] = json_field(list)
    limits: dict[str, Any] = json_field()
    created_by: str = ""
    created_at: datetime = time_field()
    withdrawn_at: datetime | None = maybe_time()


class RetentionRow(SQLModel, table=True):
    """How long threads of a persona and channel are kept; erasing waits a week after it is announced."""

    __tablename__ = "retention"
    __table_args__ = (Index("uq_retention", "persona_id", "channel", unique=True),)

    id: UUID = id_field()
    persona_id: UUID | None = maybe_ref("personas.id", index=False)
    channel: str = ""
    archive_days: int | None = None
    erase_days: int | None = None
    announced_at: datetime | None = maybe_time()
    updated_at: datetime = time_field()
    updated_by: str = ""


class ErasureRow(SQLModel, table=True):
    """The receipt of an erasure: what went, item by item, never what it said."""

    __tablename__ = "erasures"

    id: UUID = id_field()
    subject_kind: str
    subject_hash: str
    requested_by: str = ""
    items: list[dict[str, Any]] = json_field(list)
    created_at: datetime = time_field()
    ended_at: datetime | None = maybe_time()
