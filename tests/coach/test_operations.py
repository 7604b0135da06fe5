"""Threads' housekeeping, exports, numbers, settings, checks and backups through the facade."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coach_core.coach import Coach, export
from coach_core.errors import BadSetting, MissingKey, ThreadNotFound
from coach_core.settings import Settings
from coach_core.types import Actor, Citation, Persona, Thread, ThreadQuery

KEY = "sk-planted-secret-0123456789"


@pytest.fixture
def asked(coach: Coach, me: Actor, persona: Persona) -> Thread:
    thread = coach.new_thread(me, persona.id)
    turn = coach.start(me, thread.id, "How do I keep a promise to myself?")
    assert [e for e in coach.tail(me, turn.id) if e][-1].status == "completed"
    return coach.thread(me, thread.id)


def test_threads_are_found_by_words_and_filters(coach: Coach, me: Actor, persona: Persona, asked: Thread) -> None:
    for query, expected in (
        (ThreadQuery(), 1),
        (ThreadQuery(text="promises"), 1),
        (ThreadQuery(text="zebra"), 0),
        (ThreadQuery(persona_id=persona.id), 1),
        (ThreadQuery(backend="scripted"), 1),
        (ThreadQuery(backend="local"), 0),
        (ThreadQuery(since=asked.updated_at + timedelta(hours=1)), 0),
        (ThreadQuery(archived=True), 0),
    ):
        assert coach.threads(me, query)[1] == expected, query
    hit = coach.threads(me, ThreadQuery(text="promise"))[0][0]
    assert "**promise**" in hit.snippet and hit.message_id and hit.messages == 2


def test_archive_delete_and_undo(coach: Coach, me: Actor, asked: Thread) -> None:
    coach.rename(me, asked.id, "  Promises  ")
    assert coach.thread(me, asked.id).title == "Promises"
    coach.archive(me, [asked.id])
    assert coach.threads(me, ThreadQuery())[1] == 0 and coach.threads(me, ThreadQuery(archived=True))[1] == 1
    coach.unarchive(me, [asked.id])
    coach.delete_threads(me, [asked.id])
    assert coach.recent(me) == [] and coach.threads(me, ThreadQuery(deleted=True))[1] == 1
    with pytest.raises(ThreadNotFound):
        coach.start(me, asked.id, "Hello?")
    coach.undelete_threads(me, [asked.id])
    assert [t.id for t in coach.recent(me)] == [asked.id]


def test_exports_hold_what_was_said_and_cited(coach: Coach, me: Actor, asked: Thread) -> None:
    question, answer = coach.messages(me, asked.id)
    coach.feedback(me, answer.id, -1, "too long")
    text = coach.export(me, asked.id)
    assert question.text in text and answer.text in text and "Sources:" in text
    data = json.loads(coach.export(me, asked.id, "json"))
    assert [m["text"] for m in data["messages"]] == [question.text, answer.text]
    assert data["messages"][1]["citations"][0]["number"] == 1 and data["messages"][1]["feedback"] == -1
    assert data["turns"][0]["status"] == "completed" and data["persona"]["slug"] == "general"
    assert "lease_owner" not in data["turns"][0]


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "https://a.example/ <script>", "//x.example"]
)
def test_a_citation_leads_to_the_web_or_nowhere(url: str) -> None:
    web = "https://a.example/page?q=1#top"
    assert export.place(Citation(1, "A page", url=web)) == f"A page, {web}"
    assert export.place(Citation(1, "A page", url=url)) == "A page"


def test_numbers_count_the_turn_and_its_feedback(coach: Coach, me: Actor, asked: Thread) -> None:
    answer = coach.messages(me, asked.id)[-1]
    coach.feedback(me, answer.id, 1)
    report = coach.metrics(me, since=timedelta(hours=1))
    assert report.total.turns == 1 and report.total.satisfaction == 1.0
    assert report.total.first_token.p50 > 0


def test_doctor_and_settings_never_show_a_key(make_coach: Callable[..., Coach]) -> None:
    coach = make_coach(openai_api_key=KEY, openai_base_url="http://127.0.0.1:9/v1")
    me = coach.owner()
    checks = {c.name: c for c in coach.doctor(me)}
    assert checks["database"].state == "ok" and checks["openai_chat"].state == "fail"
    assert ("openai_api_key", "set", "command line") in coach.settings_view(me)
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    turn = coach.start(me, thread.id, "Hello?")
    last = [e for e in coach.tail(me, turn.id) if e][-1]
    assert (last.kind, last.error) == ("error", "unreachable") and "127.0.0.1" in last.text
    assert coach.messages(me, thread.id)[0].text == "Hello?", "the question is kept"
    shown = repr([coach.settings, checks, coach.settings_view(me), last, coach.export(me, thread.id, "json")])
    assert KEY not in shown
    home = coach.settings.home
    assert all(KEY.encode() not in p.read_bytes() for p in home.rglob("*") if p.is_file())


def test_a_backend_without_its_key_says_how_to_connect_it(coach: Coach, me: Actor, asked: Thread) -> None:
    coach.set_backend(me, asked.id, "openai_responses")
    with pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        coach.start(me, asked.id, "And now?")
    assert len(coach.messages(me, asked.id)) == 2


def test_a_setting_changes_the_next_turn(coach: Coach, me: Actor) -> None:
    coach.change_setting(me, "passages", "3")
    assert coach.settings.passages == 3
    with pytest.raises(BadSetting):
        coach.change_setting(me, "passages", "many")
    with pytest.raises(BadSetting):
        coach.change_setting(me, "openai_api_key", KEY)
    coach.change_setting(me, "passages", "")
    assert coach.settings.passages == 8
    assert any(e.action == "setting.change" for e in coach.audit(me))


@pytest.mark.parametrize("name", ["model", "backend", "fallback", "embedder", "temperature", "log_level"])
@pytest.mark.parametrize("key", [KEY, "sk-planted-123456789"])
def test_a_key_is_no_settings_value(make_coach: Callable[..., Coach], name: str, key: str) -> None:
    coach = make_coach(openai_api_key=KEY)
    me = coach.owner()
    with pytest.raises(BadSetting) as caught:
        coach.change_setting(me, name, key)
    assert key not in caught.value.sentence
    assert key not in repr(coach.settings_view(me)) + repr(coach.audit(me))


def test_a_folder_named_by_a_digest_is_no_key(coach: Coach, me: Actor, tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    folder.mkdir(parents=True)
    coach.change_setting(me, "embedder", str(folder))
    assert coach.audit(me)[0].subject == "embedder"


def test_a_backup_brings_everything_back(make_coach: Callable[..., Coach], tmp_path: Path) -> None:
    coach = make_coach(backend="scripted")
    me = coach.owner()
    thread = coach.new_thread(me, coach.persona(me, "general").id)
    stored = coach.attach(me, "note.txt", b"A note to keep.")
    turn = coach.start(me, thread.id, "Keep this.", files=[stored])
    list(coach.tail(me, turn.id))
    file = tmp_path / "all.backup"
    coach.backup(me, file)
    coach.delete_threads(me, [thread.id])
    coach.close()
    Coach.restore(Settings(home=coach.settings.home), file)
    back = make_coach(backend="scripted")
    assert back.messages(me, thread.id)[0].text == "Keep this."
    assert back.file(me, stored.id)[1] == b"A note to keep."
