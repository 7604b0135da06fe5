"""Documents kept at an API: brought in step, searched there, taken back; local search whenever they are not."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import docx
import pytest

from coach_core.backends import line
from coach_core.coach import Coach, hosted_sync
from coach_core.errors import NotAllowed
from coach_core.store import leases
from coach_core.types import Actor, Collection, EndpointDraft, Event, HostedState, Persona, PersonaDraft, now
from tests.backends.fake_stores import FakeStores

SLEEP = (
    b"# Sleep\n\nGo to bed at the same hour every night; your body keeps its own clock.\n\n"
    b"Coffee stays in the blood for six hours. Drink the last cup before two in the afternoon.\n"
)
GOALS = b"# Goals\n\nA goal that is written down is kept more often than one that is only thought.\n"
QUESTION = "How long does coffee stay in the blood?"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's pauses before it tries again take no time."""
    monkeypatch.setattr(line, "pause", lambda _: None)


@pytest.fixture
def api() -> Iterator[FakeStores]:
    with FakeStores() as made:
        yield made
        assert not made.faults, "a body does not follow the API's description"


@pytest.fixture
def other() -> Iterator[FakeStores]:
    with FakeStores() as made:
        yield made


class World:
    """A coach with the endpoint `eu`, which keeps stores, a collection of two documents and a persona."""

    def __init__(self, coach: Coach, api: FakeStores) -> None:
        self.coach, self.api = coach, api
        self.me: Actor = coach.owner()
        self.endpoint("eu", api)
        self.group: Collection = coach.create_collection(self.me, "Handbook")
        self.sleep = coach.knowledge.add(self.group.id, "sleep.md", SLEEP)
        self.goals = coach.knowledge.add(self.group.id, "goals.md", GOALS)
        self.ada = self.persona("Ada")

    def endpoint(self, name: str, api: FakeStores, endpoint_id: UUID | None = None, **profile: Any) -> UUID:
        facts = {"stores": True} | profile
        draft = EndpointDraft(name, api.url, "openai_responses", model="m1", profile=facts)
        return self.coach.save_endpoint(self.me, draft, endpoint_id).id

    def persona(self, name: str, search: str = "hosted", backend: str = "eu", *groups: UUID) -> Persona:
        draft = PersonaDraft(
            name, "Be kind.", backend=backend, parameters={"search": search}, collections=groups or (self.group.id,)
        )
        return self.coach.save_persona(self.me, draft)

    def change(self, persona: Persona | None = None, **values: Any) -> Persona:
        before = self.coach.persona(self.me, (persona or self.ada).id)
        return self.coach.save_persona(self.me, dataclasses.replace(before.draft, **values), before.id)

    def switch(self, search: str) -> None:
        self.change(parameters={"search": search})

    def sync(self, *, force: bool = False) -> bool:
        return self.coach.hosted_sync(self.me, force=force, pause=lambda _: False)

    def state(self, persona: Persona | None = None) -> HostedState:
        return self.coach.hosted_state(self.me, (persona or self.ada).id)

    def ask(self, text: str = QUESTION, persona: Persona | None = None, **given: Any) -> list[Event]:
        thread = self.coach.new_thread(self.me, (persona or self.ada).id)
        turn = self.coach.start(self.me, thread.id, text, **given)
        return [e for e in self.coach.tail(self.me, turn.id) if e]


@pytest.fixture
def world(make_coach: Callable[..., Coach], api: FakeStores) -> World:
    return World(make_coach(backend="scripted"), api)


