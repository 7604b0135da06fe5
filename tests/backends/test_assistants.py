"""The Assistants wire: what is told at the server, what is found again there, and what is made anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from coach_core.backends import Backend, Endpoint, Remembered, Request, assistants_threads, build
from coach_core.types import Event, Message, Part, ToolSpec
from tests.backends.conftest import KEY, Wire, failed, message, play, request, text_of
from tests.backends.fake_api import FakeApi, Reply, json_reply
from tests.backends.fake_assistants import FakeAssistants, a_run, delta, refusal, stream, waits

TOOL = ToolSpec("calculator", "Calculates.", {"type": "object", "properties": {"a": {"type": "number"}}})
HISTORY = (message("Hello"), message("Hi.", "assistant"))
ANSWER = stream(delta("Sleep "), delta("well."))
PNG = Part("image", file_id=uuid4(), name="a.png", media_type="image/png")
PDF = Part("file", file_id=uuid4(), name="plan.pdf", media_type="application/pdf")
URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}}
Make = Callable[..., Backend]


@pytest.fixture
def api() -> Iterator[FakeAssistants]:
    with FakeAssistants(ANSWER) as api:
        yield api


@pytest.fixture
def backend(wire: Wire, api: FakeAssistants) -> Make:
    return lambda **facts: wire("openai_assistants", api.url, **facts)


def notices(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.source, e.text) for e in events if e.kind == "notice"]


def ids(events: list[Event]) -> dict[str, str]:
    return dict(events[-1].ids or {})


def next_question(before: list[Event], asked: Request | None = None) -> Request:
    """The next question of a conversation, as the app asks it when the answer before was kept."""
    asked = asked or request("And in the evening?", history=HISTORY)
    return replace(asked, provider_state=ids(before))


class TestSwitchedOff:
    @pytest.mark.parametrize(
        "url",
        ["", "https://api.openai.com/v1", "https://eu.api.openai.com/v1", "https://me.openai.azure.com/openai/v1",
         "https://me.services.ai.azure.com/openai/v1", "https://ME.OpenAI.azure.us/openai"],
    )  # fmt: skip
    def test_the_vendor_and_its_cloud(self, url: str, closing: Callable[[Backend], Backend]) -> None:
        backend = closing(build("openai_assistants", Endpoint("vendor", url, KEY, "m1")))
        error, _ = failed(backend)
        assert error.kind == "api_switched_off"
        for word in ("2026-08-26", "Responses", "Chat Completions", "base URL of a compatible server"):
            assert word in error.sentence
        check = backend.check()
        assert (check.state, check.detail) == ("fail", error.sentence) and "Responses" in check.mend

    def test_a_name_that_only_looks_like_it(self, closing: Callable[[Backend], Backend]) -> None:
        backend = closing(build("openai_assistants", Endpoint("x", "http://api.openai.com.invalid/v1", KEY, "m1")))
        assert failed(backend)[0].kind == "unreachable"


class TestCheck:
    def test_says_how_long_it_took(self, backend: Make) -> None:
        check = backend().check()
        assert check.state == "ok" and check.milliseconds is not None and check.milliseconds > 0

    def test_a_server_that_lists_no_models(self, api: FakeAssistants, backend: Make) -> None:
        api.models = json_reply(404, "{}")
        assert backend().check().state == "ok"

    def test_a_server_without_the_api(self, wire: Wire) -> None:
        with FakeApi(Reply([]), models=json_reply(404, "{}")) as api:
            check = wire("openai_assistants", api.url).check()
        assert check.state == "fail" and "model API" in check.detail

    def test_a_model_that_is_not_there(self, api: FakeAssistants, closing: Callable[[Backend], Backend]) -> None:
        assert closing(build("openai_assistants", Endpoint("fake", api.url, KEY, "m7"))).check().state == "warn"


class TestBodies:
    def test_a_first_question(self, api: FakeAssistants, backend: Make) -> None:
        asked = replace(
            request(history=HISTORY, tools=(TOOL,)),
            instructions="You coach.",
            context="The client runs.\n\n[1] Passage",
            model="m2",
            parameters={"temperature": 0.2, "top_p": 0.9, "max_output_tokens": 900, "reasoning_effort": ""},
        )
        events = play(backend(), asked)
        made, thread, question, run = api.seen
        assert all(s.headers["openai-beta"] == "assistants=v2" for s in api.seen)
        assert all(s.headers["authorization"] == f"Bearer {KEY}" for s in api.seen)
        name = made.body.pop("name")
        assert name.startswith("coach: ") and made.body == {
            "model": "m2",
            "instructions": "You coach.",
            "temperature": 0.2,
            "top_p": 0.9,
            "tools": [{"type": "function", "function": {
                "name": "calculator", "description": "Calculates.", "parameters": dict(TOOL.parameters)}}],
            "metadata": {"made_by": "coach"},
        }  # fmt: skip
        assert thread.body == {
            "metadata": {"made_by": "coach"},
            "messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}],
        }
        assert question.body == {"role": "user", "content": "How do I sleep better?"}
        assert run.body == {
            "assistant_id": "asst_1",
            "additional_instructions": "The client runs.\n\n[1] Passage",
            "max_completion_tokens": 900,
            "stream": True,
        }
        assert text_of(events) == "Sleep well."
        assert ids(events) == {"thread_id": "thread_2", "assistant_id": "asst_1", "run_id": "run_1"}

    def test_no_limit_below_the_least_that_the_api_takes(self, api: FakeAssistants, backend: Make) -> None:
        play(backend(), request(parameters={"max_output_tokens": 24}))
        assert api.bodies[0]["max_completion_tokens"] == 256

    def test_a_form_for_the_answer(self, api: FakeAssistants, backend: Make) -> None:
        schema = {"type": "object", "properties": {"steps": {"type": "array"}}}
        play(backend(), request(schema=schema))
        form = api.assistants["asst_1"]["response_format"]
        assert form == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        play(backend(schema=False), request(schema=schema))
        told = api.asked("POST /v1/assistants")[-1].body
        assert "response_format" not in told and '"steps"' in told["instructions"]

    def test_a_server_that_heeds_no_additional_instructions(self, api: FakeAssistants, backend: Make) -> None:
        asked = replace(request(), instructions="You coach.", context="The client runs.")
        play(backend(additional_instructions=False), asked)
        assert api.bodies[0]["instructions"] == "You coach.\n\nThe client runs."
        assert "additional_instructions" not in api.bodies[0]

    def test_long_histories_take_several_requests(self, api: FakeAssistants, backend: Make) -> None:
        history = tuple(message(f"m{n}", "assistant" if n % 2 else "user") for n in range(40))
        play(backend(), request("last", history=history))
        thread = api.asked("POST /v1/threads$")[0]
        assert len(thread.body["messages"]) == 32
        told = api.told()
        assert [content for _, content in told] == [*(f"m{n}" for n in range(40)), "last"]
        assert [role for role, _ in told[-3:]] == ["user", "assistant", "user"]

    def test_calls_of_before_are_told_as_text(self, api: FakeAssistants, backend: Make) -> None:
        play(backend(), request("And?", history=(message("Sum?"), *rounds(), message("It is 2.", "assistant"))))
        assert api.told() == [
            ("user", "Sum?"),
            ("assistant", "Let me see.\n\n(calculator: 2)\n\nIt is 2."),
            ("user", "And?"),
        ]

    def test_tools_that_ran_before_the_first_round(self, api: FakeAssistants, backend: Make) -> None:
        """A slash command's, or those of an answer that is gone on with."""
        play(backend(), replace(request("Sum?", tools=(TOOL,)), exchange=rounds(), context="Runs."))
        assert api.told() == [("user", "Sum?")]
        told = api.bodies[0]["additional_instructions"]
        assert told.startswith("Runs.\n\n") and "Let me see." in told and 'calculator({"a": 1}): 2' in told

    def test_what_this_server_does_not_take_is_left_out(self, api: FakeAssistants, backend: Make) -> None:
        api.once("POST /v1/assistants", refusal("Unsupported parameter: 'top_p'", code="unsupported_parameter"))
        api.once("POST .*/runs", refusal("Unknown parameter: 'max_completion_tokens'.", param="max_completion_tokens"))
        coach = backend()
        asked = request(parameters={"top_p": 0.5, "temperature": 0.5, "max_output_tokens": 300})
        for _ in range(2):
            assert text_of(play(coach, asked)) == "Sleep well."
        assert "top_p" not in api.assistants["asst_1"] and api.assistants["asst_1"]["temperature"] == 0.5
        assert all(not {"max_completion_tokens", "max_tokens"} & b.keys() for b in api.bodies)
        assert len(api.asked("POST /v1/assistants")) == 2

    @pytest.mark.parametrize("when", ["making", "running"])
    def test_a_model_that_takes_no_tools(self, api: FakeAssistants, backend: Make, when: str) -> None:
        words = "m1 does not support tools"
        if when == "making":
            api.once("POST /v1/assistants", refusal(words))
        else:
            api.replies.insert(0, stream(end=a_run("failed", last_error={"code": "server_error", "message": words})))
        events = play(backend(), request(tools=(TOOL,)))
        assert text_of(events) == "Sleep well." and [source for source, _ in notices(events)] == ["tools"]
        assert "tools" not in list(api.assistants.values())[-1]
        assert api.told() == [("user", "How do I sleep better?")]


