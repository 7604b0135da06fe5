"""What other servers do on the Chat Completions wire: each quirk read, or sent, as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from coach_core.backends import Endpoint, build
from coach_core.errors import ServerFailed
from coach_core.types import Part, ToolSpec, Usage
from tests.backends.conftest import KEY, Wire, failed, message, play, request, text_of
from tests.backends.fake_api import FakeApi, Reply, json_reply, recorded, sse

TOOL = ToolSpec("calculator", "Calculates.", {"type": "object"})


def chunks(*deltas: dict[str, Any], finish: str = "stop", **fields: Any) -> Reply:
    told = [{"choices": [{"index": 0, "delta": d}]} for d in deltas]
    return Reply(sse(*told, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], **fields}, done=True))


class TestRead:
    @pytest.mark.parametrize("facts", [{}, {"stream": False}], ids=["asked for a stream", "asked for a document"])
    def test_a_whole_answer(self, wire: Wire, facts: dict[str, Any]) -> None:
        call = {"id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"a": 1}'}}
        told = {"role": "assistant", "content": "Let me see.", "tool_calls": [call]}
        whole = {"id": "x1", "object": "chat.completion", "usage": {"prompt_tokens": 5, "completion_tokens": 2},
                 "choices": [{"index": 0, "message": told, "finish_reason": "tool_calls"}]}  # fmt: skip
        with FakeApi(json_reply(200, json.dumps(whole))) as api:
            events = play(wire("openai_chat", api.url, **facts), request(tools=(TOOL,)))
            assert api.bodies[0].get("stream", False) is not bool(facts)
            assert ("stream_options" in api.bodies[0]) is not bool(facts)
        assert text_of(events) == "Let me see."
        assert (events[1].name, events[1].arguments, events[1].call_id) == ("calculator", {"a": 1}, "c1")
        assert (events[2].finish_reason, events[2].usage) == ("tool_calls", Usage(5, 2))

    def test_content_in_typed_pieces(self, wire: Wire) -> None:
        thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
        with FakeApi(chunks({"content": [thinking]}, {"content": [{"type": "text", "text": "Sleep."}]})) as api:
            events = play(wire("openai_chat", api.url))
        assert [(e.kind, e.text) for e in events[:2]] == [("reasoning", "Hm."), ("text", "Sleep.")]

    def test_only_the_first_of_several(self, wire: Wire) -> None:
        told = [{"choices": [{"index": i, "delta": {"content": t}}]} for i, t in ((1, "no"), (0, "yes"), (1, "no"))]
        ends = [{"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in (0, 1)]
        with FakeApi(Reply(sse(*told, *ends, done=True))) as api:
            assert text_of(play(wire("openai_chat", api.url))) == "yes"

    def test_a_call_from_before_tools(self, wire: Wire) -> None:
        pieces = [{"function_call": {"name": "f", "arguments": '{"x"'}}, {"function_call": {"arguments": ": 1}"}}]
        with FakeApi(chunks(*pieces, finish="function_call")) as api:
            events = play(wire("openai_chat", api.url))
        assert (events[0].name, events[0].arguments, events[1].finish_reason) == ("f", {"x": 1}, "tool_calls")

    def test_pages_of_the_web(self, wire: Wire) -> None:
        note = {"type": "url_citation", "url_citation": {"url": "https://a.example", "title": "A", "end_index": 5}}
        with FakeApi(chunks({"content": "Sleep."}, {"annotations": [note]})) as api:
            events = play(wire("openai_chat", api.url))
        cited = events[1].citation
        assert cited is not None and (cited.url, cited.title, cited.number) == ("https://a.example", "A", 0)

    @pytest.mark.parametrize(
        ("reason", "finish"), [("max_tokens", "length"), ("SAFETY", "content_filter"), ("end_turn", "stop")]
    )
    def test_reasons_by_other_names(self, wire: Wire, reason: str, finish: str) -> None:
        with FakeApi(chunks({"content": "Sleep."}, finish=reason)) as api:
            assert play(wire("openai_chat", api.url))[-1].finish_reason == finish

    def test_done_without_a_reason(self, wire: Wire) -> None:
        told = [{"choices": [{"index": 0, "delta": {"content": "Sleep."}, "finish_reason": None}]}]
        with FakeApi(Reply(sse(*told, done=True))) as api:
            assert play(wire("openai_chat", api.url))[-1].finish_reason == "stop"

    def test_a_choice_that_failed(self, wire: Wire) -> None:
        end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "error",
                            "error": {"code": 502, "message": "the provider is down"}}]}  # fmt: skip
        with FakeApi(Reply(sse(end))) as api:
            error, _ = failed(wire("openai_chat", api.url))
        assert isinstance(error, ServerFailed) and "the provider is down" in error.sentence

    def test_usage_told_elsewhere(self, wire: Wire) -> None:
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_cache_hit_tokens": 4}
        with FakeApi(chunks({"content": "Sleep."}, x_groq={"usage": usage})) as api:
            assert play(wire("openai_chat", api.url))[-1].usage == Usage(7, 3, 4)

    def test_calls_without_index_and_id_are_told_apart_by_their_names(self, wire: Wire) -> None:
        calls = [{"id": "", "type": "function", "function": {"name": n, "arguments": "{}"}} for n in ("f", "g")]
        with FakeApi(chunks({"tool_calls": calls}, finish="tool_calls")) as api:
            events = play(wire("openai_chat", api.url))
        assert [(e.name, e.arguments) for e in events[:-1]] == [("f", {}), ("g", {})]
        assert len({e.call_id for e in events[:-1]}) == 2


class TestSent:
    def test_the_key_in_the_header_that_is_wanted(self) -> None:
        with FakeApi(recorded("chat_text")) as api:
            backend = build("openai_chat", Endpoint("a", api.url, KEY, "m1", {"key_header": "api-key"}))
            play(backend)
            backend.close()
            headers = api.requests[0].headers
        assert headers["api-key"] == KEY and "authorization" not in headers

    def test_a_deployment_with_its_version(self) -> None:
        facts = {"query": {"api-version": "2024-10-21"}}
        with FakeApi(recorded("chat_text")) as api:
            base = api.url.removesuffix("/v1") + "/openai/deployments/coach"
            backend = build("openai_chat", Endpoint("a", base, KEY, "m1", facts))
            play(backend)
            backend.close()
            path = api.requests[0].path
        assert path == "/openai/deployments/coach/chat/completions?api-version=2024-10-21"

    def test_ids_of_the_length_that_is_wanted(self, wire: Wire) -> None:
        with FakeApi(recorded("chat_text")) as api:
            play(wire("openai_chat", api.url, call_id_length=9), looped("call_AB6AaRZ1FYZB2RwS6A5vbdqn", "abcdefgh9"))
            told = api.bodies[0]["messages"]
        called = [c["id"] for m in told for c in m.get("tool_calls", ())]
        answered = [m["tool_call_id"] for m in told if m["role"] == "tool"]
        assert called == answered and called[1] == "abcdefgh9"
        assert len(called[0]) == 9 and called[0].isalnum()

    def test_thoughts_go_back_within_the_loop(self, wire: Wire) -> None:
        call = {"index": 0, "id": "c1", "function": {"name": "calculator", "arguments": "{}"}}
        first = chunks({"reasoning_content": "Hm, "}, {"reasoning_content": "12."}, {"tool_calls": [call]})
        with FakeApi(first, recorded("chat_text"), recorded("chat_text")) as api:
            backend = wire("openai_chat", api.url, reasoning="reasoning_content")
            play(backend, request(tools=(TOOL,)))
            play(backend, looped("c1"))
            play(wire("openai_chat", api.url), looped("c1"))
            known, unknown = (next(m for m in b["messages"] if m.get("tool_calls")) for b in api.bodies[1:])
        assert known["reasoning_content"] == "Hm, 12." and "reasoning_content" not in unknown

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (400, "registry.ollama.ai/library/m1:latest does not support tools"),
            (404, "No endpoints found that support tool use."),
            (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
            (400, "`tool calling` is not supported with this model"),
        ],
    )
    def test_a_model_without_tools_is_asked_without_them(self, wire: Wire, status: int, words: str) -> None:
        refusal = json_reply(status, json.dumps({"error": {"message": words}}))
        with FakeApi(refusal, recorded("chat_text")) as api:
            backend = wire("openai_chat", api.url)
            events = play(backend, looped("c1"))
            assert ["tools" in b for b in api.bodies] == [True, False]
            assert {"role": "assistant", "content": "(calculator: 19)"} in api.bodies[1]["messages"]
            play(backend, looped("c1"))
            assert len(api.bodies) == 3, "learnt once, heeded from then on"
        assert events[0].source == "tools" and text_of(events)

    def test_a_schema_is_asked_for(self, wire: Wire) -> None:
        schema = {"type": "object"}
        with FakeApi(recorded("chat_text")) as api:
            play(wire("openai_chat", api.url), request(schema=schema))
            play(wire("openai_chat", api.url, schema=False), request(schema=schema))
            asked, told = api.bodies
        assert asked["response_format"]["json_schema"]["schema"] == schema
        assert "response_format" not in told and json.dumps(schema) in told["messages"][0]["content"]


def looped(*call_ids: str) -> Any:
    """A question in whose turn a tool was called, with these ids."""
    told = [Part("tool_call", call_id=i, name="calculator", arguments={}) for i in call_ids]
    results = [message("", "tool", Part("tool_result", "19", call_id=i, name="calculator")) for i in call_ids]
    return replace(request(tools=(TOOL,)), exchange=(message("", "assistant", *told), *results))
