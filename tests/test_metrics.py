"""The arithmetic of metrics.py against numpy, and what the store's rows add up to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from coach_core import metrics
from coach_core.store import Database, messages, personas, threads, turns, users
from coach_core.store import metrics as rows
from coach_core.store.models import metadata
from coach_core.types import Actor, Part, PersonaDraft, Usage, now

_HOUR = timedelta(hours=1)

durations = st.floats(0.01, 3_600_000)


@given(st.lists(durations, min_size=1, max_size=200), st.integers(1, 5))
def test_percentiles_are_within_two_percent_of_numpys(values: list[float], pieces: int) -> None:
    blobs = [rows.with_values(None, values[i::pieces]) for i in range(pieces)]
    found = metrics.quantiles(blobs)
    for name, q in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        exact = float(np.percentile(values, q))
        assert getattr(found, name) == pytest.approx(exact, rel=0.02), name


@given(st.lists(durations, max_size=50), st.lists(durations, max_size=50))
def test_a_histogram_holds_each_value_once_in_any_order(first: list[float], second: list[float]) -> None:
    grown = rows.with_values(rows.with_values(None, first), second)
    assert grown == rows.with_values(None, second + first)
    assert int(rows.bins(grown)[:, 1].sum()) == len(first) + len(second)


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9])
def test_a_time_too_short_to_measure_is_the_finest(value: float) -> None:
    assert metrics.quantiles([rows.with_values(None, [value])]).p50 == rows.FINEST


def test_nothing_is_nothing() -> None:
    assert metrics.quantiles([None, b""]) == metrics.Quantiles()
    empty = metrics.figures([])
    assert (empty.turns, empty.error_rate, empty.satisfaction) == (0, None, None)


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.sampled_from(list(rows.STEPS))
)
def test_a_moment_lies_in_its_bucket(moment: datetime, step: str) -> None:
    start = rows.floor(moment, rows.STEPS[step])
    assert start <= moment < start + rows.STEPS[step]
    assert rows.floor(start, rows.STEPS[step]) == start


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(f"sqlite:///{tmp_path}/coach.db", tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def run(db: Database, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`run(at, first_token, total, ...)`: one turn that ends at `at`; returns (actor, turn, persona)."""
    owner = users.ensure_owner(db)
    actor = Actor(owner.id, owner.role)
    made: dict[str, Any] = {}

    def one(
        at: datetime,
        first: float | None = 100.0,
        total: float = 200.0,
        *,
        backend: str = "a",
        persona: str = "p",
        arm: str = "",
        error: str = "",
        thread: str = "",
        cost: int = 7,
    ) -> Any:
        kept = made.setdefault(persona, None) or personas.save(db, "", PersonaDraft(persona))
        made[persona] = kept
        home = made.get(("thread", thread)) if thread else None
        home = home or threads.create(db, actor, kept.id)
        made["thread", thread] = home
        monkeypatch.setattr(turns, "now", lambda: at)
        turn = turns.begin(
            db,
            actor,
            home.id,
            question=(Part("text", "q"),),
            question_id=None,
            parent_id=None,
            backend=backend,
            endpoint="",
            model="",
            persona_id=kept.id,
            persona_version_id=kept.version_id,
            arm=arm,
            key=None,
            lease_owner="me",
        )
        turns.finish(
            db,
            turn.id,
            "me",
            1,
            status="failed" if error else "completed",
            message_status="failed" if error else "complete",
            parts=(),
            text="",
            events=(),
            citations=(),
            usage=Usage(10, 20, 3, 4),
            cost=cost,
            timing={"total": total, "context": 5.0} | ({"first_token": first} if first is not None else {}),
            error=error,
            error_text="",
            finish_reason="",
            attempts=1,
            notices=(),
            provider_state=None,
            backend=backend,
            model="",
        ).result()
        return actor, turn, kept

    return one


def test_a_report_adds_up(db: Database, run: Callable[..., Any]) -> None:
    until = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    times = [120.0, 340.0, 95.0, 1200.0, 640.0]
    for number, first in enumerate(times):
        run(until - timedelta(minutes=7 * number + 1), first, first * 2, backend="ab"[number % 2], thread="one")
    run(until - timedelta(minutes=3), None, 10.0, backend="b", error="timed_out")
    run(until - timedelta(hours=1, minutes=5), 50.0, 60.0, backend="a")
    report = metrics.build(db, until - _HOUR, until)
    total = report.total
    assert (total.turns, total.completed, total.failed, total.errors) == (6, 5, 1, {"timed_out": 1})
    assert (total.input_tokens, total.output_tokens, total.cached_tokens, total.cost) == (60, 120, 18, 42)
    assert total.error_rate == pytest.approx(1 / 6)
    assert total.parts == {"context": 5.0}
    for q, value in ((50, total.first_token.p50), (95, total.first_token.p95), (99, total.first_token.p99)):
        assert value == pytest.approx(float(np.percentile(times, q)), rel=0.02)
    assert {name: (f.turns, f.active_threads) for name, f in report.backends.items()} == {"a": (3, 1), "b": (3, 2)}
    assert total.active_threads == 2
    assert (report.previous.turns, report.previous.active_threads) == (1, 1)
    assert set(report.previous_backends) == {"a"}


