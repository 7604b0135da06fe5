"""Baseline tables as store/models/measures.py had them. Frozen: a later migration changes them, not this file."""

from __future__ import annotations

from coach_core.store.alembic.baseline.columns import (
    big,
    blob,
    flag,
    index,
    integer,
    json,
    real,
    table,
    text,
    time,
    uuid,
)

table(
    "metrics",
    text("step", key=True),
    time("bucket", key=True),
    text("backend", key=True),
    text("endpoint", key=True),
    text("persona_version", key=True),
    text("channel", key=True),
    text("arm", key=True),
    text("writer", key=True),
    integer("turns"),
    integer("completed"),
    integer("failed"),
    big("input_tokens"),
    big("output_tokens"),
    big("cached_tokens"),
    big("reasoning_tokens"),
    big("cost"),
    integer("up"),
    integer("down"),
    blob("first_token", null=True),
    blob("total", null=True),
    json("errors"),
    json("counts"),
    json("parts"),
)

table(
    "activity",
    time("day", key=True),
    text("backend", key=True),
    uuid("thread_id", key=True, of="threads.id", gone="CASCADE"),
)

table(
    "alert_rules",
    uuid("id", key=True),
    text("measure"),
    text("backend"),
    real("above", null=True),
    real("below", null=True),
    integer("window_seconds"),
    integer("least_turns"),
    integer("quiet_seconds"),
    text("webhook"),
    flag("enabled"),
    time("updated_at"),
)

table(
    "alerts",
    uuid("id", key=True),
    uuid("rule_id", null=True, of="alert_rules.id", gone="SET NULL"),
    text("level"),
    text("text"),
    json("details"),
    time("started_at"),
    time("ended_at", null=True),
    time("notified_at", null=True),
    index("ix_alerts_rule_id", "rule_id"),
    index("ix_alerts_started_at", "started_at"),
)

table(
    "limits",
    uuid("id", key=True),
    text("scope"),
    text("subject"),
    text("measure"),
    big("amount"),
    integer("window_seconds"),
    time("updated_at"),
    text("updated_by"),
    index("uq_limits", "scope", "subject", "measure", "window_seconds", unique=True),
)

table(
    "usage",
    text("scope", key=True),
    text("subject", key=True),
    text("measure", key=True),
    time("window_start", key=True),
    big("used"),
)

table(
    "care_referrals",
    uuid("id", key=True),
    uuid("turn_id", null=True, of="turns.id", gone="SET NULL"),
    text("locale"),
    text("channel"),
    text("judge"),
    real("score"),
    time("created_at"),
    index("ix_care_referrals_created_at", "created_at"),
    index("ix_care_referrals_turn_id", "turn_id"),
)

table(
    "comparisons",
    uuid("id", key=True),
    uuid("owner_id", of="users.id", gone="CASCADE"),
    uuid("thread_id", null=True, of="threads.id", gone="SET NULL"),
    text("title"),
    text("kind"),
    json("candidates"),
    flag("blind"),
    text("status"),
    time("created_at"),
    time("ended_at", null=True),
    index("ix_comparisons_created_at", "created_at"),
    index("ix_comparisons_owner_id", "owner_id"),
    index("ix_comparisons_thread_id", "thread_id"),
)

table(
    "comparison_items",
    uuid("id", key=True),
    uuid("comparison_id", of="comparisons.id", gone="CASCADE"),
    integer("position"),
    text("question"),
    json("context"),
    text("status"),
    index("uq_comparison_items", "comparison_id", "position", unique=True),
)

table(
    "comparison_results",
    uuid("id", key=True),
    uuid("item_id", null=True, of="comparison_items.id", gone="CASCADE"),
    uuid("shadow_of", null=True, of="turns.id", gone="CASCADE"),
    text("candidate"),
    text("backend"),
    text("endpoint"),
    text("model"),
    uuid("persona_version_id", null=True, of="persona_versions.id", gone="SET NULL"),
    text("text"),
    text("status"),
    text("error"),
    json("timing"),
    integer("input_tokens"),
    integer("output_tokens"),
    big("cost"),
    json("citations"),
    json("tool_calls"),
    json("match"),
    time("created_at"),
    index("ix_comparison_results_created_at", "created_at"),
    index("ix_comparison_results_persona_version_id", "persona_version_id"),
    index("ix_comparison_results_shadow_of", "shadow_of"),
    index("uq_comparison_results", "item_id", "candidate", unique=True),
)

table(
    "comparison_votes",
    uuid("id", key=True),
    uuid("item_id", of="comparison_items.id", gone="CASCADE"),
    uuid("user_id", of="users.id", gone="CASCADE"),
    text("winner"),
    text("reason"),
    time("created_at"),
    index("ix_comparison_votes_user_id", "user_id"),
    index("uq_comparison_votes", "item_id", "user_id", unique=True),
)

table(
    "shadow_rules",
    uuid("id", key=True),
    uuid("persona_id", null=True, of="personas.id", gone="SET NULL"),
    text("backend"),
    real("share"),
    json("clients"),
    big("daily_budget"),
    flag("enabled"),
    time("updated_at"),
    index("ix_shadow_rules_persona_id", "persona_id"),
)

table(
    "rollouts",
    uuid("id", key=True),
    uuid("persona_id", null=True, of="personas.id", gone="SET NULL"),
    text("old_backend"),
    text("new_backend"),
    real("percent"),
    text("salt"),
    text("status"),
    flag("killed"),
    json("schedule"),
    time("created_at"),
    time("updated_at"),
    index("ix_rollouts_persona_id", "persona_id"),
)

table(
    "rollout_lists",
    uuid("rollout_id", key=True, of="rollouts.id", gone="CASCADE"),
    text("kind", key=True),
    text("subject", key=True),
    text("why"),
    time("created_at"),
)

table(
    "rollout_gates",
    uuid("id", key=True),
    uuid("rollout_id", of="rollouts.id", gone="CASCADE"),
    text("measure"),
    real("most", null=True),
    real("worse_by", null=True),
    integer("window_seconds"),
    integer("least_turns"),
    real("alpha"),
    flag("enabled"),
    index("ix_rollout_gates_rollout_id", "rollout_id"),
)

table(
    "rollout_changes",
    uuid("id", key=True),
    uuid("rollout_id", of="rollouts.id", gone="CASCADE"),
    text("actor"),
    text("action"),
    json("before"),
    json("after"),
    text("why"),
    time("created_at"),
    index("ix_rollout_changes_rollout_id", "rollout_id"),
)

table(
    "scorecard_targets",
    text("measure", key=True),
    real("least", null=True),
    real("most", null=True),
    time("updated_at"),
    text("updated_by"),
)

table(
    "breakers",
    text("endpoint", key=True),
    text("state"),
    integer("failures"),
    time("open_until", null=True),
    time("updated_at"),
)
