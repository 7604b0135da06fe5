"""A text that an API read out of its own copy is found again in ours."""

from __future__ import annotations

import time

import pytest

from coach_core.errors import DocumentNotFound
from coach_core.knowledge import Knowledge
from coach_core.knowledge.locate import locate, span
from coach_core.store import Database, documents
from coach_core.types import new_id

TEXT = (
    "# Sleep\n\nGo to bed at the same hour every night; your body keeps its own clock.\n\n"
    "## Light\n\nBright light in the morning sets that clock, and light from screens at night unsets it.\n\n"
    "## Coffee\n\nCoffee stays in the blood for six hours. Drink the last cup before two in the afternoon.\n"
)


def test_a_quote_is_found_whatever_stands_between_its_words() -> None:
    start, end = span(TEXT, "light in the morning SETS\n that clock - and light from screens") or (0, 0)
    assert TEXT[start:end] == "light in the morning sets that clock, and light from screens"


def test_of_a_quote_that_another_reader_broke_the_known_part_is_found() -> None:
    quote = "Page 3 of 9 Bright light in the morning sets that clock, and light from scr eens at night unsets it."
    start, end = span(TEXT, quote) or (0, 0)
    assert "morning sets that clock" in TEXT[start:end] and "Coffee" not in TEXT[start:end]


@pytest.mark.parametrize("quote", ["", "clock", "the clock", "This stands nowhere in what we have here at all."])
def test_what_does_not_stand_there_has_no_place(quote: str) -> None:
    assert span(TEXT, quote) is None


def test_words_without_blanks_between_them_are_found() -> None:
    text = "睡眠はとても大切です。\n毎晩同じ時間に寝ましょう。朝の光を浴びる。"
    start, end = span(text, "毎晩同じ時間に 寝ましょう") or (0, 0)
    assert text[start:end] == "毎晩同じ時間に寝ましょう"


def test_of_two_places_the_one_with_most_of_the_quote_is_meant() -> None:
    head = "one two three four five six seven eight"
    tail = "nine ten eleven twelve thirteen fourteen fifteen sixteen"
    between = f"Then something else was said.\n{'filler words here. ' * 60}\n"
    text = f"{head}. {between} {tail} and {head} {tail}"
    start, end = span(text, f"{head} -- {tail} end") or (0, 0)
    assert text[start:end] == f"{head} {tail}"


def test_a_long_document_is_searched_in_no_time() -> None:
    text = " ".join(f"word{i % 977} and{i % 31}" for i in range(60_000))
    began = time.process_time()
    assert span(text, "none of this " * 300) is None
    assert time.process_time() - began < 2.0


def test_the_passage_that_holds_it_is_told_with_our_own_text(db: Database, knowledge: Knowledge) -> None:
    group = knowledge.create_collection("Sleep").id
    document = knowledge.add(group, "sleep.md", TEXT.encode())
    quote = "Coffee stays in the blood for   six hours."
    found = locate(db, document.id, quote)
    assert found is not None
    text, _ = knowledge.text_of(document.id)
    assert found.text == text[found.start : found.end] == "Coffee stays in the blood for six hours"
    assert (found.document_id, found.document_hash, found.title) == (document.id, document.sha256, document.title)
    chunk = knowledge.passage(found.chunk_id)
    assert chunk is not None and found.text in chunk.text and found.section == chunk.section
    assert locate(db, document.id, "Nothing of the kind is said in here.") is None
    knowledge.delete(document.id)
    with pytest.raises(DocumentNotFound):
        locate(db, document.id, quote)
    with pytest.raises(DocumentNotFound):
        locate(db, new_id(), quote)


def test_what_collections_hold_is_told_with_their_generations_at_that_moment(
    db: Database, knowledge: Knowledge
) -> None:
    groups = [knowledge.create_collection(name).id for name in ("One", "Two", "Three")]
    first = knowledge.add(groups[0], "a.md", TEXT.encode())
    second = knowledge.add(groups[1], "b.md", b"Something else, and short.")
    knowledge.add(groups[2], "c.md", b"Of a collection that nobody asks about.")
    before, held = documents.holdings(db, groups[:2])
    assert before.keys() == set(groups[:2]) and {h.id for h in held} == {first.id, second.id}
    (found,) = [h for h in held if h.id == first.id]
    assert (found.sha256, found.name, found.size) == (first.sha256, "a.md", len(TEXT.encode()))
    assert found.file_id == first.file_id and found.media_type == "text/markdown"
    knowledge.delete(second.id)
    after, held = documents.holdings(db, groups[:2])
    assert [h.id for h in held] == [first.id]
    assert after[groups[0]] == before[groups[0]] and after[groups[1]] > before[groups[1]]
    knowledge.delete_collection(groups[1])
    assert documents.holdings(db, groups[1:2]) == ({}, []) and documents.holdings(db, []) == ({}, [])