def text_of(events: list[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "text")


def notices(events: list[Event]) -> list[str]:
    return [e.source for e in events if e.kind == "notice"]


def tools(body: dict[str, Any]) -> list[str]:
    return [t["type"] for t in body.get("tools") or ()]


# -- in step -----------------------------------------------------------------------------------------


def test_nothing_is_sent_unless_the_persona_says_so(world: World) -> None:
    world.switch("local")
    world.endpoint("eu", world.api, world.coach.endpoint(world.me, "eu").id, parameters={"search": "hosted"})
    assert world.sync(force=True) and world.api.requests == []
    assert not world.state().wanted and world.state().why == ""
    world.ask()
    assert world.api.made("POST", "/files") == 0 and tools(world.api.asked[-1]) == []


def test_an_endpoint_may_say_so_for_personas_that_say_nothing(world: World) -> None:
    eu = world.coach.endpoint(world.me, "eu").id
    world.change(parameters={})
    world.sync(force=True)
    assert world.api.requests == []
    world.endpoint("eu", world.api, eu, parameters={"search": "hosted"})
    world.sync()
    assert world.state().wanted and world.state().ready
    world.ask()
    assert tools(world.api.asked[-1]) == ["file_search"]
    world.endpoint("eu", world.api, eu)
    world.sync()
    assert world.api.files == {} and world.api.stores == {}


def test_the_documents_of_a_persona_are_put_into_a_store_of_its_own(world: World) -> None:
    before = world.state()
    assert (before.ready, before.documents, before.there) == (False, 2, 0) and "own search answers" in before.why
    assert world.sync()
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]}
    (store,) = world.api.stores.values()
    assert store.body["metadata"] == {"persona": str(world.ada.id)}
    assert store.body["expires_after"] == {"anchor": "last_active_at", "days": hosted_sync.DAYS}
    assert {f.data for f in world.api.files.values()} == {SLEEP, GOALS}
    after = world.state()
    assert after.ready and not after.why and not after.failed
    assert (after.endpoint, after.documents, after.there, after.to_remove) == ("eu", 2, 2, 0)
    assert after.bytes == 2 * len(SLEEP + GOALS) and after.host in world.api.url
    assert after.synced_at and after.expires_at and after.expires_at > now() + timedelta(days=hosted_sync.DAYS - 1)


def test_what_is_in_step_costs_no_request_until_it_is_looked_at_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.sync()
    world.api.requests.clear()
    assert world.sync() and world.api.requests == []
    monkeypatch.setattr("coach_core.coach.hosted._LOOK", timedelta(0))
    world.sync()
    assert {m for m, _ in world.api.requests} == {"GET"}, "it is looked at, and nothing has to be done"


def test_what_the_api_cannot_read_by_its_kind_goes_as_the_text_read_here(world: World) -> None:
    page = io.BytesIO()
    document = docx.Document()
    document.add_paragraph("Breathe in for four counts, out for six.")
    document.save(page)
    for name, data in (
        ("plan.csv", b"day,task\nmonday,write the plan\ntuesday,rest a little\n"),
        ("old.txt", "Gr\u00fc\u00dfe aus K\u00f6ln, wo die B\u00e4ume bl\u00fchen.".encode("latin-1")),
        ("breath.docx", page.getvalue()),
    ):
        world.coach.knowledge.add(world.group.id, name, data)
    world.sync()
    sent = {f.name: f for f in world.api.files.values()}
    assert set(sent) == {"sleep.md", "goals.md", "plan.csv.txt", "old.txt", "breath.docx"}
    assert "write the plan" in sent["plan.csv.txt"].data.decode() and sent["plan.csv.txt"].media_type == "text/plain"
    assert "K\u00f6ln" in sent["old.txt"].data.decode("utf-8")
    assert sent["breath.docx"].data == page.getvalue()


def test_many_documents_go_in_batches_and_one_by_one_where_there_are_none(world: World) -> None:
    for number in range(12):
        world.coach.knowledge.add(world.group.id, f"n{number}.md", f"Note number {number} is about rest.".encode())
    world.sync()
    assert world.state().ready and world.api.made("POST", "/vector_stores/[^/]+/file_batches") == 1
    assert world.api.made("POST", "/vector_stores/[^/]+/files") == 0
    world.switch("local")
    world.sync()
    assert world.api.files == {}
    world.api.batches = False
    world.switch("hosted")
    world.sync()
    assert world.state().ready and world.api.made("POST", "/vector_stores/[^/]+/files") == 14


