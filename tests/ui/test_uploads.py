"""The list of uploads on the knowledge page: many files at once are counted, steered and unfolded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from coach_core.types import Collection, IngestProgress, new_id
from pages import _uploads
from tests.ui import fake_admin
from tests.ui.fake_admin import FakeCoach, open_alone, open_page, press, shown


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCoach]:
    with fake_admin.installed(monkeypatch) as fake:
        yield fake


@pytest.fixture
def bulk(fake: FakeCoach) -> Collection:
    """500 files: 209 in, 12 of them known already, 4 failed, 2 in work, 285 waiting."""
    group = fake.create_collection(fake.owner(), "Bulk")
    for n in range(500):
        stage: Any = "ready" if n < 209 else "failed" if n < 213 else "reading" if n < 215 else "queued"
        error = f"The file number {n} is damaged." if stage == "failed" else ""
        step = IngestProgress(None, f"m{n}.cnxml", stage, 3, 9, error, duplicate=n < 12)
        fake.jobs.append((new_id(), step))
        fake.job_groups[fake.jobs[-1][0]] = group.id
    fake.seconds_left = 345
    return group


def folds(at: AppTest) -> dict[str, Any]:
    return {e.label: e for e in at.expander}


def test_many_files_are_one_figure_and_only_those_that_matter_have_a_line(fake: FakeCoach, bulk: Collection) -> None:
    at = open_page("knowledge")
    words = shown(at)
    assert "213 of 500 files" in words and "4 failed" in words and "12 were here already" in words
    assert "about 6 min left" in words
    assert "reading, 3 of 9 pages" in words and "The file number 211 is damaged." in words
    assert "m5.cnxml" not in words and "m400.cnxml" not in words
    assert {"Waiting: 285", "In: 209"} <= set(folds(at))
    assert len([b for b in at.button if b.label == "Try again"]) == 4


def test_a_batch_is_paused_resumed_and_its_rest_cancelled(fake: FakeCoach, bulk: Collection) -> None:
    at = press(open_page("knowledge"), "Pause")
    fake.jobs = [(j, s) for j, s in fake.jobs if s.stage != "reading"]
    at.run()
    assert "Paused at 213 of 498 files" in shown(at) and "Paused: 285" in folds(at)
    assert "min left" not in shown(at)
    press(at, "Resume")
    assert "213 of 498 files" in shown(at) and "Waiting: 285" in folds(at)
    press(at, "Cancel 285 files")
    assert "209 of 213 files in" in shown(at) and "Waiting" not in str(folds(at))
    press(at, "Try all failed again")
    assert "209 of 213 files" in shown(at) and "damaged" not in shown(at)


def test_what_ended_is_cleared(fake: FakeCoach, bulk: Collection) -> None:
    fake.jobs = [(j, s) for j, s in fake.jobs if s.stage in ("ready", "failed")]
    at = press(open_page("knowledge"), "Clear those that are in")
    assert [s.stage for _, s in fake.jobs] == ["failed"] * 4
    press(at, "Clear all failed")
    assert not fake.jobs and "failed" not in shown(at)


def test_a_reader_sees_and_does_not_steer(fake: FakeCoach, bulk: Collection) -> None:
    at = open_alone("knowledge", fake.users["coach"])
    assert "213 of 500 files" in shown(at)
    assert not {b.label for b in at.button} & {"Pause", "Cancel", "Try again", "Remove", "Cancel 287 files"}


def test_a_file_that_waits_can_be_cancelled_alone(fake: FakeCoach, bulk: Collection) -> None:
    fake.jobs = [(j, s) for j, s in fake.jobs if s.name in ("m5.cnxml", "m300.cnxml")]
    at = open_page("knowledge")
    assert "m300.cnxml" in shown(at) and "waits its turn" in shown(at)
    press(at, "Cancel")
    assert [s.name for _, s in fake.jobs] == ["m5.cnxml"]


def test_the_next_batch_counts_from_nothing(fake: FakeCoach, bulk: Collection) -> None:
    fake.jobs = [(j, s) for j, s in fake.jobs if s.stage == "ready"]
    at = open_page("knowledge")
    at.file_uploader[0].set_value([("a.md", b"one\ntwo", "text/markdown")]).run()
    assert [s.name for _, s in fake.jobs] == ["a.md"] and "is in, 2 passages" in shown(at)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (3, "less than a minute left"),
        (60, "about a minute left"),
        (345, "about 6 min left"),
        (1500, "about 25 min left"),
        (8000, "about 2 hours left"),
    ],
)
def test_the_time_left_is_said_coarsely(seconds: float | None, said: str) -> None:
    assert _uploads.left(seconds) == said
