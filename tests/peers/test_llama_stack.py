"""The wires against a server that others wrote: llama-stack, with its own Responses, Conversations and stores.

What our adapter sent stands in `peer.sent`; what the peer made of it, and handed to its model, in
`peer.told.asked`. A test that asks the real small model says nothing of what it answers.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from coach_core.backends import Backend, Request, build
from coach_core.errors import BackendError, ContextTooLong, HostedSearchFailed, ModelNotFound
from coach_core.types import Event, Message, Part, ToolSpec
from tests.backends.conftest import message, play, request, text_of
from tests.peers.peer import SMALL_MODEL, TOLD_MODEL, Peer
from tests.peers.told import USAGE, Call, endless

pytestmark = pytest.mark.peer
CONVERSATION = {"state": "conversation"}
STATELESS = {"state": "stateless"}
LOOK_UP = ToolSpec(
    "look_up", "Looks a word up", {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
)
FEW = {"max_output_tokens": 16}
Make = Callable[..., Backend]


@pytest.fixture
def make(peer: Peer) -> Iterator[Make]:
    """An adapter that speaks to the peer; a new one has forgotten what the one before had learnt."""
    made: list[Backend] = []

    def new(name: str = "openai_responses", model: str = TOLD_MODEL, **facts: Any) -> Backend:
        made.append(build(name, peer.endpoint(model, **facts)))
        return made[-1]

    yield new
    for backend in made:
        backend.close()


class Talk:
    """A thread as turn.py keeps it: the history, and what the last answer left at the API."""

    def __init__(self, backend: Backend, **fields: Any) -> None:
        self.backend = backend
        self.history: list[Message] = []
        self.state: Mapping[str, str] | None = None
        self.fields = fields

    def ask(self, text: str) -> list[Event]:
        asked = request(
            text,
            history=tuple(self.history),
            provider_state=self.state,
            instructions="Be kind.",
            **self.fields,
        )
        events = play(self.backend, asked)
        self.history += [asked.question, message(text_of(events), "assistant")]
        self.state = events[-1].ids
        return events


def done(events: list[Event]) -> Event:
    assert [e.kind for e in events].count("done") == 1 and events[-1].kind == "done"
    return events[-1]


def notices(events: list[Event]) -> list[str]:
    return [e.source for e in events if e.kind == "notice"]


def spoken(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the peer's model was told, without the instructions: role and text."""
    out: list[tuple[str, str]] = []
    for said in body["messages"]:
        content = said.get("content") or ""
        text = content if isinstance(content, str) else "".join(c.get("text", "") for c in content)
        if said["role"] != "system":
            out.append((said["role"], text))
    return out


