"""One order out of two."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coach_core.search.fuse import fuse

SCORES = st.dictionaries(st.integers(1, 30), st.floats(-1, 1), max_size=20)
BM25 = st.dictionaries(st.integers(1, 30), st.floats(0, 40), max_size=20)


def test_half_and_half() -> None:
    found = fuse({1: 0.9, 2: 0.8, 3: 0.7}, {2: 10.0, 3: 5.0})
    assert [(f.number, round(f.score, 3)) for f in found] == [(2, 0.75), (1, 0.5), (3, 0.25)]
    assert (found[0].rank_words, found[0].rank_meaning) == (1, 2)
    assert (found[1].rank_words, found[1].score_words) == (None, None)


def test_one_side_alone_decides() -> None:
    assert [f.number for f in fuse({}, {4: 1.0, 5: 3.0})] == [5, 4]
    assert [f.number for f in fuse({4: 0.8, 5: 0.9}, {})] == [5, 4]
    assert fuse({}, {5: 3.0})[0].score == 1.0
    assert fuse({}, {}) == []


@given(SCORES, BM25)
def test_scores_lie_between_0_and_1_and_all_are_there(cosines: dict[int, float], bm25: dict[int, float]) -> None:
    found = fuse(cosines, bm25)
    assert {f.number for f in found} == cosines.keys() | bm25.keys()
    assert all(0 <= f.score <= 1 + 1e-9 for f in found)
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)