def test_lists_are_read_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coach_core.backends.hosted._PAGE", 1)
    world.coach.knowledge.add(world.group.id, "third.md", b"A third note, which is about nothing much.")
    world.sync()
    assert world.state().ready and world.api.made("GET", "/vector_stores/[^/]+/files") >= 3


def test_a_changed_document_is_sent_before_the_old_one_goes(world: World) -> None:
    world.sync()
    (old,) = [i for i, f in world.api.files.items() if f.name == "sleep.md"]
    world.api.requests.clear()
    world.coach.knowledge.replace(world.sleep.id, "sleep.md", SLEEP + b"\nA nap before three is fine.\n")
    assert not world.state().ready, "not in step from the very moment"
    world.sync()
    assert world.state().ready and old not in world.api.files and world.api.names() == ["goals.md", "sleep.md"]
    order = [r for r in world.api.requests if r[0] != "GET"]
    assert order.index(("POST", "/files")) < order.index(("DELETE", f"/files/{old}"))
    assert world.api.made("POST", "/files") == 1, "what has not changed is not sent again"


def test_a_deleted_document_is_deleted_there_before_anything_is_sent(world: World) -> None:
    world.sync()
    (gone,) = [i for i, f in world.api.files.items() if f.name == "sleep.md"]
    world.api.requests.clear()
    world.coach.delete_document(world.me, world.sleep.id)
    world.coach.knowledge.add(world.group.id, "new.md", b"Something new about walking in the morning.")
    world.sync()
    order = [r for r in world.api.requests if r[0] != "GET"]
    assert order[:2] == [
        ("DELETE", f"/vector_stores/{next(iter(world.api.stores))}/files/{gone}"),
        ("DELETE", f"/files/{gone}"),
    ]
    assert world.api.held() == {"Ada": ["goals.md", "new.md"]} and world.state().ready


def test_a_document_of_two_personas_is_sent_once_and_stays_as_long_as_one_reads_it(world: World) -> None:
    bob = world.persona("Bob")
    world.sync()
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"], "Bob": ["goals.md", "sleep.md"]}
    assert world.api.made("POST", "/files") == 2
    world.coach.delete_persona(world.me, world.ada.id)
    world.sync()
    assert world.api.held() == {"Bob": ["goals.md", "sleep.md"]} and world.state(bob).ready
    world.change(bob, collections=())
    world.sync()
    assert world.api.held() == {} and world.api.files == {}, "a persona that reads nothing leaves nothing there"
    assert "no documents" in world.state(bob).why


def test_switched_back_everything_is_removed_there(world: World) -> None:
    world.sync()
    world.switch("local")
    waiting = world.state()
    assert waiting.to_remove == 2 and "removed" in waiting.why and not waiting.wanted
    world.sync()
    assert world.api.stores == {} and world.api.files == {}
    after = world.state()
    assert (after.why, after.endpoint, after.there, after.to_remove, after.bytes) == ("", "", 0, 0, 0)
    world.api.requests.clear()
    assert world.sync(force=True) and world.api.requests == []


def test_a_collection_that_is_deleted_takes_its_documents_along(world: World) -> None:
    more = world.coach.create_collection(world.me, "More")
    world.coach.knowledge.add(more.id, "more.md", b"More about courage and how it is found.")
    world.change(collections=(world.group.id, more.id))
    world.sync()
    assert world.api.names() == ["goals.md", "more.md", "sleep.md"]
    world.coach.delete_collection(world.me, more.id)
    world.sync()
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]} and world.api.names() == ["goals.md", "sleep.md"]


def test_new_vectors_alone_are_no_change(world: World) -> None:
    world.sync()
    world.coach.knowledge._db.write(  # as embedding does
        lambda c: __import__("coach_core.store.collections", fromlist=["x"]).raise_generation(c, world.group.id)
    ).result()
    assert world.state().ready
    world.api.requests.clear()
    assert world.sync() and world.api.requests == []


