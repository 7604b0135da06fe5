"""Stores filled from a collection, listed beside it: what differs, until when they stay, and how they go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from coach_core.backends import line
from coach_core.coach import Coach
from coach_core.errors import BadSetting, InputError, NotAllowed, NotFound
from coach_core.types import HostedCopy, PersonaDraft, now
from tests.backends.fake_stores import FakeStores, Store
from tests.coach.test_hosted import GOALS, SLEEP, World


@pytest.fixture
def world(make_coach: Callable[..., Coach], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """As in test_hosted, with the persona searching locally: nothing is sent for it."""
    monkeypatch.setattr(line, "pause", lambda _: None)
    with FakeStores() as api:
        made = World(make_coach(backend="scripted"), api)
        made.switch("local")
        yield made
        assert not api.faults, "a body does not follow the API's description"


def copies(world: World) -> list[HostedCopy]:
    return world.coach.hosted_copies(world.me, world.group.id)


def test_a_store_is_filled_from_a_collection_on_demand_and_taken_away(world: World) -> None:
    assert copies(world) == [] and world.coach.hosted_places(world.me).keys() == {"eu"}
    assert world.sync(force=True) and world.api.requests == []
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    (waiting,) = copies(world)
    assert (waiting.of_collection, waiting.ready, waiting.there, waiting.documents) == (True, False, 0, 2)
    assert waiting.missing == ("goals.md", "sleep.md")
    world.sync()
    assert world.api.held() == {"Handbook": ["goals.md", "sleep.md"]}
    (store,) = world.api.stores.values()
    assert store.body["metadata"] == {"collection": str(world.group.id)}
    (full,) = copies(world)
    assert full.ready and full.there == 2 and not (full.missing or full.extra or full.changed or full.failed)
    assert full.bytes == 2 * len(SLEEP + GOALS) and full.synced_at and full.expires_at and not full.why
    assert world.sync(force=True) and world.api.made("POST", "/files") == 2  # again: nothing is sent twice
    world.coach.drop_hosted(world.me, world.group.id, "eu")
    assert copies(world)[0].why == "It is being removed."
    world.sync()
    assert (world.api.stores, world.api.files, copies(world)) == ({}, {}, [])


def test_what_differs_is_named_both_ways(world: World) -> None:
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    world.sync()
    world.coach.knowledge.replace(world.sleep.id, "sleep.md", SLEEP + b"\nA nap is short.\n")
    world.coach.delete_document(world.me, world.goals.id)
    world.coach.knowledge.add(world.group.id, "new.md", b"# New\n\nSomething new.\n")
    (behind,) = copies(world)
    assert not behind.ready
    assert (behind.missing, behind.changed, behind.extra) == (("new.md",), ("sleep.md",), ("goals.md",))
    world.sync()
    (after,) = copies(world)
    assert after.ready and not (after.missing or after.changed or after.extra)
    assert world.api.held() == {"Handbook": ["new.md", "sleep.md"]}


def test_what_the_api_cannot_read_is_named_with_why(world: World) -> None:
    world.api.unreadable = lambda file: ("server_error", "It is broken.") if file.name == "goals.md" else None
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    world.sync()
    (copy,) = copies(world)
    assert [f.name for f in copy.failed] == ["goals.md"] and "It is broken." in copy.failed[0].why
    assert (copy.there, copy.missing) == (1, ())


def test_a_personas_own_store_stands_beside_it(world: World) -> None:
    world.switch("hosted")
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    world.sync()
    own, of_ada = copies(world)
    assert (own.of_collection, own.name, of_ada.of_collection, of_ada.name) == (True, "Handbook", False, "Ada")
    assert own.ready and of_ada.ready and world.api.made("POST", "/files") == 2  # each document is sent once
    world.coach.drop_hosted(world.me, world.group.id, "eu")
    world.sync()
    assert world.api.held() == {"Ada": ["goals.md", "sleep.md"]}


def test_a_store_that_nobody_searched_is_kept_alive(world: World) -> None:
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    world.sync()
    (store,) = world.api.stores.values()
    store.idle = 27
    world.sync(force=True)
    (old,) = copies(world)
    assert old.expires_at and old.expires_at < now() + timedelta(days=4)
    world.coach.keep_hosted_alive(world.me, "eu", world.group.id)
    (kept,) = copies(world)
    assert kept.expires_at and kept.expires_at > now() + timedelta(days=29)
    world.api.stores.clear()
    with pytest.raises(NotFound, match="made and filled anew"):
        world.coach.keep_hosted_alive(world.me, "eu", world.group.id)
    world.sync()
    assert world.api.held() == {"Handbook": ["goals.md", "sleep.md"]}


def test_stores_of_others_are_listed_and_never_touched(world: World) -> None:
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    world.sync()
    world.api.stores["vs_900000"] = Store({"name": "From before"}, 900)
    (other,) = world.coach.hosted_others(world.me, "eu")
    assert (other.name, other.files, other.store, other.expires_at) == ("From before", 0, "vs_900000", None)
    world.coach.drop_hosted(world.me, world.group.id, "eu")
    world.sync()
    assert list(world.api.stores) == ["vs_900000"]


def test_who_may_and_what_cannot_be_filled(world: World) -> None:
    coach, me = world.coach, world.me
    reader = coach.actor_for(coach.add_profile(me, "Cora", "coach").id)
    with pytest.raises(NotAllowed):
        coach.fill_hosted(reader, world.group.id, "eu")
    assert coach.hosted_copies(reader, world.group.id) == []
    with pytest.raises(BadSetting, match="No endpoint called 'us'"):
        coach.fill_hosted(me, world.group.id, "us")
    with pytest.raises(InputError, match="no documents yet"):
        coach.fill_hosted(me, coach.create_collection(me, "Empty").id, "eu")
    with pytest.raises(NotFound):
        coach.drop_hosted(me, world.group.id, "eu")


def test_deleting_the_collection_takes_its_store_away(world: World) -> None:
    world.coach.fill_hosted(world.me, world.group.id, "eu")
    world.sync()
    world.coach.save_persona(world.me, PersonaDraft("Idle"))
    world.coach.delete_collection(world.me, world.group.id)
    world.sync()
    assert (world.api.stores, world.api.files) == ({}, {})
