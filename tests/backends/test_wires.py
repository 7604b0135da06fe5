"""The two wires of the SDK against recorded answers and quirks, over real HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from coach_core.backends import Request
from coach_core.errors import ModelNotFound, RateLimited, Refused, ServerFailed, StateLost
from coach_core.types import Part, ToolSpec, Usage
from tests.backends.conftest import KEY, WHOLE, Wire, failed, message, play, request, text_of
from tests.backends.fake_api import FakeApi, Reply, json_reply, recorded, sse

TOOL = ToolSpec("calculator", "Calculates.", {"type": "object", "properties": {"a": {"type": "number"}}})


class TestChat:
    def test_text_and_usage(self, wire: Wire) -> None:
        with FakeApi(recorded("chat_text")) as api:
            events = play(wire("openai_chat", api.url))
        assert text_of(events) == "The capital of Mexico is Mexico City."
        assert (events[-1].status, events[-1].finish_reason) == ("completed", "stop")
        assert events[-1].usage == Usage(14, 8)
        assert events[-1].ids == {"completion_id": "chatcmpl-C2P1wP1damHwC6sXvGAIh5PMvH6wM"}

    def test_parallel_calls_in_fragments_without_usage(self, wire: Wire) -> None:
        with FakeApi(recorded("chat_parallel_tools")) as api:
            events = play(wire("openai_chat", api.url), request(tools=(TOOL,)))
        assert [(e.name, e.arguments) for e in events[:-1]] == [
            ("get_current_weather", {"location": "San Francisco"}),
            ("get_current_weather", {"location": "Boston"}),
        ]
        assert len({e.call_id for e in events[:-1]}) == 2
        assert events[-1].finish_reason == "tool_calls"
        assert events[-1].usage is not None and events[-1].usage.estimated and events[-1].usage.input_tokens > 0

    def test_calls_without_index_or_id(self, wire: Wire) -> None:
        pieces = [{"id": "a", "function": {"name": "f", "arguments": '{"x"'}}, {"function": {"arguments": ": 1}"}},
                  {"id": "b", "function": {"name": "g", "arguments": "oops"}}]  # fmt: skip
        chunks = [{"choices": [{"delta": {"tool_calls": [p]}, "finish_reason": None}]} for p in pieces]
        with FakeApi(Reply(sse(*chunks, {"choices": [{"delta": {}, "finish_reason": "stop"}]}, done=True))) as api:
            events = play(wire("openai_chat", api.url))
        assert [(e.call_id, e.name, e.arguments) for e in events[:-1]] == [
            ("a", "f", {"x": 1}),
            ("b", "g", {"malformed": "oops"}),
        ]

    def test_reasoning_of_other_vendors(self, wire: Wire) -> None:
        with FakeApi(recorded("chat_reasoning_no_details")) as api:
            events = play(wire("openai_chat", api.url))
        kinds = [e.kind for e in events]
        assert kinds.count("reasoning") == 12 and kinds.index("text") > kinds.index("reasoning")
        assert "".join(e.text for e in events if e.kind == "reasoning").startswith("We")
        assert text_of(events).endswith("🧡💙")
        assert events[-1].usage == Usage(19, 1720)

    @pytest.mark.parametrize("reason", ["length", "content_filter"])
    def test_ends_early(self, wire: Wire, reason: str) -> None:
        cut = recorded("chat_text", {'"finish_reason":"stop"': f'"finish_reason":"{reason}"'})
        with FakeApi(cut) as api:
            done = play(wire("openai_chat", api.url))[-1]
        assert (done.status, done.finish_reason) == ("incomplete", reason)

    def test_filtered_before_a_word(self, wire: Wire) -> None:
        chunk = {"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}
        with FakeApi(Reply(sse(chunk, done=True))) as api:
            assert isinstance(failed(wire("openai_chat", api.url))[0], Refused)

    def test_a_refusal_is_told(self, wire: Wire) -> None:
        chunks = [{"choices": [{"index": 0, "delta": {"refusal": t}}]} for t in ("I ", "cannot.")]
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        with FakeApi(Reply(sse(*chunks, end, done=True))) as api:
            events = play(wire("openai_chat", api.url))
        assert text_of(events) == "I cannot." and events[-1].finish_reason == "refusal"

    def test_a_call_cut_by_length_is_not_made(self, wire: Wire) -> None:
        call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}
        chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "length"}]}
        with FakeApi(Reply(sse(chunk, done=True))) as api:
            assert [e.kind for e in play(wire("openai_chat", api.url))] == ["done"]

    def test_the_body(self, wire: Wire) -> None:
        asked = whole_request()
        with FakeApi(recorded("chat_text")) as api:
            play(wire("openai_chat", api.url), asked)
            seen = api.requests[0]
        assert seen.path == "/v1/chat/completions" and seen.headers["authorization"] == f"Bearer {KEY}"
        assert seen.body == {
            "model": "m2",
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.2,
            "max_tokens": 100,
            "tools": [{"type": "function", "function": {
                "name": "calculator", "description": "Calculates.", "parameters": dict(TOOL.parameters)}}],
            "messages": [
                {"role": "system", "content": "You coach."},
                {"role": "user", "content": "Hello"},
                {"role": "assistant", "content": "Let me see.", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"a": 1}'}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "2"},
                {"role": "assistant", "content": "It is 2."},
                {"role": "user", "content": [
                    {"type": "text", "text": "[1] Passage"},
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,UE5H"}},
                    {"type": "text", "text": "Attached file notes.txt:\nRead me"}]},
                {"role": "assistant", "content": None, "tool_calls": [
                    {"id": "c2", "type": "function", "function": {"name": "calculator", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c2", "content": "no such number"},
            ],
        }  # fmt: skip

    def test_facts_of_a_vendor(self, wire: Wire) -> None:
        facts = {"role": "developer", "stream_options": False, "tools": False, "images": False,
                 "max_tokens": "max_completion_tokens", "headers": {"x-app": "coach"}, "body": {"seed": 7}}  # fmt: skip
        with FakeApi(recorded("chat_text")) as api:
            play(wire("openai_chat", api.url, **facts), whole_request())
            seen = api.requests[0]
        assert seen.headers["x-app"] == "coach" and seen.body["seed"] == 7
        assert not {"tools", "stream_options", "max_tokens"} & set(seen.body)
        assert seen.body["max_completion_tokens"] == 100
        assert seen.body["messages"][0]["role"] == "developer"
        assert {m["role"] for m in seen.body["messages"]} == {"developer", "user", "assistant"}
        assert {"role": "assistant", "content": "(calculator: 2)"} in seen.body["messages"]
        assert not any("image_url" in str(m) for m in seen.body["messages"])

    def test_learns_what_a_model_does_not_take(self, wire: Wire) -> None:
        refusals = [recorded("chat_no_developer_role"), recorded("chat_no_max_tokens")]
        with FakeApi(*refusals, recorded("chat_text")) as api:
            backend = wire("openai_chat", api.url, role="developer")
            for _ in range(2):
                assert text_of(play(backend, whole_request()))
            assert len(api.requests) == 4, "learnt once, heeded from then on"
            last = api.bodies[-1]
        assert last["messages"][0]["role"] == "system"
        assert last["max_completion_tokens"] == 100 and "max_tokens" not in last


class TestResponses:
    def test_text_usage_and_id(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_text")) as api:
            events = play(wire("openai_responses", api.url))
        assert text_of(events) == "2 + 2 equals 4."
        assert (events[-1].status, events[-1].finish_reason) == ("completed", "stop")
        assert events[-1].usage == Usage(14, 9)
        assert events[-1].ids == {"response_id": "resp_087a1bffb8180cc4006912065042e08196a1a6445d62480120"}

    def test_a_loop_of_tools_with_reasoning(self, wire: Wire) -> None:
        replies = [recorded(f"responses_tool_loop_{n}") for n in range(1, 5)]
        with FakeApi(*replies) as api:
            backend = wire("openai_responses", api.url)
            asked = request("(12 + 7) * 3 * 10", tools=(TOOL,), instructions="You coach.")
            calls: list[Any] = []
            ids: list[str] = []
            while True:
                events = play(backend, asked)
                ids.append((events[-1].ids or {})["response_id"])
                call = next((e for e in events if e.kind == "tool_call"), None)
                if call is None:
                    break
                assert events[-1].finish_reason == "tool_calls"
                calls.append(call.arguments)
                told = Part("tool_call", call_id=call.call_id, name=call.name, arguments=call.arguments)
                result = Part("tool_result", str(len(calls)), call_id=call.call_id, name=call.name)
                asked = replace(asked, exchange=(
                    *asked.exchange, message("", "assistant", told), message("", "tool", result)))  # fmt: skip
            bodies = api.bodies
        assert calls == [{"a": 12, "b": 7, "op": "add"}, {"a": 19, "b": 3, "op": "multiply"},
                         {"a": 57, "b": 10, "op": "multiply"}]  # fmt: skip
        assert "570" in text_of(events)
        assert [b.get("previous_response_id") for b in bodies] == [None, *ids[:-1]]
        assert [len(b["input"]) for b in bodies] == [1, 1, 1, 1]
        assert bodies[3]["input"][0]["output"] == "3" and all(b["instructions"] == "You coach." for b in bodies)

    def test_reasoning_is_told(self, wire: Wire) -> None:
        counted = {'"cached_tokens":0': '"cached_tokens":5', '"reasoning_tokens":0': '"reasoning_tokens":7'}
        with FakeApi(recorded("responses_tool_loop_1", counted)) as api:
            events = play(wire("openai_responses", api.url))
        assert [e.kind for e in events].count("reasoning") == 32
        assert events[-1].usage == Usage(134, 28, 5, 7)

    def test_the_exchange_is_told_whole_to_who_has_not_made_it(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_after_function")) as api:
            play(wire("openai_responses", api.url), whole_request())
            body = api.bodies[0]
        assert body == {
            "model": "m2",
            "stream": True,
            "store": True,
            "instructions": "You coach.",
            "temperature": 0.2,
            "max_output_tokens": 100,
            "tools": [{"type": "function", "name": "calculator", "description": "Calculates.",
                       "parameters": dict(TOOL.parameters), "strict": False}],
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
                {"role": "assistant", "content": "Let me see."},
                {"type": "function_call", "call_id": "c1", "name": "calculator", "arguments": '{"a": 1}'},
                {"type": "function_call_output", "call_id": "c1", "output": "2"},
                {"role": "assistant", "content": "It is 2."},
                {"role": "user", "content": [
                    {"type": "input_text", "text": "[1] Passage"},
                    {"type": "input_text", "text": "What is this?"},
                    {"type": "input_image", "image_url": "data:image/png;base64,UE5H", "detail": "auto"},
                    {"type": "input_text", "text": "Attached file notes.txt:\nRead me"}]},
                {"type": "function_call", "call_id": "c2", "name": "calculator", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c2", "output": "no such number"},
            ],
        }  # fmt: skip

    def test_state_spares_the_history(self, wire: Wire) -> None:
        asked = known()
        with FakeApi(recorded("responses_text")) as api:
            play(wire("openai_responses", api.url), asked)
            play(wire("openai_responses", api.url, state=False), asked)
            stateful, stateless = api.bodies
        assert stateful["previous_response_id"] == "resp_1" and len(stateful["input"]) == 1
        assert "previous_response_id" not in stateless and len(stateless["input"]) == 3 and stateless["store"] is False

    @pytest.mark.parametrize(
        "body",
        [
            '{"error":{"code":"previous_response_not_found","message":"Previous response with id resp_1 not found.",'
            '"param":"previous_response_id","type":"invalid_request_error"}}',
            '{"error":{"message":"No tool output found for function call call_1.","param":"input"}}',
        ],
    )
    def test_a_lost_state_is_told_again_in_the_same_turn(self, wire: Wire, body: str) -> None:
        asked = known()
        with FakeApi(json_reply(400, body), recorded("responses_text")) as api:
            events = play(wire("openai_responses", api.url), asked)
            bodies = api.bodies
        assert events[0].kind == "notice" and events[0].source == "state"
        assert text_of(events) == "2 + 2 equals 4."
        assert "previous_response_id" not in bodies[1] and len(bodies[1]["input"]) == 3

    def test_a_state_lost_without_one_is_an_error(self, wire: Wire) -> None:
        lost = json_reply(400, '{"error":{"code":"previous_response_not_found","message":"x"}}')
        with FakeApi(lost) as api:
            assert isinstance(failed(wire("openai_responses", api.url))[0], StateLost)

    def test_failed(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_failed")) as api:
            error, _ = failed(wire("openai_responses", api.url))
        assert isinstance(error, RateLimited) and "quota" in error.sentence

    def test_an_error_in_the_stream(self, wire: Wire) -> None:
        event = {"type": "error", "code": "server_error", "message": "boom", "param": None, "sequence_number": 3}
        with FakeApi(Reply(sse(event))) as api:
            error, _ = failed(wire("openai_responses", api.url))
        assert isinstance(error, ServerFailed) and "boom" in error.sentence

    @pytest.mark.parametrize(("why", "reason"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
    def test_incomplete(self, wire: Wire, why: str, reason: str) -> None:
        whole = recorded("responses_text")
        last = bytes(whole.pieces[-1]).replace(b"response.completed", b"response.incomplete")
        last = last.replace(b'"incomplete_details":null', f'"incomplete_details":{{"reason":"{why}"}}'.encode())
        with FakeApi(replace(whole, pieces=[*whole.pieces[:-1], last])) as api:
            done = play(wire("openai_responses", api.url))[-1]
        assert (done.status, done.finish_reason) == ("incomplete", reason)

    def test_a_refusal_is_told(self, wire: Wire) -> None:
        refused = recorded("responses_text", {"response.output_text.delta": "response.refusal.delta"})
        with FakeApi(refused) as api:
            events = play(wire("openai_responses", api.url))
        assert text_of(events) == "2 + 2 equals 4." and events[-1].finish_reason == "refusal"

    @pytest.mark.parametrize("cassette", ["responses_text", "responses_function"])
    def test_a_server_that_tells_only_the_end(self, wire: Wire, cassette: str) -> None:
        whole = recorded(cassette)
        with FakeApi(whole, replace(whole, pieces=whole.pieces[-1:])) as api:
            backend = wire("openai_responses", api.url)
            streamed, ended = play(backend), play(backend)
        assert text_of(ended) == text_of(streamed)
        assert [e for e in ended if e.kind == "tool_call"] == [e for e in streamed if e.kind == "tool_call"]

    def test_learns_that_a_model_takes_no_temperature(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_no_temperature"), recorded("responses_text")) as api:
            assert text_of(play(wire("openai_responses", api.url), whole_request()))
            assert "temperature" in api.bodies[0] and "temperature" not in api.bodies[1]

    def test_effort(self, wire: Wire) -> None:
        asked = request(parameters={"reasoning_effort": "low", "temperature": 0.7}, model="gpt-5.4-mini")
        with FakeApi(recorded("responses_text")) as api:
            play(wire("openai_responses", api.url), asked)
            body = api.bodies[0]
        assert body["reasoning"] == {"effort": "low", "summary": "auto"} and "temperature" not in body


class TestFiles:
    def test_a_pdf_goes_in_where_it_is_taken(self, name: str, wire: Wire) -> None:
        pdf = Part("file", file_id=uuid4(), name="plan.pdf", media_type="application/pdf")
        question = message("Read it", "user", Part("text", "Read it"), pdf)
        asked = Request(question, read_file=lambda _: b"%PDF")
        with FakeApi(recorded(WHOLE[name])) as api:
            play(wire(name, api.url, files=True), asked)
            play(wire(name, api.url, files=False), asked)
            with_file, without = (str(b) for b in api.bodies)
        assert "data:application/pdf;base64,JVBERg==" in with_file and "plan.pdf" in with_file
        assert "base64" not in without and "plan.pdf, which cannot be read here" in without


class TestCheck:
    def test_names_the_host_and_misses_the_model(self, name: str, wire: Wire) -> None:
        with FakeApi(Reply([])) as api:
            assert wire(name, api.url).check().state == "ok"
            api.models = json_reply(200, '{"object":"list","data":[{"id":"other","object":"model"}]}')
            warned = wire(name, api.url).check()
            assert warned.state == "warn" and "m1" in warned.detail
            api.models = json_reply(401, f'{{"error":{{"message":"{KEY}"}}}}')
            refused = wire(name, api.url).check()
            assert refused.state == "fail" and KEY not in str(refused)
            api.models = Reply([b"<html>hello</html>"], 200, "text/html")
            assert "not as a model API" in wire(name, api.url).check().detail
        assert wire(name, api.url).check().state == "fail"

    @pytest.mark.parametrize("cassette", ["chat_model_not_found", "responses_model_not_found", "quota_used_up"])
    def test_recorded_refusals(self, name: str, wire: Wire, cassette: str) -> None:
        refusal = replace(recorded(cassette), headers={"retry-after-ms": "1"})
        with FakeApi(refusal) as api:
            error, _ = failed(wire(name, api.url))
        assert isinstance(error, RateLimited if cassette == "quota_used_up" else ModelNotFound)


def known() -> Request:
    """A question in a thread whose server has kept the state."""
    return request(history=(message("Hello"), message("Hi.", "assistant")), provider_state={"response_id": "resp_1"})


def whole_request() -> Request:
    """Every kind of part at once."""

    def call(call_id: str, **arguments: Any) -> Part:
        return Part("tool_call", call_id=call_id, name="calculator", arguments=arguments)

    def result(call_id: str, text: str, error: str = "") -> Part:
        return Part("tool_result", text, call_id=call_id, name="calculator", error=error)

    image = Part("image", file_id=uuid4(), name="a.png", media_type="image/png")
    notes = Part("file", "Read me", file_id=uuid4(), name="notes.txt", media_type="text/plain")
    answer = (Part("text", "Let me see."), call("c1", a=1), result("c1", "2"), Part("text", "It is 2."), call("lost"))
    return Request(
        message("What is this?", "user", Part("text", "What is this?"), image, notes),
        instructions="You coach.",
        history=(message("Hello"), message("Let me see. It is 2.", "assistant", *answer)),
        context="[1] Passage",
        exchange=(message("", "assistant", call("c2")), message("", "tool", result("c2", "", "no such number"))),
        tools=(TOOL,),
        model="m2",
        parameters={"temperature": 0.2, "max_output_tokens": 100},
        read_file=lambda _: b"PNG",
    )