# -- where the app's own search answers, and why -----------------------------------------------------


def hosted_notices(events: list[Event]) -> list[str]:
    return [e.text for e in events if e.kind == "notice" and e.source == "hosted"]


def test_copies_that_are_not_complete_are_named_with_their_number(world: World) -> None:
    world.api.refused = lambda f: "No." if f.name.startswith("goals") else ""
    world.sync()
    (said,) = hosted_notices(world.ask())
    assert said == "The app's own search answers: copies not complete yet, 1 of 2." and tools(world.api.asked[-1]) == []


def test_copies_in_step_say_nothing(world: World) -> None:
    world.sync()
    assert hosted_notices(world.ask()) == [] and tools(world.api.asked[-1]) == ["file_search"]


def test_a_server_that_keeps_no_documents_is_named(world: World, other: FakeStores) -> None:
    world.endpoint("plain", other, stores=False)
    (said,) = hosted_notices(world.ask(persona=world.persona("Bob", backend="plain")))
    assert said == "The app's own search answers: this server keeps no documents."
    world.sync()
    (said,) = hosted_notices(world.ask(backend="plain"))
    assert said == "The app's own search answers: this server keeps no documents."


def test_another_server_than_the_personas_own_holds_no_copies(world: World, other: FakeStores) -> None:
    world.endpoint("us", other)
    world.sync()
    (said,) = hosted_notices(world.ask(backend="us"))
    assert said == "The app's own search answers: copies are kept for eu only."
    there = world.coach.hosted_state(world.me, world.ada.id, backend="us")
    assert (there.endpoint, there.ready, there.documents, there.there, there.to_remove) == ("us", False, 2, 0, 0)
    assert "for eu only" in there.why and world.state().ready and other.files == {}


def test_nothing_to_search_and_nothing_hosted_say_nothing(world: World, other: FakeStores) -> None:
    world.endpoint("plain", other, stores=False)
    empty = world.coach.create_collection(world.me, "Empty")
    assert hosted_notices(world.ask(persona=world.persona("Bob", "hosted", "plain", empty.id))) == []
    assert hosted_notices(world.ask(persona=world.persona("Cid", "local", "plain"))) == []


# -- cut off, and going on ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("search", ["hosted", "local"])
def test_cut_off_at_any_request_the_next_pass_goes_on_and_leaves_nothing_twice(
    world: World, how: str, search: str
) -> None:
    """`after`: the API did what it was asked, but nobody heard of it."""
    other = {"hosted": "local", "local": "hosted"}[search]
    cuts = 0
    for number in range(1, 20):
        world.switch(other)
        world.sync(force=True)
        world.api.requests.clear()
        world.switch(search)

        def trouble(_: str, __: str, count: int, number: int = number) -> str | None:
            return how if count == number else "before" if count > number else None

        world.api.trouble = trouble
        world.sync(force=True)
        world.api.trouble = lambda *_: None
        cut = len(world.api.requests) >= number
        cuts += cut
        if cut:
            assert "cut" in world.state().why or "reach" in world.state().why or not world.state().why
        world.sync(force=True)
        wanted = {"Ada": ["goals.md", "sleep.md"]} if search == "hosted" else {}
        assert world.api.held() == wanted and len(world.api.stores) == len(wanted), f"cut at request {number}"
        assert world.api.names() == wanted.get("Ada", []), f"cut at request {number}"
        assert world.state().ready is (search == "hosted")
        if not cut:
            break
    assert cuts >= (8 if search == "hosted" else 3), "each request was cut once"


