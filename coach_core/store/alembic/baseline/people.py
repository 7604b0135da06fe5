"""Baseline tables as store/models/people.py had them. Frozen: a later migration changes them, not this file."""

from __future__ import annotations

from coach_core.store.alembic.baseline.columns import blob, index, integer, json, real, table, text, time, uuid

table(
    "users",
    uuid("id", key=True),
    text("name"),
    text("name_key"),
    text("role"),
    uuid("client_id", null=True),
    text("email"),
    text("issuer"),
    text("subject", null=True),
    text("locale"),
    text("time_zone"),
    time("created_at"),
    time("last_seen_at", null=True),
    time("deleted_at", null=True),
    index("uq_users_name", "name_key", unique=True, where="deleted_at IS NULL"),
    index("uq_users_subject", "issuer", "subject", unique=True, where="subject IS NOT NULL"),
)

table(
    "clients",
    uuid("id", key=True),
    uuid("coach_id", of="users.id", gone="CASCADE"),
    text("name"),
    text("style"),
    json("core_values"),
    json("constraints"),
    text("locale"),
    text("time_zone"),
    text("memory_mode"),
    json("extra"),
    time("created_at"),
    time("updated_at"),
    time("deleted_at", null=True),
    index("ix_clients_coach_id", "coach_id"),
)

table(
    "identities",
    uuid("id", key=True),
    text("channel"),
    text("external_id"),
    uuid("user_id", null=True, of="users.id", gone="SET NULL"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    text("name"),
    json("extra"),
    time("created_at"),
    index("ix_identities_client_id", "client_id"),
    index("ix_identities_user_id", "user_id"),
    index("uq_identities", "channel", "external_id", unique=True),
)

table(
    "goals",
    uuid("id", key=True),
    uuid("client_id", of="clients.id", gone="CASCADE"),
    text("kind"),
    text("text"),
    text("status"),
    time("due_at", null=True),
    uuid("message_id", null=True, of="messages.id", gone="SET NULL"),
    time("created_at"),
    time("updated_at"),
    index("ix_goals_client_id", "client_id"),
    index("ix_goals_message_id", "message_id"),
)

table(
    "progress",
    uuid("id", key=True),
    uuid("client_id", of="clients.id", gone="CASCADE"),
    uuid("goal_id", null=True, of="goals.id", gone="SET NULL"),
    text("text"),
    time("at"),
    uuid("message_id", null=True, of="messages.id", gone="SET NULL"),
    time("created_at"),
    index("ix_progress_client_id", "client_id"),
    index("ix_progress_goal_id", "goal_id"),
    index("ix_progress_message_id", "message_id"),
)

table(
    "session_notes",
    uuid("id", key=True),
    uuid("client_id", of="clients.id", gone="CASCADE"),
    uuid("author_id", null=True, of="users.id", gone="SET NULL"),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    text("text"),
    time("at"),
    time("created_at"),
    time("updated_at"),
    index("ix_session_notes_author_id", "author_id"),
    index("ix_session_notes_client_id", "client_id"),
    index("ix_session_notes_thread_id", "thread_id"),
)

table(
    "homework",
    uuid("id", key=True),
    uuid("client_id", of="clients.id", gone="CASCADE"),
    uuid("goal_id", null=True, of="goals.id", gone="SET NULL"),
    text("text"),
    text("status"),
    time("due_at", null=True),
    time("done_at", null=True),
    uuid("message_id", null=True, of="messages.id", gone="SET NULL"),
    time("created_at"),
    index("ix_homework_client_id", "client_id"),
    index("ix_homework_goal_id", "goal_id"),
    index("ix_homework_message_id", "message_id"),
)

table(
    "consents",
    uuid("id", key=True),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    uuid("user_id", null=True, of="users.id", gone="SET NULL"),
    text("purpose"),
    text("wording"),
    time("given_at"),
    time("withdrawn_at", null=True),
    index("ix_consents_client_id", "client_id"),
    index("ix_consents_user_id", "user_id"),
)

table(
    "invitations",
    uuid("id", key=True),
    uuid("client_id", of="clients.id", gone="CASCADE"),
    uuid("invited_by", null=True, of="users.id", gone="SET NULL"),
    text("code_hash"),
    text("email"),
    integer("attempts"),
    time("created_at"),
    time("expires_at"),
    time("used_at", null=True),
    index("ix_invitations_client_id", "client_id"),
    index("ix_invitations_invited_by", "invited_by"),
    index("uq_invitations_code", "code_hash", unique=True),
)

table(
    "api_keys",
    uuid("id", key=True),
    uuid("user_id", of="users.id", gone="CASCADE"),
    text("name"),
    text("prefix"),
    text("key_hash"),
    json("scopes"),
    time("created_at"),
    time("expires_at", null=True),
    time("revoked_at", null=True),
    time("last_used_at", null=True),
    index("ix_api_keys_user_id", "user_id"),
    index("uq_api_keys_hash", "key_hash", unique=True),
)

table(
    "memories",
    uuid("id", key=True),
    uuid("owner_id", of="users.id", gone="CASCADE"),
    uuid("client_id", null=True, of="clients.id", gone="SET NULL"),
    text("kind"),
    text("text"),
    text("words"),
    text("language"),
    text("status"),
    integer("version"),
    real("confidence"),
    time("happened_at", null=True),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    uuid("message_id", null=True, of="messages.id", gone="SET NULL"),
    uuid("superseded_by", null=True),
    time("created_at"),
    time("updated_at"),
    index("ix_memories_message_id", "message_id"),
    index("ix_memories_owner_id", "owner_id"),
    index("ix_memories_recall", "client_id", "status", "kind"),
    index("ix_memories_thread_id", "thread_id"),
)

table(
    "memory_versions",
    uuid("id", key=True),
    uuid("memory_id", of="memories.id", gone="CASCADE"),
    integer("version"),
    text("kind"),
    text("text"),
    text("status"),
    text("changed_by"),
    text("why"),
    time("created_at"),
    index("uq_memory_versions", "memory_id", "version", unique=True),
)

table(
    "memory_vectors",
    uuid("memory_id", key=True, of="memories.id", gone="CASCADE"),
    text("model", key=True),
    blob("vector"),
)

table(
    "memory_uses",
    uuid("id", key=True),
    uuid("turn_id", of="turns.id", gone="CASCADE"),
    uuid("memory_id", of="memories.id", gone="CASCADE"),
    integer("rank"),
    real("score"),
    integer("verdict"),
    time("judged_at", null=True),
    time("created_at"),
    index("ix_memory_uses_memory_id", "memory_id"),
    index("uq_memory_uses", "turn_id", "memory_id", unique=True),
)
