"""Chunks: exact places, whole words, sections kept apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core import tokens
from coach_core.knowledge import chunk
from coach_core.knowledge.loaders import Block, load

from .conftest import DATA

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=400).filter(
    lambda text: bool(text.strip())
)
WORDS = st.lists(
    st.sampled_from(["sleep", "plan.", "时间管理", "über", "النوم", "\n", "a" * 90, "🙂"]), min_size=1, max_size=500
)
BLOCKS = st.lists(
    st.builds(
        Block,
        st.one_of(TEXTS, WORDS.map(" ".join)).map(str.strip).filter(bool),
        st.sampled_from(["", "One", "One > Two", "Three"]),
        st.none() | st.integers(1, 9),
        st.none() | st.integers(1, 3),
    ),
    min_size=1,
    max_size=12,
)


@given(BLOCKS, st.sampled_from([20, 60, 220]))
def test_places_are_exact_and_nothing_is_lost(blocks: list[Block], most: int) -> None:
    text, starts = chunk.joined(blocks)
    pieces = chunk.chunks(blocks, text, starts, most)
    at = 0
    for piece in pieces:
        assert at <= piece.start < piece.end <= len(text)
        assert not text[at : piece.start].strip()
        said = text[piece.start : piece.end]
        assert said == said.strip()
        assert piece.tokens == tokens.count(said)
        at = piece.end
    assert not text[at:].strip()


@given(BLOCKS)
def test_no_chunk_crosses_a_row_or_a_page_or_a_section_that_is_not_tiny(blocks: list[Block]) -> None:
    text, starts = chunk.joined(blocks)
    for piece in chunk.chunks(blocks, text, starts):
        inside = [b for b, s in zip(blocks, starts, strict=True) if s < piece.end and s + len(b.text) > piece.start]
        assert len({b.row for b in inside}) == 1
        assert {b.page for b in inside} == {piece.page}
        if len({b.section for b in inside}) > 1:
            assert sum(tokens.count(b.text) for b in inside) <= chunk.MOST_TOKENS


def test_chunks_of_a_real_module() -> None:
    loaded = load((DATA / "sleep.cnxml").read_bytes(), "sleep.cnxml")
    text, starts = chunk.joined(loaded.blocks)
    pieces = chunk.chunks(loaded.blocks, text, starts)
    sizes = [piece.tokens for piece in pieces]
    assert max(sizes) <= chunk.MOST_TOKENS
    assert sum(size < 40 for size in sizes) <= 2
    assert sum(sizes) / len(sizes) > 110
    assert "Tips to Improve the Quality of Your Sleep" in {piece.section for piece in pieces}
    first = next(p for p in pieces if p.section == "What Happens When We Sleep?")
    assert text[first.start : first.end].startswith("What Happens When We Sleep?\n\nSleep is a time when")


@pytest.mark.parametrize("sections", [["", "", ""], ["One", "One", "Two"]])
def test_tiny_pages_are_passages_of_their_own(sections: list[str]) -> None:
    blocks = [Block(f"Fact {n} is told here.", s, n) for n, s in enumerate(sections, 1)]
    text, starts = chunk.joined(blocks)
    pieces = chunk.chunks(blocks, text, starts)
    assert [(text[p.start : p.end], p.page, p.section) for p in pieces] == [(b.text, b.page, b.section) for b in blocks]


def test_marks_cover_the_text_in_order() -> None:
    blocks = [Block("One.", page=1), Block("Two.", page=1), Block("Three.", "A", 2), Block("Four.", "B")]
    text, starts = chunk.joined(blocks)
    marks = chunk.marks(blocks, starts)
    assert [(label, text[a:b]) for label, a, b in marks] == [
        ("Page 1", "One.\n\nTwo."),
        ("Page 2", "Three."),
        ("B", "Four."),
    ]


@pytest.mark.parametrize("text", ["a" * 100_000, "字" * 50_000, "word " * 40_000, "\n" * 1000 + "x", "=" * 50_000])
def test_endless_runs_are_cut(text: str) -> None:
    blocks = [Block(text.strip())]
    joined, starts = chunk.joined(blocks)
    assert max(p.tokens for p in chunk.chunks(blocks, joined, starts)) <= chunk.MOST_TOKENS


def test_words_that_look_like_special_tokens_are_text() -> None:
    assert tokens.count("<|endoftext|>") > 1
