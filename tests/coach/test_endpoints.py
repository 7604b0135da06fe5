"""Endpoints as rows: several vendors at once, each with its own key; tested, changed and removed while it runs."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.errors import BadSetting, CoachError, InputError, MissingKey, NameTaken, NotAllowed
from coach_core.settings import Settings
from coach_core.store import endpoints as rows
from coach_core.types import Actor, EndpointDraft, Event, Persona, PersonaDraft, Thread, ThreadQuery
from tests.backends.fake_api import FakeApi, Reply, json_reply, recorded

EU, US, OWN = "eu-planted-7Gq2Lr9XwT", "us-planted-Zz81kPq0Ma", "sk-planted-own-0123456789"
KEYS = f"COACH_KEY_EU={EU}\nCOACH_KEY_US={US}\n"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the file .env in which keys stand."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / ".env").write_text(KEYS, encoding="utf-8")
    return folder


@pytest.fixture
def opened(make_coach: Callable[..., Coach], config: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Coach]:
    """opened(**settings): a Coach that reads its keys in `config`, as a real one does."""

    def load(**given: Any) -> Settings:
        return Settings.load(config=config, **given)

    monkeypatch.setattr("tests.coach.conftest.Settings", load)
    return lambda **settings: make_coach(**({"backend": "scripted"} | settings))


@pytest.fixture
def coach(opened: Callable[..., Coach]) -> Coach:
    return opened()


@pytest.fixture
def chat() -> Iterator[FakeApi]:
    with FakeApi(recorded("chat_text")) as api:
        yield api


@pytest.fixture
def responses() -> Iterator[FakeApi]:
    with FakeApi(recorded("responses_text")) as api:
        yield api


def draft(api: FakeApi | str, name: str = "eu", variable: str = "COACH_KEY_EU", **values: Any) -> EndpointDraft:
    url = api if isinstance(api, str) else api.url
    return EndpointDraft(name, url, **{"wire": "openai_chat", "model": "m1", "key_variable": variable} | values)


def ask(coach: Coach, me: Actor, thread: Thread, text: str = "Hello?", **given: Any) -> list[Event]:
    turn = coach.start(me, thread.id, text, **given)
    return [e for e in coach.tail(me, turn.id) if e]


def thread(coach: Coach, me: Actor, backend: str | None = None) -> Thread:
    return coach.new_thread(me, coach.persona(me, "general").id, backend=backend)


# -- several at once ---------------------------------------------------------------------------------


def test_two_rows_at_once_answer_each_with_its_own_key(
    coach: Coach, me: Actor, chat: FakeApi, responses: FakeApi
) -> None:
    coach.save_endpoint(me, draft(chat, "eu", "COACH_KEY_EU", profile={"key_header": "api-key"}))
    coach.save_endpoint(me, draft(responses, "us", "COACH_KEY_US", wire="openai_responses", model="m2"))
    turns = [(ask, (coach, me, thread(coach, me, name))) for name in ("eu", "us") * 3]
    ended: list[list[Event]] = []
    threads = [threading.Thread(target=lambda f=f, a=a: ended.append(f(*a))) for f, a in turns]
    for running in threads:
        running.start()
    for running in threads:
        running.join()
    assert [e[-1].status for e in ended] == ["completed"] * 6
    assert {e[0].backend for e in ended} == {"eu", "us"}, "the name of the row, not of its wire"
    assert len(chat.requests) == len(responses.requests) == 3
    assert all(r.headers["api-key"] == EU and "authorization" not in r.headers for r in chat.requests)
    assert all(r.headers["authorization"] == f"Bearer {US}" for r in responses.requests)
    assert {b["model"] for b in chat.bodies} == {"m1"} and {b["model"] for b in responses.bodies} == {"m2"}


def test_what_the_environment_says_of_the_settings_own_api_goes_to_no_row(
    opened: Callable[..., Coach], chat: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-planted")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-planted")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "admin-planted")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer planted\nX-Other: planted")
    coach = opened()
    me = coach.owner()
    coach.save_endpoint(me, draft(chat, "eu", profile={"headers": {"X-Site": "coach"}}))
    coach.test_endpoint(me, draft(chat, "", "COACH_KEY_US"))
    ask(coach, me, thread(coach, me, "eu"))
    unsaved, saved = (r.headers for r in chat.requests)
    assert saved["authorization"] == f"Bearer {EU}" and saved["x-site"] == "coach"
    assert unsaved["authorization"] == f"Bearer {US}"
    assert "planted" not in repr(dict(saved) | dict(unsaved)).replace(EU, "").replace(US, "")


def test_the_turns_record_names_the_row_and_where_it_is(coach: Coach, me: Actor, chat: FakeApi) -> None:
    coach.save_endpoint(me, draft(chat))
    turn = coach.start(me, thread(coach, me, "eu").id, "Hello?")
    list(coach.tail(me, turn.id))
    record = coach.turn(me, turn.id)
    assert (record.backend, record.endpoint, record.model) == ("eu", "openai_chat@eu", "m1")
    hits, total = coach.threads(me, ThreadQuery(backend="eu"))
    assert total == 1 and hits[0].last_backend == "eu" and coach.threads(me, ThreadQuery(backend="openai_chat"))[1] == 0
    report = coach.metrics(me, since=timedelta(hours=1), backend="eu")
    assert set(report.backends) == {"eu"}


def test_rows_stand_behind_the_wires_with_what_keeps_them_from_answering(coach: Coach, me: Actor) -> None:
    coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", "b-eu", profile={"tools": False}))
    coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", "a-none", "COACH_KEY_MISSING"))
    coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", "c-free", ""))
    infos = coach.backends(me)
    assert [i.name for i in infos][-3:] == ["a-none", "b-eu", "c-free"]
    missing, eu, free = infos[-3:]
    assert (eu.ready, eu.wire, eu.endpoint, eu.tools, eu.needs_key) == (True, "openai_chat", "b-eu", False, True)
    assert not missing.ready and missing.why == "No key is set. Put COACH_KEY_MISSING=... into the file .env."
    assert free.ready and not free.needs_key
    assert all(i.endpoint == "default" and i.wire == i.name for i in infos[:-3])
    with pytest.raises(MissingKey, match="COACH_KEY_MISSING"):
        ask(coach, me, thread(coach, me, "a-none"))


def test_a_key_written_while_it_runs_is_found(coach: Coach, me: Actor, chat: FakeApi, config: Path) -> None:
    made = coach.save_endpoint(me, draft(chat, variable="COACH_KEY_LATE"))
    assert made.key == "missing"
    (config / ".env").write_text(f"{KEYS}COACH_KEY_LATE=late-0123456789\n", encoding="utf-8")
    assert coach.endpoints(me)[0].key == "set"
    assert ask(coach, me, thread(coach, me, "eu"))[-1].status == "completed"
    assert chat.requests[-1].headers["authorization"] == "Bearer late-0123456789"


def test_what_another_process_writes_holds_at_the_next_question(opened: Callable[..., Coach], chat: FakeApi) -> None:
    here, there = opened(), opened()
    me = here.owner()
    saved = there.save_endpoint(me, draft("http://127.0.0.1:9/v1", model="old"))
    one = thread(here, me, "eu")
    assert ask(here, me, one)[-1].error == "unreachable"
    there.save_endpoint(me, draft(chat, model="new"), saved.id)
    assert ask(here, me, one)[-1].status == "completed" and chat.bodies[-1]["model"] == "new"
    there.delete_endpoint(me, saved.id)
    assert "eu" not in {i.name for i in here.backends(me)}


def test_a_changed_row_gets_a_new_backend_and_an_unchanged_one_keeps_its_own(coach: Coach, me: Actor) -> None:
    saved = coach.save_endpoint(me, draft("http://127.0.0.1:9/v1"))
    before = coach.parts.get("eu")
    coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", "us"))
    assert coach.parts.get("eu") is before
    coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", profile={"stream": False}), saved.id)
    after = coach.parts.get("eu")
    assert after is not before and after.profile.stream is False  # type: ignore[attr-defined]


def test_what_was_replaced_closes_when_the_last_turn_that_uses_it_has_ended(
    coach: Coach, me: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Callable[[], None]] = []
    monkeypatch.setattr(coach.jobs, "later", lambda _seconds, do: looks.append(do))
    whole = recorded("chat_text")
    with FakeApi(Reply([*whole.pieces[:4], "hang"])) as api:
        saved = coach.save_endpoint(me, draft(api))
        turn = coach.start(me, thread(coach, me, "eu").id, "Hello?")
        assert api.hanging.wait(20)
        closed: list[str] = []
        monkeypatch.setattr(coach.parts.get("eu"), "close", lambda: closed.append("old"))
        coach.save_endpoint(me, draft(api, model="new"), saved.id)
        coach.parts.get("eu")
        looks.pop()()
        assert not closed and looks, "its answer is being written: look again"
        coach.cancel(me, turn.id)
        assert [e for e in coach.tail(me, turn.id) if e][-1].terminal
        while not closed:
            looks.pop()()
    assert closed == ["old"] and not looks


def test_an_answer_that_is_being_written_outlives_a_change_of_its_row(coach: Coach, me: Actor) -> None:
    whole = recorded("chat_text")
    first, *rest = whole.pieces
    held = Reply([first, *rest[:3], "hang"])
    with FakeApi(held, whole) as api:
        saved = coach.save_endpoint(me, draft(api))
        turn = coach.start(me, thread(coach, me, "eu").id, "Hello?")
        assert api.hanging.wait(20)
        coach.save_endpoint(me, draft(api, model="new"), saved.id)
        coach.backends(me)
        assert coach.turn(me, turn.id).status == "running"
        coach.cancel(me, turn.id)
        assert [e for e in coach.tail(me, turn.id) if e][-1].status == "cancelled"
        assert ask(coach, me, thread(coach, me, "eu"))[-1].status == "completed"


def test_an_endpoints_parameters_go_into_its_requests_below_a_personas(
    coach: Coach, me: Actor, persona: Persona, chat: FakeApi
) -> None:
    parameters = {"temperature": 0.1, "max_output_tokens": 77}
    coach.save_endpoint(me, draft(chat, profile={"parameters": parameters}))
    ask(coach, me, thread(coach, me, "eu"))
    assert (chat.bodies[-1]["temperature"], chat.bodies[-1]["max_tokens"]) == (0.1, 77)
    changed = PersonaDraft.from_dict(persona.draft.to_dict() | {"parameters": {"temperature": 0.9}})
    coach.save_persona(me, changed, persona.id)
    ask(coach, me, thread(coach, me, "eu"))
    assert (chat.bodies[-1]["temperature"], chat.bodies[-1]["max_tokens"]) == (0.9, 77)


# -- what names a row that is gone -------------------------------------------------------------------


def test_what_uses_a_row_is_told_and_falls_back_with_a_notice(
    coach: Coach, me: Actor, persona: Persona, chat: FakeApi
) -> None:
    saved = coach.save_endpoint(me, draft(chat))
    one = thread(coach, me, "eu")
    assert ask(coach, me, one)[-1].status == "completed"
    named = PersonaDraft.from_dict(persona.draft.to_dict() | {"backend": "eu"})
    coach.save_persona(me, named, persona.id)
    coach.change_setting(me, "fallback", "eu")
    assert coach.endpoint_uses(me, "eu") == ["it is the backup", "the persona General coach", "1 thread"]
    assert coach.endpoint_uses(me, "us") == []

    coach.delete_endpoint(me, saved.id)
    events = ask(coach, me, one)
    notices = [e.text for e in events if e.kind == "notice" and e.source == "routing"]
    assert events[-1].status == "completed" and events[0].backend == "scripted"
    assert len(notices) == 1 and "'eu' that was chosen for this thread is not there any more" in notices[0]
    assert len(chat.requests) == 1
    events = ask(coach, me, thread(coach, me))
    assert "There is no backend called 'eu'" in next(e.text for e in events if e.source == "routing")
    with pytest.raises(BadSetting, match="no backend called 'eu'"):
        ask(coach, me, one, backend="eu")


def test_settings_that_name_a_row_that_is_gone_still_answer(opened: Callable[..., Coach], chat: FakeApi) -> None:
    coach = opened(backend="eu", script="{}")
    me = coach.owner()
    events = ask(coach, me, thread(coach, me))
    assert events[-1].status == "completed" and events[0].backend == "extractive"
    assert any("'eu', which the settings name" in e.text for e in events)
    checks = [c for c in coach.doctor(me) if c.name == "setting"]
    assert len(checks) == 1 and "COACH_BACKEND" in checks[0].detail and "'eu'" in checks[0].detail
    coach.save_endpoint(me, draft(chat))
    assert ask(coach, me, thread(coach, me))[0].backend == "eu"
    assert not [c for c in coach.doctor(me) if c.name == "setting"]


def test_a_setting_takes_a_row_and_nothing_that_there_is_not(coach: Coach, me: Actor, chat: FakeApi) -> None:
    coach.save_endpoint(me, draft(chat))
    coach.change_setting(me, "fallback", "eu")
    assert coach.settings.fallback == "eu"
    with pytest.raises(BadSetting, match="no backend called 'us'"):
        coach.change_setting(me, "fallback", "us")
    coach.change_setting(me, "fallback", "")


def test_a_row_moved_elsewhere_forgets_what_the_old_server_kept(coach: Coach, me: Actor, responses: FakeApi) -> None:
    saved = coach.save_endpoint(me, draft(responses, wire="openai_responses"))
    one = thread(coach, me, "eu")
    ask(coach, me, one)
    ask(coach, me, one)
    assert responses.bodies[-1].get("previous_response_id")
    with FakeApi(recorded("responses_text")) as moved:
        coach.save_endpoint(me, draft(moved, wire="openai_responses"), saved.id)
        events = ask(coach, me, one)
        assert events[-1].status == "completed" and not [e for e in events if e.source == "state"]
        assert "previous_response_id" not in moved.bodies[0] and len(moved.bodies[0]["input"]) >= 5


# -- a live test -------------------------------------------------------------------------------------


def test_a_live_test_asks_for_real_before_anything_is_saved(coach: Coach, me: Actor, chat: FakeApi) -> None:
    found = coach.test_endpoint(me, draft(chat, profile={"body": {"seed": 7}, "parameters": {"temperature": 0.2}}))
    assert (found.state, found.error) == ("ok", "") and found.text and found.model == "m1"
    assert found.first_token and found.milliseconds and found.first_token <= found.milliseconds
    assert found.usage and found.usage.output_tokens and not found.usage.estimated
    assert "m1" in found.detail and "tokens" in found.detail and "first word after" in found.detail
    body = chat.bodies[0]
    assert (body["stream"], body["seed"], body["temperature"]) == (True, 7, 0.2)
    assert body["max_tokens"] <= 64 and body["messages"][-1]["content"] == "Reply with: ready"
    assert coach.endpoints(me) == []


@pytest.mark.parametrize(("wire", "answer"), [("openai_chat", "chat_text"), ("openai_responses", "responses_text")])
def test_a_live_test_says_which_model_the_server_says_it_was(coach: Coach, me: Actor, wire: str, answer: str) -> None:
    with FakeApi(recorded(answer)) as api:
        served = coach.test_endpoint(me, draft(api, model="m1", wire=wire)).detail.partition("answered as ")[2]
        assert served.startswith("gpt-4")
        named = served.partition(",")[0]
        assert "answered as" not in coach.test_endpoint(me, draft(api, model=named, wire=wire)).detail


def test_a_live_test_of_each_backend_streams_a_small_answer(opened: Callable[..., Coach], responses: FakeApi) -> None:
    coach = opened(openai_api_key=OWN, openai_base_url=responses.url, model="m9")
    me = coach.owner()
    found = coach.test_backend(me, "openai_responses")
    assert found.state == "ok" and responses.bodies[0]["model"] == "m9"
    assert coach.test_backend(me, "extractive").state == "ok"
    assert coach.test_backend(me, "scripted").state == "ok"
    assert coach.test_backend(me, "local").state == "warn", "not set up"
    assert coach.test_backend(me, "nonsense").state == "fail"


@pytest.mark.parametrize(
    ("reply", "error", "mend"),
    [
        (json_reply(401, '{"error": {"message": "no", "code": "invalid_api_key"}}'), "auth_failed", "COACH_KEY_EU"),
        (json_reply(404, '{"error": {"message": "no model", "code": "model_not_found"}}'), "model_not_found", "model"),
        (json_reply(429, '{"error": {"message": "slow down"}}', retry_after="900"), "rate_limited", "billing"),
        (json_reply(400, '{"error": {"message": "bad field"}}'), "bad_request", "facts"),
        (Reply([b"<html>hello</html>"], 200, "text/html"), "not_an_api", "address"),
        (Reply(["cut"]), "stream_cut", "streaming"),
    ],
)  # fmt: skip
def test_what_goes_wrong_in_a_test_is_a_sentence_and_what_to_mend(
    coach: Coach, me: Actor, reply: Reply, error: str, mend: str
) -> None:
    with FakeApi(reply) as api:
        found = coach.test_endpoint(me, draft(api))
    assert (found.state, found.error) == ("fail", error)
    assert "127.0.0.1" in found.detail or error == "stream_cut"
    assert mend in found.mend and EU not in repr(found)


@pytest.mark.parametrize("wire", ["openai_chat", "openai_responses"])
@pytest.mark.parametrize(
    "reply",
    [json_reply(500, '{"error": {"message": "boom"}}'), Reply(["cut"]), Reply([b'data: {"choices": 1}\n\n', "cut"])],
)
def test_a_test_keeps_nothing_and_has_nothing_to_go_on_with(coach: Coach, me: Actor, reply: Reply, wire: str) -> None:
    with FakeApi(reply) as api:
        found = coach.test_endpoint(me, draft(api, wire=wire))
    assert found.state == "fail" and not any(w in found.detail for w in ("kept", "Continue", "  "))
    assert found.detail.endswith(".") or "It says: boom" in found.detail


def test_an_api_that_its_vendor_switched_off_is_told_as_such(opened: Callable[..., Coach]) -> None:
    coach = opened(openai_api_key=OWN)
    me = coach.owner()
    assert "openai_assistants" not in {i.name for i in coach.backends(me)}, "never without a server of its own"
    old = draft("https://api.openai.com/v1", "old", "OPENAI_API_KEY", wire="openai_assistants")
    found = coach.test_endpoint(me, old)
    assert (found.state, found.error) == ("fail", "api_switched_off") and "another protocol" in found.mend
    coach.save_endpoint(me, old)
    with pytest.raises(BadSetting, match="switched the Assistants API off"):
        ask(coach, me, thread(coach, me, "old"))


@pytest.mark.parametrize("variable", ["", "COACH_KEY_MISSING", "COACH_KEY_EU"])
def test_what_was_switched_off_is_said_before_anybody_looks_for_a_key(coach: Coach, me: Actor, variable: str) -> None:
    old = draft("https://api.openai.com/v1", "old", variable, wire="openai_assistants")
    off = "api.openai.com switched the Assistants API off"
    assert off in coach.endpoint_key(me, old)[1] and off in coach.test_endpoint(me, old).detail
    assert off in coach.save_endpoint(me, old).why and off in coach.endpoints(me)[0].why
    info = coach.backends(me)[-1]
    assert (info.name, info.ready) == ("old", False) and off in info.why


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("COACH_KEY_EU", "refused the key. Check COACH_KEY_EU in .env."),
        ("", "wants a key. Put it into .env and name its variable in the settings."),
    ],
)
def test_a_refused_key_is_named_by_its_variable(
    coach: Coach, me: Actor, chat: FakeApi, variable: str, says: str
) -> None:
    chat.replies[:] = [json_reply(401, '{"error": {"message": "no", "code": "invalid_api_key"}}')]
    coach.save_endpoint(me, draft(chat, variable=variable))
    end = ask(coach, me, thread(coach, me, "eu"))[-1]
    assert end.error == "auth_failed" and end.text.endswith(says)


def test_a_test_that_lacks_something_says_what(coach: Coach, me: Actor, chat: FakeApi) -> None:
    found = coach.test_endpoint(me, draft(chat, variable="COACH_KEY_MISSING"))
    assert found.state == "fail" and "COACH_KEY_MISSING=..." in found.detail
    found = coach.test_endpoint(me, draft("https://api.mistral.ai/v1", variable=""))
    assert found.state == "fail" and "MISTRAL_API_KEY" in found.detail
    assert coach.test_endpoint(me, draft("http://127.0.0.1:9/v1")).error == "unreachable"
    with pytest.raises(BadSetting, match="must begin with"):
        coach.test_endpoint(me, draft("127.0.0.1:9"))
    assert not chat.requests


def test_an_answer_without_a_word_is_a_warning_and_one_that_thinks_long_is_none(coach: Coach, me: Actor) -> None:
    chunk: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "model": "m1", "created": 1}

    def ending(reason: str) -> Reply:
        end = chunk | {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        return Reply([f"data: {json.dumps(end)}\n\n".encode(), b"data: [DONE]\n\n"])

    with FakeApi(ending("stop"), ending("length")) as api:
        assert coach.test_endpoint(me, draft(api)).state == "warn"
        found = coach.test_endpoint(me, draft(api))
        assert found.state == "ok" and "more than 64 tokens" in found.detail


def test_the_servers_models_are_listed_for_a_draft(coach: Coach, me: Actor) -> None:
    models = json_reply(200, '{"object": "list", "data": [{"id": "small"}, {"id": "large"}]}')
    with FakeApi(models, models=models) as api:
        assert coach.list_models(me, draft(api, name="", model="")) == ["large", "small"]
    with pytest.raises(CoachError, match="cannot be reached"):
        coach.list_models(me, draft("http://127.0.0.1:9/v1"))
    with pytest.raises(BadSetting, match="COACH_KEY_MISSING"):
        coach.list_models(me, draft("http://127.0.0.1:9/v1", variable="COACH_KEY_MISSING"))


def test_doctor_lists_rows_cheaply_and_asks_them_only_when_told_to(coach: Coach, me: Actor, chat: FakeApi) -> None:
    coach.save_endpoint(me, draft(chat, "listing"))
    coach.save_endpoint(me, draft(chat, "silent", profile={"models": False}))
    coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", "down"))
    coach.save_endpoint(me, draft(chat, "keyless", "COACH_KEY_MISSING"))
    checks = {c.name: c for c in coach.doctor(me)}
    assert checks["listing"].state == "ok" and "127.0.0.1" in checks["listing"].detail
    assert "not asked" in checks["silent"].detail
    assert checks["down"].state == "fail" and "COACH_KEY_EU" in checks["down"].mend
    assert checks["keyless"].state == "warn" and "COACH_KEY_MISSING" in checks["keyless"].mend
    assert not chat.requests, "no question was asked"
    live = {c.name: c for c in coach.doctor(me, live=True)}
    assert live["silent"].state == live["listing"].state == "ok" and "tokens" in live["silent"].detail
    assert len(chat.requests) == 2


# -- what may be saved, and by whom ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": ""}, "1 to 40 small letters"),
        ({"name": "Azure EU"}, "1 to 40 small letters"),
        ({"name": "x" * 41}, "1 to 40 small letters"),
        ({"name": "-x"}, "begins with a letter"),
        ({"name": "openai_chat"}, "of the app's own"),
        ({"name": "extractive"}, "of the app's own"),
        ({"name": "default"}, "of the app's own"),
        ({"name": "auto"}, "of the app's own"),
        ({"name": "none"}, "of the app's own"),
        ({"wire": "local"}, "Choose a protocol"),
        ({"wire": "smoke"}, "Choose a protocol"),
        ({"model": "m" * 201}, "too long"),
        ({"model": "a\nb"}, "cannot be read"),
        ({"variable": "DATABASE_URL"}, "cannot name a key"),
        ({"variable": "COACH_SCRIPT"}, "cannot name a key"),
        ({"variable": "COACH_HOME_KEY"}, "cannot name a key"),
        ({"variable": "PATH"}, "cannot name a key"),
        ({"variable": "lower_key"}, "cannot name a key"),
        ({"variable": "AWS_SECRET_ACCESS_KEY"}, "the key of something else"),
        ({"variable": "GITHUB_TOKEN"}, "the key of something else"),
        ({"variable": "OPENAI_API_KEY"}, "sent only to api.openai.com"),
        ({"profile": {"nonsense": 1}}, "no fact called 'nonsense'"),
        ({"profile": {"parameters": {"temperature": 9}}}, "from 0 to 2"),
        ({"profile": {"parameters": {"heat": 1}}}, "no parameter called 'heat'"),
        ({"profile": {"headers": {"Authorization": "x"}}}, "looks like a secret"),
    ],
)  # fmt: skip
def test_what_cannot_be_an_endpoint_is_refused_in_a_sentence(
    coach: Coach, me: Actor, values: dict[str, Any], says: str
) -> None:
    with pytest.raises((BadSetting, InputError), match=says):
        coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", **values))
    assert coach.endpoints(me) == [] and not [e for e in coach.audit(me) if e.action.startswith("endpoint")]


@pytest.mark.parametrize("place", ["name", "model", "variable", "base_url", "profile"])
@pytest.mark.parametrize("key", [EU, "sk-proj-abcdefghijklmnop1234"])
def test_a_key_pasted_where_its_name_belongs_is_refused_without_repeating_it(
    coach: Coach, me: Actor, place: str, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    values: dict[str, Any] = {place: {"body": {"note": key}} if place == "profile" else key}
    base_url = f"http://127.0.0.1:9/{key}/v1" if values.pop("base_url", "") else "http://127.0.0.1:9/v1"
    with caplog.at_level(logging.DEBUG), pytest.raises((BadSetting, InputError)) as refused:
        coach.save_endpoint(me, draft(base_url, **values))
    assert key not in refused.value.sentence and key not in caplog.text


def test_the_vendors_own_key_goes_to_its_host_or_the_settings_server_alone(
    opened: Callable[..., Coach], chat: FakeApi
) -> None:
    coach = opened(openai_api_key=OWN, openai_base_url=chat.url)
    me = coach.owner()
    coach.save_endpoint(me, draft(chat, "same", "OPENAI_API_KEY"))
    assert coach.test_backend(me, "same").state == "ok"
    assert chat.requests[-1].headers["authorization"] == f"Bearer {OWN}"
    with FakeApi(recorded("chat_text")) as elsewhere:
        with pytest.raises(BadSetting, match=r"sent only to api\.openai\.com"):
            coach.save_endpoint(me, draft(elsewhere, "away", "OPENAI_API_KEY"))
        with pytest.raises(BadSetting, match="sent only to"):
            coach.test_endpoint(me, draft(elsewhere, "away", "OPENAI_API_KEY"))
        # a row that somebody wrote by hand, or that was right under other settings
        rows.save(coach._db, "away", elsewhere.url, "openai_chat", key_variable="OPENAI_API_KEY")
        assert coach.endpoint(me, "away").key == "refused"
        with pytest.raises(MissingKey, match="sent only to"):
            ask(coach, me, thread(coach, me, "away"))
        assert coach.test_backend(me, "away").state == "warn"
        assert not elsewhere.requests


def test_a_row_written_by_hand_that_makes_no_sense_is_listed_with_why(coach: Coach, me: Actor, chat: FakeApi) -> None:
    rows.save(coach._db, "odd", chat.url, "smoke")
    rows.save(coach._db, "secret", chat.url, "openai_chat", profile={"headers": {"Authorization": "x"}})
    rows.save(coach._db, "extractive", chat.url, "openai_chat")
    infos = {i.name: i for i in coach.backends(me)}
    assert "Choose a protocol" in infos["odd"].why and "looks like a secret" in infos["secret"].why
    assert infos["extractive"].wire == "extractive", "a row never takes the place of a backend of the app's own"
    assert ask(coach, me, thread(coach, me))[-1].status == "completed"
    checks = {c.name: c for c in coach.doctor(me)}
    assert checks["odd"].state == checks["secret"].state == "warn"
    assert checks["extractive"].state == coach.test_backend(me, "extractive").state == "ok" and not chat.requests


def test_a_name_is_taken_once_and_stays(coach: Coach, me: Actor) -> None:
    saved = coach.save_endpoint(me, draft("http://127.0.0.1:9/v1"))
    with pytest.raises(NameTaken):
        coach.save_endpoint(me, draft("http://127.0.0.1:9/v1"))
    with pytest.raises(BadSetting, match="The name stays"):
        coach.save_endpoint(me, draft("http://127.0.0.1:9/v1", "us"), saved.id)
    coach.delete_endpoint(me, saved.id)
    with pytest.raises(BadSetting, match="does not exist any more"):
        coach.delete_endpoint(me, saved.id)
    with pytest.raises(BadSetting, match="does not exist any more"):
        coach.save_endpoint(me, draft("http://127.0.0.1:9/v1"), saved.id)
    with pytest.raises(InputError, match="no endpoint called 'eu'"):
        coach.endpoint(me, "eu")


def test_a_pasted_target_is_taken_apart_when_it_is_saved(coach: Coach, me: Actor) -> None:
    target = "https://contoso.openai.azure.com/openai/deployments/eu/chat/completions?api-version=2025-01-01"
    saved = coach.save_endpoint(
        me, draft(target, profile={"query": {"api-version": "old"}, "key_header": "api-key"})
    ).draft
    assert saved.base_url == "https://contoso.openai.azure.com/openai/deployments/eu"
    assert saved.profile == {"query": {"api-version": "2025-01-01"}, "key_header": "api-key"}


def test_every_change_is_in_the_audit_log_and_no_key_is_anywhere(
    coach: Coach, me: Actor, chat: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        saved = coach.save_endpoint(me, draft(chat))
        coach.save_endpoint(me, draft(chat, model="m2"), saved.id)
        shown = [coach.test_backend(me, "eu"), coach.endpoints(me), coach.backends(me), coach.doctor(me, live=True)]
        ask(coach, me, thread(coach, me, "eu"))
        shown += [coach.parts.row("eu"), coach.settings, coach.settings._keys, coach.settings_view(me)]
        coach.delete_endpoint(me, saved.id)
    entries = [e for e in coach.audit(me) if e.action.startswith("endpoint")]
    assert [e.action for e in entries] == ["endpoint.delete", "endpoint.save", "endpoint.save"]
    assert entries[1].before["model"] == "m1" and entries[1].after["model"] == "m2"
    assert entries[1].after["key_variable"] == "COACH_KEY_EU"
    home = coach.settings.home
    assert all(EU.encode() not in p.read_bytes() for p in home.rglob("*") if p.is_file())
    assert EU not in repr(shown) + repr(entries) and EU not in caplog.text


def test_only_who_may_change_settings_may_touch_endpoints(coach: Coach, me: Actor, chat: FakeApi) -> None:
    saved = coach.save_endpoint(me, draft(chat))
    other = coach.actor_for(coach.add_profile(me, "Ana", "coach").id)
    for call in (
        lambda: coach.endpoints(other),
        lambda: coach.endpoint(other, "eu"),
        lambda: coach.vendors(other),
        lambda: coach.endpoint_facts(other),
        lambda: coach.endpoint_wires(other),
        lambda: coach.endpoint_uses(other, "eu"),
        lambda: coach.endpoint_key(other, saved.draft),
        lambda: coach.save_endpoint(other, draft(chat, "us")),
        lambda: coach.delete_endpoint(other, saved.id),
        lambda: coach.test_endpoint(other, saved.draft),
        lambda: coach.test_backend(other, "eu"),
        lambda: coach.list_models(other, saved.draft),
    ):
        with pytest.raises(NotAllowed):
            call()
    assert not chat.requests and [i.name for i in coach.backends(other)][-1] == "eu", "but may ask it"
    assert ask(coach, other, thread(coach, other, "eu"))[-1].status == "completed"


def test_a_key_is_found_in_the_first_place_that_names_it(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (config / ".streamlit").mkdir()
    secrets = config / ".streamlit" / "secrets.toml"
    secrets.write_text('COACH_KEY_EU = "third"\nCOACH_KEY_TOML = "toml"\n[table]\nCOACH_KEY_DEEP = "x"\n')
    settings = Settings.load(config=config)
    assert settings.secret("COACH_KEY_EU") == EU and settings.secret("COACH_KEY_TOML") == "toml"
    assert settings.secret("COACH_KEY_DEEP") == settings.secret("COACH_KEY_NOWHERE") == ""
    monkeypatch.setenv("COACH_KEY_EU", " first ")
    assert settings.secret("COACH_KEY_EU") == "first"
    assert settings.with_table({}).secret("COACH_KEY_EU") == "first"
    assert not [n for n in settings.problems if n.startswith("COACH_KEY_")]
    assert Settings(home=config).secret("COACH_KEY_EU") == "", "settings made by hand look nowhere"
    (config / ".env").write_bytes(b"COACH_KEY_US=\xff\xfe\n")
    os.utime(config / ".env", (1, 1))
    with pytest.raises(BadSetting, match=r"\.env cannot be read"):
        settings.secret("COACH_KEY_US")
