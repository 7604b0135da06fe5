"""What an admin does with documents that are there: delete, bring back, move, copy; and what they are used for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from coach_core.errors import CollectionNotFound, DocumentNotFound, FileNotFound, NameTaken, NotFound
from coach_core.knowledge import Knowledge
from coach_core.store import Database, chunks, documents, files, matching, trash, unanswered, uses
from coach_core.types import new_id, now
from tests.knowledge.conftest import HashedWords

SLEEP = b"# Sleep\n\nGo to bed at the same hour every night. A nap is short.\n"
MONEY = b"# Money\n\nA budget says where the money goes before it goes.\n"
Embed = Callable[..., None]


def titles(knowledge: Knowledge, text: str, *within: UUID) -> list[str]:
    return [p.title for p in knowledge.find(text, within)]


def test_what_was_deleted_is_found_by_nobody_at_once_and_comes_back(
    knowledge: Knowledge, db: Database, embed: Embed
) -> None:
    home = knowledge.create_collection("Health")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    embed(knowledge)
    other = Knowledge(db, embedder_factory=HashedWords)  # as another process has it
    try:
        assert other.warm(5.0) and titles(other, "nap", home.id) == ["Sleep"]
        knowledge.delete(document.id, "Ada")
        assert titles(other, "nap", home.id) == titles(knowledge, "nap", home.id) == []
        assert knowledge.documents(home.id) == [] and knowledge.collections()[0].documents == 0
        (gone,) = knowledge.deleted()
        assert (gone.kind, gone.name, gone.by, gone.chunks) == ("document", "Sleep", "Ada", 1)
        knowledge.bring_back(gone.id)
        for one in (other, knowledge):
            (found,) = one.find("nap", [home.id])
            assert found.rank_words and found.rank_meaning
        assert [d.id for d in knowledge.documents(home.id)] == [document.id] and knowledge.deleted() == []
    finally:
        other.close()


def test_a_collection_comes_back_with_what_was_in_it(knowledge: Knowledge, embed: Embed) -> None:
    home = knowledge.create_collection("Health", "How to rest", "CC0")
    early = knowledge.add(home.id, "money.md", MONEY)
    knowledge.add(home.id, "sleep.md", SLEEP)
    embed(knowledge)
    assert titles(knowledge, "nap", home.id)
    knowledge.delete(early.id)
    knowledge.delete_collection(home.id)
    assert knowledge.find("nap", [home.id]) == []
    collection, document = knowledge.deleted()
    assert (collection.kind, collection.documents, collection.chunks) == ("collection", 1, 1)
    with pytest.raises(CollectionNotFound, match="Bring that back first"):
        knowledge.bring_back(document.id)
    taken = knowledge.create_collection("Health")
    with pytest.raises(NameTaken, match="Rename that one first"):
        knowledge.bring_back(collection.id)
    knowledge.update_collection(taken.id, "Health, new", "", "")
    knowledge.bring_back(collection.id)
    back = next(c for c in knowledge.collections() if c.id == home.id)
    assert (back.name, back.description, back.licence, back.documents) == ("Health", "How to rest", "CC0", 1)
    assert knowledge.find("nap", [home.id])[0].rank_meaning
    knowledge.bring_back(document.id)
    assert {d.name for d in knowledge.documents(home.id)} == {"money.md", "sleep.md"}


def test_the_same_file_added_again_stands_in_the_way_of_the_old_one(knowledge: Knowledge) -> None:
    home = knowledge.create_collection("Health")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    knowledge.delete(document.id)
    assert knowledge.add(home.id, "sleep.md", SLEEP).id != document.id
    with pytest.raises(NameTaken, match="added again"):
        knowledge.bring_back(document.id)
    assert len(knowledge.find("nap", [home.id])) == 1


def test_after_a_while_it_goes_for_good_with_its_file(knowledge: Knowledge, db: Database) -> None:
    home, other = knowledge.create_collection("Health"), knowledge.create_collection("Copies")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    copy = knowledge.place(document.id, other.id, copy=True)
    assert document.file_id is not None
    knowledge.delete(document.id)
    assert documents.sweep(db, now() + timedelta(hours=2)) == 0  # garbage it is not yet
    assert knowledge.purge(now() - timedelta(days=1)) == 0
    assert knowledge.purge(now()) == 1 and knowledge.deleted() == []
    with pytest.raises(DocumentNotFound):
        knowledge.bring_back(document.id)
    assert files.read(db, document.file_id) == SLEEP  # the copy is the same file
    knowledge.delete(copy.id)
    assert knowledge.purge(only=copy.id) == 1
    with pytest.raises(FileNotFound):
        files.read(db, document.file_id)
    with db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(chunks.CHUNKS)).scalar() == 0
        assert connection.execute(sa.select(sa.func.count()).select_from(trash.TRASH)).scalar() == 0


def test_a_deleted_document_takes_no_place_among_the_found(knowledge: Knowledge, db: Database) -> None:
    home = knowledge.create_collection("Health")
    long = "\n\n".join(f"# Part {n}\n\nA nap, a nap and a nap again: number {n}." for n in range(60)).encode()
    for n in range(4):
        knowledge.delete(knowledge.add(home.id, f"naps{n}.md", long + b"\n\n" + bytes(str(n), "ascii")).id)
    knowledge.add(home.id, "sleep.md", SLEEP)
    with db.read() as connection:
        assert len(matching.by_words(connection, {"nap": 1}, [home.id], 10)) == 1


@pytest.mark.parametrize("copy", [False, True])
def test_a_document_moves_or_is_copied_with_its_meaning(knowledge: Knowledge, embed: Embed, copy: bool) -> None:
    home, there = knowledge.create_collection("Health"), knowledge.create_collection("Rest")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    embed(knowledge)
    assert titles(knowledge, "nap", home.id)
    placed = knowledge.place(document.id, there.id, copy=copy)
    assert (placed.id == document.id) is not copy
    assert placed.status == "ready" and placed.collection_id == there.id
    (found,) = knowledge.find("nap", [there.id])
    assert found.rank_words and found.rank_meaning and found.document_id == placed.id
    assert titles(knowledge, "nap", home.id) == (["Sleep"] if copy else [])
    with pytest.raises(NameTaken, match="in that collection already"):
        knowledge.place(knowledge.add(home.id, "sleep.md", SLEEP).id, there.id)


def test_uses_add_up_by_day_and_by_collection(knowledge: Knowledge, db: Database) -> None:
    home, other = knowledge.create_collection("Health"), knowledge.create_collection("Other")
    sleep, money = knowledge.add(home.id, "sleep.md", SLEEP), knowledge.add(other.id, "money.md", MONEY)
    old, today = now() - timedelta(days=40), now()
    for moment in (old, today, today):
        uses.record(db, moment, [sleep.id, money.id], [sleep.id]).result()
    uses.record(db, today, [], []).result()
    every = knowledge.uses()
    assert (every[sleep.id].found, every[sleep.id].cited, every[money.id].cited) == (3, 3, 0)
    assert every[sleep.id].last_at == today
    assert set(knowledge.uses(home.id)) == {sleep.id}
    assert knowledge.uses(since=now() - timedelta(days=30))[sleep.id].cited == 2


def test_the_same_question_is_one_row_and_open_again_when_asked_again(db: Database) -> None:
    persona, moment = new_id(), now()
    told = {"key": "k", "text": "How long is a nap?", "language": "en", "persona_id": persona, "collections": [persona]}

    def ask() -> None:
        unanswered.record(db, moment, verdict="nothing", **told)  # type: ignore[arg-type]

    ask()
    ask()
    (one,) = unanswered.list_questions(db)
    assert (one.times, one.status, one.collections, one.verdict) == (2, "open", (persona,), "nothing")
    unanswered.change(db, one.id, "answered", new_id())
    ask()
    assert unanswered.get(db, one.id).status == "open" and unanswered.get(db, one.id).document_id is None
    unanswered.change(db, one.id, "dismissed")
    ask()
    (one,) = unanswered.list_questions(db, ["dismissed"])
    assert one.times == 4 and unanswered.list_questions(db, ["open"]) == []
    assert unanswered.erase(db, before=moment) == 0 and unanswered.erase(db, one.id) == 1
    with pytest.raises(NotFound):
        unanswered.get(db, one.id)