@pytest.mark.parametrize("how", ["before", "after"])
def test_cut_off_while_it_is_filled_and_then_switched_back_nothing_stays_there(world: World, how: str) -> None:
    for number in range(1, 20):
        world.switch("hosted")
        world.api.requests.clear()
        world.api.trouble = lambda _, __, count, number=number: (  # type: ignore[misc]
            how if count == number else "before" if count > number else None
        )
        world.sync(force=True)
        world.api.trouble = lambda *_: None
        whole = len(world.api.requests) < number
        world.switch("local")
        world.sync(force=True)
        assert world.api.files == {} and world.api.stores == {}, f"cut at request {number}"
        if whole:
            break
    assert number > 8, "each request was cut once"


def test_a_store_that_is_being_mended_is_not_searched(world: World) -> None:
    world.sync()
    lost(world, "file")
    world.api.trouble = lambda method, path, _: 500 if (method, path) == ("POST", "/files") else None
    world.sync(force=True)
    assert not world.state().ready and "error of its own" in world.state().why
    world.ask()
    assert tools(world.api.asked[-1]) == []


def test_another_process_goes_on_where_one_was_killed(make_coach: Callable[..., Coach], api: FakeStores) -> None:
    world = World(make_coach(backend="scripted"), api)

    class Killed(BaseException):
        pass

    def kill(_: float) -> bool:
        raise Killed

    api.reads = 3
    with pytest.raises(Killed):
        world.coach.hosted_sync(world.me, pause=lambda s: kill(s) if s else False)
    assert api.made("POST", "/files") == 2
    again = make_coach(backend="scripted")
    assert again.hosted_sync(again.owner(), pause=lambda _: False)
    assert again.hosted_state(again.owner(), world.ada.id).ready
    assert api.made("POST", "/files") == 2 and api.made("POST", "/vector_stores") == 1


def test_one_process_at_a_time(world: World) -> None:
    with leases.held(world.coach._db, "hosted") as mine:
        assert mine and world.sync(force=True) is False
        assert world.api.requests == []
    assert world.sync(force=True) and world.state().ready


def test_an_endpoint_that_is_changed_meanwhile_does_not_cut_it_off(world: World) -> None:
    def replace(_: float) -> bool:
        world.coach.parts.get("eu").close()  # as when its endpoint was changed and no turn uses it any more
        return False

    assert world.coach.hosted_sync(world.me, pause=replace) and world.state().ready
    assert len(world.api.requests) < 15, "in one go"


def test_a_file_that_is_read_slowly_is_waited_for_over_several_passes(world: World) -> None:
    world.api.reads = 25
    paused: list[float] = []
    world.coach.hosted_sync(world.me, pause=lambda s: bool(paused.append(s)))
    state = world.state()
    assert not state.ready and state.there == 0 and sum(paused) < 60
    assert "in step" in state.why and not state.failed
    for _ in range(5):
        world.sync()
    assert world.state().ready and world.api.made("POST", "/files") == 2


# -- gone there --------------------------------------------------------------------------------------


def lost(world: World, what: str) -> None:
    match what:
        case "store":
            world.api.stores.clear()
        case "expired":
            next(iter(world.api.stores.values())).expired = True
        case "file":
            world.api._delete_file(next(iter(world.api.files)))
        case "file in the store":
            next(iter(world.api.stores.values())).files.popitem()
        case _:
            world.api.stores.clear()
            world.api.files.clear()


@pytest.mark.parametrize("what", ["store", "expired", "file", "file in the store", "everything"])
def test_what_is_gone_there_is_made_anew(world: World, what: str) -> None:
    world.sync()
    lost(world, what)
    world.sync(force=True)
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]} and world.state().ready
    assert world.api.names() == ["goals.md", "sleep.md"]
    assert world.api.made("POST", "/files") == {"everything": 4, "file": 3}.get(what, 2), "what is there is kept"


def test_a_store_whose_time_has_come_is_not_searched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.sync()
    assert world.coach._hosted.stores("eu", world.ada)
    monkeypatch.setattr("coach_core.coach.hosted.now", lambda: now() + timedelta(days=hosted_sync.DAYS + 1))
    assert world.coach._hosted.stores("eu", world.ada) == () and not world.state().ready


