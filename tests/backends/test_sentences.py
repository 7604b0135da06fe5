"""Sentences are cut as a reader would, in every script the app speaks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.backends.sentences import split


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Dr. Smith, e.g., drinks 3.5 litres vs. 4 a day. He sleeps well!", 2),
        ("J. K. Rowling wrote it in the U.S. capital. We read it there.", 2),
        ('"Do you really mean it?" she asked me. Yes, I really do.', 2),
        ("Wait and see what comes... Then it came all at once.", 2),
        ("Wait... no, that was not what I had meant at all.", 1),
        ("Das ist z. B. am 3. Mai so, d.h. bald. Danach ist es anders.", 2),
        ("Vive en EE. UU. con la Sra. López desde hace años. ¿Qué opina usted de eso?", 2),
        ("我每个月到月底都剩不下钱。应该先付账单还是先存钱？“是的，当然可以。”他这样回答说。", 4),
        ("هل من الجيد أن أرسل طلبات؟ نعم، هذا جيد جداً. شكراً لك على السؤال.", 3),
        ("# A heading\n\nA line that is\nhard wrapped goes on.\n\n- the first of the list\n- the second item of it", 3),
        ("1. Write it down first.\n2. Then talk about it.", 2),
        ("Chapter 3\n\nFigure 2", 0),
        ("", 0),
    ],
)  # fmt: skip
def test_how_many(text: str, sentences: int) -> None:
    assert len(split(text)) == sentences, split(text)


def test_marks_and_bullets_are_no_part_of_a_sentence() -> None:
    assert split("* **Sleep** is `good` for you [3].") == ["Sleep is good for you ."]


@given(st.text(alphabet="Aab. ?!\n-#1。؟你م\"'…*", max_size=200))
def test_each_sentence_is_a_piece_of_the_text_in_order(text: str) -> None:
    plain = "".join(text.replace("*", "").split())
    at = 0
    for sentence in split(text):
        assert sentence == " ".join(sentence.split())
        found = plain.find("".join(sentence.replace("*", "").split()), at)
        assert found >= 0
        at = found
