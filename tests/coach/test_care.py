"""Signs of acute crisis bring help lines at once; nothing of what was said is kept with them."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coach_core import care
from coach_core.backends import Request
from coach_core.coach import Coach, caring
from coach_core.turn import Choice
from coach_core.types import Actor, Event, Persona, ThreadQuery
from tests.coach.test_turns import text_of, until, wait

CRISIS = {
    "en": "I want to die and I have a plan for tonight.",
    "es": "Me quiero morir y esta noche lo haré.",
    "de": "Ich will mir das Leben nehmen, heute Nacht.",
    "zh": "我想自杀，今晚就动手。",
    "ar": "أريد أن أنهي حياتي الليلة",
}
Maker = Callable[..., Coach]


def ask(coach: Coach, me: Actor, persona: Persona, text: str) -> tuple[Any, list[Event]]:
    thread = coach.new_thread(me, persona.id)
    turn = coach.start(me, thread.id, text)
    return turn, wait(coach, me, turn)


def cards(events: list[Event]) -> list[Any]:
    return [e.arguments["care"] for e in events if e.kind == "notice" and e.source == "care" and e.arguments]


@pytest.mark.parametrize("language", CRISIS)
def test_help_lines_stand_before_the_first_word_in_the_language(
    coach: Coach, me: Actor, persona: Persona, language: str
) -> None:
    _, events = ask(coach, me, persona, CRISIS[language])
    (card,) = cards(events)
    kinds = [e.source or e.kind for e in events]
    assert kinds.index("care") < kinds.index("text") and card["locale"] == language
    assert card["title"] == caring.referral(language).title and any(line["number"] for line in card["lines"])


def test_the_model_is_told_to_care_and_ordinary_questions_bring_nothing(
    coach: Coach, me: Actor, persona: Persona
) -> None:
    ask(coach, me, persona, CRISIS["en"])
    assert "acute risk" in coach.parts.get("scripted").requests[-1].context  # type: ignore[attr-defined]
    _, events = ask(coach, me, persona, "How do I plan my week?")
    assert not cards(events) and "acute risk" not in coach.parts.get("scripted").requests[-1].context  # type: ignore[attr-defined]


def test_a_backend_that_quotes_answers_with_the_referral_alone(make_coach: Maker) -> None:
    coach = make_coach(backend="extractive")
    me = coach.owner()
    _, events = ask(coach, me, coach.persona(me, "general"), CRISIS["en"])
    assert text_of(events).startswith(f"**{caring.referral('en').title}**") and ">" not in text_of(events)


@pytest.mark.parametrize(("score", "quotes"), [(0.55, True), (0.9, False)])
def test_where_the_judge_is_little_sure_the_quotations_stand_below_the_card(
    make_coach: Maker, monkeypatch: pytest.MonkeyPatch, score: float, quotes: bool
) -> None:
    monkeypatch.setattr(care.Judge, "judge", lambda *_: care.Care("crisis", score, "meaning"))
    coach = make_coach(backend="extractive")
    me = coach.owner()
    _, events = ask(coach, me, coach.persona(me, "general"), "How much sleep do I need?")
    assert cards(events)
    assert any(e.kind == "citation" for e in events) is quotes


def test_a_referral_is_kept_without_a_word_of_what_was_said(coach: Coach, me: Actor, persona: Persona) -> None:
    turn, _ = ask(coach, me, persona, CRISIS["de"])
    assert set(coach.referrals(me, turn.thread_id)) == {turn.answer_id}
    assert coach.with_referrals(me, [turn.thread_id]) == {turn.thread_id}
    (entry,) = [e for e in coach.audit(me) if e.action == "care.referral"]
    assert "Leben" not in str(entry) and entry.after == {"locale": "de", "judge": "rules"}
    assert coach.metrics(me, since=timedelta(hours=1)).total.counts["care_referrals"] == 1
    other = coach.add_profile(me, "Other", "coach")
    assert not coach.with_referrals(coach.actor_for(other.id), [turn.thread_id])


def test_an_operator_sets_the_country_their_own_lines_and_switches_it_off(make_coach: Maker, tmp_path: Path) -> None:
    coach = make_coach(backend="scripted", care_country="at")
    me = coach.owner()
    own = {"countries": {"AT": {"emergency": "144", "lines": [{"name": "Ours", "number": "1"}]}}}
    (coach.settings.home / "care_lines.json").write_text(json.dumps(own))
    _, events = ask(coach, me, coach.persona(me, "general"), CRISIS["de"])
    (card,) = cards(events)
    assert card["lines"][0]["name"] == "Ours" and "144" in card["emergency"] and card["locale"] == "de-AT"
    (coach.settings.home / "care_lines.json").write_text("{broken")
    assert coach.referrals(me, events and coach.threads(me, ThreadQuery())[0][0].thread.id)
    coach.change_setting(me, "care", "false")
    _, events = ask(coach, me, coach.persona(me, "general"), CRISIS["de"])
    assert not cards(events)


class Says:
    """A model that judges with `text`, after `gate`."""

    name, model = "says", "m"

    def __init__(self, text: str, gate: threading.Event) -> None:
        self.text, self.gate, self.requests = text, gate, []  # type: ignore[var-annotated]

    def stream(self, request: Request, cancel: threading.Event) -> Any:
        self.requests.append(request)
        while not self.gate.wait(0.01) and not cancel.is_set():
            pass
        yield Event("text", text=self.text)
        yield Event("done", status="completed")


@pytest.mark.parametrize(("verdict", "shown"), [('{"crisis": true}', True), ('{"crisis": false}', False), ("?", False)])
def test_a_model_may_only_add_a_referral_and_holds_nothing_up(
    coach: Coach, me: Actor, persona: Persona, verdict: str, shown: bool
) -> None:
    turn, _ = ask(coach, me, persona, "Hello")
    gate = threading.Event()
    model: Any = Says(verdict, gate)
    choice = Choice(model, name="far", about={"endpoint": "wire@far"})
    doubtful = "My sister wants to die, says the character in my novel."
    found = coach._caring.look(me, turn.id, doubtful, choice, threading.Event())
    assert found.event is None and found.late() is None
    gate.set()
    assert until(lambda: model.requests)[0].schema and model.requests[0].trial
    if shown:
        assert until(found.late).source == "care" and coach.referrals(me, turn.thread_id)
    else:
        assert found.late() is None and not coach.referrals(me, turn.thread_id)


def test_no_model_is_asked_where_it_was_switched_off_or_answers_here(make_coach: Maker) -> None:
    coach = make_coach(backend="scripted", care_model=False)
    model: Any = Says('{"crisis": true}', threading.Event())
    doubtful = "My sister wants to die, says the character in my novel."
    choice = Choice(model, name="far", about={"endpoint": "wire@far"})
    coach._caring.look(coach.owner(), coach.owner().user_id, doubtful, choice, threading.Event())
    assert not model.requests


# -- the judge itself -----------------------------------------------------------------------------------


def test_the_piece_that_shows_most_decides() -> None:
    weights = {
        "layers_mean": np.zeros(10), "layers_scale": np.ones(10), "layers_w": np.r_[1.0, np.zeros(9)], "layers_b": 0.0,
        "layers_at": 0.0, "layers_by": 1.0, "limit": 0.4, "doubt": 0.3,
    }  # fmt: skip

    def vectors(parts: Any, _language: str) -> Any:
        return {"layers": np.array([[0.8 if "alarm" in p else 0.0, 0.0] for p in parts], np.float32)}

    judge = care.Judge(vectors, weights)
    text = "First the agenda. Then the alarm. Then the prices."
    assert judge.judge(text, "en").level == "crisis" and judge.judge(text, "en").judge == "meaning"
    assert judge.judge("The alarm. The agenda. And the prices. And more.", "en").level == "crisis"
    assert judge.judge("Was there an alarm in the agenda, or not", "en").level == "crisis"
    assert judge.judge("The agenda.", "en").level == "none"


def test_without_models_rules_judge_and_say_so() -> None:
    assert care.Judge().judge("I want to die.", "en") == care.Care("crisis", 0.6, "rules")
    assert care.Judge().judge("I wanted to die ten years ago, I have recovered.", "en").level == "unsure"
    assert care.Judge().judge("", "en").level == "none"


def test_every_country_of_the_book_has_what_is_shown() -> None:
    book = json.loads((Path(caring.__file__).parent.parent / "care_lines.json").read_text())
    wanted = set("US GB IE CA AU NZ DE AT CH ES MX AR CO CL CN HK TW SG EG SA AE MA FR IN EU".split())  # noqa: SIM905
    assert wanted <= set(book["countries"])
    for code, entry in book["countries"].items():
        assert entry["emergency"] and all(line["name"] and line["source"] for line in entry["lines"]), code
    assert "findahelpline.com" in caring.referral("xx").as_text()