def test_what_nobody_knows_in_the_store_is_taken_out(world: World) -> None:
    world.sync()
    (store_id,) = world.api.stores
    stray = dataclasses.replace(next(iter(world.api.files.values())), name="stray.md")
    _, answer = world.api._upload(stray)
    world.api._attach(store_id, [answer["id"]])
    world.sync(force=True)
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]} and "stray.md" not in world.api.names()


# -- failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["while it is read", "when it is sent"])
def test_what_is_refused_as_it_is_goes_as_text(world: World, when: str) -> None:
    if when == "while it is read":
        world.api.unreadable = lambda f: ("unsupported_file", "Bad file.") if f.name == "sleep.md" else None
    else:
        world.api.refused = lambda f: "Invalid file format." if f.name == "sleep.md" else ""
    world.sync()
    assert world.state().ready and world.api.names() == ["goals.md", "sleep.md.txt"]
    assert "six hours" in next(f.data for f in world.api.files.values() if f.name == "sleep.md.txt").decode()


@pytest.mark.parametrize("when", ["while it is read", "when it is sent"])
def test_a_document_that_fails_is_told_and_tried_again_later_while_the_others_go_on(
    world: World, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bad(file: Any) -> bool:
        return file.name.startswith("sleep")

    if when == "while it is read":
        world.api.unreadable = lambda f: (
            ("server_error", "Disk of key sk-planted-0123456789 is full.") if bad(f) else None
        )
    else:
        world.api.refused = lambda f: "We do not like it, sk-planted-0123456789." if bad(f) else ""
    world.sync()
    state = world.state()
    assert (state.there, state.documents, state.ready) == (1, 2, False)
    (failure,) = state.failed
    assert failure.name == "sleep.md" and "It says:" in failure.why and "sk-planted" not in failure.why
    assert "lacks 1" in state.why and failure.again and failure.again > now()
    world.api.requests.clear()
    world.sync()
    assert world.api.requests == [], "not before its time"
    pauses = []
    for _ in range(3):
        world.sync(force=True)
        pauses.append(world.state().failed[0].again)
    assert pauses == sorted(pauses) and (pauses[2] - now()) > timedelta(minutes=60), "the pauses grow"
    world.api.unreadable, world.api.refused = lambda _: None, lambda _: ""
    monkeypatch.setattr(hosted_sync, "now", lambda: now() + timedelta(days=2))
    monkeypatch.setattr("coach_core.coach.hosted.now", lambda: now() + timedelta(days=2))
    world.sync()
    assert world.state().there == 2 and not world.state().failed


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "wants a key"), (500, "error of its own"), (429, "asks to wait")]
)
def test_an_endpoint_that_fails_is_told_and_left_in_peace_for_a_while(world: World, status: int, sentence: str) -> None:
    world.api.trouble = lambda *_: status
    world.sync()
    assert sentence in world.state().why
    world.api.requests.clear()
    world.sync()
    assert world.api.requests == []
    world.api.trouble = lambda *_: None
    world.coach.hosted_soon(world.me)
    world.sync()
    assert world.state().ready


def test_an_endpoint_without_vector_stores_says_so(world: World) -> None:
    world.api.trouble = lambda _, path, __: 404 if "vector_stores" in path else None
    world.sync()
    assert "keeps no vector stores" in world.state().why
    assert text_of(world.ask()), "answers come all the same"


def test_a_persona_whose_backend_cannot_search_there_says_so_and_sends_nothing(world: World) -> None:
    world.endpoint("eu", world.api, world.coach.endpoint(world.me, "eu").id, stores=False)
    world.sync(force=True)
    assert world.api.requests == [] and "cannot search documents" in world.state().why
    carl = world.persona("Carl", backend="scripted")
    assert "cannot search documents" in world.state(carl).why


