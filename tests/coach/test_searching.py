"""Embedder and reranker by settings, through the facade, with servers on loopback."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.errors import BadSetting, MissingKey, NotAllowed
from coach_core.settings import Settings
from coach_core.types import Actor, EndpointDraft
from tests.search.model_server import ModelServer, serving

KEY = "sk-very-secret-key-0123456789"
TALKS = b"# Talks\n\n" + b"\n\n".join(b"## Part %d\n\nSleep and budget, part %d.\n" % (n, n) for n in range(6))
Make = Callable[..., Coach]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with serving() as made:
        yield made


@pytest.fixture
def make(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Coaches of one home whose embedder may be set in the table."""
    home = tmp_path / "home"
    shutil.copytree(planted, home)
    monkeypatch.setenv("COACH_CONFIG", str(tmp_path))
    monkeypatch.setenv("COACH_KEY_EU", KEY)
    made: list[Coach] = []

    def make(**settings: Any) -> Coach:
        given = Settings.load(home=home, backend="scripted", **settings)
        made.append(Coach.from_settings(given, background=False))
        return made[-1]

    yield make
    for coach in made:
        coach.close()


def with_endpoint(coach: Coach, me: Actor, server: ModelServer, **profile: Any) -> None:
    draft = EndpointDraft("eu", f"{server.url}/v1", "openai_chat", "COACH_KEY_EU", profile=profile)
    coach.save_endpoint(me, draft)


def stored(coach: Coach) -> str:
    connection = sqlite3.connect(coach.settings.home / "coach.db")
    try:
        return "\n".join(connection.iterdump())
    finally:
        connection.close()


def test_a_model_of_an_endpoint_is_taken_up_while_the_app_runs(
    make: Make, server: ModelServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    coach = make()
    me = coach.owner()
    with_endpoint(coach, me, server, key_header="api-key", query={"api-version": "2026"})
    coach.change_setting(me, "embedder", "eu#small?dimensions=16")
    home = coach.create_collection(me, "Health")
    coach.ingest(me, home.id, "talks.md", _file(coach, TALKS))
    coach.embed_now(me)
    seen = server.seen[-1]
    assert seen.path == "/v1/embeddings?api-version=2026"
    assert (seen.headers["api-key"], seen.body["model"], seen.body["dimensions"]) == (KEY, "small", 16)
    assert "Authorization" not in seen.headers
    found = coach.search(me, "budget", collections=[home.id])
    assert found[0].rank_meaning
    state = coach.embedding_state(me)
    assert (state.done, state.model) == (state.total, f"small@{server.url[7:]}/16")
    line = next(c for c in coach.doctor(me) if c.name == "embeddings")
    assert line.state == "ok" and "16 numbers a passage" in line.detail and "passages/s" in line.detail
    said = f"{caplog.text} {stored(coach)} {coach.settings_view(me)} {coach.doctor(me)} {coach.audit(me)}"
    assert KEY not in said


def test_a_trial_says_what_a_change_costs(make: Make, server: ModelServer) -> None:
    coach = make()
    me = coach.owner()
    with_endpoint(coach, me, server)
    trial = coach.test_embedder(me, "eu#small")
    total = coach.embedding_progress(me)[1]
    assert (trial.error, trial.dimensions, trial.host) == ("", 8, server.url[7:])
    assert (trial.waiting, trial.total) == (total, total)
    assert trial.rate > 0 and trial.seconds > 0
    coach.change_setting(me, "embedder", "eu#small")
    coach.embed_now(me)
    assert coach.test_embedder(me, "eu#small").waiting == 0
    server.faults = [(401, {}, {"error": KEY})]
    failed = coach.test_embedder(me, "eu#small")
    assert "refused the key" in failed.error and KEY not in failed.error
    assert "no endpoint called" in coach.test_embedder(me, "us#small").error


def test_a_key_goes_only_to_an_address_that_stands_beside_it(
    make: Make, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COACH_EMBEDDER_KEY", KEY)
    coach = make()
    me = coach.owner()
    coach.change_setting(me, "embedder", f"{server.url}/v1/embeddings#small")
    coach.embed_now(me)
    assert server.seen and not any("Authorization" in s.headers for s in server.seen)
    with pytest.raises(BadSetting):
        coach.change_setting(me, "embedder_key", KEY)
    monkeypatch.setenv("COACH_EMBEDDER", f"{server.url}/v1/embeddings#large")
    again = make()
    again.embed_now(again.owner())
    assert {s.headers.get("Authorization") for s in server.seen if s.body["model"] == "large"} == {f"Bearer {KEY}"}
    assert not any("Authorization" in s.headers for s in server.seen if s.body["model"] == "small")
    assert ("embedder_key", "set", "environment") in again.settings_view(again.owner())


def test_another_model_under_the_same_name_is_another_model(make: Make, server: ModelServer) -> None:
    coach = make()
    me = coach.owner()
    coach.change_setting(me, "embedder", f"{server.url}/v1#small")
    home = coach.create_collection(me, "Health")
    coach.embed_now(me)
    server.dim = 12
    coach.ingest(me, home.id, "talks.md", _file(coach, TALKS))
    with pytest.raises(BadSetting, match="12 numbers a vector where 8 were expected"):
        coach.embed_now(me)
    coach.embed_now(me)
    state = coach.embedding_state(me)
    assert (state.done, state.model) == (state.total, f"small@{server.url[7:]}/12")
    assert coach.search(me, "budget", collections=[home.id])[0].rank_meaning


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("embedder", "us#small", BadSetting),
        ("embedder", "eu#", BadSetting),
        ("embedder", "http://user:word@host/v1#m", BadSetting),
        ("embedder", "./nowhere", BadSetting),
        ("embedder", f"http://host/v1#{KEY}", BadSetting),
        ("reranker", "some/model", BadSetting),
        ("reranker", "us#m", BadSetting),
        ("reranker", "keyless#m", MissingKey),
    ],
)
def test_what_can_name_no_model_is_refused(
    make: Make, server: ModelServer, name: str, value: str, error: type[Exception]
) -> None:
    coach = make()
    me = coach.owner()
    with_endpoint(coach, me, server)
    coach.save_endpoint(me, EndpointDraft("keyless", f"{server.url}/v1", "openai_chat", "COACH_KEY_NONE"))
    with pytest.raises(error) as told:
        coach.change_setting(me, name, value)
    assert KEY not in str(told.value)


