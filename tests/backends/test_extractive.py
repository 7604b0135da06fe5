"""The answer without a model: quotes what fits, says what does not, in the person's language."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from coach_core.backends import Endpoint, build
from coach_core.backends.phrases import _PHRASES, connect, phrases
from coach_core.search.fit import UNRELATED, coverage, judge, missing_names
from coach_core.types import Part
from tests.backends.conftest import message, passage, play, request, text_of

SLEEP = passage(
    "Sleep is when the brain sorts the day. To sleep better, go to bed at the same time every evening. "
    "Avoid coffee after lunch. This keeps the body's clock steady.",
    "Health",
)
MONEY = passage("A new car loses one fifth of its value in the first year. An emergency fund helps.", "Money")
AGAIN = passage("To sleep better, go to bed at the same time every evening, says this book too.", "Sister book")
QUESTION = "How can my client sleep better in the evening?"


def score(question: str, texts: Sequence[str]) -> list[float]:
    """Likeness as an embedding with a narrow band gives it: letters shared, between .77 and .90."""

    def grams(text: str) -> set[str]:
        return {text.lower()[i : i + 4] for i in range(len(text) - 3)}

    asked = grams(question)
    return [0.77 + 0.13 * len(asked & grams(t)) / math.sqrt(len(asked) * len(grams(t)) or 1) for t in texts]


def answer(question: str = QUESTION, *passages: Any, scored: bool = True, **fields: Any) -> str:
    backend = build("extractive", Endpoint("extractive"), score=score if scored else None)
    return text_of(play(backend, request(question, passages=passages or (MONEY, SLEEP), **fields)))


def cited(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\[(\d+)\]", text)]


@pytest.mark.parametrize("scored", [True, False], ids=["meaning and words", "words"])
def test_quotes_word_for_word_with_the_number_behind(scored: bool) -> None:
    text = answer(scored=scored)
    assert text.startswith(phrases("en").lead)
    quotes = [line for line in text.splitlines() if line.startswith("> ")]
    assert quotes and "go to bed at the same time every evening." in quotes[0] and quotes[0].endswith("[2]")
    assert set(cited(text)) == {2}


def test_is_the_same_each_time_and_comes_in_pieces() -> None:
    backend = build("extractive", Endpoint("extractive"), score=score)
    first, second = (play(backend, request(QUESTION, passages=(MONEY, SLEEP))) for _ in range(2))
    assert first == second and len(first) > 10


@pytest.mark.parametrize("scored", [True, False], ids=["meaning and words", "words"])
def test_says_when_nothing_fits_and_cites_nothing(scored: bool) -> None:
    text = answer("What is the boiling point of mercury?", scored=scored)
    assert phrases("en").nothing in text and not cited(text) and ">" not in text
    assert phrases("en").nothing in answer(QUESTION, passage("Chapter 3"), scored=scored)


def test_without_passages() -> None:
    backend = build("extractive", Endpoint("extractive"), score=score)
    assert phrases("en").nothing in text_of(play(backend, request(QUESTION)))


def test_what_says_the_same_is_quoted_once() -> None:
    text = answer(QUESTION, SLEEP, AGAIN)
    assert text.count("go to bed at the same time every evening") == 1


def test_says_once_a_thread_how_to_connect_a_model() -> None:
    assert connect("en") in answer() and "OPENAI_API_KEY=..." in connect("en")
    assert connect("en") not in answer(history=(message("Hello"), message("Hi.", "assistant")))


@pytest.mark.parametrize(
    ("language", "question"),
    [
        ("en", "What is the boiling point of mercury?"),
        ("es", "¿Cuál es el punto de ebullición del mercurio?"),
        ("de", "Wie hoch ist der Siedepunkt von Quecksilber?"),
        ("fr", "Quel est le point d’ébullition du mercure ?"),
        ("zh", "水银的沸点是多少？"),
        ("ar", "ما هي درجة غليان الزئبق؟"),
    ],
)
def test_speaks_the_language_of_the_question(language: str, question: str) -> None:
    text = answer(question)
    assert phrases(language).nothing in text and connect(language) in text


def test_every_language_has_every_phrase() -> None:
    for language, say in _PHRASES.items():
        assert all(getattr(say, name) for name in say.__slots__), language
        assert connect(language).count("`") == 6
    assert phrases("tlh") == phrases("en")


@pytest.mark.parametrize("hello", ["Hello!", "Guten Tag", "¡Hola!", "你好", "مرحبا", "👋", "thanks"])
def test_a_greeting_is_no_question(hello: str) -> None:
    text = answer(hello)
    assert not cited(text) and not any(say.nothing in text for say in _PHRASES.values())


def test_a_follow_up_is_read_with_what_came_before() -> None:
    history = (message("How can my client sleep better?"), message("Like this.", "assistant"))
    assert cited(answer("And in the evening?", history=history)) == [2]


def test_a_sentence_that_leans_brings_the_one_before() -> None:
    text = answer("What keeps the body's clock steady?")
    assert "Avoid coffee after lunch. This keeps the body's clock steady." in text


def test_markdown_in_a_document_stays_text() -> None:
    text = answer(QUESTION, passage("To sleep better in the evening, *never* use <b>screens</b> | pay $5 or $6."))
    assert r"\*never\* use \<b\>screens\</b\> \| pay \$5 or \$6." in text or r"\$5" in text


def test_goes_on_though_the_turn_renumbered_its_citations() -> None:
    whole = answer()
    shown = whole.replace("[2]", "[1]")
    at = shown.index("[1]") + 3
    assert answer(resume_from=shown[:at]) == whole[at:]


def test_rare_words_weigh_more() -> None:
    sentences = ["People sleep.", "People eat.", "People talk about melatonin.", "People walk."]
    covered = coverage("Do people take melatonin?", sentences)
    assert covered.index(max(covered)) == 2 and covered[2] > 2 * covered[0]
    assert coverage("", sentences) == [0.0] * 4


def test_what_is_unrelated_is_about_other_things() -> None:
    assert len(UNRELATED) == len(set(UNRELATED)) >= 12


@pytest.mark.parametrize(
    ("question", "missing"),
    [
        ("In which letter does Seneca tell Lucilius to guard his hours?", ["Seneca", "Lucilius"]),
        ("How much may I put into my 401(k) in 2026?", ["401", "2026"]),
        ("Every March I feel low. Does Anna help?", []),
        ("Wie viel Schlaf braucht mein Klient?", []),
    ],
)
def test_names_and_numbers_that_no_passage_holds(question: str, missing: list[str]) -> None:
    assert missing_names(question, ["Anna sleeps well."]) == missing


def _fixed(near: float, rest: float) -> Any:
    """A question at 1, unrelated text at 0, the first sentence at `near` and all others at `rest`."""
    return lambda _, texts: [1.0, *[0.0] * len(UNRELATED), near, *[rest] * (len(texts) - len(UNRELATED) - 2)]


def test_the_best_of_many_must_be_nearer_than_the_best_of_few() -> None:
    sentences = [f"Sentence number {n} speaks of something else." for n in range(60)]
    for question, near, rest, of, verdict in (
        ("What then?", 0.5, 0.1, 6, "answers"),
        ("What then?", 0.5, 0.1, 60, "nothing"),
        ("What then?", 0.5, 0.5, 60, "answers"),
        ("What then?", 0.45, 0.45, 60, "near"),
        ("What did Zeno say then?", 0.5, 0.5, 60, "near"),  # a name that nobody speaks of
        ("What then?", 0.1, 0.1, 60, "nothing"),
    ):
        assert judge(question, sentences[:of], _fixed(near, rest)).verdict == verdict, (question, near, of)


LABEL = passage(
    "Food labels\n\nHow do I read a label?\n\nLook at the serving size first. Then count the calories.\n\n"
    "Signs of a poor choice\n\nWatch out for these:\n\n- Much sugar\n- Much salt\n- Few fibres",
    "Physical health",
)


def test_a_heading_or_a_question_is_not_quoted_but_what_stands_below_it() -> None:
    text = answer("How do I read a label?", LABEL)
    assert "> Look at the serving size first. Then count the calories. [1]" in text
    assert "How do I read" not in text and "Food labels" not in text


def test_a_list_is_quoted_as_a_list_with_what_announces_it() -> None:
    text = answer("What are the signs of a poor choice?", LABEL)
    assert "> Watch out for these:\n>\n> - Much sugar\n> - Much salt\n> - Few fibres [1]" in text


def test_a_quote_is_word_for_word_with_the_signs_that_stand_in_the_document() -> None:
    said = "To sleep better keep **steady** [hours](http://a.example) and `no` :material/home: for $x$ &amp; __you__."
    text = answer("How can I sleep better?", passage(f"{said} **Then go on.** The rest is told by others."))
    shown = MarkdownIt("commonmark").render(text)
    assert html.unescape(re.sub("<[^>]+>", "", shown)).count(said) == 1
    assert "<strong>" not in shown and "<a " not in shown and "<code>no" not in shown
    assert "\\*\\*Then go on.\\*\\*" in text


def test_what_only_comes_near_is_said_to() -> None:
    sentences = ["The lake is deep and cold in spring.", "It is cold in the hut.", "A cold lake is clear."]
    backend = build("extractive", Endpoint("extractive"), score=_fixed(0.45, 0.45))
    text = text_of(play(backend, request("Why then?", passages=(passage(" ".join(sentences * 20)),))))
    assert text.startswith(phrases("en").nearest) and set(cited(text)) == {1}


def test_a_picture_is_said_to_be_out_of_reach() -> None:
    asked = request(QUESTION, passages=(SLEEP,))
    shown = replace(asked, question=replace(asked.question, parts=(*asked.question.parts, Part("image", name="a.png"))))
    backend = build("extractive", Endpoint("extractive"), score=score)
    assert text_of(play(backend, shown)).startswith(phrases("en").picture)
    assert phrases("en").picture not in text_of(play(backend, asked))


def test_the_frame_speaks_the_language_of_this_question() -> None:
    before = (message("¿Cómo puedo dormir mejor por la noche?"), message("Así.", "assistant"))
    assert answer(QUESTION, SLEEP, history=before).startswith(phrases("en").lead)


def test_rows_of_a_table_are_not_quoted() -> None:
    table = passage(
        "| goal | good |\n| --- | --- |\n| sleep better | No |\n\nTo sleep better, go to bed early.", "Table"
    )
    text = answer("How can I sleep better?", table)
    assert "go to bed early" in text and "|" not in text


@pytest.mark.parametrize("language", sorted(_PHRASES))
def test_documents_that_could_not_be_searched_are_not_said_to_hold_nothing(language: str) -> None:
    asked = {"en": "Where do zebras graze in winter?", "de": "Wo weiden die Zebras im Winter?"}.get(language)
    say = phrases(language)
    assert say.unsearched and say.unsearched != say.nothing and (language == "en" or say != phrases("en"))
    if asked:
        backend = build("extractive", Endpoint("extractive"), score=score)
        said = text_of(play(backend, request(asked, unsearched=True)))
        assert said.startswith(say.unsearched) and say.nothing not in said and "Knowledge" not in said