# -- two endpoints, and one that moves ---------------------------------------------------------------


def test_two_endpoints_hold_each_what_its_personas_read(world: World, other: FakeStores) -> None:
    world.endpoint("us", other)
    bob = world.persona("Bob", backend="us")
    world.sync()
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]} and other.held() == {"Bob": ["goals.md", "sleep.md"]}
    assert world.state(bob).ready and world.state(bob).endpoint == "us"
    other.trouble = lambda *_: 500
    world.coach.delete_document(world.me, world.sleep.id)
    world.sync()
    assert world.state().ready and not world.state(bob).ready, "one that fails does not keep the other back"
    other.trouble = lambda *_: None
    world.change(bob, backend="eu")
    world.sync(force=True)
    assert other.held() == {} and other.names() == []
    assert world.api.held() == {"Ada": ["goals.md"], "Bob": ["goals.md"]}


def test_what_is_left_at_an_address_that_changed_is_told_and_removed_when_it_is_back(
    world: World, other: FakeStores
) -> None:
    world.sync()
    eu = world.coach.endpoint(world.me, "eu").id
    world.endpoint("eu", other, eu)
    assert not world.state().ready
    world.sync()
    assert other.held() == {"Ada": ["goals.md", "sleep.md"]} and world.state().ready
    (line_,) = [c for c in world.coach.doctor(world.me) if c.name == "hosted search"]
    assert line_.state == "warn" and "2 documents are still at" in line_.detail and line_.mend
    world.switch("local")
    world.sync()
    assert other.names() == [] and world.api.names() != []
    world.endpoint("eu", world.api, eu)
    world.sync()
    assert world.api.names() == [] and world.api.held() == {}
    assert not [c for c in world.coach.doctor(world.me) if c.name == "hosted search"]


def test_an_endpoint_that_is_taken_off_the_list_leaves_a_warning(world: World) -> None:
    world.sync()
    assert [c.state for c in world.coach.doctor(world.me) if c.name == "hosted search"] == ["ok"]
    assert any("copies of 2 documents" in use for use in world.coach.endpoint_uses(world.me, "eu"))
    world.coach.delete_endpoint(world.me, world.coach.endpoint(world.me, "eu").id)
    world.sync()
    (line_,) = [c for c in world.coach.doctor(world.me) if c.name == "hosted search"]
    assert line_.state == "warn" and "not connected any more" in line_.detail
    world.endpoint("eu", world.api)
    world.switch("local")
    world.sync(force=True)
    assert world.api.names() == [] and world.api.stores == {}


# -- turns -------------------------------------------------------------------------------------------


def test_the_api_searches_and_its_citation_opens_our_own_document(world: World) -> None:
    world.sync()
    events = world.ask()
    body = world.api.asked[-1]
    (search,) = [t for t in body["tools"] if t["type"] == "file_search"]
    assert search["vector_store_ids"] == list(world.api.stores)
    assert "file_search_call.results" in body["include"]
    assert "same hour every night" not in json.dumps(body), "no passages of ours beside it"
    assert "retrieval" not in notices(events) and "hosted" not in notices(events)
    (cited,) = [e.citation for e in events if e.citation]
    text, _ = world.coach.document_text(world.me, world.sleep.id)
    assert (cited.document_id, cited.document_hash) == (world.sleep.id, world.sleep.sha256)
    assert cited.text == text[cited.start : cited.end] and "six hours" in cited.text
    assert cited.number == 1 and cited.chunk_id and cited.title == world.sleep.title
    assert text_of(events) == "By the file [1]."
    stored = world.coach.citations(world.me, [world.coach.turn(world.me, events[0].turn).answer_id])  # type: ignore[arg-type]
    assert [c.chunk_id for found in stored.values() for c in found] == [cited.chunk_id]
    assert next(e for e in events if e.kind == "start").arguments["stores"] == list(world.api.stores)  # type: ignore[index]


