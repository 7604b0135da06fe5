"""The rows of uploads, in SQLite and in PostgreSQL: handed out once, fenced, steered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from coach_core.errors import CollectionNotFound
from coach_core.store import Database, collections, trash, uploads
from coach_core.store.uploads import Upload
from coach_core.types import new_id

PLACE = "here"


def some(db: Database, group: UUID, count: int, place: str = PLACE) -> list[Upload]:
    made = [Upload(new_id(), group, new_id(), "Ada", f"{n}.txt", f"{place}/{n}", 10) for n in range(count)]
    uploads.add(db, made, {})
    return made


@pytest.fixture
def group(db: Database) -> UUID:
    return collections.create(db, "Bulk").id


def test_each_is_handed_out_once_to_its_own_place(db: Database, group: UUID) -> None:
    mine = some(db, group, 12)
    some(db, group, 3, "elsewhere")
    with ThreadPoolExecutor(4) as pool:
        claimed = [c for c in pool.map(lambda _: uploads.claim(db, PLACE), range(20)) if c]
    assert sorted(c.id for c in claimed) == [m.id for m in mine]
    assert uploads.waits(db, "elsewhere") and not uploads.waits(db, PLACE)


def test_what_ended_or_went_meanwhile_is_left_alone(db: Database, group: UUID) -> None:
    first, second = some(db, group, 2)
    for _ in range(2):
        assert uploads.claim(db, PLACE)
    assert uploads.tell(db, first.id, "chunking", 3, 9) and uploads.wanted(db, first.id)
    uploads.take_off(db, uploads.WORKING, upload_id=first.id)
    assert not uploads.tell(db, first.id, "chunking", 4, 9) and not uploads.wanted(db, first.id)
    uploads.put_back(db, PLACE)
    uploads.fail(db, second.id, "too late")
    ((_, step),) = uploads.listed(db, group)
    assert (step.stage, step.error) == ("queued", "")
    again = uploads.claim(db, PLACE)
    assert again is not None and again.attempts == 1 and again.begun_at is not None


def test_an_archive_gives_way_to_its_members_at_once_or_not_at_all(db: Database, group: UUID) -> None:
    (archive,) = some(db, group, 1)
    members = [Upload(new_id(), group, new_id(), "Ada", f"a.zip/{n}.md", f"{PLACE}/m{n}", 5) for n in range(3)]
    assert not uploads.add(db, members, {}, instead_of=archive.id), "it is not in work"
    uploads.claim(db, PLACE)
    assert uploads.add(db, members, {members[1].id: "broken"}, instead_of=archive.id)
    assert [s.stage for _, s in uploads.listed(db)] == ["queued", "failed", "queued"]
    assert len(uploads.listed(db, group, ("queued",), 1, 1)) == 1


def test_uploads_go_with_their_collection(db: Database, group: UUID) -> None:
    some(db, group, 3)
    trash.put_collection(db, group)
    assert uploads.listed(db) == []
    with pytest.raises(CollectionNotFound):
        some(db, group, 1)