def test_only_admins_try_models(make: Make) -> None:
    coach = make()
    stakeholder = Actor("stakeholder", coach.owner().user_id)
    for call in (coach.test_embedder, coach.test_reranker):
        with pytest.raises(NotAllowed):
            call(stakeholder, "eu#m")


def test_a_reranker_reads_the_best_and_a_late_one_costs_a_notice(make: Make, server: ModelServer) -> None:
    coach = make(embedder="./nowhere", context_deadline=5)
    me = coach.owner()
    with_endpoint(coach, me, server)
    coach.change_setting(me, "reranker", "eu#judge")
    coach.change_setting(me, "reranker_deadline", "2")
    general = coach.persona(me, "general")
    found = coach.search(me, "how do I prepare for a difficult talk", collections=general.draft.collections)
    assert [p.rank_reranker for p in found] == sorted(p.rank_reranker or 0 for p in found)
    assert server.seen[-1].body["model"] == "judge" and server.seen[-1].headers["Authorization"] == f"Bearer {KEY}"
    assert coach.test_reranker(me, "eu#judge").milliseconds > 0

    let_go = threading.Event()
    server.faults = [lambda: let_go.wait(10) and None] * 5
    coach.change_setting(me, "reranker_deadline", "0.02")
    thread = coach.new_thread(me, general.id)
    notices: list[list[str]] = []
    for question in ("How do I prepare for a difficult talk?", "And how do I sleep better before it?"):
        events = [e for e in coach.tail(me, coach.start(me, thread.id, question).id) if e is not None]
        assert events[-1].kind == "done"
        notices.append([e.text for e in events if e.kind == "notice"])
    let_go.set()
    assert any("The reranker did not answer within 20 ms" in text for text in notices[0])
    assert not any("reranker" in text for text in notices[1]), "told once"


def _file(coach: Coach, data: bytes) -> Path:
    path = coach.settings.home / "talks.md"
    path.write_bytes(data)
    return path
