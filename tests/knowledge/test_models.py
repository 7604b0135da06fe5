"""One embedding model for another: the old one finds passages until the new one has read them all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from coach_core.errors import BadSetting, CoachError
from coach_core.knowledge import Knowledge, embedding, handover
from coach_core.store import Database, serving
from coach_core.types import Collection
from tests.knowledge.conftest import HashedWords

TEXT = "# Talks\n\n" + "\n\n".join(f"## Part {n}\n\nSleep, budget and talk number {n}. " * 6 for n in range(12))
MORE = b"# Rivers\n\nThe heron waits at the river.\n"


class Model(HashedWords):
    """A model of its own name and size that stops after `most` passages."""

    def __init__(self, name: str, dim: int, most: int = 10**9, *, remote: bool = False) -> None:
        self.name, self.dim, self.most, self.remote = name, dim, most, remote
        self.read = 0
        self.asked = 0

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.read + len(texts) > self.most:
            raise BadSetting("The endpoint had an error of its own.")
        self.read += len(texts)
        return np.stack([HashedWords.query(self, t) for t in texts])

    def query(self, text: str) -> NDArray[np.float32]:
        self.asked += 1
        return HashedWords.query(self, text)


class World:
    """Models by their specs, the one that is wanted, and processes over one database."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedding, "_EMBED_AT_ONCE", 4)
        self.db = db
        self.models = {"a": Model("model-a", 64), "b": Model("model-b", 32), "c": Model("model-c", 16)}
        self.opened: list[str] = []
        self.wanted = "a"

    def open(self, spec: str) -> Model:
        self.opened.append(spec)
        if spec not in self.models:
            raise BadSetting(f"{spec} cannot be reached.")
        return self.models[spec]

    def process(self) -> Knowledge:
        return Knowledge(self.db, opener=self.open, choose=lambda: self.wanted)

    def embed(self, knowledge: Knowledge) -> None:
        knowledge.embed_pending(threading.Event())

    def vectors(self) -> dict[str, int]:
        with self.db.read() as connection:
            return serving.models(connection)


