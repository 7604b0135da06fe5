"""Numbers of turns by minute, hour and day: sums and log histograms, written in the turn's own transaction.

Invariant: rows only ever gain, but for feedback that is taken back; any set of rows adds up. A duration
lies in bin ceil(log(ms / FINEST) / log(GAMMA)), so that a percentile read from bins is within 1 % of the
true one. What belongs to a turn is counted at the time it ended.
"""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.conversations import FeedbackRow, PersonaVersionRow, TurnRow
from coach_core.store.models.measures import ActivityRow, MetricRow

METRICS = table_of(MetricRow)
_ACTIVITY = table_of(ActivityRow)
_TURNS = table_of(TurnRow)
_VERSIONS = table_of(PersonaVersionRow)
_FEEDBACK = table_of(FeedbackRow)

GAMMA = 1.02
FINEST = 0.01  # ms
STEPS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
KEEP = {"minute": timedelta(hours=49), "hour": timedelta(days=100)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOG_GAMMA = math.log(GAMMA)
_SUMS = (
    "turns",
    "completed",
    "failed",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "up",
    "down",
)
_HISTOGRAMS = ("first_token", "total")
_KEYS = ("step", "bucket", "backend", "endpoint", "persona_version", "channel", "arm", "writer")


@dataclass(frozen=True, slots=True)
class Filters:
    backend: str = ""
    persona_id: UUID | None = None
    arm: str = ""


@dataclass(frozen=True, slots=True)
class MetricSums:
    """One row: what was counted in one bucket for one backend. Histograms are as `bins` reads them."""

    bucket: datetime
    backend: str
    turns: int
    completed: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    reasoning_tokens: int
    cost: int
    up: int
    down: int
    first_token: bytes
    total: bytes
    errors: Mapping[str, int]
    counts: Mapping[str, int]
    parts: Mapping[str, list[float]]


def record_turn(connection: Connection, turn_id: UUID, counts: Mapping[str, int]) -> None:
    """Count a turn that has just ended, from its row."""
    turn = connection.execute(sa.select(_TURNS).where(_TURNS.c.id == turn_id)).one()
    sums = {name: getattr(turn, name) for name in _SUMS if name in _TURNS.c}
    sums |= {"turns": 1, "completed": int(turn.status in ("completed", "incomplete"))}
    sums["failed"] = int(turn.status in ("failed", "interrupted"))
    durations = {name: [float(turn.timing[name])] for name in _HISTOGRAMS if turn.timing.get(name) is not None}
    parts = {name: [float(ms), 1.0] for name, ms in turn.timing.items() if name not in _HISTOGRAMS}
    errors = {turn.error: 1} if turn.error else {}
    thumbs = connection.execute(sa.select(_FEEDBACK.c.value).where(_FEEDBACK.c.message_id == turn.answer_id)).scalars()
    given = list(thumbs)  # feedback may come while the answer is still being written
    sums |= {"up": given.count(1), "down": given.count(-1)}
    _add(connection, turn, sums, durations, errors, counts, parts)
    day = {"day": floor(turn.ended_at, STEPS["day"]), "backend": turn.backend, "thread_id": turn.thread_id}
    known = sa.select(_ACTIVITY.c.day).where(*(_ACTIVITY.c[name] == value for name, value in day.items()))
    if connection.execute(known).first() is None:
        connection.execute(sa.insert(_ACTIVITY).values(**day))


def record_feedback(connection: Connection, message_id: UUID, before: int, after: int) -> None:
    """Count a thumb on an answer where its turn was counted; `before` is what it was."""
    change = {"up": (after == 1) - (before == 1), "down": (after == -1) - (before == -1)}
    turn = connection.execute(sa.select(_TURNS).where(_TURNS.c.answer_id == message_id)).first()
    if turn is not None and turn.ended_at is not None and any(change.values()):
        _add(connection, turn, change, {}, {}, {}, {})


def record_counts(connection: Connection, turn_id: UUID, counts: Mapping[str, int]) -> None:
    """Count what is known of a turn only after it ended, where that turn was counted."""
    turn = connection.execute(sa.select(_TURNS).where(_TURNS.c.id == turn_id)).first()
    if turn is not None and turn.ended_at is not None and any(counts.values()):
        _add(connection, turn, {}, {}, {}, counts, {})


def read(db: Database, since: datetime, until: datetime, step: str, filters: Filters | None = None) -> list[MetricSums]:
    """The rows of the buckets that begin in [since, until), oldest first; several a bucket and backend."""
    filters = filters or Filters()
    columns = [METRICS.c[name] for name in MetricSums.__dataclass_fields__]
    query = sa.select(*columns).where(METRICS.c.step == step, METRICS.c.bucket >= since, METRICS.c.bucket < until)
    if filters.backend:
        query = query.where(METRICS.c.backend == filters.backend)
    if filters.arm:
        query = query.where(METRICS.c.arm == filters.arm)
    with db.read() as connection:
        if filters.persona_id is not None:
            own = sa.select(_VERSIONS.c.id).where(_VERSIONS.c.persona_id == filters.persona_id)
            versions = [str(version) for version in connection.execute(own).scalars()]
            query = query.where(METRICS.c.persona_version.in_(versions))
        rows = connection.execute(query.order_by(METRICS.c.bucket)).all()
    return [MetricSums(*row) for row in rows]


def active_threads(db: Database, since: datetime, until: datetime, filters: Filters | None = None) -> dict[str, int]:
    """How many threads had a turn, per backend, and in all under ""."""
    filters = filters or Filters()
    if until - since > timedelta(days=2) and filters.persona_id is None and not filters.arm:
        first = floor(since, STEPS["day"])
        source, thread, backend = _ACTIVITY, _ACTIVITY.c.thread_id, _ACTIVITY.c.backend
        where = [_ACTIVITY.c.day >= first, _ACTIVITY.c.day < until]
    else:
        source, thread, backend = _TURNS, _TURNS.c.thread_id, _TURNS.c.backend
        where = [_TURNS.c.ended_at >= since, _TURNS.c.ended_at < until]
        where += [_TURNS.c.persona_id == filters.persona_id] if filters.persona_id is not None else []
        where += [_TURNS.c.arm == filters.arm] if filters.arm else []
    where += [backend == filters.backend] if filters.backend else []
    count = sa.func.count(sa.distinct(thread))
    with db.read() as connection:
        rows = connection.execute(sa.select(backend, count).select_from(source).where(*where).group_by(backend)).all()
        total = connection.execute(sa.select(count).select_from(source).where(*where)).scalar_one()
    return {"": total, **{row[0]: row[1] for row in rows}}


def prune(db: Database, moment: datetime) -> int:
    """Drop minute rows older than 49 hours and hour rows older than 100 days; day rows stay."""

    def work(connection: Connection) -> int:
        old = [sa.and_(METRICS.c.step == step, METRICS.c.bucket < moment - kept) for step, kept in KEEP.items()]
        return connection.execute(sa.delete(METRICS).where(sa.or_(*old))).rowcount

    return db.write(work).result()


def floor(moment: datetime, step: timedelta) -> datetime:
    """The beginning of the bucket that holds `moment`."""
    return _EPOCH + (moment - _EPOCH) // step * step


def bin_of(milliseconds: float) -> int:
    return max(0, math.ceil(math.log(max(milliseconds, FINEST) / FINEST) / _LOG_GAMMA))


def bins(blob: bytes | None) -> NDArray[np.uint32]:
    """A histogram as rows of (bin, count), in the order of the bins."""
    return np.frombuffer(blob or b"", dtype="<u4").reshape(-1, 2)


def with_values(blob: bytes | None, values: list[float]) -> bytes:
    """The histogram with `values` (ms) added."""
    counted = {int(b): int(n) for b, n in bins(blob)}
    for value in values:
        counted[bin_of(value)] = counted.get(bin_of(value), 0) + 1
    return np.array(sorted(counted.items()), dtype="<u4").tobytes()


def _add(
    connection: Connection,
    turn: Any,
    sums: Mapping[str, int],
    durations: Mapping[str, list[float]],
    errors: Mapping[str, int],
    counts: Mapping[str, int],
    parts: Mapping[str, list[float]],
) -> None:
    version = str(turn.persona_version_id or "")
    dimensions = {"backend": turn.backend, "endpoint": turn.endpoint, "persona_version": version}
    dimensions |= {"channel": turn.channel, "arm": turn.arm, "writer": _writer(connection)}
    merged = [METRICS.c[name] for name in (*_HISTOGRAMS, "errors", "counts", "parts")]
    for step, length in STEPS.items():
        key = {"step": step, "bucket": floor(turn.ended_at, length), **dimensions}
        same = sa.and_(*(METRICS.c[name] == key[name] for name in _KEYS))
        row = connection.execute(sa.select(*merged).where(same)).first()
        values: dict[str, Any] = {n: with_values(getattr(row, n, None), v) for n, v in durations.items()}
        values["errors"] = _joined(row.errors if row else {}, errors)
        values["counts"] = _joined(row.counts if row else {}, counts)
        values["parts"] = _joined_parts(row.parts if row else {}, parts)
        if row is None:
            connection.execute(sa.insert(METRICS).values(**key, **sums, **values))
        else:
            values |= {name: METRICS.c[name] + number for name, number in sums.items() if number}
            connection.execute(sa.update(METRICS).where(same).values(**values))


def _joined(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int]:
    return {name: old.get(name, 0) + new.get(name, 0) for name in {**old, **new}}


def _joined_parts(old: Mapping[str, list[float]], new: Mapping[str, list[float]]) -> dict[str, list[float]]:
    nothing = [0.0, 0.0]
    pairs = {name: (old.get(name, nothing), new.get(name, nothing)) for name in {**old, **new}}
    return {name: [a[0] + b[0], a[1] + b[1]] for name, (a, b) in pairs.items()}


def _writer(connection: Connection) -> str:
    """SQLite has one writer at a time; elsewhere each writer thread of each replica has rows of its own."""
    if connection.dialect.name == "sqlite":
        return ""
    return f"{socket.gethostname()}:{threading.get_native_id()}"