def rounds() -> tuple[Message, Message]:
    call = Part("tool_call", call_id="c1", name="calculator", arguments={"a": 1})
    result = Part("tool_result", call_id="c1", name="calculator", text="2")
    return (
        message("Let me see.", "assistant", Part("text", "Let me see."), call),
        message("2", "tool", result),
    )


class TestAssistants:
    def test_one_for_the_same_settings(self, api: FakeAssistants, backend: Make) -> None:
        coach, asked = backend(), replace(request(tools=(TOOL,)), instructions="You coach.")
        for other in (asked, asked, replace(asked, context="Other memory", history=HISTORY)):
            play(coach, other)
        assert len(api.assistants) == 1
        for other in (
            replace(asked, instructions="You coach well."),
            replace(asked, tools=()),
            replace(asked, parameters={"temperature": 0.1}),
            replace(asked, schema={"type": "object"}),
            replace(asked, stores=("vs_1",)),
            replace(asked, model="m2"),
        ):
            play(coach, other)
        assert len(api.assistants) == 7

    def test_found_again_by_another_process(self, api: FakeAssistants, closing: Callable[[Backend], Backend]) -> None:
        kept = Remembered()
        for _ in range(2):
            endpoint = Endpoint("fake", api.url, KEY, "m1")
            play(closing(build("openai_assistants", endpoint, remotes=kept)))
        assert len(api.assistants) == 1 and [b["assistant_id"] for b in api.bodies] == ["asst_1"] * 2

    def test_several_at_once_make_one(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        threads = [threading.Thread(target=play, args=(coach,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(api.assistants) == 1 and len(api.bodies) == 4

    def test_one_that_is_gone_is_made_again(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        before = play(coach)
        api.gone.add("asst_1")
        events = play(coach, next_question(before))
        assert text_of(events) == "Sleep well." and events[-1].retries == 1
        assert [source for source, _ in notices(events)] == ["state"] and "assistant" in notices(events)[0][1]
        made = ids(events)
        assert made["assistant_id"] != "asst_1" and made["thread_id"] == "thread_2"
        assert api.told("thread_2")[1:] == [("user", "And in the evening?")]  # asked once
        assert not notices(play(coach, next_question(events)))

    def test_a_server_that_says_only_that_something_is_gone(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        before = play(coach)
        api.once("POST .*/runs", json_reply(404, '{"detail":"Not Found"}'))
        events = play(coach, next_question(before))
        assert text_of(events) == "Sleep well." and len(api.assistants) == 2
        assert ids(events)["thread_id"] != "thread_2" and len(notices(events)) == 1

    def test_a_server_on_which_all_is_gone_always(self, api: FakeAssistants, backend: Make) -> None:
        api.once("POST .*/runs", *[refusal("No thread found with id 'x'.", 404)] * 9)
        error, _ = failed(backend())
        assert error.kind == "state_lost" and len(api.asked("/runs$")) == 2


class TestGiven:
    GIVEN = request(parameters={"assistant_id": "asst_own", "temperature": 0.3})

    def test_is_used_as_it_is(self, api: FakeAssistants, backend: Make) -> None:
        asked = replace(self.GIVEN, instructions="You coach.", context="The client runs.", model="m2")
        assert ids(play(backend(), asked))["assistant_id"] == "asst_own"
        assert not api.asked("/assistants")
        assert api.bodies == [{
            "assistant_id": "asst_own",
            "additional_instructions": "You coach.\n\nThe client runs.",
            "temperature": 0.3,
            "stream": True,
        }]  # fmt: skip

    def test_keeps_its_own_tools_beside_the_personas(self, api: FakeAssistants, backend: Make) -> None:
        own = [{"type": "code_interpreter"}, {"type": "function", "function": {"name": "calculator"}}]
        api.assistants["asst_own"] = {"id": "asst_own", "tools": own, "instructions": "I am old."}
        coach, asked = backend(), replace(self.GIVEN, tools=(TOOL,), stores=("vs_1",))
        for _ in range(2):
            play(coach, asked)
        names = [t.get("function", {}).get("name") or t["type"] for t in api.bodies[0]["tools"]]
        assert names == ["code_interpreter", "file_search", "calculator"]
        assert [s.method for s in api.asked("/assistants")] == ["GET"]
        store = {"file_search": {"vector_store_ids": ["vs_1"]}}
        assert api.asked("POST /v1/threads$")[0].body["tool_resources"] == store

    @pytest.mark.parametrize("tools", [(), (TOOL,)], ids=["found out by the run", "found out before"])
    def test_one_that_is_gone(self, api: FakeAssistants, backend: Make, tools: tuple[ToolSpec, ...]) -> None:
        api.gone.add("asst_own")
        coach = backend()
        events = play(coach, replace(self.GIVEN, tools=tools, instructions="You coach."))
        assert text_of(events) == "Sleep well."
        assert "asst_own" in notices(events)[0][1] and "persona" in notices(events)[0][1]
        assert ids(events)["assistant_id"] in api.assistants
        assert next(iter(api.assistants.values()))["instructions"] == "You coach."

    def test_where_no_additional_instructions_are_heeded(self, api: FakeAssistants, backend: Make) -> None:
        api.assistants["asst_own"] = {"id": "asst_own", "tools": [], "instructions": "I am old."}
        asked = replace(self.GIVEN, instructions="You coach.", context="Runs.")
        play(backend(additional_instructions=False), asked)
        assert api.bodies[0]["instructions"] == "I am old.\n\nYou coach.\n\nRuns."

    def test_the_form_is_the_runs(self, api: FakeAssistants, backend: Make) -> None:
        play(backend(), replace(self.GIVEN, schema={"type": "object"}))
        assert api.bodies[0]["response_format"]["type"] == "json_schema"


class TestThreads:
    def test_the_next_question_goes_alone(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        events = play(coach, next_question(play(coach)))
        assert ids(events)["thread_id"] == "thread_2" and len(api.threads) == 1
        assert api.told() == [("user", "How do I sleep better?"), ("user", "And in the evening?")]

    def test_one_that_is_gone_is_told_anew(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        before = play(coach)
        api.gone.add("thread_2")
        events = play(coach, next_question(before))
        assert notices(events) == [("state", f"{api.url.split('/')[2]} no longer knows this conversation. "
                                             "It is told again from here.")]  # fmt: skip
        assert text_of(events) == "Sleep well." and events[-1].retries == 1
        assert api.told() == [("user", "Hello"), ("assistant", "Hi."), ("user", "And in the evening?")]

    def test_one_spoken_into_in_vain_is_not_used_again(self, api: FakeAssistants, backend: Make) -> None:
        """The turn may ask once more (its history too long, nothing found): the question stands there already."""
        coach = backend()
        before = play(coach)
        api.replies.append(stream(end=a_run("failed", last_error={"code": "x", "message": "maximum context length"})))
        asked = next_question(before)
        assert failed(coach, asked)[0].kind == "context_too_long"
        api.replies.append(ANSWER)
        events = play(coach, replace(asked, history=HISTORY[1:]))
        assert ids(events)["thread_id"] != "thread_2"
        assert api.told() == [("assistant", "Hi."), ("user", "And in the evening?")]

    def test_stateless_and_continued_answers_begin_anew(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        asked = next_question(play(coach))
        play(coach, replace(asked, parameters={"state": "stateless"}))
        play(coach, replace(asked, resume_from="In the eve"))
        assert len(api.threads) == 3
        assert api.told()[-3:-1] == [("user", "And in the evening?"), ("assistant", "In the eve")]
        assert api.told()[-1][0] == "user" and "cut off" in api.told()[-1][1]

    @pytest.mark.parametrize("path", ["/messages", "/runs$"])
    def test_a_run_that_holds_it_is_waited_for(self, api: FakeAssistants, backend: Make, path: str) -> None:
        coach = backend()
        before = play(coach)
        words = {"/messages": "Can't add messages to thread_2 while a run run_8 is active.",
                 "/runs$": "Thread thread_2 already has an active run run_8."}  # fmt: skip
        api.polls["run_8"] = [a_run("in_progress", id="run_8"), a_run("completed", id="run_8")]
        api.once(f"POST .*{path}", refusal(words[path]))
        events = play(coach, next_question(before))
        assert text_of(events) == "Sleep well." and not notices(events)
        assert ids(events)["thread_id"] == "thread_2" and not api.asked("cancel")
        assert len(api.asked("GET .*/runs/run_8")) == 2

    def test_a_run_that_does_not_end_is_stopped(
        self, api: FakeAssistants, backend: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(assistants_threads, "PATIENCE", 0.2)
        coach = backend()
        before = play(coach)
        api.polls["run_8"] = [a_run("in_progress", id="run_8")]
        api.once("POST .*/messages", refusal("Can't add messages to thread_2 while a run run_8 is active."))
        assert ids(play(coach, next_question(before)))["thread_id"] == "thread_2"
        assert len(api.asked("POST .*/runs/run_8/cancel")) == 1

    def test_a_run_that_waits_for_tools_is_stopped_at_once(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        before = play(coach)
        api.polls["run_8"] = [waits(("c", "f", "{}"), id="run_8")]
        api.once("POST .*/messages", refusal("Can't add messages to thread_2 while a run is active."))
        api.once("GET .*/runs.limit", json_reply(200, '{"data":[{"id":"run_8","status":"requires_action"}]}'))
        assert text_of(play(coach, next_question(before))) == "Sleep well."
        assert len(api.asked("run_8/cancel")) == 1

    def test_one_that_stays_locked_is_replaced(
        self, api: FakeAssistants, backend: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(assistants_threads, "PATIENCE", 0.1)
        coach = backend()
        before = play(coach)
        api.once("POST .*thread_2/messages", *[refusal("Can't add messages while a run run_8 is active.")] * 9)
        events = play(coach, next_question(before))
        assert "locked" in notices(events)[0][1] and text_of(events) == "Sleep well."
        assert api.told() == [("user", "Hello"), ("assistant", "Hi."), ("user", "And in the evening?")]

    def test_waiting_for_it_obeys_the_person(self, api: FakeAssistants, backend: Make) -> None:
        api.polls["run_8"] = [a_run("in_progress", id="run_8")]
        api.once("POST .*/messages", refusal("Can't add messages while a run run_8 is active."))
        cancel = threading.Event()
        threading.Timer(0.3, cancel.set).start()
        assert play(backend(), cancel=cancel)[-1].status == "cancelled"
        assert not api.bodies
