"""One order out of two."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from coach_core.search.fuse import Found, coverage, fuse, lend, together

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


def test_words_that_say_little_of_the_question_count_little() -> None:
    likeness, bm25 = {1: 0.9, 2: 0.8, 3: 0.7}, {3: 10.0}
    assert fuse(likeness, bm25, 1.0)[0].number in {1, 3}
    assert [f.number for f in fuse(likeness, bm25, 0.1)] == [1, 2, 3]
    assert fuse({}, bm25, 0.1)[0].score == 1.0


def test_coverage_is_what_the_best_row_says_of_what_is_asked() -> None:
    holding = {"sleep": 10, "vilaflor": 0}
    once = np.log((100 - 10 + 0.5) / (10 + 0.5))
    assert round(coverage({1: once}, [{"sleep": 1}], holding, 100), 6) == 1.0
    assert coverage({1: once}, [{"sleep": 1, "vilaflor": 1}], holding, 100) < 0.35
    german = {"schlaf": 1}
    assert coverage({1: once}, [german, {"sleep": 1}], holding, 100) == coverage(
        {1: once}, [{"sleep": 1}], holding, 100
    )
    assert coverage({}, [{"sleep": 1}], holding, 100) == 0.0


def test_models_count_alike_whatever_their_units() -> None:
    narrow, wide = {1: 0.81, 2: 0.80, 3: 0.79}, {1: -1.0, 2: 0.0, 3: 1.0, 4: 5.0}
    both = together([narrow, wide])
    assert both.keys() == {1, 2, 3, 4}
    assert abs(together([narrow, {1: 10.0, 2: 20.0, 3: 30.0}])[1]) < 1e-9  # first by one, last by the other
    assert together([narrow]) == narrow and together([{}, narrow]) == narrow and together([]) == {}


def test_neighbours_lift_each_other_and_a_lone_row_sinks() -> None:
    """Row 1 is best but alone; rows 2 to 13 lie together and score nearly as well."""
    found = [Found(1, 1.0), *(Found(n, 0.95) for n in range(2, 14)), *(Found(n, 0.1) for n in range(14, 40))]
    vectors = np.zeros((39, 39), np.float32)
    vectors[np.arange(39), np.arange(39)] = 1
    vectors[1:13, 1:13] += 0.5
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lent = lend(found, [f.number for f in found], vectors)
    assert lent[0].number in range(2, 14)
    assert {f.number for f in lent} == {f.number for f in found}
    assert all(0 <= f.score <= 1 for f in lent)
    assert lend(found[:5], [1, 2, 3, 4, 5], vectors[:5]) == found[:5]  # too few to be told from chance


def test_a_row_without_a_vector_keeps_its_place_among_the_others() -> None:
    found = [Found(n, 1 - n / 100) for n in range(1, 41)]
    rows = np.random.default_rng(3).standard_normal((40, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lent = lend(found, list(range(2, 41)), rows[1:])
    assert {f.number for f in lent} == set(range(1, 41))
    assert [f.score for f in lent] == sorted((f.score for f in lent), reverse=True)


def test_a_row_that_no_model_knows_yet_is_found_by_its_words() -> None:
    """Row 9 says all that is asked; 1 is its better only in that it has been read for its meaning."""
    known = {1: 0.90, 2: 0.86, 3: 0.84, 4: 0.80}
    found = fuse(known, {9: 10.0, 1: 6.0, 2: 5.5, 3: 5.0}, 1.0)
    assert found[0].number == 9 and found[0].rank_meaning is None and found[0].score_meaning is None
    before = {f.number: f.score for f in fuse(known, {1: 6.0, 2: 5.5, 3: 5.0, 4: 10.0}, 1.0)}
    after = {f.number: f.score for f in found}
    assert all(after[n] == before[n] for n in (1, 2, 3))  # what is known scores as ever


def test_few_words_of_a_question_put_no_unread_row_first() -> None:
    known = {n: 0.9 - n / 100 for n in range(1, 11)}
    found = fuse(known, {9: 9.0, 10: 9.5, 20: 10.0}, 0.1)
    assert found[0].number == 1
    assert {f.number: f.score for f in found}[20] < 0.4  # as near as those are that say as much


def test_an_unread_row_that_says_all_stays_first_beside_its_neighbours() -> None:
    known = {n: 0.9 - n / 1000 for n in range(1, 41)}
    found = fuse(known, {99: 10.0, 1: 6.0, 2: 5.0}, 1.0)
    rows = np.random.default_rng(3).standard_normal((40, 8)).astype(np.float32)
    rows[:12] = rows[0]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert lend(found, list(range(1, 41)), rows)[0].number == 99


def test_models_count_by_their_weights() -> None:
    one, other = {1: 1.0, 2: 0.0}, {1: 0.0, 2: 1.0}
    alike, more = together([one, other]), together([one, other], [1.0, 3.0])
    assert alike[1] == alike[2] and more[2] > more[1]
    assert together([one, {}], [1.0, 3.0]) == one