def at_peer(peer: Peer, method: str, path: str, **fields: Any) -> dict[str, Any]:
    """Something done at the peer behind the adapter's back."""
    answer = httpx2.request(method, f"{peer.url}{path}", timeout=20.0, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestBothWires:
    @pytest.mark.parametrize("name", ["openai_responses", "openai_chat"])
    def test_a_real_model_answers_in_pieces(self, name: str, make: Make) -> None:
        events = play(make(name, SMALL_MODEL), request("Say hello.", instructions="Be kind.", parameters=FEW))
        end = done(events)
        assert text_of(events).strip()
        assert len([e for e in events if e.kind == "text"]) > 2, "piece by piece"
        assert end.usage is not None and not end.usage.estimated
        assert 0 < end.usage.output_tokens <= 16 and end.usage.input_tokens > 5
        assert (end.status, end.finish_reason) in {("incomplete", "length"), ("completed", "stop")}

    @pytest.mark.parametrize("name", ["openai_responses", "openai_chat"])
    def test_what_is_told_arrives_whole(self, name: str, make: Make, peer: Peer) -> None:
        peer.told.says("Sleep seven to nine hours — 每晚, naïvely.")
        events = play(make(name), request("How long?", instructions="Be kind."))
        assert text_of(events) == "Sleep seven to nine hours — 每晚, naïvely."
        usage = done(events).usage
        assert usage is not None
        assert (usage.input_tokens, usage.output_tokens) == (USAGE["prompt_tokens"], USAGE["completion_tokens"])
        assert spoken(peer.told.asked[0]) == [("user", "How long?")]

    @pytest.mark.parametrize("name", ["openai_responses", "openai_chat"])
    def test_parallel_calls_and_their_results(self, name: str, make: Make, peer: Peer) -> None:
        calls = [Call("look_up", {"word": "nap"}), Call("look_up", {"word": "sleep — 睡"})]
        peer.told.says(calls, "A nap is short.")
        backend, asked = make(name), request("What is a nap?", tools=(LOOK_UP,))
        first = play(backend, asked)
        made = [e for e in first if e.kind == "tool_call"]
        assert [(e.name, e.arguments) for e in made] == [(c.name, c.arguments) for c in calls]
        assert done(first).finish_reason == "tool_calls"
        second = play(backend, replace(asked, exchange=answered(made)))
        assert text_of(second) == "A nap is short."
        heard = peer.told.asked[-1]["messages"]
        results = {m["tool_call_id"]: m["content"] for m in heard if m["role"] == "tool"}
        assert results == {made[0].call_id: "result 0", made[1].call_id: "result 1"}
        assert [m["content"] for m in heard if m["role"] == "user"].count("What is a nap?") <= 1

    @pytest.mark.parametrize("name", ["openai_responses", "openai_chat"])
    def test_an_answer_as_the_schema_says(self, name: str, make: Make, peer: Peer) -> None:
        peer.told.says('{"hours": 8}')
        schema = {"type": "object", "properties": {"hours": {"type": "integer"}}, "required": ["hours"]}
        events = play(make(name), request("How long?", schema=schema))
        assert json.loads(text_of(events)) == {"hours": 8}
        assert peer.told.asked[0]["response_format"]["json_schema"]["schema"] == schema

    @pytest.mark.parametrize("name", ["openai_responses", "openai_chat"])
    def test_cancelled_in_the_middle(self, name: str, make: Make, peer: Peer) -> None:
        peer.told.says(endless("Sleep ", "well "), "Yes.")
        backend, cancel, events = make(name), threading.Event(), []
        for event in backend.stream(request("How?"), cancel):
            events.append(event)
            if "well" in event.text:
                began = time.monotonic()
                cancel.set()
        assert time.monotonic() - began < 3.0, "at once, on a busy machine too"
        assert done(events).status == "cancelled" and text_of(events) == "Sleep well "
        assert text_of(play(backend, request("And now?"))) == "Yes.", "the next one is answered"

    @pytest.mark.parametrize("name", ["openai_responses", "openai_chat"])
    def test_an_unknown_model_and_a_long_question(self, name: str, make: Make) -> None:
        assert isinstance(fault(make(name, "nobody/knows"), request("Hi")), ModelNotFound)
        assert isinstance(fault(make(name, SMALL_MODEL), request("word " * 4000)), ContextTooLong)

    def test_it_is_checked(self, make: Make) -> None:
        assert make().check().state == "ok"
        assert make(model="nobody/knows").check().state == "warn"


def answered(calls: list[Event]) -> tuple[Message, ...]:
    """The messages behind a round of calls: the calls, then a result each."""
    parts = [Part("tool_call", call_id=c.call_id, name=c.name, arguments=c.arguments) for c in calls]
    results = [Part("tool_result", call_id=c.call_id, name=c.name, text=f"result {i}") for i, c in enumerate(calls)]
    return message("", "assistant", *parts), *(message("", "tool", r) for r in results)


def fault(backend: Backend, asked: Request) -> BackendError:
    with pytest.raises(BackendError) as caught:
        play(backend, asked)
    return caught.value


class TestPreviousResponse:
    def test_only_the_new_question_is_sent_and_the_first_is_known(self, make: Make, peer: Peer) -> None:
        talk = Talk(make())
        peer.told.says("Hello Ann.", "Ann.")
        first = talk.ask("My name is Ann.")
        second = talk.ask("What is my name?")
        assert text_of(second) == "Ann."
        assert "previous_response_id" not in peer.sent[0]
        assert peer.sent[1]["previous_response_id"] == done(first).ids["response_id"]
        assert "Ann" not in json.dumps(peer.sent[1]["input"])
        assert spoken(peer.told.asked[1]) == [
            ("user", "My name is Ann."),
            ("assistant", "Hello Ann."),
            ("user", "What is my name?"),
        ]
        assert not notices(second)

    @pytest.mark.parametrize("how", ["never known", "deleted"])
    def test_an_id_that_is_gone_is_replaced_by_the_whole_history(self, how: str, make: Make, peer: Peer) -> None:
        talk = Talk(make())
        peer.told.says("Hello Ann.", "Ann.")
        talk.ask("My name is Ann.")
        assert talk.state is not None
        if how == "deleted":
            at_peer(peer, "DELETE", f"/responses/{talk.state['response_id']}")
        else:
            talk.state = {"response_id": "resp_0f0e0d0c"}
        events = talk.ask("What is my name?")
        assert notices(events) == ["state"] and text_of(events) == "Ann."
        assert spoken(peer.told.asked[-1]) == [
            ("user", "My name is Ann."),
            ("assistant", "Hello Ann."),
            ("user", "What is my name?"),
        ]
        assert "previous_response_id" not in peer.sent[-1]
        peer.told.says("Still Ann.")
        assert not notices(talk.ask("And now?")), "from the new answer on it is known again"

    def test_calls_are_answered_under_the_response_that_made_them(self, make: Make, peer: Peer) -> None:
        peer.told.says([Call("look_up", {"word": "nap"})], "Short.")
        backend, asked = make(), request("What is a nap?", tools=(LOOK_UP,))
        first = play(backend, asked)
        calls = [e for e in first if e.kind == "tool_call"]
        assert text_of(play(backend, replace(asked, exchange=answered(calls)))) == "Short."
        assert peer.sent[1]["previous_response_id"] == done(first).ids["response_id"]
        assert [i["type"] for i in peer.sent[1]["input"]] == ["function_call_output"]

    def test_another_process_answers_the_calls(self, make: Make, peer: Peer) -> None:
        """It has not heard of the response that made them, and tells everything."""
        peer.told.says([Call("look_up", {"word": "nap"})], "Short.")
        asked = request("What is a nap?", tools=(LOOK_UP,))
        calls = [e for e in play(make(), asked) if e.kind == "tool_call"]
        events = play(make(), replace(asked, exchange=answered(calls)))
        assert text_of(events) == "Short." and not notices(events)
        assert [role for role, _ in spoken(peer.told.asked[1])] == ["user", "assistant", "tool"]


class TestConversation:
    def test_two_turns_in_a_conversation_of_its_own(self, make: Make, peer: Peer) -> None:
        talk = Talk(make(), parameters=CONVERSATION)
        peer.told.says("Hello Ann.", "Ann.")
        first = talk.ask("My name is Ann.")
        kept = done(first).ids["conversation_id"]
        talk.ask("What is my name?")
        assert len(peer.tap.bodies("/v1/conversations")) == 1, "made once"
        assert [b.get("conversation") for b in peer.sent] == [kept, kept]
        assert "Ann" not in json.dumps(peer.sent[1]["input"])
        assert spoken(peer.told.asked[1]) == [
            ("user", "My name is Ann."),
            ("assistant", "Hello Ann."),
            ("user", "What is my name?"),
        ]
        items = at_peer(peer, "GET", f"/conversations/{kept}/items")["data"]
        assert len(items) == 4, "both questions and both answers are there"

    @pytest.mark.parametrize("how", ["deleted", "never known", "of another shape"])
    def test_a_conversation_that_is_gone_is_told_anew(self, how: str, make: Make, peer: Peer) -> None:
        talk = Talk(make(), parameters=CONVERSATION)
        peer.told.says("Hello Ann.", "Ann.")
        talk.ask("My name is Ann.")
        assert talk.state is not None
        old = talk.state["conversation_id"]
        if how == "deleted":
            at_peer(peer, "DELETE", f"/conversations/{old}")
        else:
            talk.state = {"conversation_id": "conv_" + "0" * 48 if how == "never known" else "conv_of_another_server"}
        events = talk.ask("What is my name?")
        assert notices(events) == ["state"] and text_of(events) == "Ann."
        assert spoken(peer.told.asked[-1])[0] == ("user", "My name is Ann.")
        new = done(events).ids["conversation_id"]
        assert new not in {old, ""} and peer.sent[-1]["conversation"] == new

    def test_a_loop_of_calls_stays_in_it(self, make: Make, peer: Peer) -> None:
        peer.told.says([Call("look_up", {"word": "nap"})], "Short.", "You are welcome.")
        backend, asked = make(), request("What is a nap?", tools=(LOOK_UP,), parameters=CONVERSATION)
        first = play(backend, asked)
        calls = [e for e in first if e.kind == "tool_call"]
        second = play(backend, replace(asked, exchange=answered(calls)))
        kept = done(second).ids["conversation_id"]
        history = (asked.question, *answered(calls), message("Short.", "assistant"))
        thanks = request("Thanks.", history=history, provider_state=done(second).ids, parameters=CONVERSATION)
        assert text_of(play(backend, thanks)) == "You are welcome."
        assert [b["conversation"] for b in peer.sent] == [kept] * 3
        assert [role for role, _ in spoken(peer.told.asked[-1])] == ["user", "assistant", "tool", "assistant", "user"]


class TestStateless:
    def test_everything_is_told_and_nothing_kept(self, make: Make, peer: Peer) -> None:
        talk = Talk(make(), parameters=STATELESS)
        peer.told.says("Hello Ann.", "Ann.")
        talk.ask("My name is Ann.")
        events = talk.ask("What is my name?")
        assert text_of(events) == "Ann." and not notices(events)
        assert all(b["store"] is False for b in peer.sent)
        assert not any({"previous_response_id", "conversation"} & b.keys() for b in peer.sent)
        assert spoken(peer.told.asked[-1]) == [
            ("user", "My name is Ann."),
            ("assistant", "Hello Ann."),
            ("user", "What is my name?"),
        ]

    def test_what_the_peer_refuses_is_learnt_once(self, make: Make, peer: Peer) -> None:
        """It takes no `include` of encrypted reasoning, and says so by the value's name alone."""
        talk = Talk(make(), parameters=STATELESS)
        first = talk.ask("One?")
        talk.ask("Two?")
        assert done(first).retries == 1
        assert [("include" in b) for b in peer.sent] == [True, False, False]


class TestBackground:
    def test_it_runs_at_the_peer_and_is_asked_for(self, make: Make, peer: Peer) -> None:
        peer.told.says("Sleep well.")
        events = play(make(), request("How?", parameters={"background": True}))
        assert text_of(events) == "Sleep well." and done(events).status == "completed"
        assert peer.sent[-1]["background"] is True

    def test_a_stop_stops_it_at_the_peer(self, make: Make, peer: Peer) -> None:
        peer.told.says(endless("Sleep "))
        cancel = threading.Event()
        threading.Timer(0.7, cancel.set).start()
        events = play(make(), request("How?", parameters={"background": True}), cancel)
        assert done(events).status == "cancelled"
        stopped = [e for e in peer.tap.seen if e.path.endswith("/cancel")]
        assert len(stopped) == 1, "asked once; the peer itself forgets what runs in the background once it has begun"
        assert stopped[0].path.split("/")[-2].startswith("resp_")


class TestHostedSearch:
    @pytest.fixture
    def store(self, peer: Peer) -> Iterator[tuple[str, str]]:
        """A vector store with one document: its id and the document's."""
        text = b"# Sleep\nAdults need seven to nine hours of sleep a night.\n"
        sent = {"file": ("sleep.md", text, "text/markdown")}
        file = at_peer(peer, "POST", "/files", data={"purpose": "assistants"}, files=sent)["id"]
        store = at_peer(peer, "POST", "/vector_stores", json={"name": "persona"})["id"]
        at_peer(peer, "POST", f"/vector_stores/{store}/files", json={"file_id": file})
        peer.tap.seen.clear()
        yield store, file
        at_peer(peer, "DELETE", f"/vector_stores/{store}")

    def test_found_and_cited_without_marks_in_the_text(self, make: Make, peer: Peer, store: tuple[str, str]) -> None:
        marked = ["Seven to nine hours ", f"<|{store[1][:12]}", f"{store[1][12:]}|>", ". Sleep well."]
        peer.told.says([Call("file_search", {"query": "hours of sleep"})], marked)
        events = play(make(), request("How long?", stores=(store[0],)))
        assert not [e for e in events if e.kind == "tool_call"], "the server's own call is not ours to answer"
        assert "<|" not in text_of(events) and "file-" not in text_of(events)
        assert text_of(events).replace(" .", ".") == "Seven to nine hours. Sleep well."
        cited = [e.citation for e in events if e.kind == "citation"]
        assert [(c.external_id, c.title) for c in cited if c] == [(store[1], "sleep.md")]
        assert cited[0] and "seven to nine hours" in cited[0].text
        order = [e.kind for e in events if e.kind in {"text", "citation"}]
        assert order.index("citation") < len(order) - 1, "where it belongs, not at the end"

    def test_a_store_that_is_gone_lets_the_local_search_take_over(self, make: Make, peer: Peer) -> None:
        peer.told.says([Call("file_search", {"query": "sleep"})], "I do not know.")
        assert isinstance(fault(make(), request("How long?", stores=("vs_gone",))), HostedSearchFailed)
