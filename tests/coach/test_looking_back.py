"""What a turn that has ended tells the admin: use, questions that found nothing, and what became of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from coach_core.backends.phrases import phrases
from coach_core.coach import Coach
from coach_core.coach.masked import LONGEST, key_of, masked
from coach_core.errors import InputError, NameTaken, NotAllowed
from coach_core.store import unanswered
from coach_core.types import Actor, Collection, Persona, PersonaDraft, now

HARBOUR = b"# Varnhem\n\nThe lighthouse at Varnhem opens at seven on Tuesdays and closes at noon.\n"
FERRY = b"# Ferry\n\nThe ferry to Varnhem takes forty minutes and leaves from the northern pier.\n"
KNOWN = "When does the lighthouse at Varnhem open?"
UNKNOWN = "How long does the ferry to the island of Skagen take?"


class Desk:
    """A coach with a collection of one document and a persona that reads it, asked of `extractive`."""

    def __init__(self, coach: Coach) -> None:
        self.coach = coach
        self.me: Actor = coach.owner()
        self.group: Collection = coach.create_collection(self.me, "Harbour")
        self.paper = coach.knowledge.add(self.group.id, "varnhem.md", HARBOUR)
        self.keeper: Persona = coach.save_persona(self.me, PersonaDraft("Keeper", collections=(self.group.id,)))

    def ask(self, text: str, backend: str = "extractive", persona: Persona | None = None) -> None:
        thread = self.coach.new_thread(self.me, (persona or self.keeper).id, backend=backend)
        turn = self.coach.start(self.me, thread.id, text)
        list(self.coach.tail(self.me, turn.id))
        name = f"turn-{turn.id.hex[-6:]}"
        for running in [t for t in threading.enumerate() if t.name == name]:
            running.join(5.0)

    def look(self) -> None:
        self.coach._looking.run(lambda _: False)


@pytest.fixture
def desk(coach: Coach) -> Desk:
    return Desk(coach)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not come"
        threading.Event().wait(0.01)


# -- use ----------------------------------------------------------------------------------------------


def test_an_answer_counts_each_document_it_was_given_and_cited_once(desk: Desk) -> None:
    desk.ask(KNOWN)
    until(lambda: bool(desk.coach.document_uses(desk.me)))
    use = desk.coach.document_uses(desk.me, desk.group.id, days=30)[desk.paper.id]
    assert (use.found, use.cited) == (1, 1) and use.last_at and now() - use.last_at < timedelta(minutes=1)
    desk.ask(KNOWN)
    until(lambda: desk.coach.document_uses(desk.me)[desk.paper.id].cited == 2)
    assert desk.coach.unanswered(desk.me) == []


def test_a_failure_of_the_counting_never_reaches_the_answer(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from coach_core.store import uses

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(uses, "record", fail)
    thread = desk.coach.new_thread(desk.me, desk.keeper.id, backend="extractive")
    turn = desk.coach.start(desk.me, thread.id, KNOWN)
    assert [e for e in desk.coach.tail(desk.me, turn.id) if e][-1].status == "completed"


# -- questions that found nothing ---------------------------------------------------------------------


def test_a_question_that_found_nothing_is_kept_once_without_who_asked(desk: Desk) -> None:
    desk.ask("Where do zebras graze in winter, please tell eva@example.com?")
    desk.ask("where do ZEBRAS graze   in winter, please tell eva@example.com")
    desk.look()
    (one,) = desk.coach.unanswered(desk.me)
    assert one.text == "Where do zebras graze in winter, please tell [e-mail]?"
    assert (one.times, one.status, one.verdict, one.language) == (2, "open", "nothing", "en")
    assert (one.persona_id, one.collections) == (desk.keeper.id, (desk.group.id,))


def test_passages_that_do_not_answer_and_answers_that_cite_nothing_are_told_apart(
    make_coach: Callable[..., Coach],
) -> None:
    desk = Desk(make_coach(backend="scripted", script='{"steps": ["I do not know."]}'))
    desk.ask("Who painted the lighthouse on the ceiling of the chapel in Ravenna?")
    desk.ask(KNOWN, backend="scripted")
    desk.look()
    verdicts = {q.text: q.verdict for q in desk.coach.unanswered(desk.me)}
    assert sorted(verdicts.values()) == ["no_answer", "uncited"] and verdicts[KNOWN] == "uncited"


def test_a_question_for_which_nobody_could_search_is_not_kept_and_not_denied(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = desk.coach.knowledge.portion

    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is slow")

    monkeypatch.setattr(desk.coach.knowledge, "portion", fail)
    desk.ask("Where do zebras graze in winter?")
    monkeypatch.setattr(desk.coach.knowledge, "portion", find)
    (thread,) = desk.coach.recent(desk.me)
    assert desk.coach.messages(desk.me, thread.id)[-1].text.startswith(phrases("en").unsearched)
    desk.look()
    assert desk.coach.unanswered(desk.me) == []


def test_what_is_no_question_to_the_documents_is_not_kept(desk: Desk) -> None:
    bare = desk.coach.save_persona(desk.me, PersonaDraft("Bare"))
    desk.ask("Where do zebras graze in winter?", persona=bare)
    for said in ("Hello!", "Thank you so much", "Danke"):
        desk.ask(said)
    desk.look()
    assert desk.coach.unanswered(desk.me) == []


def test_recording_can_be_switched_off_and_ends_after_a_while(make_coach: Callable[..., Coach]) -> None:
    off = Desk(make_coach(backend="scripted", unanswered_days=0))
    off.ask("Where do zebras graze in winter?")
    off.look()
    assert off.coach.unanswered(off.me) == []
    told = {"key": "k", "text": "Old?", "language": "en", "verdict": "nothing", "collections": ()}
    unanswered.record(off.coach._db, now() - timedelta(days=181), persona_id=off.keeper.id, **told)  # type: ignore[arg-type]
    assert off.coach.cleanup(off.me)["old questions"] == 1


def test_a_new_document_answers_the_open_question(desk: Desk) -> None:
    desk.ask("How long does the ferry to Varnhem take?")
    desk.look()
    (one,) = desk.coach.unanswered(desk.me)
    tried = desk.coach.try_question(desk.me, one.id)
    assert tried.document_id is None and tried.verdict != "answers"
    ferry = desk.coach.knowledge.add(desk.group.id, "ferry.md", FERRY)
    desk.look()
    (one,) = desk.coach.unanswered(desk.me, ["answered"])
    assert one.document_id == ferry.id and desk.coach.unanswered(desk.me) == []
    desk.coach.settle_question(desk.me, one.id, "dismissed")
    assert [q.status for q in desk.coach.unanswered(desk.me, ["dismissed"])] == ["dismissed"]
    assert desk.coach.try_question(desk.me, one.id).document_id == ferry.id
    assert desk.coach.erase_questions(desk.me) == 1 and desk.coach.unanswered(desk.me, []) == []


def test_only_who_may_change_the_knowledge_sees_the_questions(desk: Desk) -> None:
    coach = desk.coach.actor_for(desk.coach.add_profile(desk.me, "Cora", "coach").id)
    with pytest.raises(NotAllowed):
        desk.coach.unanswered(coach)
    with pytest.raises(NotAllowed):
        desk.coach.deleted(coach)
    assert desk.coach.document_uses(coach) == {}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Mail eva.m+x@example.co.uk or https://x.example/p?q=1 now", "Mail [e-mail] or [link] now"),
        ("Call +49 (0)170 / 123-45 67 today", "Call [number] today"),
        ("My name is Eva Marie Müller and I sleep badly", "My name is [name] and I sleep badly"),
        ("Ich heiße Uwe, was hilft?", "Ich heiße [name], was hilft?"),
        ("Me llamo Ana López y no duermo", "Me llamo [name] y no duermo"),
        ("我叫小明，怎么睡觉？", "我叫 [name]，怎么睡觉?"),
        ("IBAN DE44500105175407324931?", "IBAN [number]?"),
        ("Sleep 8 hours or 7.5 in 2026?", "Sleep 8 hours or 7.5 in 2026?"),
    ],
)
def test_what_could_name_a_person_is_masked(told: str, kept: str) -> None:
    assert masked(told) == kept.replace("，", ",")


@given(some.text(max_size=900), some.emails(), some.integers(10**5, 10**15))
def test_no_address_and_no_long_number_gets_through(around: str, mail: str, number: int) -> None:
    text = masked(f"{around} {mail} {number}")
    assert str(number) not in text and len(text) <= LONGEST + 2
    assert key_of(text) == key_of(text.upper()) or text.upper().casefold() != text.casefold()


# -- shelves ------------------------------------------------------------------------------------------


def test_who_reads_a_collection_is_said_on_its_page_and_saved_as_versions(desk: Desk) -> None:
    coach, me = desk.coach, desk.me
    other = coach.save_persona(me, PersonaDraft("Other"))
    saved = coach.read_by(me, {desk.keeper.id: [], other.id: [desk.group.id]})
    assert {p.name: p.draft.collections for p in saved} == {"Keeper": (), "Other": (desk.group.id,)}
    notes = {p.name: coach.persona_versions(me, p.id)[0].note for p in saved}
    assert notes == {"Keeper": "no longer reads Harbour", "Other": "reads Harbour"}
    assert coach.read_by(me, {other.id: [desk.group.id]}) == []  # nothing changed: no version


def test_a_collection_is_renamed_and_described(desk: Desk) -> None:
    coach, me = desk.coach, desk.me
    made = coach.update_collection(me, desk.group.id, " The  harbour ", "Times", "CC0")
    assert (made.name, made.description, made.licence, made.documents) == ("The harbour", "Times", "CC0", 1)
    coach.create_collection(me, "Fish")
    with pytest.raises(NameTaken):
        coach.update_collection(me, desk.group.id, "FISH")
    with pytest.raises(InputError):
        coach.update_collection(me, desk.group.id, "  ")


def test_deleting_is_undone_and_a_document_moves(desk: Desk) -> None:
    coach, me = desk.coach, desk.me
    fish = coach.create_collection(me, "Fish")
    coach.place_document(me, desk.paper.id, fish.id)
    assert [d.name for d in coach.documents(me, fish.id)] == ["varnhem.md"]
    coach.delete_document(me, desk.paper.id)
    coach.delete_collection(me, fish.id)
    assert coach.search(me, "lighthouse", collections=[fish.id]) == []
    for one in coach.deleted(me):
        coach.bring_back(me, one.id)
    assert [p.title for p in coach.search(me, "lighthouse", collections=[fish.id])] == ["Varnhem"]
    coach.delete_document(me, desk.paper.id)
    coach.erase_deleted(me, desk.paper.id)
    assert coach.deleted(me) == []
