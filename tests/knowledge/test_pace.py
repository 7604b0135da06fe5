"""The time left and the share done: said from what was measured, slow to change, never beyond what is left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from coach_core.knowledge import pace
from coach_core.store.uploads import Timed
from coach_core.types import new_id

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
HERE, THERE = new_id(), new_id()


def file(name: str, size: int, stage: str, took: float = 0.0, done: int = 0, total: int = 0, of=HERE) -> Timed:  # type: ignore[no-untyped-def]
    begun = None if stage in ("queued", "paused") else NOON - timedelta(seconds=took)
    ended = NOON if stage in ("ready", "failed") else None
    return Timed(new_id(), of, name, size, stage, done, total, False, begun, ended)


def test_the_time_left_goes_by_what_files_of_the_kind_took() -> None:
    done = [file("a.txt", 1000, "ready", 1.0) for _ in range(10)] + [file("b.pdf", 5000, "ready", 30.0)] * 3
    texts = [file("c.txt", 1000, "queued") for _ in range(20)]
    books = [file("d.pdf", 10_000, "queued") for _ in range(4)]
    assert pace.counts([*done, *texts], None, NOON, 2).seconds == 10.0
    with_books = pace.counts([*done, *texts, *books], None, NOON, 2).seconds
    assert with_books is not None and 90 < with_books < 110, "twice the size: half as long again at least"


def test_nothing_is_said_before_enough_was_measured_nor_of_what_is_paused() -> None:
    waiting = [file("c.txt", 1000, "queued")] * 5
    assert pace.counts([file("a.txt", 9, "ready", 1.0)] * 2 + waiting, None, NOON, 2).seconds is None
    paused = [file("a.txt", 9, "ready", 1.0)] * 5 + [file("c.txt", 1000, "paused")] * 5
    counts = pace.counts(paused, None, NOON, 2)
    assert counts.seconds is None and counts.paused == 5 and not counts.moving


def test_what_waits_before_it_in_another_collection_counts() -> None:
    done = [file("a.txt", 1000, "ready", 2.0) for _ in range(5)]
    before = [file("b.txt", 1000, "queued", of=THERE) for _ in range(10)]
    mine = [file("c.txt", 1000, "queued")]
    after = [file("d.txt", 1000, "queued", of=THERE) for _ in range(50)]
    counts = pace.counts([*done, *before, *mine, *after], HERE, NOON, 1)
    assert (counts.total, counts.waiting, counts.seconds) == (6, 1, 22.0)


def test_a_file_in_work_counts_by_its_pages() -> None:
    done = [file("a.pdf", 1000, "ready", 10.0) for _ in range(5)]
    half = file("b.pdf", 100_000, "reading", took=60.0, done=50, total=90)
    seconds = pace.counts([*done, half], None, NOON, 2).seconds
    assert seconds == 60.0, "half of it took a minute"


STAGES = st.sampled_from(["queued", "paused", "reading", "chunking", "ready", "failed"])
FILES = st.lists(
    st.tuples(STAGES, st.integers(0, 10**8), st.floats(0, 1000), st.integers(0, 50), st.integers(0, 50)), max_size=20
)


@given(FILES)
def test_a_share_is_a_share_and_a_time_is_none_or_one(given_: list[tuple[str, int, float, int, int]]) -> None:
    uploads = [file("a.txt", size, stage, took, done, total) for stage, size, took, done, total in given_]
    counts = pace.counts(uploads, None, NOON, 2)
    assert 0.0 <= counts.share <= 1.0 and (counts.seconds is None or counts.seconds >= 0)
    stages = (counts.ready, counts.failed, counts.waiting, counts.paused, counts.working)
    assert sum(stages) == counts.total == len(uploads)
    assert counts.share == 1.0 or counts.moving or counts.paused or not uploads
