"""Lexicons: words of one language in another, whatever form they stand in."""

import time

import pytest

from coach_core.search import lexicon
from coach_core.search.lexicon import Lexicon, Term, fold, stems


def made(language: str, **entries: str) -> Lexicon:
    lines = sorted((f"{key}\t{english}" for key, english in entries.items()), key=str.encode)
    return Lexicon(language, "\n".join(lines).encode())


def options(found: list[Term]) -> dict[str, tuple[str, ...]]:
    return {term.said: term.options for term in found}


def test_a_key_is_found_first_last_and_between_and_no_part_of_one():
    words = made("es", casa="house;home", gato="cat", zorro="fox")
    assert [words.options(w) for w in ("casa", "gato", "zorro")] == [("house", "home"), ("cat",), ("fox",)]
    assert words.options("cas") == words.options("casas") == words.options("") == ()


def test_a_lexicon_without_lines_knows_nothing():
    assert Lexicon("es", b"").gloss("¿Qué hago?") == [Term("Qué"), Term("hago")]


def test_words_stand_in_their_order_and_little_ones_without_english_are_left_out():
    found = made("es", gato="cat", el="-", duerme="sleep").gloss("El gato duerme, ¿no?")
    assert found == [Term("gato", ("cat",)), Term("duerme", ("sleep",)), Term("no")]


def test_an_expression_goes_before_its_words():
    key = stems(["tarjeta", "crédito"], "es")
    found = made("es", **{"tarjeta": "card", "credito": "credit", key: "credit card"}).gloss("Mis tarjetas de crédito")
    assert options(found)["tarjetas de crédito"] == ("credit card",)


def test_another_form_is_found_by_its_stem():
    found = made("es", **{stems(["ahorrar"], "es"): "save"}).gloss("ahorramos")
    assert found == [Term("ahorramos", ("save",))]


def test_a_german_compound_is_its_parts():
    words = made("de", Notruf="emergency call", Säule="column", Prüfung="exam", Angst="fear")
    assert options(words.gloss("Prüfungsangst"))["Prüfungsangst"] == ("exam fear",)
    assert options(words.gloss("Notrufsäule"))["Notrufsäule"] == ("emergency call column",)


def test_a_german_noun_is_not_the_verb():
    words = made("de", Arbeiten="papers", arbeiten="work")
    assert options(words.gloss("wir arbeiten"))["arbeiten"] == ("work",)
    assert options(words.gloss("die Arbeiten"))["Arbeiten"] == ("papers",)
    assert made("de", angst="fear").gloss("Angst") == [Term("Angst", ("fear",))]


@pytest.mark.parametrize("said", ["والطالب", "طالبها", "الطالب", "طَالِب"])
def test_an_arabic_word_without_what_is_written_with_it(said: str):
    assert made("ar", طالب="student").gloss(said)[0].options == ("student",)


def test_an_arabic_verb_in_the_third_person():
    assert made("ar", ينام="sleep").gloss("أنام") == [Term("أنام", ("sleep",))]


def test_chinese_is_cut_into_the_fewest_words():
    words = made("zh", 大学="university", 学生="student", 大学生="university student", 的="-", 学="learn", 生="life")
    assert [t.said for t in words.gloss("大学的学生")] == ["大学", "学生"]
    assert [t.said for t in words.gloss("大学生")] == ["大学生"]
    assert [t.said for t in words.gloss("用 Excel 学")] == ["用", "Excel", "学"]


def test_folding_keeps_what_parts_words():
    assert fold("AÑO", "es") == "año" and fold("Sesión", "es") == "sesion"
    assert fold("Schläfe", "de") == "Schläfe" and fold("schön", "de") == "schön"
    assert fold("الثّقة", "ar") == fold("الثقه", "ar")


@pytest.mark.parametrize(
    "language, question, english",
    [
        ("es", "¿Cómo ahorro dinero cada mes?", {"money", "month"}),
        ("de", "Wie viel Wasser sollte ich trinken?", {"water", "drink"}),
        ("zh", "我应该先付账单还是先存钱？", {"bill", "save money"}),
        ("ar", "كيف أكتب رسالة إلى الجامعة؟", {"message", "university"}),
        ("fr", "Comment trouver un travail ?", {"find", "work"}),
    ],
)
def test_the_lexicons_that_come_along(language: str, question: str, english: set[str]):
    known = lexicon.of(language)
    assert known is not None
    known.gloss(question)
    began = time.perf_counter()
    found = known.gloss(question)
    assert time.perf_counter() - began < 0.1  # milliseconds; the rest is for a busy machine
    assert english <= {option for term in found for option in term.options}


def test_a_language_without_a_lexicon():
    assert lexicon.of("fi") is None and lexicon.of("../en") is None