@pytest.fixture
def world(db: Database, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(db, monkeypatch)


@pytest.fixture
def knowledge(world: World) -> Knowledge:
    return world.process()


@pytest.fixture
def home(world: World, knowledge: Knowledge) -> Collection:
    made = knowledge.create_collection("Health")
    knowledge.add(made.id, "talks.md", TEXT.encode())
    world.embed(knowledge)
    return made


def by_meaning(knowledge: Knowledge, home: Collection, text: str = "sleep") -> bool:
    return any(p.rank_meaning for p in knowledge.find(text, [home.id], wait=5))


def test_the_old_model_finds_passages_until_the_new_one_has_read_them_all(
    world: World, knowledge: Knowledge, home: Collection
) -> None:
    total = knowledge.pending()[1]
    assert total >= 10
    world.models["b"].most = total - 3  # it breaks off
    world.wanted = "b"
    with pytest.raises(CoachError):
        world.embed(knowledge)
    state = knowledge.embedding.progress()
    assert (state.model, state.serving, state.total) == ("model-b", "model-a", total)
    assert 0 < state.done < total
    before = world.models["a"].asked
    assert by_meaning(knowledge, home)
    assert world.models["a"].asked > before
    assert knowledge.pending() == (total, total)  # all are found by meaning

    again = world.process()  # a restart
    assert by_meaning(again, home)
    world.models["b"].most = 10**9
    read = world.models["b"].read
    world.embed(again)
    assert world.models["b"].read == total
    assert read > 0
    state = again.embedding.progress()
    assert (state.done, state.total, state.model, state.serving) == (total, total, "model-b", "")
    asked = world.models["a"].asked
    assert by_meaning(again, home)
    assert world.models["a"].asked == asked

    assert by_meaning(knowledge, home)  # another process still asks the old one, whose vectors are there
    world.embed(knowledge)
    assert knowledge.embedding.progress().serving == ""
    assert by_meaning(knowledge, home)


def test_going_back_costs_nothing(world: World, knowledge: Knowledge, home: Collection) -> None:
    world.wanted = "b"
    world.embed(knowledge)
    read = world.models["a"].read
    world.wanted = "a"
    world.embed(knowledge)
    assert world.models["a"].read == read
    assert (knowledge.embedding.progress().model, knowledge.embedding.progress().serving) == ("model-a", "")
    assert by_meaning(knowledge, home)


def test_going_back_half_way(world: World, knowledge: Knowledge, home: Collection) -> None:
    world.models["b"].most = 5
    world.wanted = "b"
    with pytest.raises(CoachError):
        world.embed(knowledge)
    world.wanted = "a"
    world.embed(knowledge)
    assert world.opened.count("a") == 1  # it was never closed
    state = serving.get(world.db)
    assert state is not None
    assert state.models == ("model-a",)
    assert set(state.left) == {"model-b"}


def test_a_second_change_of_mind(world: World, knowledge: Knowledge, home: Collection) -> None:
    world.models["b"].most = 5
    world.wanted = "b"
    with pytest.raises(CoachError):
        world.embed(knowledge)
    world.wanted = "c"
    asked = world.models["a"].asked
    assert by_meaning(knowledge, home)
    assert world.models["a"].asked > asked
    world.embed(knowledge)
    assert knowledge.embedding.progress().model == "model-c"
    assert by_meaning(knowledge, home)


def test_old_vectors_are_kept_a_week_and_dropped_in_parts(
    world: World, knowledge: Knowledge, home: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = knowledge.pending()[1]
    world.wanted = "b"
    world.embed(knowledge)
    assert world.vectors() == {"model-a": total, "model-b": total}
    assert "kept for going back: model-a until" in knowledge.check().detail
    monkeypatch.setattr(handover, "KEEP", timedelta(0))
    world.embed(world.process())
    assert world.vectors() == {"model-b": total}
    state = serving.get(world.db)
    assert state is not None
    assert not state.left


def test_an_old_model_that_cannot_be_opened_is_told(world: World, knowledge: Knowledge, home: Collection) -> None:
    del world.models["a"]
    world.models["b"].most = 0
    world.wanted = "b"
    again = world.process()
    with pytest.raises(CoachError):
        world.embed(again)
    found = again.find("sleep", [home.id], wait=5)
    assert found
    assert not any(p.rank_meaning for p in found)
    again.embedding._before.first.ready(5)
    assert again.embedding.progress().trouble == "The model before cannot be opened: a cannot be reached."


def test_a_new_model_that_cannot_be_opened_leaves_the_old_at_work(
    world: World, knowledge: Knowledge, home: Collection
) -> None:
    world.wanted = "nowhere"
    with pytest.raises(CoachError):
        world.embed(knowledge)
    assert by_meaning(knowledge, home)
    assert knowledge.embedding.progress().trouble == "nowhere cannot be reached."
    assert knowledge.check().state == "warn"
    knowledge.add(home.id, "rivers.md", MORE)
    with pytest.raises(CoachError):
        world.embed(knowledge)
    assert by_meaning(knowledge, home, "heron")  # what is new is read by the old one


def test_what_comes_during_the_change_is_found_by_the_old_model_too(
    world: World, knowledge: Knowledge, home: Collection
) -> None:
    world.models["b"].most = 5
    world.wanted = "b"
    with pytest.raises(CoachError):
        world.embed(knowledge)
    knowledge.add(home.id, "rivers.md", MORE)
    with pytest.raises(CoachError):
        world.embed(knowledge)
    assert next(p.title for p in knowledge.find("heron", [home.id]) if p.rank_meaning) == "Rivers"


def test_without_documents_the_change_is_at_once(world: World, knowledge: Knowledge) -> None:
    home = knowledge.create_collection("Health")
    world.embed(knowledge)
    world.wanted = "b"
    knowledge.add(home.id, "rivers.md", MORE)
    world.embed(knowledge)
    assert world.vectors() == {"model-b": 1}
    assert by_meaning(knowledge, home, "heron")


def test_a_place_that_holds_another_model_now(world: World, knowledge: Knowledge, home: Collection) -> None:
    """A folder whose model was replaced: nothing opens the old one, and its vectors are not mixed with the new."""
    world.models["a"] = Model("model-a-2", 48)
    again = world.process()
    assert not by_meaning(again, home)
    world.embed(again)
    assert by_meaning(again, home)
    assert again.embedding.progress().model == "model-a-2"


def test_an_english_model_beside_goes_with_the_first(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(db, monkeypatch)
    world.models |= {"bundled": Model("first", 64)}
    beside = Model("beside", 24)
    world.wanted = "bundled"
    knowledge = Knowledge(db, opener=world.open, choose=lambda: world.wanted, english_factory=lambda: beside)
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "talks.md", TEXT.encode())
    world.embed(knowledge)
    total = knowledge.pending()[1]
    assert world.vectors() == {"first": total, "beside": total}
    world.wanted = "b"
    world.embed(knowledge)
    state = serving.get(db)
    assert state is not None
    assert (state.models, set(state.left)) == (("model-b",), {"first", "beside"})
    asked = beside.asked
    assert by_meaning(knowledge, home)
    assert beside.asked == asked
    world.wanted = "bundled"
    world.embed(knowledge)
    state = serving.get(db)
    assert state is not None
    assert (state.models, set(state.left)) == (("first", "beside"), {"model-b"})


def test_one_process_embeds_at_a_time(
    world: World, knowledge: Knowledge, home: Collection, tmp_path: Path, embed: Callable[[Knowledge], None]
) -> None:
    knowledge.add(home.id, "rivers.md", MORE)
    with knowledge.embedding._alone() as first, world.process().embedding._alone() as second:
        assert (first, second) == (True, False)


def test_an_endpoint_that_is_late_costs_the_words_nothing(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(db, monkeypatch)
    let_go = threading.Event()

    class Late(Model):
        def query(self, text: str) -> NDArray[np.float32]:
            if text == "sleep":
                let_go.wait(10)
            return super().query(text)

    world.models["a"] = Late("model-a", 64, remote=True)
    knowledge = Knowledge(db, opener=world.open, choose=lambda: "a", patience=0.02)
    home = knowledge.create_collection("Health")
    knowledge.add(home.id, "talks.md", TEXT.encode())
    world.embed(knowledge)
    found = knowledge.find("sleep", [home.id])
    let_go.set()
    assert found
    assert not any(p.rank_meaning for p in found)
    assert any(p.rank_meaning for p in knowledge.find("budget", [home.id], wait=5))
