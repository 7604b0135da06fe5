"""Searches that are kept to documents, languages and dates, and what goes with a question."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from coach_core import tokens
from coach_core.knowledge import Knowledge
from coach_core.knowledge.portion import portion
from coach_core.search import highlight
from coach_core.store import Database, chunks, documents, matching
from coach_core.types import Filter, Passage, clean_text, new_id, now

ENGLISH = b"# Sleep\n\nA coach who sleeps for eight hours plans the week better than one who does not."
SPANISH = b"# Dormir\n\nUn coach que duerme ocho horas planea la semana mejor que el que no lo hace."
BOOK = "\n\n".join(
    f"# Part {n}\n\nThe week of part {n} is planned on day {n} by the coach." for n in range(60)
).encode()
Embed = Callable[[Knowledge], None]


@pytest.fixture
def shelf(knowledge: Knowledge, embed: Embed) -> UUID:
    home = knowledge.create_collection("Health").id
    for name, data in (("book.md", BOOK), ("sleep.md", ENGLISH), ("dormir.md", SPANISH)):
        knowledge.add(home, name, data)
    embed(knowledge)
    return home


def test_a_filter_keeps_to_languages_and_documents_and_never_makes_fewer(knowledge: Knowledge, shelf: UUID) -> None:
    there = {d.name: d for d in knowledge.documents(shelf)}
    spanish = knowledge.find("coach week", [shelf], fits=Filter(languages=("es",)))
    assert {p.title for p in spanish} == {"Dormir"} and spanish[0].rank_meaning == 1
    one = Filter(documents=(there["sleep.md"].id,))
    assert [p.title for p in knowledge.find("part planned on day", [shelf], fits=one)] == [
        "Sleep"
    ]  # not among the best
    assert knowledge.fitting([shelf], Filter(languages=("en",))) == 2
    assert knowledge.find("coach", [shelf], fits=Filter(languages=("sw",))) == []
    assert knowledge.find("coach", [shelf], fits=Filter(collections=(new_id(),))) == []


def test_a_document_is_as_old_as_it_says_or_came_in(knowledge: Knowledge, db: Database, shelf: UUID) -> None:
    old = next(d for d in knowledge.documents(shelf) if d.name == "sleep.md")
    dated = sa.update(documents.DOCUMENTS).where(documents.DOCUMENTS.c.id == old.id)
    db.write(lambda c: c.execute(dated.values(dated_at=now() - timedelta(days=1000)))).result()
    day = (now() - timedelta(days=1000)).date()
    titles = {p.title for p in knowledge.find("coach week", [shelf], k=50, fits=Filter(until=day))}
    assert titles == {"Sleep"}
    titles = {p.title for p in knowledge.find("coach week", [shelf], k=90, fits=Filter(since=day + timedelta(days=1)))}
    assert "Sleep" not in titles and "Dormir" in titles
    assert knowledge.fitting([shelf], Filter(since=date(1990, 1, 1), until=date(1990, 1, 2))) == 0


def test_frequent_words_count_as_they_did(
    knowledge: Knowledge, db: Database, shelf: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question whose common words are only added to the score of what its rarer ones find, where FTS5 ranks."""
    asked = {"coach": 1, "ocho": 2, "week": 1}
    with db.read() as connection:
        before = matching.by_words(connection, asked, [shelf], 5)
        monkeypatch.setattr(matching, "_MANY", 0)
        monkeypatch.setattr(matching, "_ENOUGH", 0.2)
        monkeypatch.setattr(matching, "_EVERYWHERE", 2.0)
        after = matching.by_words(connection, asked, [shelf], 5)
    assert len(after) == (1 if db.sqlite else len(before))
    assert after.items() <= {n: pytest.approx(s) for n, s in before.items()}.items()


def test_neighbours_go_together_and_the_budget_is_kept(knowledge: Knowledge, shelf: UUID) -> None:
    book = next(d for d in knowledge.documents(shelf) if d.name == "book.md")
    text, _ = knowledge.text_of(book.id)
    given = knowledge.portion("which part is planned on day 7", [shelf], k=8, budget=3000)
    assert given
    for passage in given:
        if passage.document_id == book.id:
            assert passage.text == text[passage.start : passage.end]
    found = knowledge.find("which part is planned on day 7", [shelf], k=16)
    longest = max(p.end - p.start for p in found if p.document_id == book.id)
    assert max(p.end - p.start for p in given if p.document_id == book.id) > longest
    (few, *_) = knowledge.portion("which part is planned on day 7", [shelf], k=8, budget=100)
    assert tokens.count(few.text) <= 100 and few.text == text[few.start : few.end]