def test_a_series_has_every_step_and_adds_up_to_the_whole(db: Database, run: Callable[..., Any]) -> None:
    until = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    for number in range(5):
        run(until - timedelta(minutes=11 * number + 1), backend="ab"[number % 2])
    for length in (timedelta(minutes=30), _HOUR, timedelta(hours=24), timedelta(days=7), timedelta(days=90)):
        report = metrics.build(db, until - length, until)
        series = report.series[""]
        assert 1 < len(series) <= metrics.MOST_POINTS + 1
        assert [p.at for p in series] == [report.since + i * report.step for i in range(len(series))]
        assert series[-1].at < until <= series[-1].at + report.step
        assert sum(p.figures.turns for p in series) == report.total.turns == (3 if length < _HOUR else 5)
        both = [sum(p.figures.turns for p in report.series[name]) for name in ("a", "b")]
        assert sum(both) == report.total.turns


def test_filters(db: Database, run: Callable[..., Any]) -> None:
    until = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    at = until - timedelta(minutes=5)
    run(at, backend="a", persona="p", arm="old")
    _, _, other = run(at, backend="a", persona="q", arm="new")
    run(at, backend="b", persona="q", arm="new")
    since = until - _HOUR

    def counted(**how: Any) -> tuple[int, int | None]:
        total = metrics.build(db, since, until, **how).total
        return total.turns, total.active_threads

    assert counted(backend="a") == (2, 2)
    assert counted(persona_id=other.id) == (2, 2)
    assert counted(arm="old") == (1, 1)
    assert counted(persona_id=other.id, backend="b", arm="new") == (1, 1)
    assert counted(backend="elsewhere") == (0, 0)


def test_thumbs_count_with_their_answer_and_can_be_taken_back(db: Database, run: Callable[..., Any]) -> None:
    at = now() - timedelta(minutes=5)
    actor, turn, _ = run(at)
    _, second, _ = run(at)
    shown = []
    for answer, value in ((turn, 1), (second, -1), (second, 1), (turn, 0)):
        messages.set_feedback(db, actor, answer.answer_id, value, "")
        figures = metrics.build(db, at - _HOUR, now()).total
        shown.append((figures.up, figures.down, figures.satisfaction))
    assert shown == [(1, 0, 1.0), (1, 1, 0.5), (2, 0, 1.0), (1, 0, 1.0)]


def test_a_thumb_given_while_the_answer_is_written_counts(db: Database, run: Callable[..., Any]) -> None:
    actor, first, persona = run(now() - timedelta(minutes=5))
    turn = turns.begin(
        db,
        actor,
        first.thread_id,
        question=(Part("text", "q"),),
        question_id=None,
        parent_id=None,
        backend="a",
        endpoint="",
        model="",
        persona_id=persona.id,
        persona_version_id=None,
        arm="",
        key=None,
        lease_owner="me",
        lease_seconds=-1,
    )
    messages.set_feedback(db, actor, turn.answer_id, -1, "slow")
    assert turns.recover(db, now()) == [turn.id]
    total = metrics.build(db, now() - _HOUR, now() + timedelta(minutes=1)).total
    assert (total.turns, total.failed, total.down) == (2, 1, 1)


def test_old_minutes_and_hours_go_and_days_stay(db: Database, run: Callable[..., Any]) -> None:
    moment = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    run(moment - timedelta(days=200))
    run(moment - timedelta(days=3))
    run(moment - timedelta(minutes=3))
    assert rows.prune(db, moment) == 3
    everything = (moment - timedelta(days=400), moment)
    assert [len(rows.read(db, *everything, step)) for step in ("minute", "hour", "day")] == [1, 2, 3]
    report = metrics.build(db, *everything)
    assert (report.total.turns, report.total.active_threads) == (3, 3)


def test_turns_of_one_minute_share_their_rows(db: Database, run: Callable[..., Any]) -> None:
    at = datetime(2026, 11, 20, 12, 0, 5, tzinfo=UTC)
    for _ in range(10):
        run(at, thread="one")
    with db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(metadata.tables["metrics"])).scalar() == 3
        assert connection.execute(sa.select(sa.func.count()).select_from(metadata.tables["activity"])).scalar() == 1


def _exact(values: Sequence[float], q: float) -> float:
    return float(np.percentile(values, q))


def test_hundreds_of_turns_written_one_by_one(db: Database, run: Callable[..., Any]) -> None:
    """What a turn's own transaction wrote, read back, against what went in."""
    until = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    values = np.random.default_rng(7).lognormal(6, 1.2, 150).tolist()
    for number, value in enumerate(values):
        run(until - timedelta(seconds=10 * number + 1), value, value * 3, thread="one")
    total = metrics.build(db, until - _HOUR, until).total
    assert total.turns == 150
    for q, name in ((50, "p50"), (90, "p90"), (95, "p95"), (99, "p99")):
        assert getattr(total.first_token, name) == pytest.approx(_exact(values, q), rel=0.02)
        assert getattr(total.total, name) == pytest.approx(3 * _exact(values, q), rel=0.02)
