"""A server of the Assistants API as an endpoint of the app: conversations, tools, restarts, switching to and fro."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.errors import BadSetting
from coach_core.types import EndpointDraft, Event, PersonaDraft, Thread
from tests.backends.fake_api import FakeApi, json_reply
from tests.backends.fake_assistants import FakeAssistants, a_run, cites, delta, stream, waits
from tests.coach.api import chat, told

Maker = Callable[..., Coach]


@pytest.fixture
def api() -> Iterator[FakeAssistants]:
    with FakeAssistants(stream(delta("Sleep "), delta("well."))) as api:
        yield api


class Talk:
    """A thread with a persona that may search, answered by the endpoint `own`."""

    def __init__(self, coach: Coach, api: FakeAssistants) -> None:
        self.coach, self.api, self.me = coach, api, coach.owner()
        if not coach.endpoints(self.me):
            coach.save_endpoint(self.me, EndpointDraft("own", api.url, "openai_assistants", model="m1"))
        self.draft = PersonaDraft("Sleeper", instructions="Be brief.", tools=("search_documents",))
        self.persona = coach.save_persona(self.me, self.draft).id
        self.thread: Thread = coach.new_thread(self.me, self.persona, backend="own")

    def ask(self, text: str, **given: Any) -> list[Event]:
        turn = self.coach.start(self.me, self.thread.id, text, **given)
        return [e for e in self.coach.tail(self.me, turn.id) if e]


@pytest.fixture
def talk(make_coach: Maker, api: FakeAssistants) -> Talk:
    return Talk(make_coach(backend="extractive"), api)


def said(events: list[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "text")


def test_a_conversation_is_one_thread_there(talk: Talk) -> None:
    assert said(talk.ask("How?")) == "Sleep well."
    events = talk.ask("And then?")
    assert events[-1].status == "completed" and events[0].backend == "own"
    assert list(talk.api.threads) == ["thread_2"] and len(talk.api.assistants) == 1
    assert talk.api.told() == [("user", "How?"), ("user", "And then?")]
    assert talk.api.assistants["asst_1"]["instructions"].startswith("Be brief.")


def test_tools_run_here_and_the_run_goes_on(talk: Talk) -> None:
    talk.api.replies[:] = [stream(end=waits(("call_1", "search_documents", '{"query": "zebra"}'))), *talk.api.replies]
    events = talk.ask("What of zebras?")
    assert [e.kind for e in events if e.kind.startswith("tool")] == ["tool_call", "tool_result"]
    assert said(events) == "Sleep well." and events[-1].status == "completed"
    (output,) = talk.api.bodies[1]["tool_outputs"]
    assert output["tool_call_id"] == "call_1" and output["output"]
    assert talk.ask("And then?")[-1].status == "completed" and len(talk.api.threads) == 1


def test_a_restart_finds_assistant_and_thread_again(talk: Talk, make_coach: Maker) -> None:
    talk.ask("How?")
    talk.coach.close()
    talk.coach = make_coach(backend="extractive")
    assert talk.ask("And then?")[-1].status == "completed"
    assert len(talk.api.assistants) == 1 and list(talk.api.threads) == ["thread_2"]


def test_another_version_of_the_persona_is_another_assistant(talk: Talk) -> None:
    talk.ask("How?")
    draft = PersonaDraft("Sleeper", instructions="Be kind.", tools=("search_documents",))
    talk.coach.save_persona(talk.me, draft, talk.persona)
    talk.ask("And then?")
    talk.ask("And now?")
    told = [a["instructions"].split("\n")[0] for a in talk.api.assistants.values()]
    assert told == ["Be brief.", "Be kind."]


def test_what_is_gone_there_is_told_anew_and_said_so(talk: Talk) -> None:
    talk.ask("How?")
    talk.api.gone |= {"thread_2", "asst_1"}
    events = talk.ask("And then?")
    assert {e.source for e in events if e.kind == "notice"} >= {"state"} and events[-1].status == "completed"
    assert talk.api.told() == [("user", "How?"), ("assistant", "Sleep well."), ("user", "And then?")]


def test_a_turn_that_failed_leaves_no_thread_behind(talk: Talk) -> None:
    talk.ask("How?")
    talk.api.replies.append(stream(delta("I "), end=a_run("failed", last_error={"code": "x", "message": "boom"})))
    assert talk.ask("And then?")[-1].kind == "error"
    talk.api.replies.append(stream(delta("Better.")))
    assert said(talk.ask("Again?")) == "Better."
    assert list(talk.api.threads)[-1] != "thread_2"
    assert (talk.api.told()[0], talk.api.told()[-1]) == (("user", "How?"), ("user", "Again?"))


def test_citations_of_the_api_are_numbered(talk: Talk) -> None:
    mark = "【4:0†light.md】"
    talk.api.replies[:] = [stream(delta(f"Dim the light{mark}.", cites(mark)))]
    events = talk.ask("How?")
    assert said(events) == "Dim the light [1]."
    (citation,) = [e.citation for e in events if e.citation]
    assert (citation.number, citation.title) == (1, "light.md")


def test_to_another_backend_and_back(make_coach: Maker, api: FakeAssistants) -> None:
    with FakeApi(chat("From chat.")) as other:
        talk = Talk(make_coach(openai_base_url=other.url, openai_api_key="k", model="m2", backend="openai_chat"), api)
        talk.ask("One?")
        talk.ask("Two?", backend="openai_chat")
        history = [("user", "One?"), ("assistant", "Sleep well."), ("user", "Two?")]
        assert told(other.bodies[-1]) == history
        talk.ask("Three?", backend="own")
        assert api.told() == [*history, ("assistant", "From chat."), ("user", "Three?")]


def test_it_is_no_choice_without_a_server_of_ones_own(make_coach: Maker) -> None:
    coach = make_coach(openai_api_key="sk-0123456789abcdef", model="m1")
    infos = coach.backends(coach.owner())
    assert "openai_chat" in {i.name for i in infos} and "openai_assistants" not in {i.name for i in infos}


def test_a_row_that_points_at_the_vendors_cloud_says_what_to_choose(make_coach: Maker) -> None:
    coach = make_coach(backend="extractive")
    me = coach.owner()
    url = "https://me.openai.azure.com/openai/v1"
    coach.save_endpoint(me, EndpointDraft("old", url, "openai_assistants", model="m1"))
    thread = coach.new_thread(me, coach.persona(me, "general").id, backend="old")
    with pytest.raises(BadSetting, match=r"switched the Assistants API off .* Choose Responses or Chat Completions"):
        coach.start(me, thread.id, "Hello?")


@pytest.mark.parametrize("saved", [True, False])
def test_a_live_test_leaves_nothing_there(make_coach: Maker, api: FakeAssistants, saved: bool) -> None:
    coach = make_coach(backend="extractive")
    me, row = coach.owner(), EndpointDraft("own", api.url, "openai_assistants", model="m1")
    for _ in range(2):
        if saved:
            if not coach.endpoints(me):
                coach.save_endpoint(me, row)
            found = coach.test_backend(me, "own")
        else:
            found = coach.test_endpoint(me, row)
        assert found.state == "ok" and found.text == "Sleep well."
        assert api.threads == api.assistants == {}
    assert len(api.asked("POST /v1/threads$")) == 2


def test_a_live_test_that_fails_leaves_nothing_either(make_coach: Maker, api: FakeAssistants) -> None:
    coach = make_coach(backend="extractive")
    api.once("POST .*/runs", *[json_reply(400, '{"error": {"message": "no such model"}}')] * 3)
    found = coach.test_endpoint(coach.owner(), EndpointDraft("own", api.url, "openai_assistants", model="m1"))
    assert found.error == "bad_request" and api.asked("DELETE") and api.threads == api.assistants == {}


def test_a_server_that_deletes_nothing_passes_its_test_all_the_same(make_coach: Maker, api: FakeAssistants) -> None:
    coach = make_coach(backend="extractive")
    api.once("DELETE", json_reply(500, '{"error": {"message": "no"}}'))
    found = coach.test_endpoint(coach.owner(), EndpointDraft("own", api.url, "openai_assistants", model="m1"))
    assert found.state == "ok" and len(api.asked("DELETE")) == 1


def test_a_turn_keeps_its_thread_and_assistant(talk: Talk) -> None:
    talk.ask("How?")
    assert len(talk.api.threads) == len(talk.api.assistants) == 1 and not talk.api.asked("DELETE")
