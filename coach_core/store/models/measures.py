"""Tables of numbers: metrics by bucket, who was active, alerts, limits, targets.

Invariant: a metrics row is sums, counts and histograms only, so that any set of rows can be added up.
"""

# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index
from sqlmodel import Field

from coach_core.store.models.base import (
    UUID,
    SQLModel,
    big_field,
    bytes_field,
    id_field,
    json_field,
    key_part,
    key_ref,
    key_time,
    maybe_ref,
    maybe_time,
    ref,
    time_field,
)


class MetricRow(SQLModel, table=True):
    """`step` is minute, hour or day; `writer` keeps replicas off each other's rows."""

    __tablename__ = "metrics"

    step: str = key_part()
    bucket: datetime = key_time()
    backend: str = key_part()
    endpoint: str = key_part()
    persona_version: str = key_part()
    channel: str = key_part()
    arm: str = key_part()
    writer: str = key_part()
    turns: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = big_field()
    output_tokens: int = big_field()
    cached_tokens: int = big_field()
    reasoning_tokens: int = big_field()
    cost: int = big_field()
    up: int = 0
    down: int = 0
    first_token: bytes | None = bytes_field()
    total: bytes | None = bytes_field()
    errors: dict[str, int] = json_field()
    counts: dict[str, int] = json_field()
    parts: dict[str, list[float]] = json_field()


class ActivityRow(SQLModel, table=True):
    """This thread had a turn with this backend on this day."""

    __tablename__ = "activity"

    day: datetime = key_time()
    backend: str = key_part()
    thread_id: UUID = key_ref("threads.id")


class AlertRuleRow(SQLModel, table=True):
    __tablename__ = "alert_rules"

    id: UUID = id_field()
    measure: str
    backend: str = ""
    above: float | None = None
    below: float | None = None
    window_seconds: int = 900
    least_turns: int = 20
    quiet_seconds: int = 3600
    webhook: str = ""
    enabled: bool = True
    updated_at: datetime = time_field()


class AlertRow(SQLModel, table=True):
    __tablename__ = "alerts"

    id: UUID = id_field()
    rule_id: UUID | None = maybe_ref("alert_rules.id")
    level: str
    text: str
    details: dict[str, Any] = json_field()
    started_at: datetime = time_field(index=True)
    ended_at: datetime | None = maybe_time()
    notified_at: datetime | None = maybe_time()


class LimitRow(SQLModel, table=True):
    """At most `amount` of `measure` in a window, for one subject or, with subject "", for each of that scope."""

    __tablename__ = "limits"
    __table_args__ = (Index("uq_limits", "scope", "subject", "measure", "window_seconds", unique=True),)

    id: UUID = id_field()
    scope: str
    subject: str = ""
    measure: str
    amount: int = big_field()
    window_seconds: int
    updated_at: datetime = time_field()
    updated_by: str = ""


class UsageRow(SQLModel, table=True):
    """What a subject has used of a measure in the window that began at `window_start`."""

    __tablename__ = "usage"

    scope: str = key_part()
    subject: str = key_part()
    measure: str = key_part()
    window_start: datetime = key_time()
    used: int = big_field()


class CareReferralRow(SQLModel, table=True):
    """That help lines were shown; never what was said."""

    __tablename__ = "care_referrals"

    id: UUID = id_field()
    turn_id: UUID | None = maybe_ref("turns.id")
    locale: str = ""
    channel: str = ""
    judge: str = ""
    score: float = 0.0
    created_at: datetime = time_field(index=True)


class ComparisonRow(SQLModel, table=True):
    """A question, or a whole set of them, put to several candidates."""

    __tablename__ = "comparisons"

    id: UUID = id_field()
    owner_id: UUID = ref("users.id")
    thread_id: UUID | None = maybe_ref("threads.id")
    title: str = ""
    kind: str = "question"
    candidates: list[dict[str, Any]] = json_field(list)
    blind: bool = False
    status: str = "running"
    created_at: datetime = time_field(index=True)
    ended_at: datetime | None = maybe_time()


