"""How the Responses wire keeps a conversation, hands thoughts back, runs at the server and searches there."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from coach_core.backends import Request
from coach_core.errors import HostedSearchFailed, StreamCut
from coach_core.types import Event, Part, ToolSpec
from tests.backends.conftest import Wire, failed, message, play, request, text_of
from tests.backends.fake_api import FakeApi, Reply, json_reply, recorded, sse

TOOL = ToolSpec("calculator", "Calculates.", {"type": "object"})
MADE = json_reply(200, '{"id":"conv_1","object":"conversation","created_at":1,"metadata":{}}')
HISTORY = (message("Hello"), message("Hi.", "assistant"))


def response(output: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2}
    return {"id": "resp_9", "object": "response", "status": "completed", "output": output, "usage": usage, **fields}


def said(text: str, *notes: dict[str, Any]) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": list(notes)}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


def document(output: list[dict[str, Any]], **fields: Any) -> Reply:
    return json_reply(200, json.dumps(response(output, **fields)))


def stream(*events: dict[str, Any], output: list[dict[str, Any]] | None = None, **fields: Any) -> Reply:
    begun = {"type": "response.created", "response": {"id": "resp_9", "status": "in_progress"}}
    end = {"type": "response.completed", "response": response(output or [], **fields)}
    return Reply(sse(*({**e, "sequence_number": n} for n, e in enumerate((begun, *events, end)))))


def delta(text: str, index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "output_index": index, "content_index": 0, "delta": text}


def known(**ids: str) -> Request:
    return request(history=HISTORY, provider_state=ids)


def in_mode(state: str, asked: Request | None = None, **parameters: Any) -> Request:
    return replace(asked or request(history=HISTORY), parameters={"state": state, **parameters})


class TestConversations:
    def test_one_is_made_and_told_all_there_is(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_text")) as api:
            api.route("POST /v1/conversations$", MADE)
            done = play(wire("openai_responses", api.url), in_mode("conversation"))[-1]
            body = api.bodies[0]
        assert body["conversation"] == "conv_1" and len(body["input"]) == 3 and "previous_response_id" not in body
        assert done.ids is not None and done.ids["conversation_id"] == "conv_1"
        assert api.routed[0].body["metadata"] == {"made_by": "coach"}

    def test_the_next_question_goes_alone(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_text")) as api:
            play(wire("openai_responses", api.url), in_mode("conversation", known(conversation_id="conv_7")))
            body = api.bodies[0]
        assert body["conversation"] == "conv_7" and len(body["input"]) == 1 and not api.routed

    def test_a_deleted_one_is_replaced_in_the_same_turn(self, wire: Wire) -> None:
        gone = json_reply(404, '{"error":{"message":"Conversation with id \'conv_7\' not found.","type":"x"}}')
        with FakeApi(gone, recorded("responses_text")) as api:
            api.route("POST /v1/conversations$", MADE)
            events = play(wire("openai_responses", api.url), in_mode("conversation", known(conversation_id="conv_7")))
            bodies = api.bodies
        assert [e.source for e in events if e.kind == "notice"] == ["state"]
        assert text_of(events) == "2 + 2 equals 4."
        assert bodies[1]["conversation"] == "conv_1" and len(bodies[1]["input"]) == 3
        assert events[-1].ids is not None and events[-1].ids["conversation_id"] == "conv_1"

    def test_the_rounds_of_a_turn_stay_in_it(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_tool_loop_1"), recorded("responses_text")) as api:
            api.route("POST /v1/conversations$", MADE)
            backend = wire("openai_responses", api.url)
            asked = in_mode("conversation", request("12 + 7", tools=(TOOL,)))
            play(backend, after(asked, play(backend, asked)))
            bodies = api.bodies
        assert [b["conversation"] for b in bodies] == ["conv_1", "conv_1"] and len(api.routed) == 1
        assert [i["type"] for i in bodies[1]["input"]] == ["function_call_output"]

    def test_a_server_without_them_is_asked_by_the_response_before(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_text")) as api:
            api.route("POST /v1/conversations$", json_reply(404, '{"detail":"Not Found"}'))
            backend = wire("openai_responses", api.url)
            first = play(backend, in_mode("conversation"))[-1]
            play(backend, in_mode("conversation", replace(known(), provider_state=first.ids)))
            bodies = api.bodies
        assert len(api.routed) == 1, "asked once, learnt"
        assert "conversation" not in bodies[0]
        assert bodies[1]["previous_response_id"] == (first.ids or {})["response_id"]


class TestStateless:
    def test_everything_is_told_and_nothing_kept(self, wire: Wire) -> None:
        with FakeApi(recorded("responses_text")) as api:
            done = play(wire("openai_responses", api.url), in_mode("stateless", known(response_id="resp_1")))[-1]
            body = api.bodies[0]
        assert body["store"] is False and body["include"] == ["reasoning.encrypted_content"]
        assert len(body["input"]) == 3 and "previous_response_id" not in body
        assert "items" not in (done.ids or {}), "it did not think"

    def test_thoughts_go_back_as_they_came(self, wire: Wire) -> None:
        thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA", "content": None}
        call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "calculator", "arguments": "{}",
                "status": "completed"}  # fmt: skip
        first = stream({"type": "response.output_item.done", "item": call}, output=[thought, said("Let me see."), call])
        with FakeApi(first, recorded("responses_text"), recorded("responses_text")) as api:
            backend = wire("openai_responses", api.url)
            asked = in_mode("stateless", request("12 + 7", tools=(TOOL,)))
            events = play(backend, asked)
            asked = after(asked, [Event("text", text="Let me see."), *events])
            done = play(backend, asked)[-1]
            # the next turn, in another process: only what was kept of the turn is known
            answer = message("2 + 2 equals 4.", "assistant", *(p for m in asked.exchange for p in m.parts),
                             Part("text", "2 + 2 equals 4."))  # fmt: skip
            later = request("And then?", history=(asked.question, answer), tools=(TOOL,), provider_state=done.ids)
            play(wire("openai_responses", api.url), in_mode("stateless", later))
            bodies = api.bodies
        kinds = [i.get("type") or i["role"] for i in bodies[1]["input"]]
        assert kinds == ["user", "reasoning", "message", "function_call", "function_call_output"]
        assert bodies[1]["input"][1] == {k: v for k, v in thought.items() if v is not None}
        kinds = [i.get("type") or i["role"] for i in bodies[2]["input"]]
        assert kinds == ["user", "reasoning", "message", "function_call", "function_call_output", "message", "user"]

    def test_thoughts_that_cannot_be_opened_are_left_out(self, wire: Wire) -> None:
        thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
        refusal = '{"error":{"code":"invalid_encrypted_content","message":"Encrypted content could not be verified."}}'
        kept = json.dumps([[thought, said("Hi.")]])
        with FakeApi(json_reply(400, refusal), recorded("responses_text")) as api:
            events = play(wire("openai_responses", api.url), in_mode("stateless", known(items=kept)))
            first, second = api.bodies
        assert [i.get("type") for i in first["input"]] == [None, "reasoning", "message", None]
        assert [i.get("type") for i in second["input"]] == [None] * 3
        assert events[0].source == "state" and text_of(events)

    @pytest.mark.parametrize("items", ["no json", '{"a":1}', "[]", '[[{"type":"message"}]'])
    def test_a_broken_memory_does_no_harm(self, wire: Wire, items: str) -> None:
        with FakeApi(recorded("responses_text")) as api:
            assert text_of(play(wire("openai_responses", api.url), in_mode("stateless", known(items=items))))
            assert len(api.bodies[0]["input"]) == 3


class TestAtTheServer:
    def test_a_cut_line_is_taken_up_again(self, wire: Wire) -> None:
        whole = stream(delta("Sleep "), delta("well."))
        with FakeApi(replace(whole, pieces=[*whole.pieces[:2], "cut"])) as api:
            api.route(r"GET /v1/responses/resp_9\?", replace(whole, pieces=whole.pieces[2:]))
            events = play(wire("openai_responses", api.url), request(parameters={"background": True}))
            assert api.bodies[0]["background"] is True
        assert text_of(events) == "Sleep well." and events[-1].status == "completed"
        assert api.routed[0].path.endswith("?stream=true&starting_after=1")

    def test_without_background_a_cut_is_a_cut(self, wire: Wire) -> None:
        whole = stream(delta("Sleep "), delta("well."))
        with FakeApi(replace(whole, pieces=[*whole.pieces[:2], "cut"])) as api:
            error, so_far = failed(wire("openai_responses", api.url))
        assert isinstance(error, StreamCut) and so_far == "Sleep " and not api.routed

    def test_stop_stops_it_there(self, wire: Wire) -> None:
        begun = stream(delta("Sleep "))
        with FakeApi(replace(begun, pieces=[*begun.pieces[:2], "hang"])) as api:
            api.route("POST /v1/responses/resp_9/cancel", document([], status="cancelled"))
            cancel = threading.Event()
            events: list[Event] = []
            backend = wire("openai_responses", api.url)
            for event in backend.stream(request(parameters={"background": True}), cancel):
                events.append(event)
                cancel.set()
        assert events[-1].status == "cancelled" and text_of(events) == "Sleep "
        assert [r.path for r in api.routed] == ["/v1/responses/resp_9/cancel"]

    def test_a_server_that_does_not_stream_is_asked_until_it_ends(self, wire: Wire) -> None:
        with FakeApi(document([], status="queued")) as api:
            api.route("GET /v1/responses/resp_9$", document([], status="in_progress"), document([said("Sleep well.")]))
            asked = request(parameters={"background": True})
            events = play(wire("openai_responses", api.url, stream=False), asked)
            assert "stream" not in api.bodies[0]
        assert text_of(events) == "Sleep well." and events[-1].usage is not None
        assert len(api.routed) == 2


class TestWholeAnswers:
    @pytest.mark.parametrize("facts", [{}, {"stream": False}], ids=["asked for a stream", "asked for a document"])
    def test_a_document(self, wire: Wire, facts: dict[str, Any]) -> None:
        note = {"type": "url_citation", "url": "https://a.example/x", "title": "X", "start_index": 0, "end_index": 6}
        with FakeApi(document([said("Sleep well.", note)])) as api:
            events = play(wire("openai_responses", api.url, **facts))
        assert [(e.kind, e.text) for e in events[:3]] == [("text", "Sleep "), ("citation", ""), ("text", "well.")]
        cited = events[1].citation
        assert cited is not None and (cited.url, cited.title, cited.number) == ("https://a.example/x", "X", 0)

    def test_incomplete_and_failed(self, wire: Wire) -> None:
        cut = document([said("Sleep")], status="incomplete", incomplete_details={"reason": "max_output_tokens"})
        with FakeApi(cut) as api:
            done = play(wire("openai_responses", api.url))[-1]
        assert (done.status, done.finish_reason) == ("incomplete", "length")
        broken = document([], status="failed", error={"code": "server_error", "message": "boom"})
        with FakeApi(broken) as api:
            assert "boom" in failed(wire("openai_responses", api.url))[0].sentence


class TestPieces:
    def test_events_that_come_twice_are_read_once(self, wire: Wire) -> None:
        once = stream(delta("Sleep "), delta("well."))
        twice = replace(once, pieces=[p for piece in once.pieces for p in (piece, piece)])
        with FakeApi(twice) as api:
            assert text_of(play(wire("openai_responses", api.url))) == "Sleep well."

    def test_servers_that_number_nothing_or_everything_alike(self, wire: Wire) -> None:
        whole = stream(delta("ha"), delta("ha"))
        alike = [
            bytes(p).replace(b'"sequence_number": %d' % n, b'"sequence_number": 0') for n, p in enumerate(whole.pieces)
        ]
        with FakeApi(replace(whole, pieces=alike)) as api:
            assert text_of(play(wire("openai_responses", api.url))) == "haha"

    def test_what_the_pieces_missed_is_told_at_the_end_of_the_text(self, wire: Wire) -> None:
        end = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Sleep well."}
        with FakeApi(stream(delta("Sleep "), end)) as api:
            assert text_of(play(wire("openai_responses", api.url))) == "Sleep well."

    def test_a_custom_call(self, wire: Wire) -> None:
        call = {"type": "custom_tool_call", "call_id": "c1", "name": "sql", "input": "SELECT 1", "status": "completed"}
        with FakeApi(stream({"type": "response.output_item.done", "item": call})) as api:
            event = play(wire("openai_responses", api.url))[0]
        assert (event.kind, event.name, event.arguments) == ("tool_call", "sql", {"input": "SELECT 1"})

    def test_a_schema_is_asked_for(self, wire: Wire) -> None:
        schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
        with FakeApi(recorded("responses_text")) as api:
            play(wire("openai_responses", api.url), request(schema=schema))
            play(wire("openai_responses", api.url, schema=False), request(schema=schema, instructions="You coach."))
            asked, told = api.bodies
        assert asked["text"]["format"] == {"type": "json_schema", "name": "answer", "schema": schema, "strict": False}
        assert "text" not in told and json.dumps(schema) in told["instructions"]

    def test_a_model_without_tools_is_asked_without_them(self, wire: Wire) -> None:
        refusal = json_reply(400, '{"error":{"message":"m1 does not support tools"}}')
        with FakeApi(refusal, recorded("responses_text")) as api:
            backend = wire("openai_responses", api.url)
            events = play(backend, request(tools=(TOOL,)))
            play(backend, request(tools=(TOOL,)))
            assert ["tools" in b for b in api.bodies] == [True, False, False]
        assert events[0].source == "tools" and text_of(events)


class TestHostedSearch:
    def searched(self, results: list[dict[str, Any]] | None, status: str = "completed") -> dict[str, Any]:
        item = {"type": "file_search_call", "id": "fs_1", "status": status, "queries": ["sleep"], "results": results}
        return {"type": "response.output_item.done", "output_index": 0, "item": item}

    def test_the_stores_are_searched_and_cited(self, wire: Wire) -> None:
        found = {"file_id": "file-1", "filename": "sleep.md", "score": 0.9, "text": "Go to bed at ten."}
        note = {"type": "file_citation", "file_id": "file-1", "filename": "sleep.md", "index": 12}
        cites = {
            "type": "response.output_text.annotation.added",
            "output_index": 1,
            "content_index": 0,
            "annotation": note,
        }
        with FakeApi(stream(self.searched([found]), delta("Sleep early", 1), cites, delta(".", 1))) as api:
            events = play(wire("openai_responses", api.url), request(stores=("vs_1",)))
            body = api.bodies[0]
        assert body["tools"] == [{"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 8}]
        assert body["include"] == ["file_search_call.results"]
        assert [e.kind for e in events] == ["text", "citation", "text", "done"]
        cited = events[1].citation
        assert cited is not None and cited.title == "sleep.md"
        assert (cited.external_id, cited.text) == ("file-1", "Go to bed at ten.")

    @pytest.mark.parametrize(("results", "status"), [([], "completed"), (None, "failed")])
    def test_nothing_found_and_failed(self, wire: Wire, results: list[Any] | None, status: str) -> None:
        with FakeApi(stream(self.searched(results, status), delta("I do not know.", 1))) as api:
            error, so_far = failed(wire("openai_responses", api.url), request(stores=("vs_1",)))
            assert isinstance(error, HostedSearchFailed) and not so_far
            play(wire("openai_responses", api.url), request())  # who did not ask for it is not failed by it

    def test_a_store_that_is_gone(self, wire: Wire) -> None:
        gone = json_reply(404, '{"error":{"message":"Vector store with id [\'vs_1\'] not found.","type":"x"}}')
        with FakeApi(gone) as api:
            assert isinstance(
                failed(wire("openai_responses", api.url), request(stores=("vs_1",)))[0], HostedSearchFailed
            )


def after(asked: Request, events: list[Event]) -> Request:
    """The next round: what was called, with results."""
    text = "".join(e.text for e in events if e.kind == "text")
    calls = [e for e in events if e.kind == "tool_call"]
    parts = [Part("text", text)] if text else []
    parts += [Part("tool_call", call_id=c.call_id, name=c.name, arguments=c.arguments) for c in calls]
    results = [message("", "tool", Part("tool_result", "19", call_id=c.call_id, name=c.name)) for c in calls]
    return replace(asked, exchange=(*asked.exchange, message(text, "assistant", *parts), *results))
