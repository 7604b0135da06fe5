"""What the numbers say: figures per backend and in total, series for charts, the period before.

Invariant: pure arithmetic over the rows of store/metrics.py; a percentile is within 2 % of the true one.
Nothing here shows what anyone said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from coach_core.store import Database
from coach_core.store import metrics as rows
from coach_core.store.metrics import Filters, MetricSums

MOST_POINTS = 100
_CHART_STEPS = [timedelta(minutes=m) for m in (1, 2, 5, 15, 30, 60, 180, 360, 720, 1440, 10080)]


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Milliseconds; None where there is nothing to tell from."""

    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Sums over some time. `failed` holds failed and interrupted turns; `cost` is in micro-dollars.

    `counts` are by name what else was counted; `parts` the mean ms of each part of a turn.
    `active_threads` is None where it is not counted (the points of a series).
    """

    turns: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    up: int = 0
    down: int = 0
    first_token: Quantiles = field(default_factory=Quantiles)
    total: Quantiles = field(default_factory=Quantiles)
    errors: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    active_threads: int | None = None

    @property
    def error_rate(self) -> float | None:
        """Share of turns that failed, 0..1."""
        return self.failed / self.turns if self.turns else None

    @property
    def citations(self) -> int:
        """How many marks [n] of answers were held against what they cite."""
        return self.counts.get("citations_checked", 0)

    @property
    def held(self) -> float | None:
        """Share of those whose passage bears the sentence, 0..1."""
        return 1 - self.counts.get("citations_wrong", 0) / self.citations if self.citations else None

    @property
    def memories_judged(self) -> int:
        """Memories that answers were told and somebody called right or not right."""
        return self.counts.get("memories_judged_right", 0) + self.counts.get("memories_judged_wrong", 0)

    @property
    def remembered(self) -> float | None:
        """Share of those that were right, 0..1."""
        judged = self.memories_judged
        return self.counts.get("memories_judged_right", 0) / judged if judged else None

    @property
    def satisfaction(self) -> float | None:
        """Share of thumbs that point up, 0..1."""
        return self.up / (self.up + self.down) if self.up + self.down else None

    @property
    def memory_accuracy(self) -> float | None:
        """Share of the memories judged that were right in their answer, 0..1."""
        right, wrong = (self.counts.get(f"memories_judged_{side}", 0) for side in ("right", "wrong"))
        return right / (right + wrong) if right + wrong else None


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of one bucket that begins `at`."""

    at: datetime
    figures: Figures


@dataclass(frozen=True, slots=True)
class Report:
    """`backends` and `series` by backend; in `series` the key "" holds all of them together. A series has
    a point for each step between `since` and `until`, also where nothing happened."""

    since: datetime
    until: datetime
    step: timedelta
    total: Figures
    backends: Mapping[str, Figures]
    series: Mapping[str, tuple[Point, ...]]
    previous: Figures
    previous_backends: Mapping[str, Figures]


def build(
    db: Database,
    since: datetime,
    until: datetime,
    *,
    backend: str = "",
    persona_id: UUID | None = None,
    arm: str = "",
) -> Report:
    """The report of [since, until), compared with the time of the same length before it."""
    filters = Filters(backend, persona_id, arm)
    kept, step = _steps(until - since)
    start = rows.floor(since, step)
    before = start - (until - start)
    found = rows.read(db, start, until, kept, filters)
    earlier = rows.read(db, before, start, kept, filters)
    active = rows.active_threads(db, start, until, filters)
    was_active = rows.active_threads(db, before, start, filters)
    return Report(
        since=start,
        until=until,
        step=step,
        total=figures(found, active.get("", 0)),
        backends=_by_backend(found, active),
        series={"": _series(found, start, until, step)}
        | {name: _series(own, start, until, step) for name, own in _grouped(found).items()},
        previous=figures(earlier, was_active.get("", 0)),
        previous_backends=_by_backend(earlier, was_active),
    )


def figures(found: Iterable[MetricSums], active_threads: int | None = None) -> Figures:
    """All rows added up."""
    found = list(found)
    sums = {name: sum(getattr(row, name) for row in found) for name in _SUMMED}
    spent: dict[str, list[float]] = {}
    for row in found:
        for name, (milliseconds, number) in row.parts.items():
            total = spent.setdefault(name, [0.0, 0.0])
            total[0] += milliseconds
            total[1] += number
    return Figures(
        **sums,
        first_token=quantiles(row.first_token for row in found),
        total=quantiles(row.total for row in found),
        errors=_counted(row.errors for row in found),
        counts=_counted(row.counts for row in found),
        parts={name: milliseconds / number for name, (milliseconds, number) in spent.items() if number},
        active_threads=active_threads,
    )


def quantiles(blobs: Iterable[bytes | None]) -> Quantiles:
    """p50, p90, p95 and p99 of histograms added up."""
    merged = np.concatenate([rows.bins(None), *(rows.bins(blob) for blob in blobs if blob)])
    if not len(merged):
        return Quantiles()
    counts: NDArray[Any] = np.bincount(merged[:, 0], weights=merged[:, 1])
    return Quantiles(*(_percentile(counts, q) for q in (50, 90, 95, 99)))


def _percentile(counts: NDArray[Any], q: float) -> float:
    """As numpy.percentile: between the two values whose ranks lie about it, in proportion."""
    upto = np.cumsum(counts)
    rank = q / 100 * (upto[-1] - 1)
    below, above = np.floor(rank), np.ceil(rank)
    low, high = (_value(int(np.searchsorted(upto, r, side="right"))) for r in (below, above))
    return float(low + (high - low) * (rank - below))


def _value(at: int) -> float:
    """The value that is nearest, in proportion, to all that falls into bin `at`."""
    return float(rows.FINEST * rows.GAMMA**at * 2 / (1 + rows.GAMMA)) if at else rows.FINEST


_SUMMED = (
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


def _steps(length: timedelta) -> tuple[str, timedelta]:
    """Which rows to read, and how wide a bucket of the charts is."""
    if length <= timedelta(hours=6):
        kept = "minute"
    elif length <= timedelta(days=14):
        kept = "hour"
    else:
        kept = "day"
    finest = rows.STEPS[kept]
    wide = [step for step in _CHART_STEPS if step >= finest and length / step <= MOST_POINTS]
    return kept, wide[0] if wide else _CHART_STEPS[-1]


def _series(found: Iterable[MetricSums], start: datetime, until: datetime, step: timedelta) -> tuple[Point, ...]:
    buckets: dict[datetime, list[MetricSums]] = {}
    for row in found:
        buckets.setdefault(start + (row.bucket - start) // step * step, []).append(row)
    number = -((start - until) // step)
    return tuple(Point(at, figures(buckets.get(at, ()))) for at in (start + i * step for i in range(number)))


def _by_backend(found: Iterable[MetricSums], active: Mapping[str, int]) -> dict[str, Figures]:
    return {name: figures(own, active.get(name, 0)) for name, own in sorted(_grouped(found).items())}


def _grouped(found: Iterable[MetricSums]) -> dict[str, list[MetricSums]]:
    out: dict[str, list[MetricSums]] = {}
    for row in found:
        out.setdefault(row.backend, []).append(row)
    return out


def _counted(mappings: Iterable[Mapping[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for mapping in mappings:
        for name, number in mapping.items():
            out[name] = out.get(name, 0) + number
    return out
