"""The tokens of words.py: what is found must be found from both sides."""

from __future__ import annotations

import re
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.search.stopwords import STOP_WORDS
from coach_core.search.words import _fold, language_of, query_words, tokenise


@pytest.mark.parametrize(
    ("document", "language", "question"),
    [
        ("Comí dos naranjas", "es", "naranja"),
        ("La canción más larga", "es", "CANCION"),
        ("Die Häuser der Straße", "de", "haus strasse"),
        ("She was running late", "en", "run"),
        ("The coach’s advice", "en", "coaches"),
        ("我们需要制定预算", "zh", "预算"),
        ("大切な目標を立てる", "ja", "目標"),
        ("تحديد الأهداف بوضوح", "ar", "اهداف"),
        ("Регулярный сон важен", "ru", "сна важно сон"),
        ("ｆｕｌｌ　ｗｉｄｔｈ ﬁnance", "en", "full finance"),
        ("عندي حساب على LinkedIn للعمل", "ar", "linkedin"),
    ],
)
def test_a_document_is_found_by_its_words(document: str, language: str, question: str) -> None:
    assert set(query_words(question, [language])) & set(tokenise(document, language).split())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I ask my manager for more money without sounding greedy?", "en"),
        ("¿Cómo pido un aumento de sueldo?", "es"),
        ("Wie spreche ich mit meinem Chef über Geld?", "de"),
        ("Comment est-ce que je peux mieux dormir ?", "fr"),
        ("我怎么样才能睡得更好", "zh"),
        ("どうすればよく眠れますか", "ja"),
        ("كم ساعة من النوم أحتاج", "ar"),
        ("Сколько мне нужно спать", "ru"),
        ("", ""),
        ("12345 !?", ""),
    ],
)
def test_the_language_of_a_short_question(text: str, language: str) -> None:
    assert language_of(text) == language


def test_common_words_are_not_asked_for_unless_there_is_nothing_else() -> None:
    assert query_words("What is the best way to sleep?") == ["best", "way", "sleep"]
    assert query_words("what is this") == []
    assert tokenise("the and of", "en") == ""


def test_a_question_is_asked_in_the_languages_of_the_documents() -> None:
    assert "naranj" in query_words("naranjas", ["es"])
    assert query_words("goals", ["en"]) == ["goal"]


def test_two_character_words_of_chinese() -> None:
    assert tokenise("时间管理", "zh") == "时间 间管 管理"
    assert tokenise("钱", "zh") == "钱"


def test_stop_words_are_folded_as_tokens_are() -> None:
    for language, words in STOP_WORDS.items():
        assert [w for w in words if _fold(w) != w] == [], language


@given(st.text(), st.sampled_from(["", "en", "es", "de", "zh", "ar", "xx"]))
def test_tokens_are_safe_and_always_the_same(text: str, language: str) -> None:
    tokens = tokenise(text, language)
    assert tokens == tokenise(text, language)
    assert not re.search(r"[\s\"'()*:^\-&|!<>\\\x00]", tokens.replace(" ", ""))
    assert all(tokens.split(" ")) or tokens == ""


@given(st.text(min_size=1))
def test_whatever_was_indexed_is_found_again(text: str) -> None:
    """FTS5 takes the tokens apart as they were put together, and no question is a syntax error."""
    db = sqlite3.connect(":memory:")
    db.execute(
        "CREATE VIRTUAL TABLE t USING fts5(w, tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\")"
    )
    tokens = tokenise(text, "en")
    db.execute("INSERT INTO t VALUES (?)", (tokens,))
    for token in tokens.split():
        assert db.execute("SELECT count(*) FROM t WHERE t MATCH ?", (f'"{token}"',)).fetchone() == (1,), token
