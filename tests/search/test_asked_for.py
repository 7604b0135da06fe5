"""Questions that ask for a dose, a price or a number are held against texts that may hold none."""

from datetime import UTC, datetime

import pytest

from coach_core.search.asked_for import lacking


@pytest.mark.parametrize(
    "question, without, with_one",
    [
        ("How many milligrams of melatonin are safe?", "Go to bed at 9 each night.", "Begin with 3 mg."),
        ("Welche Dosis ist üblich?", "Sleep well.", "20 mg a day"),
        ("褪黑素每晚吃几毫克合适？", "Sleep 8 hours.", "一般吃 3 毫克"),
        ("What is the phone number of the service?", "Call 24 hours.", "Call 1-800-273-8255."),
        ("¿Cuánto cobra un psicólogo?", "Hay 3 sesiones.", "It is $80 a session."),
        ("كم يكلف الاشتراك؟", "It is cheap.", "It is 20 dollars."),
        ("How long should I rest?", "Rest well.", "Rest for half an hour."),
        ("Wie viele Stunden Schlaf brauche ich?", "Schlafen Sie genug.", "Schlafen Sie acht Stunden."),
    ],
)
def test_what_is_asked_for(question: str, without: str, with_one: str):
    assert lacking(question, without) and not lacking(question, with_one)


@pytest.mark.parametrize("question", ["", "How do I sleep better?", "¿Qué hago?", "我该怎么办？", "Should I worry?"])
def test_other_questions_ask_for_no_kind(question: str):
    assert not lacking(question, "Nothing here.") and not lacking(question, "")


def test_this_years_figure_is_in_no_text_that_does_not_name_the_year():
    question = "How high is the limit this year?"
    assert lacking(question, "The limit was $6,000 in 2011.")
    assert not lacking(question, f"In {datetime.now(UTC).year} the limit is $7,000.")
    assert not lacking("What shall I do this year?", "Anything.")
