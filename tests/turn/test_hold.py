"""Whether an answer's sentences hold: what is held against what, what is marked, and what is left alone."""

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.turn.claims import claims
from coach_core.turn.hold import check, checked, counts
from coach_core.types import Citation

SLEEP = (
    "Adults need seven to nine hours of sleep a night. Do not drink coffee after lunch. It is best to finish eating at "
    "least two hours before bedtime. A room of about 65 degrees helps."
)
WATER = "As a general guideline, aim to drink eight glasses of water a day. Tea and soup count as well."


def sources() -> list[Citation]:
    return [Citation(1, "Sleep well", SLEEP, section="Evenings", page=41), Citation(2, "Water", WATER)]


def verdicts(text: str, cited: Sequence[Citation] = (), score: Any = None, **more: Any) -> dict[int, bool]:
    return {m.number: m.holds for m in check(text, cited or sources(), score, **more)}


@pytest.mark.parametrize(
    "sentence",
    [
        "Adults need 7 to 9 hours of sleep a night [1].",
        "It is best to finish eating at least two hours before bedtime. [1]",
        "- **Sleep**: an adult needs seven to nine hours a night [1]",
        'The guide says: "Do not drink coffee after lunch." [1]',
        "| Sleep | adults need seven to nine hours [1] |",
        "Coffee is best not drunk after lunch [1].",
        "On page 41 it says that adults need seven to nine hours of sleep [1].",
    ],
)
def test_what_the_passage_says_holds(sentence: str) -> None:
    assert verdicts(sentence) == {1: True}


@pytest.mark.parametrize(
    ("sentence", "lacks"),
    [
        ("Adults need five hours of sleep a night [1].", "five hours"),
        ("Take 40 mg of melatonin before bedtime to sleep [1].", "40 mg"),
        ("Drink coffee after lunch. [1]", "the opposite"),
        ("Adults do not need seven to nine hours of sleep a night [1].", "the opposite"),
        ("As Walker showed, adults need seven to nine hours of sleep a night [1].", "Walker"),
        ("Whoever saves for a house pays less rent in the long run [1].", ""),
        ("A room of about 75 degrees helps [1].", "75 degrees"),
    ],
)
def test_what_it_does_not_say_is_marked_with_what_it_lacks(sentence: str, lacks: str) -> None:
    (mark,) = check(sentence, sources())
    assert not mark.holds
    assert mark.lacks == lacks
    assert sentence[mark.start : mark.end].strip(" .") == sentence.strip(" .")


@pytest.mark.parametrize(
    "text",
    [
        "Here is what helps [1]:",
        "Would you like to sleep nine hours a night [1]?",
        "See [1].",
        "```\nadults need 99 hours of sleep a night [1]\n```",
        "Use `sleep for 99 hours [1]` for that.",
        "Adults need 99 hours [3].",
        "Read [1](https://example.org) about sleeping 99 hours a night.",
    ],
)
def test_what_states_nothing_or_cites_nothing_is_left_alone(text: str) -> None:
    assert check(text, sources()) == []


def test_each_mark_stands_for_its_own_part_of_a_sentence() -> None:
    text = "Finish eating two hours before bedtime [1], and drink twenty glasses of water a day [2]."
    assert verdicts(text) == {1: True, 2: False}


def test_marks_that_stand_together_bear_a_sentence_together() -> None:
    text = "Adults need seven to nine hours of sleep and eight glasses of water a day [1][2]."
    assert verdicts(text) == {1: True, 2: True}
    idle = [
        *sources(),
        Citation(3, "Volcanoes", "The volcano last erupted in the seventeenth century, and nobody was hurt."),
    ]
    assert verdicts("Adults need seven to nine hours of sleep a night [1][3].", idle) == {1: True, 3: False}


