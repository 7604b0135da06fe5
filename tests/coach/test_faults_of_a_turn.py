"""The fault table as turns of a thread: what the person reads, what stays in the thread, what can be done next."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coach_core.backends import line
from coach_core.backends import local as local_model
from coach_core.coach import Coach
from coach_core.settings import Settings
from coach_core.turn import Choice, ToolOutcome, Turn, run_turn
from coach_core.types import EndpointDraft, Event, Message, Persona, PersonaDraft, Thread, ToolSpec, TurnRecord
from tests.backends.conftest import KEY, request
from tests.backends.fake_api import Reply
from tests.backends.fault import APIS, Fault, all_of
from tests.backends.faults import CELLS, FAULTS
from tests.backends.served import Child, backend_of, served, voice_of
from tests.backends.test_fault_table import PATIENCE, SPEC
from tests.backends.voices import BEGUN, TEXT, TOOL, error_reply

NAMES = {
    "first_token_timeout": "first_token_timeout",
    "token_timeout": "token_timeout",
    "total_timeout": "turn_timeout",
}
ROWS = {f.name: f for f in FAULTS}
#: No persona has a tool of that name; what becomes of a call is played below.
PLAYED = [(fault, wire) for fault, wire in CELLS if not fault.tools]
#: Each wire is put through every fault as a backend; as a turn one of them is at once, the others in the slow rounds.
IN_TURN = [
    pytest.param(f, w, id=f"{f.name}-{w}", marks=() if w == "openai_responses" else pytest.mark.slow) for f, w in PLAYED
]


@dataclass
class World:
    """Coaches of one home, one for each set of times; an endpoint "faulty" that leads where a test wants."""

    home: Path
    config: Path
    coaches: dict[str, Coach]
    url: str = ""

    def coach(self, times: Mapping[str, float]) -> Coach:
        given: dict[str, Any] = {"local_model": "m1.gguf", "embedder": "./nowhere", "backend": "extractive"}
        for name, seconds in {**PATIENCE, **times}.items():
            given["turn_timeout" if name == "total_timeout" else name] = seconds
        key = str(sorted(given.items()))
        if key not in self.coaches:
            settings = Settings.load(config=self.config, home=self.home, **given)
            self.coaches[key] = Coach.from_settings(settings, background=False)
        return self.coaches[key]

    def persona(self, coach: Coach) -> Persona:
        draft = PersonaDraft("Plain", "You coach.", parameters={"temperature": 0.5})
        me = coach.owner()
        known = {p.name: p for p in coach.personas(me)}
        return known.get("Plain") or coach.save_persona(me, draft)

    def lead(self, coach: Coach, wire: str, url: str) -> str:
        """Let the endpoint lead there; the backend's name."""
        self.url = url
        if wire == "local":
            return wire
        name = f"faulty-{wire.removeprefix('openai_')}"
        draft = EndpointDraft(name, url, wire, key_variable="COACH_KEY_FAULTY", model="m1")
        me = coach.owner()
        known = {e.draft.name: e.id for e in coach.endpoints(me)}
        coach.save_endpoint(me, draft, known.get(name))
        return name


