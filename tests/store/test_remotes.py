"""What was made at endpoints is found again, and one process at a time holds a lease."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from coach_core.backends import Remotes
from coach_core.store import leases, remotes
from coach_core.store.remotes import EndpointRemotes, RemoteObject
from coach_core.types import now


def test_what_is_kept_is_found_by_every_process_and_by_its_endpoint_alone(world: Any) -> None:
    here: Remotes = EndpointRemotes(world.db, "default")
    here.keep("assistant", "hash", "asst_1", {"name": "Ada"})
    there = EndpointRemotes(world.again(), "default")
    found = there.find("assistant", "hash")
    assert found is not None and (found.external_id, dict(found.state)) == ("asst_1", {"name": "Ada"})
    assert there.find("store", "hash") is None and there.find("assistant", "other") is None
    assert EndpointRemotes(world.db, "elsewhere").find("assistant", "hash") is None


def test_keeping_again_replaces_and_forgetting_twice_is_no_error(world: Any) -> None:
    here = EndpointRemotes(world.db, "default")
    here.keep("file", "a", "file_1", {"bytes": 1})
    first = here.find("file", "a")
    here.keep("file", "a", "file_2")
    second = here.find("file", "a")
    assert first and second and (second.external_id, dict(second.state)) == ("file_2", {})
    assert second.created_at == first.created_at
    here.forget("file", "a")
    here.forget("file", "a")
    assert here.find("file", "a") is None


def test_what_has_expired_there_is_not_found_but_still_listed(world: Any) -> None:
    here = EndpointRemotes(world.db, "default")
    here.keep("store", "old", "vs_1", expires_at=now() - timedelta(seconds=1))
    here.keep("store", "new", "vs_2", expires_at=now() + timedelta(hours=1))
    assert here.find("store", "old") is None
    assert here.find("store", "new") is not None
    assert [o.external_id for o in here.list("store")] == ["vs_1", "vs_2"]


def test_lists_by_endpoint_and_kind_and_finds_by_the_id_there(world: Any) -> None:
    here, there = EndpointRemotes(world.db, "default"), EndpointRemotes(world.db, "eu")
    here.keep("store", "p", "vs_1")
    here.keep("file", "d", "file_1")
    there.keep("file", "d", "file_2")
    assert [o.external_id for o in here.list()] == ["vs_1", "file_1"]
    assert [o.endpoint for o in remotes.list_objects(world.db, kinds=["file"])] == ["default", "eu"]
    found = remotes.named(world.db, "eu", "file", "file_2")
    assert found is not None and found.key == "d"
    assert remotes.named(world.db, "default", "file", "file_2") is None


def test_many_are_kept_and_forgotten_at_once(world: Any) -> None:
    here, there = EndpointRemotes(world.db, "default"), EndpointRemotes(world.db, "eu")
    there.keep("file", "a:1", "other")
    here.keep("file", "a:1", "old", {"n": 0})
    made = [RemoteObject("default", "file", key, f"id {key}", now(), {"n": 1}) for key in ("a:1", "a:2", "a%:3", "b:1")]
    here.keep_all(made)
    here.keep_all([])
    assert {o.key: (o.external_id, o.state["n"]) for o in here.list("file")} == {
        o.key: (f"id {o.key}", 1) for o in made
    }
    begins = {o.key for o in remotes.list_objects(world.db, "default", ["file"], begins="a%")}
    assert begins == {"a%:3"}, "it is no pattern"
    here.forget_all("file", ["a:1", "b:1", "never"])
    here.forget_all("file", [])
    assert {o.key for o in here.list("file")} == {"a%:3", "a:2"}
    assert there.find("file", "a:1") is not None


def test_a_lease_has_one_owner_until_it_is_released_or_runs_out(world: Any) -> None:
    other = world.again()
    with leases.held(world.db, "sync") as mine, leases.held(other, "sync") as theirs:
        assert (mine, theirs) == (True, False)
    with leases.held(other, "sync") as theirs:
        assert theirs, "it was released"
    assert leases.take(world.db, "sync", "dead", -1)
    assert leases.take(other, "sync", "living", 60), "what has run out is free"
    assert not leases.take(world.db, "sync", "dead", 60)
    assert leases.take(world.db, "another", "dead", 60), "leases do not stand in each other's way"


def test_a_lease_is_renewed_as_long_as_it_is_held(world: Any) -> None:
    other, done = world.again(), threading.Event()
    with leases.held(world.db, "sync", seconds=0.3) as mine:
        assert mine
        done.wait(0.7)
        assert not leases.take(other, "sync", "other", 60)
    assert leases.take(other, "sync", "other", 60)
