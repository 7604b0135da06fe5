"""A model behind an address that dies after it was handed over to: the local one before it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coach_core.errors import CoachError
from coach_core.knowledge import Knowledge, handover
from coach_core.search.remote import RemoteEmbedder, Server, Spec
from coach_core.store import Database, chunks, serving
from coach_core.types import Collection
from tests.knowledge.test_models import MORE, TEXT, Model, World, by_meaning
from tests.search.model_server import ModelServer
from tests.search.model_server import serving as served

DEAD = "cannot be reached"
SPEC = "https://models.example/v1/embeddings#small"


class Far(World):
    """Model a is here, SPEC is behind the address of a server."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch, server: ModelServer) -> None:
        super().__init__(db, monkeypatch)
        self.server = server

    def open(self, spec: str) -> Any:
        if spec != SPEC:
            return super().open(spec)
        self.opened.append(spec)
        return RemoteEmbedder(Server(f"{self.server.url}/v1/embeddings"), Spec.parse(spec))

    def die(self) -> None:
        self.server.faults = ["cut"] * 10_000

    def revive(self) -> None:
        self.server.faults = []


@pytest.fixture
def world(db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setattr(RemoteEmbedder, "_WAIT", (0.0, 0.0))
    with served() as server:
        yield Far(db, monkeypatch, server)


@pytest.fixture
def opened(world: Far) -> Iterator[list[Knowledge]]:
    made = [world.process()]
    yield made
    for knowledge in made:
        knowledge.close()


@pytest.fixture
def home(world: Far, opened: list[Knowledge]) -> Collection:
    knowledge = opened[0]
    made = knowledge.create_collection("Health")
    knowledge.add(made.id, "talks.md", TEXT.encode())
    world.embed(knowledge)
    world.wanted = SPEC
    world.embed(knowledge)
    return made


def test_the_model_before_answers_while_the_server_does_not(
    world: Far, opened: list[Knowledge], home: Collection
) -> None:
    knowledge = opened[0]
    assert knowledge.embedding.progress().serving == ""
    asked = world.models["a"].asked
    assert by_meaning(knowledge, home)
    assert world.models["a"].asked == asked
    assert not knowledge.embedding.progress().instead

    world.die()
    assert by_meaning(knowledge, home, "budget")
    assert world.models["a"].asked > asked
    state = knowledge.embedding.progress()
    assert state.instead == "model-a" and not state.alone and DEAD in state.trouble
    check = knowledge.check()
    assert check.state == "warn" and DEAD in check.detail and "model-a finds passages" in check.mend

    world.revive()
    knowledge.check()  # it listens
    asked = world.models["a"].asked
    assert by_meaning(knowledge, home, "talk number")
    assert world.models["a"].asked == asked
    assert knowledge.embedding.progress().trouble == "" and knowledge.check().state == "ok"


def test_after_a_restart_too(world: Far, opened: list[Knowledge], home: Collection) -> None:
    world.die()
    again = world.process()
    opened.append(again)
    assert again.warm(5)
    assert by_meaning(again, home)
    state = again.embedding.progress()
    assert state.instead == "model-a" and DEAD in state.trouble
    assert "model-a finds passages" in again.check().mend
    assert again.embedding.score("sleep", ["sleep", "herons"])


def test_with_none_to_stand_in_words_alone_answer_and_it_is_told(
    world: Far, opened: list[Knowledge], home: Collection
) -> None:
    state = serving.get(world.db)
    assert state is not None
    serving.put(world.db, serving.Serving(state.spec, state.models))  # nothing is kept
    world.die()
    found = opened[0].find("budget", [home.id], wait=5)
    assert found and not any(p.rank_meaning for p in found)
    state_now = opened[0].embedding.progress()
    assert state_now.alone and not state_now.instead and DEAD in state_now.trouble
    assert "Words alone find" in opened[0].check().mend


def test_one_behind_another_address_does_not_stand_in(world: Far, opened: list[Knowledge], home: Collection) -> None:
    """Nothing is sent to a server that was left."""
    other = "https://other.example/v1/embeddings#large"
    state = serving.get(world.db)
    assert state is not None
    world.models[other] = Model("model-a", 64, remote=True)
    serving.put(world.db, serving.Serving(state.spec, state.models, state.left, dict.fromkeys(state.left, other)))
    world.die()
    assert not by_meaning(opened[0], home, "budget")
    assert other not in world.opened


def test_what_was_read_of_others_is_no_reason_to_hand_over(world: Far, opened: list[Knowledge]) -> None:
    """The old model has read the first document only, the new one more passages, but not all of those."""
    knowledge = opened[0]
    made = knowledge.create_collection("Health")
    knowledge.add(made.id, "rivers.md", MORE)
    world.embed(knowledge)
    world.models["b"].most = 0
    world.wanted = "b"
    with pytest.raises(CoachError):
        world.embed(knowledge)
    knowledge.add(made.id, "talks.md", TEXT.encode())
    new, old = world.models["b"], world.models["a"]
    new.most = 10**9
    with world.db.read() as connection:
        rows = list(chunks.unembedded(connection, new.name, 100))
        first = rows[0]
    vectors = [
        (r.number, r.version_id, r.collection_id, new.query(r.text).astype("float16").tobytes())
        for r in rows
        if r.number != first.number
    ]
    world.db.write(lambda c: chunks.add_vectors(c, new.name, vectors)).result()
    assert world.vectors()[new.name] > world.vectors()[old.name]
    knowledge.embedding.warm(5)
    assert not handover.settle(world.db, knowledge.embedding._chosen)
    assert knowledge.embedding.progress().serving == "model-a"
    world.embed(knowledge)
    assert knowledge.embedding.progress().serving == ""
