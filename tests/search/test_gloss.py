"""Questions glossed into the language of the documents, and passages scored by their glosses."""

from coach_core.search import gloss
from coach_core.search.gloss import Gloss
from coach_core.search.lexicon import Term

BANK = Gloss((Term("banco", ("bank", "bench")), Term("de", ("of",)), Term("xyzzy"), Term("crédito", ("credit",))))


def test_none_where_it_is_not_needed():
    assert gloss.of("How do I save money every month?", ["en", "es"]) is None
    assert gloss.of("¿Cómo puedo ahorrar dinero cada mes?", ["es"]) is None
    assert gloss.of("¿Cómo puedo ahorrar dinero cada mes?", []) is None
    assert gloss.of("", ["en"]) is None


def test_a_question_abroad_is_said_in_english():
    said = gloss.of("¿Cómo puedo ahorrar dinero cada mes?", ["en"])
    assert said is not None and said.known == 1.0
    assert "save" in said.wordings[0] and "money" in said.wordings[0] and "save" in said.tokens


def test_wordings_and_tokens():
    assert BANK.wordings[0] == "bank of xyzzy credit" and BANK.wordings[1] == "bank bench of xyzzy credit"
    assert set(BANK.tokens) == {"bank", "bench", "xyzzi", "credit"}
    assert BANK.known == 2 / 3


def test_translations_of_a_word_count_as_one():
    held = {"bank": 10, "bench": 10, "credit": 10}
    rows = {1: "bank bench", 2: "bank credit", 3: "bank other", 4: "none other"}
    scores, share = BANK.scores(rows, held, 1000)
    assert scores[2] > 1.5 * scores[1] and abs(scores[1] - scores[3]) < 1e-9 and 4 not in scores
    assert 0.9 < share <= 1.0
    assert BANK.scores({}, held, 1000) == ({}, 0.0) and BANK.scores(rows, {}, 0)[1] == 0.0


def test_the_better_of_both_wordings():
    assert gloss.better({1: 2.0, 2: 1.0}, {2: 3.0, 3: 1.0}) == {1: 2.0, 2: 3.0, 3: 1.0}
