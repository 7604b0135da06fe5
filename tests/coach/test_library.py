"""Collections and documents through the facade, and what a persona may see of them."""

import io
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coach_core.coach import Coach
from coach_core.errors import (
    DocumentNotFound,
    EmptyFile,
    EmptyMessage,
    FileError,
    FileTooLarge,
    InputError,
    NameTaken,
    NotAllowed,
)
from coach_core.types import Actor, IngestProgress, Persona, PersonaDraft

SECRET = "The lighthouse at Varnhem opens at seven on Tuesdays and closes at noon."


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not come"
        threading.Event().wait(0.02)


def test_an_upload_is_found_at_once_and_only_by_those_who_may(coach: Coach, me: Actor, persona: Persona) -> None:
    mine = coach.create_collection(me, "Lighthouses", "Opening times", "CC0")
    job = coach.upload(me, mine.id, "varnhem.md", f"# Varnhem\n\n{SECRET}\n".encode())
    until(lambda: dict(coach.uploads(me))[job].stage == "ready")
    keeper = coach.save_persona(me, PersonaDraft("Keeper", collections=(mine.id,)))
    for chosen, expected in ((keeper, True), (persona, False)):
        thread = coach.new_thread(me, chosen.id, backend="extractive")
        turn = coach.start(me, thread.id, "When does the lighthouse at Varnhem open?")
        events = [e for e in coach.tail(me, turn.id) if e]
        cited = [e.citation for e in events if e.citation]
        assert any(SECRET in c.text for c in cited) is expected
    coach.dismiss_upload(me, job)
    assert coach.uploads(me) == []


def test_a_failed_upload_says_why_leaves_nothing_and_can_be_tried_again(coach: Coach, me: Actor) -> None:
    mine = coach.create_collection(me, "Failing")
    job = coach.upload(me, mine.id, "broken.pdf", b"%PDF-1.7 and nothing more")
    until(lambda: dict(coach.uploads(me))[job].stage == "failed")
    progress = dict(coach.uploads(me))[job]
    assert progress.error.endswith(".") and "Traceback" not in progress.error
    assert coach.documents(me, mine.id) == []
    coach.retry_upload(me, job)
    until(lambda: dict(coach.uploads(me))[job].stage == "failed")
    coach.dismiss_upload(me, job)


def test_deleting_a_document_keeps_what_answers_cite(coach: Coach, me: Actor, tmp_path: Path) -> None:
    mine = coach.create_collection(me, "Short-lived")
    path = tmp_path / "varnhem.txt"
    path.write_text(SECRET)
    steps: list[IngestProgress] = []
    document = coach.ingest(me, mine.id, path.name, path, steps.append)
    assert {s.stage for s in steps} >= {"reading", "ready"} and document.chunks == 1
    keeper = coach.save_persona(me, PersonaDraft("Keeper", collections=(mine.id,)))
    thread = coach.new_thread(me, keeper.id, backend="extractive")
    turn = coach.start(me, thread.id, "When does the lighthouse at Varnhem open?")
    assert [e for e in coach.tail(me, turn.id) if e][-1].status == "completed"
    coach.delete_document(me, document.id)
    with pytest.raises(DocumentNotFound):
        coach.document(me, document.id)
    answer = coach.messages(me, thread.id)[-1]
    assert coach.citations(me, [answer.id])[answer.id][0].text == SECRET
    assert coach.search(me, "lighthouse Varnhem", collections=[mine.id]) == []


def test_the_same_file_twice_adds_nothing(coach: Coach, me: Actor, tmp_path: Path) -> None:
    mine = coach.create_collection(me, "Twice")
    path = tmp_path / "a.txt"
    path.write_text(SECRET)
    first = coach.ingest(me, mine.id, "a.txt", path)
    steps: list[IngestProgress] = []
    again = coach.ingest(me, mine.id, "b.txt", path, steps.append)
    assert again.id == first.id and steps[-1].duplicate and len(coach.documents(me, mine.id)) == 1


def test_an_attached_file_is_answered_from_and_stays_in_its_thread(coach: Coach, me: Actor, persona: Persona) -> None:
    stored = coach.attach(me, "varnhem.txt", SECRET.encode())
    thread = coach.new_thread(me, persona.id, backend="extractive")
    turn = coach.start(me, thread.id, "When does the lighthouse at Varnhem open?", files=[stored])
    cited = [e.citation for e in coach.tail(me, turn.id) if e and e.citation]
    assert cited[0].text == SECRET and cited[0].title == "varnhem.txt"
    question = coach.messages(me, thread.id)[0]
    assert [p.name for p in question.parts if p.kind == "file"] == ["varnhem.txt"]
    assert coach.file(me, stored.id)[1] == SECRET.encode()
    other = coach.new_thread(me, persona.id, backend="extractive")
    turn = coach.start(me, other.id, "When does the lighthouse at Varnhem open?")
    assert all(SECRET not in e.citation.text for e in coach.tail(me, turn.id) if e and e.citation)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [("a.txt", b"", EmptyFile), ("a.exe", b"MZ\x90\x00" * 9, FileError), ("a.pdf", b"<html><p>x", FileError)],
)
def test_a_file_that_cannot_be_read_is_not_attached(
    coach: Coach, me: Actor, name: str, data: bytes, error: type[FileError]
) -> None:
    with pytest.raises(error):
        coach.attach(me, name, data)


