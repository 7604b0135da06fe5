"""A real server's own ways, by what it was recorded to say: llama-stack, without it. tests/peers asks it itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from coach_core.backends import Backend, Endpoint, build
from coach_core.errors import BackendError, ContextTooLong, HostedSearchFailed, ModelNotFound
from tests.backends.conftest import message, play, request, text_of
from tests.backends.fake_api import CASSETTES, FakeApi, Piece, Reply, json_reply

LINES = [json.loads(line) for line in (CASSETTES / "llama_stack.jsonl").read_text(encoding="utf-8").splitlines()]
HISTORY = (message("My name is Ann."), message("Hello Ann.", "assistant"))
Make = Callable[[FakeApi], Backend]


def said(scene: str, number: int) -> Reply:
    """What it answered to that request of the scene."""
    line = next(x for x in LINES if (x["file"], x["i"]) == (scene, number))
    body: str = line["response_body"]
    kind = line["response_headers"]["content-type"]
    pieces: list[Piece] = [f"{event}\n\n".encode() for event in body.split("\n\n") if event.strip()]
    return Reply(pieces if line["sse"] else [body.encode()], line["status"], kind)


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Backend] = []

    def new(api: FakeApi) -> Backend:
        made.append(build("openai_responses", Endpoint("fake", api.url, "k", "told/told-chat")))
        return made[-1]

    yield new
    for backend in made:
        backend.close()


def test_a_lost_response_is_told_inside_a_stream_of_status_200(make: Make) -> None:
    with FakeApi(said("previous_response", 3), said("previous_response", 1)) as api:
        events = play(make(api), request("And?", history=HISTORY, provider_state={"response_id": "resp_gone"}))
        assert [e.source for e in events if e.kind == "notice"] == ["state"] and text_of(events) == "Ann."
        assert [("previous_response_id" in b, len(b["input"])) for b in api.bodies] == [(True, 1), (False, 3)]


@pytest.mark.parametrize("number", [5, 6], ids=["in a stream", "by its status"])
def test_a_lost_conversation(number: int, make: Make) -> None:
    with FakeApi(said("conversation", number), said("conversation", 0), said("conversation", 2)) as api:
        asked = request("And?", history=HISTORY, parameters={"state": "conversation"})
        events = play(make(api), replace(asked, provider_state={"conversation_id": "conv_gone"}))
        assert [e.source for e in events if e.kind == "notice"] == ["state"] and text_of(events) == "Ann."
        new = json.loads(bytes(said("conversation", 0).pieces[0]))["id"]  # type: ignore[arg-type]
        assert api.bodies[2]["conversation"] == events[-1].ids["conversation_id"] == new


def test_a_second_loss_is_an_error_and_no_circle(make: Make) -> None:
    with FakeApi(said("previous_response", 3)) as api, pytest.raises(BackendError):
        play(make(api), request("And?", provider_state={"response_id": "resp_gone"}))
    assert len(api.requests) == 2


def test_what_it_does_not_take_is_named_by_its_value_alone(make: Make) -> None:
    with FakeApi(said("refusals", 2), said("previous_response", 1)) as api:
        backend, asked = make(api), request("And?", parameters={"state": "stateless"})
        assert play(backend, asked)[-1].retries == 1
        assert play(backend, asked)[-1].retries == 0
        assert ["include" in b for b in api.bodies] == [True, False, False]


def test_what_cannot_be_streamed_from_the_background_is_asked_for(make: Make) -> None:
    ended = json.loads(bytes(said("previous_response", 1).pieces[-1]).removeprefix(b"data:"))  # type: ignore[arg-type]
    queued: dict[str, Any] = {**ended["response"], "status": "queued", "output": [], "usage": None}
    with FakeApi(said("refusals", 3), json_reply(200, json.dumps(queued))) as api:
        api.models = json_reply(200, json.dumps(ended["response"]))
        backend = make(api)
        events = play(backend, request("And?", parameters={"background": True}))
        assert text_of(events) == "Ann." and events[-1].status == "completed" and events[-1].retries == 1
        play(backend, request("And?", parameters={"background": True}))
        assert [b.get("stream", False) for b in api.bodies] == [True, False, False], "learnt"


@pytest.mark.parametrize(("number", "kind"), [(0, ModelNotFound), (1, ContextTooLong)])
def test_errors_are_what_they_are_whatever_their_code(number: int, kind: type[BackendError], make: Make) -> None:
    with FakeApi(said("refusals", number)) as api, pytest.raises(kind):
        play(make(api), request("Hello."))


class TestMarksInTheText:
    def test_each_is_a_citation_in_its_place(self, make: Make) -> None:
        with FakeApi(said("file_search", 3)) as api:
            events = play(make(api), request("How long?", stores=("vs_1",)))
        assert text_of(events) == "Seven to nine hours."
        cited = [e.citation for e in events if e.citation]
        assert [(c.title, c.text.splitlines()[0]) for c in cited] == [("sleep.md", "# Sleep")]
        assert [e.kind for e in events][-3:] == ["citation", "text", "done"]
        assert not [e for e in events if e.kind == "tool_call"]

    @pytest.mark.parametrize("text", ["a <b> c", "x <| y", "1 < 2", "ends in <|file-", "ends in blanks  "])
    def test_what_only_looks_like_one_stays(self, text: str, make: Make) -> None:
        with FakeApi(_spoken(text)) as api:
            assert text_of(play(make(api), request("How long?", stores=("vs_1",)))) == text

    def test_nothing_found_is_told_before_a_word(self, make: Make) -> None:
        with FakeApi(said("file_search", 4)) as api, pytest.raises(HostedSearchFailed):
            play(make(api), request("How long?", stores=("vs_gone",)))


def _spoken(text: str) -> Reply:
    """The recorded search with another answer, letter by letter."""
    reply = said("file_search", 3)
    events = [json.loads(bytes(p).removeprefix(b"data:")) for p in reply.pieces]  # type: ignore[arg-type]
    first = next(i for i, e in enumerate(events) if e["type"] == "response.output_text.delta")
    letters = [{**events[first], "delta": letter} for letter in text]
    closing = events[-1]
    closing["response"]["output"][-1]["content"][0] = {"type": "output_text", "text": text, "annotations": []}
    told = [{**e, "sequence_number": n} for n, e in enumerate([*events[:first], *letters, closing])]
    return replace(reply, pieces=[f"data: {json.dumps(e)}\n\n".encode() for e in told])