@pytest.fixture(scope="module")
def world(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("faults") / "home"
    shutil.copytree(planted, home)
    config = tmp_path_factory.mktemp("config")
    (config / ".env").write_text(f"COACH_KEY_FAULTY={KEY}\n", encoding="utf-8")
    made = World(home, config, {})
    yield made
    for coach in made.coaches.values():
        coach.close()
    for file in [*home.rglob("*.db*"), *home.rglob("*.log")]:
        assert KEY.encode() not in file.read_bytes(), file.name


@pytest.fixture(autouse=True)
def _here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits before a retry are passed over; the local model's server is the test's."""

    class Served(Child):
        def __init__(self, *_: object) -> None:
            self.url = world.url
            ready: Any = backend_of("local", self.url)
            super().__init__(ready._starting.result().wire)

        def well(self) -> bool:
            return self.url == world.url

    monkeypatch.setattr(line, "pause", lambda _: None)
    monkeypatch.setattr(local_model, "_Child", Served)
    monkeypatch.setattr(local_model, "find", lambda *_: Path("m1.gguf"))


def ask(coach: Coach, thread: Thread, text: str = "How do I sleep better?") -> tuple[list[Event], TurnRecord]:
    me = coach.owner()
    turn = coach.start(me, thread.id, text)
    events = [e for e in coach.tail(me, turn.id) if e]
    return events, coach.turn(me, turn.id)


def answer_of(coach: Coach, thread: Thread) -> Message:
    return coach.messages(coach.owner(), thread.id)[-1]


def begin(world: World, coach: Coach, wire: str, url: str) -> Thread:
    backend = world.lead(coach, wire, url)
    return coach.new_thread(coach.owner(), world.persona(coach).id, backend=backend)


FIRST_TOO_LONG = (
    "The question, with the passages and files that go with it, is too long for the model. Shorten the question, or "
    "choose a larger model."
)


@pytest.mark.parametrize(("fault", "wire"), IN_TURN)
def test_cell(fault: Fault, wire: str, world: World) -> None:
    wanted = fault.on(wire)
    with served(fault, voice_of(wire)) as (url, api):
        coach = world.coach(fault.times)
        thread = begin(world, coach, wire, url)
        events, record = ask(coach, thread)
        sent = wanted.requests if api is None else len(api.requests)
    end, answer = events[-1], answer_of(coach, thread)
    assert [e.kind for e in events if e.terminal] == [end.kind]
    assert "".join(e.text for e in events if e.kind == "text") == answer.text == wanted.kept
    assert sent == wanted.requests
    if wanted.error:
        first = wanted.error == "context_too_long"  # of a first question no new thread is shorter
        sentence = FIRST_TOO_LONG if first else wanted.sentence.format(host=url.split("/")[2])
        # a key of an endpoint's own is read whenever it is needed; the table's is the settings' own
        sentence = sentence.replace("OPENAI_API_KEY in .env, then start again.", "COACH_KEY_FAULTY in .env.")
        assert (end.kind, end.error, end.text) == ("error", wanted.error, sentence)
        assert (record.status, record.error, record.error_text) == ("failed", wanted.error, sentence)
        assert answer.status == "failed"
        assert ("press Continue" in sentence) == bool(answer.text), "what is advised can be done"
    else:
        assert (end.kind, end.finish_reason, end.retries) == ("done", wanted.finish, wanted.requests - 1)
        cut_short = wanted.finish in {"length", "content_filter"}
        assert record.status == ("incomplete" if cut_short else "completed")
        assert answer.status == ("interrupted" if cut_short else "complete")
    assert KEY not in str(events) + str(record)


@pytest.mark.parametrize("wire", [*APIS, "local"])
@pytest.mark.parametrize("row", ["stall", "corrupt", "error_event", "filtered"])
def test_the_partial_answer_is_gone_on_with(row: str, wire: str, world: World) -> None:
    fault, voice = ROWS[row], voice_of(wire)
    with served(fault, voice) as (url, api):
        assert api is not None
        coach = world.coach(fault.times)
        me, thread = coach.owner(), begin(world, coach, wire, url)
        ask(coach, thread)
        partial = answer_of(coach, thread)
        api.replies.append(Reply(all_of(voice)))
        turn = coach.resume(me, partial.id)
        events = [e for e in coach.tail(me, turn.id) if e]
        whole = answer_of(coach, thread)
    assert events[-1].status == "completed" and (whole.text, whole.status) == (BEGUN + TEXT, "complete")
    assert whole.siblings == (partial.id, whole.id), "the partial answer stays beside it"
    assert BEGUN.strip() in str(api.requests[-1].body) + str(getattr(api, "threads", ""))


@pytest.mark.parametrize("wire", [*APIS, "local"])
def test_too_long_is_asked_once_more_with_less(wire: str, world: World) -> None:
    voice = voice_of(wire)
    refusal = error_reply(400, "The maximum context length is 8192 tokens", "context_length_exceeded")
    with voice.api(Reply(all_of(voice))) as api:
        coach = world.coach({})
        thread = begin(world, coach, wire, api.url)
        for text in ("First question?", "Second question?"):
            ask(coach, thread, text)
        api.replies[:] = [*api.replies * 2, refusal, api.replies[0]]
        events, record = ask(coach, thread, "Third question?")
        assert events[-1].status == "completed" and answer_of(coach, thread).text == TEXT
        assert any("older half is left out" in n for n in record.notices) and len(api.requests) == 4
        api.replies[:] = [refusal]
        api.requests.clear()
        events, _ = ask(coach, thread, "Fourth question?")
    assert (events[-1].error, len(api.requests)) == ("context_too_long", 2), "and not again and again"
    assert "Start a new thread" in events[-1].text and answer_of(coach, thread).text == ""


def test_after_a_failed_turn_the_next_one_is_told_everything(world: World) -> None:
    """No wire leans on what a server may or may not have kept of an answer that failed."""
    for wire in APIS:
        voice = voice_of(wire)
        with voice.api(Reply(all_of(voice)), *ROWS["corrupt"].serve(voice), Reply(all_of(voice))) as api:  # type: ignore[operator]
            coach = world.coach({})
            thread = begin(world, coach, wire, api.url)
            for text in ("First question?", "Second question?", "Third question?"):
                events, _ = ask(coach, thread, text)
            told = str(api.requests[-1].body) + str(list(getattr(api, "threads", {"": ""}).values())[-1])
        assert events[-1].status == "completed"
        assert all(words in told for words in ("First question?", "Second question?", BEGUN.strip(), "Third question?"))


class Looked:
    """A tool, and how often it was run."""

    def __init__(self) -> None:
        self.calls: list[Mapping[str, Any]] = []

    def specs(self) -> Sequence[ToolSpec]:
        return [SPEC]

    def call(self, name: str, arguments: Mapping[str, Any], key: str) -> ToolOutcome:
        self.calls.append(arguments)
        return ToolOutcome("Sleep is good.")


@pytest.mark.parametrize("wire", [*APIS, "local"])
@pytest.mark.parametrize("row", ["cut_call", "steady_call"])
def test_a_tool_is_run_once_where_its_call_is_whole(row: str, wire: str) -> None:
    fault, voice, tools = ROWS[row], voice_of(wire), Looked()
    wanted = fault.on(wire)
    with served(fault, voice) as (url, api):
        assert api is not None
        api.replies += [Reply(all_of(voice))] if wanted.called else []
        backend = backend_of(wire, url)
        question = request(**PATIENCE | dict(fault.times))
        events = list(run_turn(Turn(question.question.id, question, [Choice(backend)], tools=tools), threading.Event()))
        backend.close()
    assert tools.calls == ([{"topic": "sleep"}] if wanted.called else [])
    assert [e.name for e in events if e.kind == "tool_result"] == [TOOL] * wanted.called
    assert events[-1].kind == ("done" if wanted.called else "error")