def test_a_file_that_is_too_large_is_told_its_size(make_coach: Callable[..., Coach], tmp_path: Path) -> None:
    coach = make_coach(upload_mb=1)
    path = tmp_path / "big.txt"
    path.write_text("word " * 300_000)
    with pytest.raises(FileTooLarge, match=r"1\.5 MB; 1 MB"):
        coach.ingest(coach.owner(), coach.collections(coach.owner())[0].id, path.name, path)
    with pytest.raises(FileTooLarge, match=r"1\.5 MB; 1 MB"):
        coach.attach(coach.owner(), "a.txt", b"x" * 1_500_000)


def test_an_upload_that_is_too_large_has_its_sentence_in_its_collection(make_coach: Callable[..., Coach]) -> None:
    coach = make_coach(upload_mb=1)
    me = coach.owner()
    mine, other = coach.create_collection(me, "Large"), coach.create_collection(me, "Other")
    job = coach.upload(me, mine.id, "a.txt", b"x" * 1_500_000)
    until(lambda: dict(coach.uploads(me, mine.id))[job].stage == "failed")
    assert "1.5 MB; 1 MB is the most" in dict(coach.uploads(me))[job].error
    assert coach.uploads(me, other.id) == [] and coach.documents(me, mine.id) == []


def test_a_collections_name_is_its_own_and_not_too_long(coach: Coach, me: Actor) -> None:
    coach.create_collection(me, "Gardening")
    with pytest.raises(NameTaken, match="called gardening already"):
        coach.create_collection(me, "gardening ")
    with pytest.raises(InputError, match="81 characters; 80"):
        coach.create_collection(me, "x" * 81)
    with pytest.raises(InputError, match="no name"):
        coach.create_collection(me, "  ")


def test_coaches_read_and_admins_write(coach: Coach, me: Actor) -> None:
    reader = coach.actor_for(coach.add_profile(me, "Reader", "coach").id)
    collection = coach.collections(reader)[0]
    assert coach.search(reader, "goals")
    with pytest.raises(EmptyMessage):
        coach.search(reader, "  ")
    for write in (
        lambda: coach.create_collection(reader, "Mine"),
        lambda: coach.upload(reader, collection.id, "a.txt", b"x"),
        lambda: coach.delete_collection(reader, collection.id),
        lambda: coach.delete_document(reader, coach.documents(reader)[0].id),
    ):
        with pytest.raises(NotAllowed, match="admin"):
            write()


def test_a_persona_without_collections_still_answers(coach: Coach, me: Actor, persona: Persona) -> None:
    bare = coach.save_persona(me, replace(persona.draft, name="Bare", collections=()))
    thread = coach.new_thread(me, bare.id, backend="extractive")
    turn = coach.start(me, thread.id, "What makes a goal SMART?")
    events = [e for e in coach.tail(me, turn.id) if e]
    assert events[-1].status == "completed" and not any(e.citation for e in events)


def test_an_archive_gives_its_documents_and_tells_those_that_failed(coach: Coach, me: Actor, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("week 1/1.md", "Breathe in for four, hold for four.")
        archive.writestr("../2.md", "# Walks\n\nWalk before noon.")
        archive.writestr("broken.pdf", "%PDF-1.7 and nothing more")
        archive.writestr("inner.zip", b"PK\x05\x06" + bytes(18))
    mine = coach.create_collection(me, "Archive")
    job = coach.upload(me, mine.id, "course.zip", packed.getvalue())
    until(lambda: not coach.upload_counts(me, mine.id).moving)
    steps = {step.name: step for _, step in coach.uploads(me)}
    assert {n: s.stage for n, s in steps.items()} == {
        "course.zip/week 1/1.md": "ready",
        "course.zip/2.md": "ready",
        "course.zip/broken.pdf": "failed",
    }, "each document of an archive is an upload of its own"
    assert job not in dict(coach.uploads(me)) and "damaged" in steps["course.zip/broken.pdf"].error
    found = {d.name: d.title for d in coach.documents(me, mine.id)}
    assert found == {"course.zip/week 1/1.md": "1 (course)", "course.zip/2.md": "Walks (course)"}
    path = tmp_path / "x.zip"
    path.write_bytes(packed.getvalue())
    with pytest.raises(InputError, match="Unpack it"):
        coach.ingest(me, mine.id, path.name, path, replace=coach.documents(me, mine.id)[0].id)
    with pytest.raises(
        FileError, match=r"1 of 3 documents in the archive failed, the others are in\. broken\.pdf: The"
    ):
        coach.ingest(me, mine.id, path.name, path)
