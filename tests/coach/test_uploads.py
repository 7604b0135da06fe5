"""The queue of uploads through the facade: steered, cut off, gone on with, and seen alike by every process."""

import io
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from coach_core.coach import Coach
from coach_core.errors import CollectionNotFound, DiskFull, NotAllowed
from coach_core.knowledge import uploads as queue
from coach_core.settings import ROOT
from coach_core.store import uploads as rows
from coach_core.types import Actor, Collection
from tests.coach.test_library import until


@pytest.fixture
def mine(coach: Coach, me: Actor) -> Collection:
    return coach.create_collection(me, "Bulk")


def hand_over(coach: Coach, me: Actor, into: Collection, count: int, of: str = "file") -> None:
    for n in range(count):
        coach.upload(me, into.id, f"{of}{n}.txt", f"The {of} number {n} speaks of lighthouses.".encode())


def stages(coach: Coach, me: Actor) -> list[str]:
    return [step.stage for _, step in coach.uploads(me)]


def left_behind(coach: Coach) -> list[Path]:
    return [p for p in (coach.settings.home / "uploads").rglob("*") if p.is_file() and p.suffix != ".lock"]


@pytest.fixture
def held(coach: Coach, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """No file is taken in until this is set."""
    go_on, take = threading.Event(), coach._uploads._take

    def later(upload: rows.Upload, path: Path, progress: queue.Progress) -> object:
        while not go_on.wait(0.01):
            if not rows.wanted(coach._db, upload.id) or coach._uploads._stop.is_set():
                raise queue.Withdrawn
        return take(upload, path, progress)

    monkeypatch.setattr(coach._uploads, "_take", later)
    return go_on


def test_what_is_paused_waits_until_it_is_resumed(
    coach: Coach, me: Actor, mine: Collection, held: threading.Event
) -> None:
    hand_over(coach, me, mine, 12)
    until(lambda: coach.upload_counts(me).working == queue.LANES)
    assert coach.pause_uploads(me, mine.id) == 12 - queue.LANES
    held.set()
    until(lambda: coach.upload_counts(me, mine.id).ready == queue.LANES)
    counts = coach.upload_counts(me, mine.id)
    assert (counts.paused, counts.waiting, counts.moving, counts.seconds) == (12 - queue.LANES, 0, False, None)
    coach.resume_uploads(me, mine.id)
    until(lambda: coach.upload_counts(me, mine.id).ready == 12)
    assert len(coach.documents(me, mine.id)) == 12 and coach.upload_counts(me, mine.id).share == 1.0
    assert left_behind(coach) == []


def test_cancelled_files_add_nothing_and_leave_nothing(
    coach: Coach, me: Actor, mine: Collection, held: threading.Event
) -> None:
    hand_over(coach, me, mine, 6)
    until(lambda: coach.upload_counts(me).working == queue.LANES)
    last = coach.uploads(me)[-1][0]
    assert coach.cancel_uploads(me, upload_id=last) == 1 and len(coach.uploads(me)) == 5
    assert coach.cancel_uploads(me, mine.id) == 5, "what is in work too"
    until(lambda: left_behind(coach) == [])
    held.set()
    coach.upload(me, mine.id, "after.txt", b"After all of them.")
    until(lambda: stages(coach, me) == ["ready"])
    assert [d.name for d in coach.documents(me, mine.id)] == ["after.txt"]


def test_a_deleted_collection_takes_its_uploads_along(
    coach: Coach, me: Actor, mine: Collection, held: threading.Event
) -> None:
    hand_over(coach, me, mine, 5)
    until(lambda: coach.upload_counts(me).working == queue.LANES)
    coach.delete_collection(me, mine.id)
    assert coach.uploads(me) == []
    until(lambda: left_behind(coach) == [])
    with pytest.raises(CollectionNotFound):
        coach.upload(me, queue.new_id(), "a.txt", b"To nowhere.")
    assert left_behind(coach) == []


def test_a_new_start_goes_on_where_the_last_one_ended(make_coach: Callable[..., Coach]) -> None:
    first = make_coach()
    me = first.owner()
    mine = first.create_collection(me, "Bulk")
    first._uploads._stop.set()  # nothing is worked on here
    hand_over(first, me, mine, 4)
    assert stages(first, me) == ["queued"] * 4
    begun = rows.claim(first._db, first._uploads.place())  # and then its process dies
    assert begun is not None and stages(first, me)[0] == "reading"
    second = make_coach()
    assert second.upload_counts(me, mine.id).total == 4, "seen before anything is done"
    second._uploads.start()
    until(lambda: stages(second, me) == ["ready"] * 4)
    assert len(second.documents(me, mine.id)) == 4
    assert all(not step.duplicate for _, step in second.uploads(me)) and left_behind(second) == []


def test_a_file_that_was_in_before_the_crash_is_not_added_twice(make_coach: Callable[..., Coach]) -> None:
    coach = make_coach()
    me = coach.owner()
    mine = coach.create_collection(me, "Bulk")
    coach._uploads._stop.set()
    hand_over(coach, me, mine, 1)
    begun = rows.claim(coach._db, coach._uploads.place())
    assert begun is not None
    coach.ingest(me, mine.id, begun.name, coach.settings.home / "uploads" / begun.path)  # shown; then killed
    after = make_coach()
    after._uploads.start()
    until(lambda: stages(after, me) == ["ready"])
    assert len(after.documents(me, mine.id)) == 1
    assert not after.uploads(me)[0][1].duplicate, "it was this upload that brought it"


def test_a_file_that_ends_the_app_again_and_again_is_given_up(make_coach: Callable[..., Coach]) -> None:
    coach = make_coach()
    me = coach.owner()
    mine = coach.create_collection(me, "Bulk")
    coach._uploads._stop.set()
    hand_over(coach, me, mine, 3)
    place = coach._uploads.place()
    culprit = coach.uploads(me)[0][0]
    for crash in range(queue.MOST_CRASHES):
        in_work = [u for u in (rows.claim(coach._db, place), rows.claim(coach._db, place)) if u]
        if crash == 0:
            assert len(in_work) == 2
            for upload in in_work[1:]:
                rows.is_in(coach._db, upload.id, queue.new_id(), 1, False)
        while in_work[0].id != culprit:  # a suspect comes last and alone
            rows.is_in(coach._db, in_work[0].id, queue.new_id(), 1, False)
            in_work = [u for u in (rows.claim(coach._db, place), rows.claim(coach._db, place)) if u]
        assert crash == 0 or [u.id for u in in_work] == [culprit]
        rows.recover(coach._db, place, queue.MOST_CRASHES, "ended the app", "gone")
    step = dict(coach.uploads(me))[culprit]
    assert (step.stage, step.error) == ("failed", "ended the app")
    coach.retry_upload(me, culprit)
    assert dict(coach.uploads(me))[culprit].stage == "queued"


def test_a_file_that_vanished_says_so(make_coach: Callable[..., Coach]) -> None:
    coach = make_coach()
    me = coach.owner()
    mine = coach.create_collection(me, "Bulk")
    coach.pause_uploads(me)
    coach._uploads._stop.set()
    hand_over(coach, me, mine, 1)
    for path in left_behind(coach):
        path.unlink()
    after = make_coach()
    after._uploads.start()
    until(lambda: stages(after, me) == ["failed"])
    assert "no longer on this machine's disk. Upload it again." in after.uploads(me)[0][1].error
    assert after.clear_uploads(me, mine.id) == 1 and after.uploads(me) == []


def test_a_full_disk_is_a_sentence_and_leaves_nothing(
    coach: Coach, me: Actor, mine: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="disk is full"):
        coach.upload(me, mine.id, "a.txt", b"words")
    assert coach.uploads(me) == [] and left_behind(coach) == []


def test_all_that_failed_is_tried_again_and_an_archive_is_as_many_files(
    coach: Coach, me: Actor, mine: Collection, held: threading.Event
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(8):
            archive.writestr(f"week {n}.md", f"# Week {n}\n\nRest on day {n}.")
        archive.writestr("void.md", "")
    coach.upload(me, mine.id, "course.zip", packed.getvalue())
    held.set()
    until(lambda: coach.upload_counts(me).total == 9 and not coach.upload_counts(me).moving)
    counts = coach.upload_counts(me, mine.id)
    assert (counts.total, counts.ready, counts.failed) == (9, 8, 1)
    assert coach.retry_uploads(me, mine.id) == 1
    until(lambda: not coach.upload_counts(me).moving)
    assert coach.upload_counts(me).failed == 1
    assert coach.clear_uploads(me, mine.id, ("ready",)) == 8
    assert [s.name for _, s in coach.uploads(me, mine.id, ("failed",), limit=5)] == ["course.zip/void.md"]


def test_what_an_archive_holds_that_cannot_be_read_is_named(coach: Coach, me: Actor, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("week.md", "odd.exe", "deep/inner.zip", ".hidden", "__MACOSX/week.md"):
            archive.writestr(name, "words")
    sentence = "course.zip: 2 files in it were left out: odd.exe, deep/inner.zip. These kinds cannot be read."
    assert coach.passed_over(me, "course.zip", packed.getvalue()) == sentence
    (tmp_path / "course.zip").write_bytes(packed.getvalue())
    assert coach.passed_over(me, "course.zip", tmp_path / "course.zip") == sentence
    assert coach.passed_over(me, "week.md", b"words") == coach.passed_over(me, "broken.zip", b"PK") == ""


def test_who_may_not_write_does_not_steer(coach: Coach, me: Actor) -> None:
    reader = coach.actor_for(coach.add_profile(me, "Reader", "coach").id)
    assert coach.upload_counts(reader).total == 0 and coach.uploads(reader) == []
    for steer in (
        coach.pause_uploads,
        coach.resume_uploads,
        coach.cancel_uploads,
        coach.retry_uploads,
        coach.clear_uploads,
    ):
        with pytest.raises(NotAllowed):
            steer(reader)


_KILLED = """
import os, signal, sys, threading
from pathlib import Path
from coach_core.coach import Coach
from coach_core.settings import Settings

coach = Coach.from_settings(Settings(home=Path(sys.argv[1]), embedder="./nowhere"))
me = coach.owner()
if len(sys.argv) > 2:
    mine = coach.create_collection(me, "Bulk")
    for n in range(int(sys.argv[2])):
        coach.upload(me, mine.id, f"{n}.md", ("# Chapter\\n\\n" + f"Words of number {n}. " * 9000).encode())
most = coach.upload_counts(me).ready + 12
while coach.upload_counts(me).ready < most:
    threading.Event().wait(0.01)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_killed_again_and_again_all_files_come_in_once(used: Path) -> None:
    for arguments in (["60"], [], []):
        done = subprocess.run([sys.executable, "-c", _KILLED, str(used), *arguments], cwd=ROOT, timeout=120)
        assert done.returncode == -9
    from coach_core.settings import Settings

    coach = Coach.from_settings(Settings(home=used, embedder="./nowhere"))
    try:
        me = coach.owner()
        until(lambda: not coach.upload_counts(me).moving, 60)
        mine = next(c for c in coach.collections(me) if c.name == "Bulk")
        found = coach.documents(me, mine.id)
        assert sorted(d.name for d in found) == sorted(f"{n}.md" for n in range(60))
        assert coach.upload_counts(me).ready == 60 and coach.upload_counts(me).duplicates == 0
        assert left_behind(coach) == []
    finally:
        coach.close()


def test_of_two_processes_one_works_and_the_other_takes_over(make_coach: Callable[..., Coach]) -> None:
    first, second = make_coach(), make_coach()
    me = first.owner()
    mine = first.create_collection(me, "Bulk")
    first._uploads.start()
    second._uploads.start()
    hand_over(first, me, mine, 4, "first")
    hand_over(second, me, mine, 4, "second")
    until(lambda: first.upload_counts(me).ready == 8)
    assert second.upload_counts(me, mine.id).ready == 8 and second.uploads_worked_on(me)
    first._uploads.close()
    hand_over(second, me, mine, 2, "third")
    until(lambda: second.upload_counts(me).ready == 10)
    assert len(second.documents(me, mine.id)) == 10 and second.upload_counts(me).duplicates == 0
