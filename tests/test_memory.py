"""Facts in what somebody typed, and what is new of them: rules in five languages, without a model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.memory import extraction, rules, said, same
from coach_core.types import Candidate, Memory, MemoryKind, new_id

SAID = datetime(2026, 5, 20, 12, tzinfo=UTC)


def found(text: str, name: str = "") -> list[tuple[str, str]]:
    return [(c.kind, c.text) for c in rules.propose(text, SAID, name)]


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("I want to run a half marathon by October. Yesterday I ran 5 km for the first time!", ["goal", "progress"]),
        ("I'm really struggling with saying no to my boss, but I love my team.", ["challenge", "preference"]),
        ("I live in Hamburg and I work as a nurse.", ["fact", "fact"]),
        ("I have an interview on Friday.", ["event"]),
        (
            "Quiero correr un maratón. Me cuesta levantarme temprano. Ayer empecé a nadar.",
            ["goal", "challenge", "progress"],
        ),
        ("Me gusta nadar en el mar. Vivo en Madrid.", ["preference", "fact"]),
        ("Ich möchte zehn Kilo abnehmen. Es fällt mir schwer, früh aufzustehen.", ["goal", "challenge"]),
        ("Gestern war ich beim Arzt. Ich habe zwei Kinder. Ich schwimme gerne.", ["event", "fact", "preference"]),
        ("我想在今年跑一次马拉松。我最近压力很大，睡不着。我昨天第一次跑了五公里。", ["goal", "challenge", "progress"]),
        ("我喜欢爬山。我住在上海。", ["preference", "fact"]),
        ("أريد أن أجري نصف ماراثون في أكتوبر. أشعر بالقلق قبل النوم.", ["goal", "challenge"]),
        ("أمس نجحت في الجري خمسة كيلومترات. أحب السباحة. أعيش في القاهرة.", ["progress", "preference", "fact"]),
    ],
)
def test_facts_are_read_with_their_kind(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in found(text)] == kinds


@pytest.mark.parametrize(
    "text",
    [
        "How do I run a half marathon?",
        "Should I want to run?",
        "As you said, I want to run a half marathon.",
        "You told me that I live in Hamburg.",
        "I'd like to know more about goals.",
        "If I wanted to run a marathon I would train more.",
        "Thanks, that helps a lot. I will try it.",
        "> I want to fly to the moon",
        "```\nI want to fly to the moon\n```",
        "My friend wrote: “I want to fly to the moon with my dog.”",
        "Here is the article:\n\n" + "I want to be rich and famous. " * 30,
        "From: Bob Smith\nSubject: plans\nI want to sell my house.",
        "/search_documents I want to sleep more",
        "Me gustaría saber qué opinas.",
        "Ich möchte gerne wissen, was du denkst.",
        "你能帮我吗？我想问你一个问题。",
        "هل يمكنك مساعدتي؟",
        "I want to prepare the session for Anna.",
    ],
)
def test_questions_echoes_quotes_and_pastes_give_none(text: str) -> None:
    assert found(text) == []


def test_a_coach_speaks_of_a_client_by_name() -> None:
    assert found("Anna wants to change her job. She is afraid of the interview.", "Anna Meyer") == [
        ("goal", "Anna wants to change her job."),
        ("challenge", "She is afraid of the interview."),
    ]


def test_an_event_has_the_day_it_was_about() -> None:
    (fact,) = rules.propose("Yesterday I met my new manager.", SAID)
    assert fact.happened_at == datetime(2026, 5, 19, tzinfo=UTC)


@given(st.text(max_size=300))
def test_any_text_gives_quotes_that_stand_in_it(text: str) -> None:
    for candidate in rules.propose(f"I want to learn Spanish. {text} I live in Rome.", SAID, "A(n"):
        assert candidate.quote in f"I want to learn Spanish. {text} I live in Rome."
    own = said.own_words(text)
    assert all(a == b or a == " " for a, b in zip(own, text, strict=False))


# -- new, known, changed ----------------------------------------------------------------------------------


def decided(known: str, kind: MemoryKind, now_said: str, *, told: bool = False, status: Any = "approved") -> list[str]:
    memory = Memory(new_id(), new_id(), kind, known, status, SAID, SAID)
    changes = same.decide(rules.propose(now_said, SAID), [memory], told=[memory.id] if told else [])
    return ["join" if c.join else "supersede" if c.supersede else "drop" if c.drop else "new" for c in changes]


@pytest.mark.parametrize(
    ("known", "kind", "now_said", "what"),
    [
        ("I want to run 10 km", "goal", "I now want to run a half marathon instead of 10 km", "supersede"),
        ("I live in Hamburg", "fact", "I moved to Berlin last week", "supersede"),
        ("I live in Hamburg", "fact", "I live in Hamburg.", "join"),
        ("I want to run a half marathon by October", "goal", "I really want to run a half marathon in October", "join"),
        ("I want to lose 5 kg", "goal", "I want to lose 8 kg by June", "supersede"),
        ("I like coffee in the morning", "preference", "I don't like coffee any more", "supersede"),
        ("I like coffee in the morning", "preference", "I love swimming in the sea", "new"),
        ("I want to run a half marathon", "goal", "I want to learn Spanish this year", "new"),
        ("I work as a nurse", "fact", "I work as a teacher now", "supersede"),
        ("My sister lives in Rome", "fact", "I live in Paris", "new"),
        ("Ich wohne in Hamburg", "fact", "Ich bin nach Berlin gezogen.", "supersede"),
        ("Vivo en Madrid", "fact", "Me mudé a Sevilla.", "supersede"),
        ("我住在上海", "fact", "我搬到北京了。", "supersede"),
    ],
)
def test_what_is_said_again_is_joined_and_what_has_changed_takes_its_place(
    known: str, kind: MemoryKind, now_said: str, what: str
) -> None:
    assert decided(known, kind, now_said) == [what]


def test_what_adds_nothing_to_what_the_model_was_told_is_dropped() -> None:
    assert decided("I want to run a half marathon by October", "goal", "I want to run a half marathon", told=True) == [
        "drop"
    ]
    assert decided("I love the sea and swimming", "preference", "I love swimming in the sea!", status="rejected") == [
        "drop"
    ]


_VERBS = ["run", "swim", "read", "paint", "cook", "sing", "hike", "ski", "draw", "write"]
_WORDS = st.lists(st.sampled_from(_VERBS), min_size=2, max_size=4, unique=True)


@given(_WORDS, st.integers(1, 6))
def test_saying_the_same_any_number_of_times_keeps_one(verbs: list[str], times: int) -> None:
    text = f"I want to {' and '.join(verbs)} every week."
    there: list[Memory] = []
    for _ in range(times):
        for change in same.decide(rules.propose(text, SAID), there):
            if not (change.drop or change.join):
                c: Candidate = change.candidate
                there.append(Memory(new_id(), new_id(), c.kind, c.text, "approved", SAID, SAID))
    assert len(there) == 1


# -- by a model -------------------------------------------------------------------------------------------


def answer(**fact: Any) -> str:
    whole = {"kind": "goal", "text": "Wants rest.", "quote": "I need rest", "date": "2026-06-01", "importance": 0.9}
    return f"Sure:\n{json.dumps({'facts': [whole | fact]})}"


def test_a_models_fact_stands_on_a_quote() -> None:
    (fact,) = extraction.validated(answer(), "Honestly, I  need\nrest.")
    assert (fact.text, fact.origin) == ("Wants rest.", "model")
    assert fact.quote == "I  need\nrest"
    assert fact.happened_at == datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "told",
    [
        answer(quote="I want a dog"),
        answer(quote=""),
        answer(kind="secret"),
        answer(text=7),
        "no JSON at all",
        '{"facts": "none"}',
        '{"facts": [1, null]}',
        "{broken",
    ],
)
def test_what_a_model_made_up_is_dropped(told: str) -> None:
    assert extraction.validated(told, "Honestly, I need rest.") == []


def test_a_quote_of_what_was_pasted_is_none() -> None:
    assert extraction.validated(answer(), "Hello\n> I need rest") == []


@given(st.text(max_size=200), st.text(max_size=100))
def test_any_answer_is_read_without_a_fault(told: str, text: str) -> None:
    for fact in extraction.validated(told, text):
        assert fact.quote in text
