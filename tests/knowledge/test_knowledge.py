"""Documents come in whole or not at all, are found at once, and go without a trace; in both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from coach_core.errors import (
    CollectionNotFound,
    DamagedFile,
    DocumentNotFound,
    InputError,
    MissingPart,
    NameTaken,
)
from coach_core.knowledge import Knowledge, embedding
from coach_core.store import Database, chunks, documents
from coach_core.types import IngestProgress, now

from .conftest import DATA, HashedWords

SLEEP = b"# Sleep\n\n## Hours\n\nMost adults need around eight hours of sleep.\n\n## Naps\n\nA nap at noon is short.\n"
MONEY = b"# Money\n\nA budget compares income and expenses. Save first, then spend.\n"
TABLES = ("chunks", "vectors", "document_versions", "documents")


def counts(db: Database) -> dict[str, int]:
    with db.read() as connection:
        return {t: connection.execute(sa.text(f"SELECT count(*) FROM {t}")).scalar_one() for t in TABLES}


def titles(knowledge: Knowledge, text: str, *collections: UUID) -> list[str]:
    return [p.title for p in knowledge.find(text, collections)]


def test_words_find_a_document_at_once_and_meaning_follows(knowledge: Knowledge, embed: Callable[..., None]) -> None:
    home = knowledge.create_collection("Health")
    steps: list[IngestProgress] = []
    added = knowledge.add(home.id, "sleep.md", SLEEP, by="Ada", progress=steps.append)
    assert [s.stage for s in steps] == ["reading", "chunking", "chunking", "ready"]
    assert (added.title, added.language, added.added_by, added.size) == ("Sleep", "en", "Ada", len(SLEEP))
    assert added.status == "embedding"
    (found,) = knowledge.find("how many hours", [home.id])
    assert (found.rank_words, found.rank_meaning) == (1, None)
    assert knowledge.pending() == (0, 1)
    embed(knowledge)
    assert knowledge.pending() == (1, 1)
    (found,) = knowledge.find("how many hours", [home.id])
    assert (found.rank_words, found.rank_meaning) == (1, 1)
    assert found.score_meaning is not None and found.score_words is not None
    assert knowledge.document(added.id).status == "ready"
    assert knowledge.passage(found.chunk_id) is not None


def test_places_are_those_of_the_text(knowledge: Knowledge) -> None:
    home = knowledge.create_collection("All")
    for name in ("sleep.cnxml", "counsel.csv", "equity.md", "meditations-2.xhtml", "headers.docx"):
        document = knowledge.add(home.id, name, DATA / name)
        text, marks = knowledge.text_of(document.id)
        assert marks[0][1] == 0 and marks[-1][2] == len(text)
        for passage in knowledge.find("sleep equity death section", [home.id], document_id=document.id, k=50):
            assert passage.document_id == document.id
            assert text[passage.start : passage.end] == passage.text


def test_a_search_sees_its_collections_and_no_other(knowledge: Knowledge, embed: Callable[..., None]) -> None:
    health, money = knowledge.create_collection("Health"), knowledge.create_collection("Money")
    knowledge.add(health.id, "sleep.md", SLEEP)
    knowledge.add(money.id, "money.md", MONEY)
    embed(knowledge)
    assert titles(knowledge, "budget for sleep", health.id) == ["Sleep"]
    assert titles(knowledge, "budget for sleep", money.id) == ["Money"]
    assert sorted(titles(knowledge, "budget for sleep", money.id, health.id)) == ["Money", "Sleep"]
    assert titles(knowledge, "budget for sleep") == []


def test_the_same_bytes_are_known(knowledge: Knowledge, db: Database) -> None:
    home, other = knowledge.create_collection("One"), knowledge.create_collection("Two")
    first = knowledge.add(home.id, "sleep.md", SLEEP)
    before = counts(db)
    steps: list[IngestProgress] = []
    again = knowledge.add(home.id, "copy of sleep.md", SLEEP, progress=steps.append)
    assert (again.id, again.name, steps[-1].duplicate) == (first.id, "sleep.md", True)
    assert counts(db) == before
    assert knowledge.add(other.id, "sleep.md", SLEEP).id != first.id
    with pytest.raises(InputError, match=r"holds this file already, as sleep\.md"):
        knowledge.replace(knowledge.add(home.id, "money.md", MONEY).id, "sleep.md", SLEEP)


def test_replacing_is_one_moment(knowledge: Knowledge, db: Database, embed: Callable[..., None]) -> None:
    home = knowledge.create_collection("Health")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    embed(knowledge)
    stop, seen, faults = threading.Event(), set(), []

    def search() -> None:
        while not stop.is_set():
            found = [p.text for p in knowledge.find("hours of sleep", [home.id])]
            versions = {text.split("hours")[0].strip().rsplit(" ", 1)[-1] for text in found if "adults" in text}
            if len(versions) != 1:
                faults.append(found)
            seen.update(versions)

    thread = threading.Thread(target=search)
    thread.start()
    words = ["eight", "nine", "ten", "eleven", "twelve"]
    for word in words[1:]:
        replaced = knowledge.replace(document.id, "sleep.md", SLEEP.replace(b"eight", word.encode()))
        assert replaced.id == document.id
        embed(knowledge)
    stop.set()
    thread.join()
    assert not faults
    assert "twelve" in titles_text(knowledge, home.id) and "eight" not in titles_text(knowledge, home.id)
    assert counts(db) == {"chunks": 1, "vectors": 1, "document_versions": 1, "documents": 1}


def titles_text(knowledge: Knowledge, collection: UUID) -> str:
    return " ".join(p.text for p in knowledge.find("hours of sleep", [collection]))


@pytest.mark.parametrize("step", ["hide", "add", "show", "put"])
def test_what_fails_leaves_nothing_behind(
    knowledge: Knowledge, db: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from coach_core.store import files

    home = knowledge.create_collection("Health")
    kept = knowledge.add(home.id, "money.md", MONEY)
    before = counts(db)
    module = {"hide": documents, "add": chunks, "show": documents, "put": files}[step]
    real = getattr(module, step)

    def fail(*given: Any, **named: Any) -> Any:
        if step == "add":
            real(*given, **named)
        raise OSError("the disk is full")

    monkeypatch.setattr(module, step, fail)
    with pytest.raises(Exception, match=r"disk|database|again"):
        knowledge.add(home.id, "sleep.md", SLEEP)
    with pytest.raises(Exception, match=r"disk|database|again"):
        knowledge.replace(kept.id, "sleep.md", SLEEP)
    monkeypatch.undo()
    assert counts(db) == before
    assert titles(knowledge, "sleep budget", home.id) == ["Money"]
    assert knowledge.add(home.id, "sleep.md", SLEEP).title == "Sleep"


def test_a_file_that_cannot_be_read_leaves_nothing_behind(knowledge: Knowledge, db: Database) -> None:
    home = knowledge.create_collection("Health")
    before = counts(db)
    with pytest.raises(DamagedFile):
        knowledge.add(home.id, "x.pdf", b"%PDF-1.7 and no more")
    assert counts(db) == before


def test_what_a_killed_process_left_is_swept(knowledge: Knowledge, db: Database) -> None:
    home = knowledge.create_collection("Health")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    with db.read() as connection:
        row = dict(connection.execute(sa.select(chunks.CHUNKS)).mappings().one())
    hidden = UUID(int=7)
    documents.hide(db, hidden, document.id, home.id, "text", [])
    row |= {"id": UUID(int=8), "version_id": hidden, "number": None}
    del row["number"]
    db.write(lambda c: chunks.add(c, hidden, [row])).result()
    assert len(knowledge.find("sleep", [home.id])) == 1
    assert documents.sweep(db, now() - timedelta(hours=1)) == 0
    assert documents.sweep(db, now()) == 1
    assert counts(db)["chunks"] == 1
    assert len(knowledge.find("sleep", [home.id])) == 1


def test_deleting_leaves_no_trace(knowledge: Knowledge, db: Database, embed: Callable[..., None]) -> None:
    home = knowledge.create_collection("Health")
    document = knowledge.add(home.id, "sleep.md", SLEEP)
    knowledge.add(home.id, "money.md", MONEY)
    embed(knowledge)
    (found, *_) = knowledge.find("nap", [home.id])
    knowledge.delete(document.id)
    assert titles(knowledge, "sleep naps hours", home.id) == ["Money"]  # by meaning alone
    assert knowledge.passage(found.chunk_id) is None
    for call in (knowledge.document, knowledge.delete, knowledge.text_of):
        with pytest.raises(DocumentNotFound):
            call(document.id)
    knowledge.delete_collection(home.id)
    assert knowledge.purge() == 3
    assert counts(db) == dict.fromkeys(TABLES, 0)
    assert knowledge.find("budget", [home.id]) == []
    with pytest.raises(CollectionNotFound):
        knowledge.add(home.id, "sleep.md", SLEEP)


def test_another_process_sees_what_is_new_and_what_went(
    knowledge: Knowledge, url: str, tmp_path: Path, embed: Callable[..., None]
) -> None:
    home = knowledge.create_collection("Health")
    sleep = knowledge.add(home.id, "sleep.md", SLEEP)
    embed(knowledge)
    other_db = Database.open(url, tmp_path / "home", upgrade=False)
    other = Knowledge(other_db, embedder_factory=HashedWords)
    other.warm(10)
    assert [p.rank_meaning for p in other.find("sleep", [home.id])] == [1]
    knowledge.add(home.id, "money.md", MONEY)
    embed(knowledge)
    assert sorted(p.rank_meaning or 0 for p in other.find("sleep", [home.id])) == [1, 2]
    knowledge.delete(sleep.id)
    assert titles(other, "sleep", home.id) == ["Money"]
    assert len(other.embedding.sides["hashed-words"].index._held[home.id].matrix) == 1
    other_db.close()


def test_search_goes_on_without_an_embedder(db: Database) -> None:
    def broken() -> Any:
        raise MissingPart("No model here.")

    knowledge = Knowledge(db, embedder_factory=broken)
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "sleep.md", SLEEP)
    assert [p.rank_words for p in knowledge.find("hours", [home.id], wait=5)] == [1]
    assert knowledge.score("hours", ["text"]) == []
    with pytest.raises(MissingPart):
        knowledge.embed_pending(threading.Event())
    check = knowledge.check()
    assert (check.state, check.detail) == ("warn", "No model here.")


def test_find_does_not_wait_for_an_embedder_that_is_being_made(db: Database) -> None:
    go = threading.Event()

    def slow() -> HashedWords:
        go.wait(10)
        return HashedWords()

    knowledge = Knowledge(db, embedder_factory=slow)
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "sleep.md", SLEEP)
    assert [p.rank_meaning for p in knowledge.find("hours", [home.id])] == [None]
    go.set()
    assert knowledge.warm(10)


def test_another_model_embeds_again(knowledge: Knowledge, db: Database, embed: Callable[..., None]) -> None:
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "sleep.md", SLEEP)
    embed(knowledge)

    class Other(HashedWords):
        name = "other"

    changed = Knowledge(db, embedder_factory=Other)
    assert changed.warm(10)
    assert changed.pending() == (0, 1)
    embed(changed)
    assert changed.pending() == knowledge.pending() == (1, 1)


def test_passages_that_say_the_same_are_given_once(knowledge: Knowledge) -> None:
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "one.md", SLEEP)
    knowledge.add(home.id, "two.md", SLEEP + b"\n")
    assert len(knowledge.find("hours of sleep", [home.id])) == 1


def test_a_large_document_comes_in_parts(knowledge: Knowledge) -> None:
    rows = "\n".join(f"Person {n},Sleeps {n % 12} hours and walks {n} steps a day" for n in range(1001))
    home = knowledge.create_collection("Diary")
    steps: list[IngestProgress] = []
    document = knowledge.add(home.id, "diary.csv", f"Name,Note\n{rows}\n".encode(), progress=steps.append)
    assert document.chunks == 1001
    assert [s.done for s in steps if s.total] == [200, 400, 600, 800, 1000, 1001, 1001]
    assert knowledge.find("person 777 steps", [home.id])[0].row == 779


@pytest.mark.parametrize("name", ["", "   "])
def test_a_collection_needs_a_name_of_its_own(knowledge: Knowledge, name: str) -> None:
    knowledge.create_collection("Health")
    with pytest.raises(InputError):
        knowledge.create_collection(name)
    with pytest.raises(NameTaken):
        knowledge.create_collection(" Health ")


@pytest.mark.parametrize(
    "text", ["", "  ", '"', "AND OR NOT", "'; DROP TABLE chunks; --", "a" * 100_000, "\x00\ud800", "🙂"]
)
def test_any_question_is_harmless(knowledge: Knowledge, text: str) -> None:
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "sleep.md", SLEEP)
    assert len(knowledge.find(text, [home.id])) <= 1
    assert knowledge.find(text, [home.id], k=0) == []


def test_scores_of_sentences(knowledge: Knowledge) -> None:
    texts: Sequence[str] = ["A budget compares income.", "Sleep eight hours."] * 2
    scores = knowledge.score("hours of sleep", texts)
    assert scores[1] > scores[0] and scores == knowledge.score("hours of sleep", texts)


class English(HashedWords):
    """A second model, for English alone."""

    name = "english-words"


def test_a_large_document_holds_up_no_small_one(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    class Noted(HashedWords):
        def passages(self, texts: Sequence[str]) -> Any:
            read.extend(texts)
            return super().passages(texts)

    monkeypatch.setattr(embedding, "_SIZES", ((0, 3), (3, 10**6)))
    knowledge = Knowledge(db, embedder_factory=Noted)
    try:
        home = knowledge.create_collection("Tables")
        rows = "\n".join(f"{n},The {n}th row of a long table" for n in range(1, 200))
        large = knowledge.add(home.id, "long.csv", f"number,said\n{rows}".encode())
        small = knowledge.add(home.id, "sleep.md", SLEEP)
        knowledge.embed_pending(threading.Event())
        assert large.chunks > 3 >= small.chunks and knowledge.pending() == (large.chunks + small.chunks,) * 2
        assert "The 1th row" not in " ".join(read[: small.chunks]) and "The 1th row" in " ".join(read[small.chunks :])
    finally:
        knowledge.close()


def test_a_second_model_sees_english_documents_and_questions(db: Database, embed: Callable[..., None]) -> None:
    knowledge = Knowledge(db, embedder_factory=HashedWords, english_factory=English)
    assert knowledge.warm(10)
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "sleep.md", SLEEP)
    knowledge.add(home.id, "schlaf.txt", b"Die meisten Menschen brauchen etwa acht Stunden Schlaf in der Nacht.")
    embed(knowledge)
    assert knowledge.pending() == (2, 2)
    with db.read() as connection:
        query = sa.text("SELECT model, count(*) FROM vectors GROUP BY model")
        assert dict(connection.execute(query).tuples().all()) == {"hashed-words": 2, "english-words": 1}
    assert titles(knowledge, "How many hours of sleep do adults need?", home.id)[0] == "Sleep"
    assert len(knowledge.ranked("How many hours of sleep?", [home.id])) == 2
    assert [p.rank_meaning for p in knowledge.ranked("hours of sleep", [home.id], "words")] == [None]
    assert all(p.rank_words is None for p in knowledge.ranked("hours of sleep", [home.id], "meaning"))


def test_what_is_asked_twice_counts_twice(knowledge: Knowledge) -> None:
    home = knowledge.create_collection("Two")
    knowledge.add(home.id, "a.txt", b"Budget one two three four five.")
    knowledge.add(home.id, "b.txt", b"Sleep one two three four five.")
    assert (
        titles(knowledge, "sleep budget", home.id) != [] and titles(knowledge, "budget sleep sleep", home.id)[0] == "b"
    )
    assert titles(knowledge, "sleep budget budget", home.id)[0] == "a"


def test_a_document_is_found_by_its_words_before_it_was_read_for_its_meaning(
    knowledge: Knowledge, embed: Callable[[Knowledge], None]
) -> None:
    home = knowledge.create_collection("Birds")
    knowledge.add(home.id, "penguin.md", b"# Penguin handbook\n\nThe penguin handbook says penguins walk.\n")
    for n in range(12):
        knowledge.add(home.id, f"{n}.md", f"# Walks\n\nThe walk number {n} goes past the {n}. bridge.\n".encode())
    embed(knowledge)
    knowledge.add(home.id, "heron.md", b"# Heron handbook\n\nThe heron handbook says herons stand still.\n")
    first = knowledge.find("heron handbook", [home.id], k=1, wait=5)[0]
    assert (first.title, first.rank_words, first.rank_meaning) == ("Heron handbook", 1, None)
    embed(knowledge)
    assert knowledge.find("heron handbook", [home.id], k=1, wait=5)[0].title == "Heron handbook"


def test_the_english_words_of_a_question_are_told_and_marked(knowledge: Knowledge) -> None:
    collection = knowledge.create_collection("Animals").id
    knowledge.add(collection, "badger.md", b"# Badgers\n\nThe badger likes to sleep for a long time under the old oak.")
    knowledge.add(
        collection,
        "panda.md",
        "# 大熊猫\n\n大熊猫每天都要睡眠很久，它喜欢在树上休息。".encode(),
    )
    question = "睡多久"
    found = knowledge.find(question, [collection])
    badger = next(p for p in found if p.language == "en")
    assert knowledge.glossed(question, found) == ["sleep", "how long"]
    (spans,) = knowledge.why(question, [badger])
    assert [badger.text[a:b] for a, b in spans] == ["sleep", "long"]
    assert knowledge.glossed("Where does the badger sleep?", found) == []
    assert knowledge.glossed(question, [p for p in found if p.language == "zh"]) == []