def test_a_mark_after_the_full_stop_or_alone_below_belongs_to_what_came_before() -> None:
    text = "Water is good for you. Drink twelve glasses of water a day. [2] Sleep well.\n\nTea counts as well.\n\n[2]"
    marks = check(text, sources())
    assert [text[m.start : m.end] for m in marks] == [
        "Drink twelve glasses of water a day. [2]",
        "Tea counts as well.\n\n[2]",
    ]
    assert [m.holds for m in marks] == [False, True]


def test_what_the_person_said_needs_no_source() -> None:
    text = "With your 80 kg, Miriam, aim to drink eight glasses of water a day, as Anna wished [2]."
    assert verdicts(text) == {2: False}
    assert verdicts(text, given="I weigh 80 kg. My friend Anna wished it.") == {2: True}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("Conviene beber ocho vasos de agua al día [2].", True),
        ("Conviene beber doce vasos de agua al día [2].", False),
        ("每天最好喝八杯水，这是一般的建议[2]。", True),
        ("每天最好喝十五杯水，这是一般的建议[2]。", False),
        ("من الأفضل أن تشرب ثمانية أكواب من الماء يومياً [2].", True),
    ],
)
def test_another_language_is_held_by_meaning_and_its_numbers(text: str, holds: bool) -> None:
    def alike(sentence: str, texts: Sequence[str]) -> list[float]:
        return [1.0 if t == sentence else 0.9 if "water" in t else 0.7 for t in texts]

    assert verdicts(text, score=alike) == {2: holds}


def test_another_language_without_a_model_is_not_judged() -> None:
    assert check("Conviene beber agua durante todo el día [2].", sources()) == []


def test_a_source_without_text_is_not_judged_and_lends_its_neighbour_the_doubt() -> None:
    cited = [*sources(), Citation(3, "A page", url="https://example.org")]
    assert check("Adults sleep badly in spring [3].", cited) == []
    text = "Adults need seven to nine hours of sleep, and 40 percent of them get less [1][3]."
    assert verdicts(text, cited) == {1: True}


def test_verdicts_go_with_the_citations_and_are_counted() -> None:
    text = (
        "Adults need seven to nine hours of sleep [1]. Drink twelve glasses of water a day [2]. Tea counts as well [2]."
    )
    first, second, third = checked(text, [*sources(), Citation(3, "Unused", WATER)])
    assert (first.verdict, second.verdict, third.verdict) == ("holds", "fails", "")
    assert third.checks is None
    assert second.checks and [(text[a:b], lacks) for a, b, _, lacks in second.checks] == [
        ("Drink twelve glasses of water a day [2].", "twelve glasses"),
        ("Tea counts as well [2].", ""),
    ]
    assert counts([first, second, third]) == {"citations_checked": 3, "citations_wrong": 1}
    assert counts([first, second, third], since=len("Adults need seven to nine")) == {
        "citations_checked": 2,
        "citations_wrong": 1,
    }
    assert Citation.from_dict(second.to_dict()) == second


def test_a_check_that_takes_too_long_or_fails_leaves_the_answer_as_it_is() -> None:
    def slow(sentence: str, texts: Sequence[str]) -> list[float]:
        time.sleep(0.5)
        return [0.8] * len(texts)

    def broken(sentence: str, texts: Sequence[str]) -> list[float]:
        raise RuntimeError("no model")

    text = "Rest matters a great deal to grown people [1]."
    began = time.monotonic()
    assert [c.verdict for c in checked(text, sources(), slow, deadline=0.05)] == ["", ""]
    assert time.monotonic() - began < 0.4
    assert [c.verdict for c in checked(text, sources(), broken)] == ["", ""]


@given(st.text(alphabet=st.sampled_from('ab .!?\n|-*`[12]()12。 «»"„:'), max_size=200))
def test_any_text_is_cut_within_its_bounds(text: str) -> None:
    for claim in claims(text, {1, 2}):
        assert 0 <= claim.start < claim.end <= len(text)
        assert all(f"[{n}]" in text[claim.start : claim.end] for n in claim.numbers)
    check(text, sources())
