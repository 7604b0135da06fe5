"""Another backend in the middle of a thread: whoever answers next is told all that was said, once and in order."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coach_core.coach import Coach
from coach_core.types import Actor, Event, PersonaDraft, Thread
from tests.backends.fake_api import FakeApi, Reply, json_reply
from tests.coach.api import chat, responses, told

Maker = Callable[..., Coach]
CALL = '{"query": "zebra"}'


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with FakeApi() as api:
        yield api


class Talk:
    """A thread with a persona that may search, over a fake API; `says` asks and gives the answer."""

    def __init__(self, coach: Coach, api: FakeApi) -> None:
        self.coach, self.api, self.me = coach, api, coach.owner()
        draft = PersonaDraft("Switcher", instructions="Be brief.", tools=("search_documents",))
        self.thread: Thread = coach.new_thread(self.me, coach.save_persona(self.me, draft).id)

    def ask(self, text: str, backend: str, *replies: Reply) -> Event:
        self.api.replies[:] = [*self.api.replies[: len(self.api.requests)], *replies]
        return self.end(self.coach.start(self.me, self.thread.id, text, backend=backend))

    def end(self, turn: object) -> Event:
        self.events = [e for e in self.coach.tail(self.me, turn.id) if e]  # type: ignore[attr-defined]
        return self.events[-1]

    @property
    def actor(self) -> Actor:
        return self.me


@pytest.fixture
def talk(make_coach: Maker, api: FakeApi) -> Talk:
    return Talk(make_coach(openai_base_url=api.url, openai_api_key="k", model="m1", backend="openai_chat"), api)


def test_each_next_backend_is_told_everything_once_and_in_order(talk: Talk) -> None:
    said: list[tuple[str, str]] = []

    def next_(text: str, backend: str, reply: Reply, answer: str) -> None:
        asked = len(talk.api.requests)
        assert talk.ask(text, backend, reply).status == "completed"
        said.append(("user", text))
        if backend != "extractive":
            assert len(talk.api.requests) == asked + 1
            assert told(talk.api.bodies[-1]) == said, backend
        said.append(("assistant", answer or talk.coach.messages(talk.me, talk.thread.id)[-1].text.rsplit("\n\n")[-1]))

    next_("First?", "openai_chat", chat("One."), "One.")
    next_("Second?", "openai_responses", responses("Two.", answer="resp_2"), "Two.")
    next_("Third?", "openai_chat", chat("Three."), "Three.")
    next_("Fourth?", "extractive", chat("never"), "")
    next_("Fifth?", "openai_responses", responses("Five.", answer="resp_5"), "Five.")


def test_what_the_same_api_keeps_is_not_told_again_until_another_has_answered(talk: Talk) -> None:
    talk.ask("First?", "openai_responses", responses("One.", answer="resp_1"))
    talk.ask("Second?", "openai_responses", responses("Two.", answer="resp_2"))
    assert talk.api.bodies[-1]["previous_response_id"] == "resp_1"
    assert told(talk.api.bodies[-1]) == [("user", "Second?")]
    talk.ask("Third?", "openai_chat", chat("Three."))
    talk.ask("Fourth?", "openai_responses", responses("Four.", answer="resp_4"))
    assert "previous_response_id" not in talk.api.bodies[-1], "it has not heard the third question"
    assert [t for _, t in told(talk.api.bodies[-1])] == [
        "First?", "One.", "Second?", "Two.", "Third?", "Three.", "Fourth?",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after"), [("openai_chat", "openai_responses"), ("openai_responses", "openai_chat")]
)
def test_after_a_tool_loop(talk: Talk, before: str, after: str) -> None:
    make = {"openai_chat": chat, "openai_responses": responses}
    talk.ask("Look it up.", before, make[before]("Moment.", call="call_1", query="zebra"), make[before]("Striped."))
    talk.ask("And now?", after, make[after]("Still."))
    assert told(talk.api.bodies[-1]) == [
        ("user", "Look it up."),
        ("assistant", "Moment."),
        ("call", f"call_1 {CALL}"),
        ("result", "call_1"),
        ("assistant", "Striped."),
        ("user", "And now?"),
    ]


@pytest.mark.parametrize(
    ("before", "after"), [("openai_chat", "openai_responses"), ("openai_responses", "openai_chat")]
)
def test_after_a_tool_loop_that_was_interrupted(talk: Talk, before: str, after: str) -> None:
    make = {"openai_chat": chat, "openai_responses": responses}
    broken = make[before]("Half an", cut=True)
    end = talk.ask("Look it up.", before, make[before](call="call_1", query="zebra"), broken)
    assert end.kind == "error"
    talk.ask("And now?", after, make[after]("Still."))
    assert told(talk.api.bodies[-1]) == [
        ("user", "Look it up."),
        ("call", f"call_1 {CALL}"),
        ("result", "call_1"),
        ("assistant", "Half an"),
        ("user", "And now?"),
    ]


@pytest.mark.parametrize("after", ["openai_chat", "openai_responses"])
def test_continue_by_another_runs_no_tool_twice(talk: Talk, after: str) -> None:
    make = {"openai_chat": chat, "openai_responses": responses}
    end = talk.ask(
        "Look it up.", "openai_chat", chat("Let me see.", call="call_1", query="zebra"), json_reply(500, "{}")
    )
    assert end.kind == "error"
    asked = len(talk.api.requests)
    answer = talk.coach.messages(talk.me, talk.thread.id)[-1]
    assert [p.kind for p in answer.parts] == ["text", "tool_call", "tool_result"]
    talk.api.replies[:] = [*talk.api.replies[:asked], make[after]("Striped.")]
    assert talk.end(talk.coach.resume(talk.me, answer.id, backend=after)).status == "completed"
    assert len(talk.api.requests) == asked + 1
    assert told(talk.api.bodies[-1]) == [
        ("user", "Look it up."),
        ("assistant", "Let me see."),
        ("call", f"call_1 {CALL}"),
        ("result", "call_1"),
    ]
    whole = talk.coach.messages(talk.me, talk.thread.id)[-1]
    assert whole.text == "Let me see.\n\nStriped."
    assert [p.kind for p in whole.parts] == ["text", "tool_call", "tool_result", "text"]


def test_a_backup_goes_on_behind_the_tools_and_its_state_is_its_own(
    make_coach: Maker, api: FakeApi, tmp_path: Path
) -> None:
    script = tmp_path / "script.json"
    steps = [
        {"tool": "search_documents", "arguments": {"query": "zebra"}, "call_id": "call_1"},
        {"error": "overloaded"},
    ]
    script.write_text(json.dumps({"steps": steps}))
    coach = make_coach(
        openai_base_url=api.url, openai_api_key="k", model="m1",
        backend="scripted", script=str(script), fallback="openai_responses",
    )  # fmt: skip
    talk = Talk(coach, api)
    assert talk.ask("Look it up.", "", responses("Striped.", answer="resp_1")).status == "completed"
    assert told(api.bodies[-1]) == [("user", "Look it up."), ("call", f"call_1 {CALL}"), ("result", "call_1")]
    assert len([e for e in talk.events if e.kind == "tool_result"]) == 1
    record = coach.turn(talk.me, talk.events[-1].turn)  # type: ignore[arg-type]
    assert (record.backend, record.endpoint) == ("openai_responses", "openai_responses@default")
    talk.ask("And now?", "openai_responses", responses("Still.", answer="resp_2"))
    assert api.bodies[-1]["previous_response_id"] == "resp_1", "what the backup keeps is found again"
