"""The Assistants wire: vector stores, pictures and files, and trouble before a run begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from coach_core.backends import Backend, Request
from coach_core.errors import AuthFailed, BackendError, HostedSearchFailed, NotAnApi
from coach_core.types import Event, Part, ToolSpec
from tests.backends.conftest import Wire, failed, message, play, request, text_of
from tests.backends.fake_api import Reply, json_reply, sse
from tests.backends.fake_assistants import FakeAssistants, a_run, cites, delta, found, refusal, searched, stream

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


def ids(events: list[Event]) -> dict[str, str]:
    return dict(events[-1].ids or {})


def next_question(before: list[Event], asked: Request | None = None) -> Request:
    """The next question of a conversation, as the app asks it when the answer before was kept."""
    asked = asked or request("And in the evening?", history=HISTORY)
    return replace(asked, provider_state=ids(before))


class TestStores:
    def test_the_first_is_the_assistants_the_second_the_threads(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        before = play(coach, request(stores=("vs_1", "vs_2")))
        assert api.assistants["asst_1"]["tools"] == [{"type": "file_search"}]
        assert api.assistants["asst_1"]["tool_resources"] == {"file_search": {"vector_store_ids": ["vs_1"]}}
        second = {"tool_resources": {"file_search": {"vector_store_ids": ["vs_2"]}}}
        assert api.asked("POST /v1/threads$")[0].body == {"metadata": {"made_by": "coach"}, **second}
        assert "include[]=step_details" in api.seen[3].path.replace("%5B%5D", "[]")
        play(coach, next_question(before, request(stores=("vs_1", "vs_2"))))
        assert not api.asked("POST /v1/threads/thread_2$")
        play(coach, next_question(before, request(stores=("vs_1", "vs_3"))))
        changed = api.asked("POST /v1/threads/thread_2$")[0].body
        assert changed == {"tool_resources": {"file_search": {"vector_store_ids": ["vs_3"]}}}

    def test_more_than_the_api_has_room_for(self, api: FakeAssistants, backend: Make) -> None:
        assert isinstance(failed(backend(), request(stores=("a", "b", "c")))[0], HostedSearchFailed)
        given = {"assistant_id": "asst_own"}
        assert isinstance(failed(backend(), request(stores=("a", "b"), parameters=given))[0], HostedSearchFailed)
        assert not api.seen

    @pytest.mark.parametrize("path", ["POST /v1/assistants", "POST .*/runs"])
    def test_one_that_is_gone_leaves_the_search_to_us(self, api: FakeAssistants, backend: Make, path: str) -> None:
        api.once(path, refusal("Vector store vs_1 not found.", 404))
        assert isinstance(failed(backend(), request(stores=("vs_1",)))[0], HostedSearchFailed)

    @pytest.mark.parametrize(
        "reply",
        [
            stream(searched(), delta("I do not know.")),
            stream(searched()),
            stream(searched(status="failed"), delta("I do not know.")),
            stream(end=a_run("failed", last_error={"code": "server_error", "message": "vector store is expired"})),
        ],
        ids=["nothing found", "nothing said", "search failed", "store expired"],
    )
    def test_nothing_found_leaves_the_search_to_us(self, api: FakeAssistants, backend: Make, reply: Reply) -> None:
        api.replies[0] = reply
        error, said = failed(backend(), request(stores=("vs_1",)))
        assert isinstance(error, HostedSearchFailed) and not said

    def test_an_assistants_own_search_may_find_nothing(self, api: FakeAssistants, backend: Make) -> None:
        api.replies[0] = stream(searched(), delta("I do not know."))
        given = request(parameters={"assistant_id": "asst_own"})
        assert text_of(play(backend(), given)) == "I do not know."

    def test_what_was_found_is_cited_by_name(self, api: FakeAssistants, backend: Make) -> None:
        mark = "【4:0†source】"
        api.replies[0] = stream(
            searched(found("file-1", "sleep.md", "Dim the light.")), delta(f"So{mark}", cites(mark))
        )
        events = play(backend(), request(stores=("vs_1",)))
        cited = [e.citation for e in events if e.citation]
        assert [(c.title, c.text, c.external_id) for c in cited] == [("sleep.md", "Dim the light.", "file-1")]


class TestFiles:
    ASKED = replace(
        request("What is this?"),
        question=message("What is this?", "user", Part("text", "What is this?"), PNG),
        read_file=lambda _: b"PNG",
    )

    def test_pictures_go_along(self, api: FakeAssistants, backend: Make) -> None:
        play(backend(), self.ASKED)
        assert api.told() == [("user", [{"type": "text", "text": "What is this?"}, URL])]

    def test_a_server_that_wants_them_uploaded(self, api: FakeAssistants, backend: Make) -> None:
        api.once("POST .*/messages", refusal("Invalid image_url: only https is supported."))
        coach = backend()
        for _ in range(2):
            play(coach, self.ASKED)
        ((name, form),) = api.files.items()
        assert 'name="purpose"' in form and "vision" in form and "a.png" in form and "PNG" in form
        picture = {"type": "image_file", "image_file": {"file_id": name}}
        assert api.told()[-1] == ("user", [{"type": "text", "text": "What is this?"}, picture])
        assert len(api.asked("/messages")) == 3  # it is known by then

    def test_a_server_that_takes_none(self, api: FakeAssistants, backend: Make) -> None:
        api.once("POST .*/messages", *[refusal("Invalid content.")] * 2)
        assert text_of(play(backend(), self.ASKED)) == "Sleep well."
        assert api.told()[-1] == ("user", "What is this?\n\n[attached: a.png, which cannot be read here]")
        play(backend(images=False), self.ASKED)
        assert api.told()[-1] == ("user", "What is this?\n\n[attached: a.png, which cannot be read here]")

    def test_a_refusal_of_something_else_teaches_nothing(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend()
        api.once("POST .*/messages", *[refusal("Message is too odd.")] * 3)
        assert failed(coach, self.ASKED)[0].kind == "bad_request"
        play(coach, self.ASKED)
        assert api.told()[-1][1][-1] == URL

    def test_files_with_text_go_as_text(self, api: FakeAssistants, backend: Make) -> None:
        notes = Part("file", "Read me", file_id=uuid4(), name="notes.txt", media_type="text/plain")
        asked = replace(self.ASKED, question=message("What?", "user", Part("text", "What?"), notes, PDF))
        play(backend(), asked)
        unread = "[attached: plan.pdf, which cannot be read here]"
        assert api.told() == [("user", f"What?\n\nAttached file notes.txt:\nRead me\n\n{unread}")]
        assert not api.files

    def test_pdfs_are_attached_where_they_are_taken(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend(files=True)
        asked = replace(self.ASKED, question=message("What?", "user", Part("text", "What?"), PDF))
        before = play(coach, asked)
        told = api.asked("/messages")[0].body
        name = next(iter(api.files))
        assert told["attachments"] == [{"file_id": name, "tools": [{"type": "file_search"}]}]
        assert told["content"] == "What?\n\nAttached file: plan.pdf" and "assistants" in api.files[name]
        assert api.assistants[ids(before)["assistant_id"]]["tools"] == [{"type": "file_search"}]
        after = next_question(before, replace(request("And?"), history=(asked.question,), read_file=asked.read_file))
        play(coach, after)  # it can still be searched: the assistant is the same
        assert len(api.assistants) == 1 and len(api.files) == 1

    def test_a_file_that_is_gone_there_is_sent_again(self, api: FakeAssistants, backend: Make) -> None:
        coach = backend(files=True)
        asked = replace(self.ASKED, question=message("What?", "user", Part("text", "What?"), PDF))
        play(coach, asked)
        api.once("POST .*/messages", refusal("No such File object: file_2", 404))
        play(coach, asked)
        assert len(api.files) == 2
        assert api.asked("/messages")[-1].body["attachments"][0]["file_id"] == list(api.files)[-1]


class TestTrouble:
    @pytest.mark.parametrize(
        ("path", "reply", "kind"),
        [
            ("POST /v1/assistants", json_reply(401, '{"error":{"code":"invalid_api_key"}}'), AuthFailed),
            ("POST /v1/threads", Reply([b"<!doctype html>"], 404, "text/html"), NotAnApi),
            ("POST /v1/threads", json_reply(200, '{"hello":"world"}'), NotAnApi),
            ("POST .*/messages", json_reply(401, '{"error":{"code":"invalid_api_key"}}'), AuthFailed),
        ],
    )
    def test_before_the_run(
        self, api: FakeAssistants, backend: Make, path: str, reply: Reply, kind: type[BackendError]
    ) -> None:
        api.once(path, *[reply] * 5)
        error, _ = failed(backend())
        assert isinstance(error, kind) and not api.bodies

    @pytest.mark.parametrize("path", ["POST /v1/assistants", "POST /v1/threads$", "POST .*/messages"])
    def test_a_slow_server_before_the_run(self, api: FakeAssistants, backend: Make, path: str) -> None:
        api.once(path, Reply(sse(), wait_first=True))
        error, _ = failed(backend(), request(first_token_timeout=0.6))
        assert error.kind == "first_token_timeout" and len(api.asked(path)) == 1