@pytest.mark.parametrize("fault", ["fails", "finds nothing", "is gone"])
def test_local_search_takes_over_within_the_same_turn(world: World, fault: str) -> None:
    world.sync()
    if fault == "fails":
        world.api.search_fails = True
    elif fault == "finds nothing":
        for file in world.api.files.values():
            file.data = b"x"
    else:
        world.api.stores.clear()
    events = world.ask()
    assert "hosted" in notices(events) and events[-1].status == "completed"
    assert tools(world.api.asked[-1]) == [] and "six hours" in json.dumps(world.api.asked[-1])
    (cited,) = [e.citation for e in events if e.citation]
    assert cited.document_id == world.sleep.id and text_of(events) == "As the passages say [1]."


def test_a_store_that_was_missed_in_a_turn_is_made_anew_soon(world: World) -> None:
    world.sync()
    world.api.stores.clear()
    world.ask()
    world.sync()
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]}
    assert "hosted" not in notices(world.ask())


def test_while_the_store_is_not_in_step_local_search_answers_and_says_how_far_it_is(world: World) -> None:
    world.sync()
    world.coach.knowledge.add(world.group.id, "tea.md", b"Green tea has less caffeine than coffee has.")
    events = world.ask()
    assert tools(world.api.asked[-1]) == []
    assert hosted_notices(events) == ["The app's own search answers: copies not complete yet, 2 of 3."]
    assert [e.citation.title for e in events if e.citation]
    world.sync()
    world.ask()
    assert tools(world.api.asked[-1]) == ["file_search"]


def test_a_file_that_the_person_attaches_is_searched_here(world: World) -> None:
    world.sync()
    file = world.coach.attach(world.me, "mine.md", b"My coffee diary: nine cups on monday, blood pressure high.")
    world.ask(files=[file])
    assert tools(world.api.asked[-1]) == [] and "nine cups" in json.dumps(world.api.asked[-1])


def test_a_citation_of_a_document_that_has_just_gone_stays_as_the_api_gave_it(world: World) -> None:
    world.sync()
    (file_id,) = [i for i, f in world.api.files.items() if f.name == "sleep.md"]
    from coach_core.types import Citation

    given = Citation(0, "sleep.md", "Coffee stays in the blood for six hours.", external_id=file_id)
    world.coach.knowledge.replace(
        world.sleep.id, "sleep.md", b"# Sleep\n\nCoffee stays in the blood for six hours, now.\n"
    )
    found = world.coach._hosted.resolve("openai_responses@eu", given)
    assert (found.document_id, found.chunk_id, found.text) == (world.sleep.id, None, given.text)
    world.coach.delete_document(world.me, world.sleep.id)
    assert world.coach._hosted.resolve("openai_responses@eu", given) == given
    assert world.coach._hosted.resolve("openai_responses@us", given) == given


# -- who may, and who is told ------------------------------------------------------------------------


def test_who_may_look_and_who_may_act(world: World) -> None:
    client = dataclasses.replace(world.me, role="client")
    coach = dataclasses.replace(world.me, role="coach")
    assert world.coach.hosted_state(coach, world.ada.id).wanted
    for call in (
        lambda: world.coach.hosted_state(client, world.ada.id),
        lambda: world.coach.hosted_sync(coach),
        lambda: world.coach.hosted_soon(coach),
    ):
        with pytest.raises(NotAllowed):
            call()


def test_it_runs_in_the_background(
    planted: Path, tmp_path: Path, api: FakeStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    import threading

    from coach_core.settings import Settings

    monkeypatch.setattr("coach_core.coach.EVERY", 0.05)
    shutil.copytree(planted, tmp_path / "home")
    coach = Coach.from_settings(Settings(home=tmp_path / "home", embedder="./nowhere", backend="scripted"))
    try:
        world = World(coach, api)
        for _ in range(200):
            if world.state().ready:
                break
            threading.Event().wait(0.05)
        assert world.state().ready
    finally:
        coach.close()
