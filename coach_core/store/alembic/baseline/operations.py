"""Baseline tables as store/models/operations.py had them. Frozen: a later migration changes them, not this file."""

from __future__ import annotations

from coach_core.store.alembic.baseline.columns import counted, flag, index, integer, json, table, text, time, uuid

table(
    "settings",
    text("name", key=True),
    text("value"),
    time("updated_at"),
    text("updated_by"),
)

table(
    "endpoints",
    uuid("id", key=True),
    text("name"),
    text("base_url"),
    text("key_variable"),
    text("wire"),
    text("model"),
    json("profile"),
    time("created_at"),
    time("updated_at"),
    index("uq_endpoints_name", "name", unique=True),
)

table(
    "audit_log",
    counted("number", key=True, auto=True),
    time("at"),
    uuid("actor_id", null=True),
    text("actor_name"),
    text("role"),
    text("action"),
    text("subject"),
    json("before"),
    json("after"),
    text("why"),
    text("hash"),
    index("ix_audit_log_at", "at"),
)

table(
    "jobs",
    uuid("id", key=True),
    text("kind"),
    text("key", null=True),
    json("payload"),
    text("status"),
    text("stage"),
    integer("done"),
    integer("total"),
    integer("attempts"),
    text("error"),
    text("lease_owner"),
    time("lease_until", null=True),
    time("run_at"),
    time("created_at"),
    text("created_by"),
    time("ended_at", null=True),
    index("ix_jobs_due", "run_at", where="status = 'waiting'"),
    index("uq_jobs_key", "key", unique=True),
)

table(
    "imports",
    uuid("id", key=True),
    text("source"),
    text("path"),
    json("options"),
    text("status"),
    json("position"),
    json("report"),
    text("started_by"),
    time("created_at"),
    time("ended_at", null=True),
    time("reverted_at", null=True),
)

table(
    "import_items",
    uuid("id", key=True),
    uuid("import_id", of="imports.id", gone="CASCADE"),
    text("kind"),
    text("external_id"),
    uuid("local_id", null=True),
    text("status"),
    text("hash"),
    text("place"),
    text("reason"),
    json("extra"),
    time("created_at"),
    index("uq_import_items", "import_id", "kind", "external_id", unique=True),
)

table(
    "tool_aliases",
    text("name", key=True),
    text("kind"),
    text("target"),
    json("definition"),
    time("updated_at"),
)

table(
    "mcp_servers",
    uuid("id", key=True),
    text("name"),
    text("transport"),
    text("address"),
    text("key_variable"),
    json("allowed"),
    flag("enabled"),
    time("updated_at"),
    index("uq_mcp_servers_name", "name", unique=True),
)

table(
    "channel_inbox",
    uuid("id", key=True),
    text("channel"),
    text("external_id"),
    text("sender"),
    json("payload"),
    text("status"),
    text("error"),
    integer("attempts"),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    uuid("turn_id", null=True, of="turns.id", gone="SET NULL"),
    text("lease_owner"),
    time("lease_until", null=True),
    time("sent_at"),
    time("created_at"),
    index("ix_channel_inbox_sender", "channel", "sender", "sent_at"),
    index("ix_channel_inbox_thread_id", "thread_id"),
    index("ix_channel_inbox_turn_id", "turn_id"),
    index("uq_channel_inbox", "channel", "external_id", unique=True),
)

table(
    "channel_outbox",
    uuid("id", key=True),
    text("channel"),
    text("recipient"),
    text("key"),
    json("payload"),
    text("status"),
    text("delivery"),
    text("external_id", null=True),
    text("error"),
    integer("attempts"),
    uuid("message_id", null=True, of="messages.id", gone="SET NULL"),
    text("lease_owner"),
    time("lease_until", null=True),
    time("next_at"),
    time("created_at"),
    index("ix_channel_outbox_due", "next_at", where="status = 'waiting'"),
    index("ix_channel_outbox_message_id", "message_id"),
    index("uq_channel_outbox_key", "key", unique=True),
)

table(
    "hand_overs",
    uuid("id", key=True),
    uuid("thread_id", of="threads.id", gone="CASCADE"),
    uuid("coach_id", null=True, of="users.id", gone="SET NULL"),
    text("reason"),
    time("started_at"),
    time("ended_at", null=True),
    index("ix_hand_overs_coach_id", "coach_id"),
    index("ix_hand_overs_thread_id", "thread_id"),
)

table(
    "published_personas",
    uuid("id", key=True),
    uuid("persona_id", of="personas.id", gone="CASCADE"),
    text("link"),
    flag("memory"),
    json("origins"),
    json("limits"),
    text("created_by"),
    time("created_at"),
    time("withdrawn_at", null=True),
    index("ix_published_personas_persona_id", "persona_id"),
    index("uq_published_personas_link", "link", unique=True),
)

table(
    "retention",
    uuid("id", key=True),
    uuid("persona_id", null=True, of="personas.id", gone="SET NULL"),
    text("channel"),
    integer("archive_days", null=True),
    integer("erase_days", null=True),
    time("announced_at", null=True),
    time("updated_at"),
    text("updated_by"),
    index("uq_retention", "persona_id", "channel", unique=True),
)

table(
    "erasures",
    uuid("id", key=True),
    text("subject_kind"),
    text("subject_hash"),
    text("requested_by"),
    json("items"),
    time("created_at"),
    time("ended_at", null=True),
)