def _passage(text: str, start: int) -> Passage:
    return Passage(new_id(), _DOCUMENT, _DOCUMENT, "h", "T", text, start=start, end=start + len(text))


_DOCUMENT = new_id()


def test_two_that_stand_next_to_each_other_become_one() -> None:
    whole = "One is here.\n\nTwo is there.\n\nThree is far."
    one, two, three = _passage("One is here.", 0), _passage("Two is there.", 14), _passage("Three is far.", 29)

    def between(_: Passage, start: int, end: int) -> str:
        return whole[start:end]

    (joined,) = portion([two, one], 8, 3000, between)
    assert (joined.text, joined.start, joined.end, joined.chunk_id) == (whole[:27], 0, 27, two.chunk_id)
    assert [p.text for p in portion([one, three], 8, 3000, between)] == [one.text, three.text]
    assert [p.text for p in portion([two, one], 8, 3000, lambda *_: None)] == [two.text, one.text]  # replaced meanwhile


def test_what_is_too_long_is_cut_at_a_sentence() -> None:
    long = _passage("A sentence of some words. " * 50, 100)
    (cut,) = portion([long], 8, 100, lambda *_: None)
    assert cut.text.endswith("words.") and cut.end == cut.start + len(cut.text) and long.text.startswith(cut.text)


def test_the_same_in_another_document_is_named(knowledge: Knowledge, shelf: UUID) -> None:
    knowledge.add(shelf, "copy.txt", b"A coach who sleeps for eight hours plans the week better than one who does not!")
    found = knowledge.find("sleeps eight hours", [shelf])
    assert sum("eight hours" in p.text for p in found) == 1
    assert len(next(p for p in found if "eight hours" in p.text).also) == 1


@pytest.mark.parametrize(
    ("question", "text", "language", "lit"),
    [
        ("How many hours of sleep?", "Sleeping eight hours, sleepless.", "en", ["Sleeping", "hours"]),
        ("睡眠需要几个小时", "成年人每晚需要七个小时的睡眠。", "zh", ["需要", "个小时", "睡眠"]),
        ("كم ساعة من النوم", "يحتاج البالغون إلى النومِ كثيرا", "ar", ["النومِ"]),
        ("naranja", "Las NARANJAS son buenas.", "es", ["NARANJAS"]),
        ("Zürich", "In Zurich ist es schön.", "de", ["Zurich"]),
        ("x", "", "", []),
    ],
)
def test_words_of_the_question_are_marked(question: str, text: str, language: str, lit: list[str]) -> None:
    found = highlight.spans(text, highlight.asked(question, [language] if language else []), language)
    assert [text[a:b] for a, b in found] == lit


def test_searches_go_on_while_documents_are_replaced_and_deleted(knowledge: Knowledge, shelf: UUID) -> None:
    first = knowledge.add(shelf, "turn.md", b"# Turn\n\nThe zebra of turn 0 sleeps.")
    stop, faults = threading.Event(), list[object]()

    def search() -> None:
        while not stop.is_set():
            try:
                found = knowledge.portion("zebra of a turn", [shelf], k=4, budget=500)
            except Exception as fault:
                faults.append(fault)
                return
            if sum("zebra" in p.text for p in found) != 1 or any(clean_text(p.text) != p.text for p in found):
                faults.append([p.text for p in found])

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(1, 5):
        knowledge.replace(first.id, "turn.md", f"# Turn\n\nThe zebra of turn {turn} sleeps.".encode())
        extra = knowledge.add(shelf, f"extra{turn}.md", f"# Extra\n\nNothing of use in part {turn}.".encode())
        knowledge.embed_pending(threading.Event())
        knowledge.delete(extra.id)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults


def test_vectors_are_loaded_beforehand_part_by_part(
    knowledge: Knowledge, shelf: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "PART", 2)
    (side,) = knowledge.embedding.sides.values()
    before = [p.text for p in knowledge.find("coach week", [shelf])]
    side.index.forget()
    knowledge.load()
    assert len(side.index.search(side.embedder.query("coach"), [shelf], 500)) > 2
    assert [p.text for p in knowledge.find("coach week", [shelf])] == before
    side.index._warming = True  # while it goes on, words answer
    assert {p.rank_meaning for p in knowledge.find("coach week", [shelf])} == {None}