class ComparisonItemRow(SQLModel, table=True):
    __tablename__ = "comparison_items"
    __table_args__ = (Index("uq_comparison_items", "comparison_id", "position", unique=True),)

    id: UUID = id_field()
    comparison_id: UUID = ref("comparisons.id", index=False)
    position: int
    question: str
    context: dict[str, Any] = json_field()
    status: str = "waiting"


class ComparisonResultRow(SQLModel, table=True):
    """What one candidate answered; also a shadow turn's answer, which then names the turn instead of an item."""

    __tablename__ = "comparison_results"
    __table_args__ = (Index("uq_comparison_results", "item_id", "candidate", unique=True),)

    id: UUID = id_field()
    item_id: UUID | None = Field(default=None, foreign_key="comparison_items.id", ondelete="CASCADE", nullable=True)
    shadow_of: UUID | None = Field(default=None, foreign_key="turns.id", ondelete="CASCADE", index=True, nullable=True)
    candidate: str
    backend: str
    endpoint: str = ""
    model: str = ""
    persona_version_id: UUID | None = maybe_ref("persona_versions.id")
    text: str = ""
    status: str
    error: str = ""
    timing: dict[str, float] = json_field()
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int = big_field()
    citations: list[dict[str, Any]] = json_field(list)
    tool_calls: list[dict[str, Any]] = json_field(list)
    match: dict[str, Any] = json_field()
    created_at: datetime = time_field(index=True)


class ComparisonVoteRow(SQLModel, table=True):
    __tablename__ = "comparison_votes"
    __table_args__ = (Index("uq_comparison_votes", "item_id", "user_id", unique=True),)

    id: UUID = id_field()
    item_id: UUID = ref("comparison_items.id", index=False)
    user_id: UUID = ref("users.id")
    winner: str
    reason: str = ""
    created_at: datetime = time_field()


class ShadowRuleRow(SQLModel, table=True):
    """Which share of live turns is also sent to `backend`, never shown, within a budget."""

    __tablename__ = "shadow_rules"

    id: UUID = id_field()
    persona_id: UUID | None = maybe_ref("personas.id")
    backend: str
    share: float = 0.0
    clients: list[str] = json_field(list)
    daily_budget: int = big_field()
    enabled: bool = False
    updated_at: datetime = time_field()


class RolloutRow(SQLModel, table=True):
    """Which share (percent) of a persona's clients, by sticky hash, the new backend answers."""

    __tablename__ = "rollouts"

    id: UUID = id_field()
    persona_id: UUID | None = maybe_ref("personas.id")
    old_backend: str
    new_backend: str
    percent: float = 0.0
    salt: str = ""
    status: str = "running"
    killed: bool = False
    schedule: list[dict[str, Any]] = json_field(list)
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class RolloutListRow(SQLModel, table=True):
    """An allow or deny entry: client, user or thread."""

    __tablename__ = "rollout_lists"

    rollout_id: UUID = key_ref("rollouts.id")
    kind: str = key_part()
    subject: str = key_part()
    why: str = ""
    created_at: datetime = time_field()


class RolloutGateRow(SQLModel, table=True):
    __tablename__ = "rollout_gates"

    id: UUID = id_field()
    rollout_id: UUID = ref("rollouts.id")
    measure: str
    most: float | None = None
    worse_by: float | None = None
    window_seconds: int = 900
    least_turns: int = 50
    alpha: float = 0.001
    enabled: bool = True


class RolloutChangeRow(SQLModel, table=True):
    __tablename__ = "rollout_changes"

    id: UUID = id_field()
    rollout_id: UUID = ref("rollouts.id")
    actor: str
    action: str
    before: dict[str, Any] = json_field()
    after: dict[str, Any] = json_field()
    why: str = ""
    created_at: datetime = time_field()


class ScorecardTargetRow(SQLModel, table=True):
    __tablename__ = "scorecard_targets"

    measure: str = key_part()
    least: float | None = None
    most: float | None = None
    updated_at: datetime = time_field()
    updated_by: str = ""


class BreakerRow(SQLModel, table=True):
    """The circuit breaker of an endpoint, shared by replicas."""

    __tablename__ = "breakers"

    endpoint: str = key_part()
    state: str = "closed"
    failures: int = 0
    open_until: datetime | None = maybe_time()
    updated_at: datetime = time_field()
