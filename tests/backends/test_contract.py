"""What every backend holds, whatever is behind it: see coach_core/backends/__init__.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from coach_core.backends import BACKENDS, Backend, Endpoint, Request, build
from coach_core.backends.items import GO_ON
from coach_core.types import Event
from tests.backends.conftest import KEY, passage, play, request, small_model, text_of
from tests.backends.fake_api import FakeApi, Reply, recorded, sse
from tests.backends.fake_assistants import FakeAssistants

PROMPT = 0.5  # seconds that a cancel may take
YIELDED = {"text", "reasoning", "tool_call", "citation", "notice", "done"}
PASSAGES = (
    passage("Sleep matters. To sleep better, go to bed at the same time every evening. Dim the light early."),
    passage("A car loses one fifth of its value in the first year."),
)
ODD = "مرحبا \u202eكيف أنام؟ 👩🏽‍🚀🇩🇪 你好 \x07 e\u0301 <script>"


@dataclass
class Subject:
    """A backend under test, and how to make its server hang in the middle of an answer."""

    backend: Backend
    request: Request = field(default_factory=lambda: request(passages=PASSAGES, parameters={"max_output_tokens": 24}))
    hang: Callable[[], None] = lambda: None
    api: FakeApi | None = None
    told: Callable[[], Any] = lambda: None  # the conversation as the server was told it last
    pieces: int = 6  # of its stream, until there is text


def _scripted(_: Backend) -> Iterator[Subject]:
    script: dict[str, Any] = {"steps": ["Sleep well and long. ", "Rise early."]}
    backend = build("scripted", Endpoint("scripted"), script=script)
    yield Subject(backend, hang=lambda: script.update(steps=["Sleep ", {"hang": True}]))


def _extractive(_: Backend) -> Iterator[Subject]:
    yield Subject(build("extractive", Endpoint("extractive")))


def _wire(name: str, cassette: str, pieces: int) -> Callable[[Backend], Iterator[Subject]]:
    def make(_: Backend) -> Iterator[Subject]:
        whole = recorded(cassette)
        assistants = name == "openai_assistants"
        with (FakeAssistants if assistants else FakeApi)(whole) as api:
            backend = build(name, Endpoint("fake", api.url, KEY, "m1"))
            begun = replace(whole, pieces=[*whole.pieces[:pieces], "hang"])

            def told() -> Any:
                if isinstance(api, FakeAssistants):
                    return [{"role": role, "content": content} for role, content in api.told()]
                return api.bodies[-1]["messages" if name == "openai_chat" else "input"]

            yield Subject(backend, hang=lambda: api.replies.insert(0, begun), api=api, told=told, pieces=pieces)
            backend.close()

    return make


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """One for all tests here; it is started by the first that asks, and again when one has killed it."""
    backend = build("local", Endpoint("local", model=str(small_model())), home=tmp_path_factory.mktemp("home"))
    yield backend
    backend.close()


SUBJECTS: dict[str, Callable[[Backend], Iterator[Subject]]] = {
    "scripted": _scripted,
    "extractive": _extractive,
    "openai_chat": _wire("openai_chat", "chat_text", 4),
    "openai_responses": _wire("openai_responses", "responses_text", 6),
    "openai_assistants": _wire("openai_assistants", "assistants_file_search", 26),
    "local": lambda local: iter([Subject(local)]),
}


@pytest.fixture(params=[pytest.param(n, marks=pytest.mark.local_model if n == "local" else ()) for n in SUBJECTS])
def subject(request: pytest.FixtureRequest, local: Backend) -> Iterator[Subject]:
    yield from SUBJECTS[request.param](local)


def holds(events: list[Event]) -> Event:
    """The contract; gives back the terminal event."""
    assert {e.kind for e in events} <= YIELDED
    assert [e.kind for e in events].count("done") == 1 and events[-1].kind == "done"
    assert all(e.turn is None and e.seq == 0 for e in events)
    assert all(e.text for e in events if e.kind in {"text", "reasoning", "notice"})
    assert all(e.call_id and e.name and e.arguments is not None for e in events if e.kind == "tool_call")
    done = events[-1]
    assert done.status in {"completed", "incomplete", "cancelled"} and done.usage is not None
    assert done.finish_reason or done.status == "cancelled"
    for event in events:
        event.to_json().encode()  # storable: no lone surrogate
    return done


def test_the_suite_covers_every_backend() -> None:
    assert set(SUBJECTS) == set(BACKENDS)


def test_an_answer_is_text_and_one_done(subject: Subject) -> None:
    events = play(subject.backend, subject.request)
    done = holds(events)
    assert text_of(events).strip()
    assert done.status in {"completed", "incomplete"}
    assert (done.status == "incomplete") == (done.finish_reason == "length")


def test_the_same_backend_answers_again_and_to_several_at_once(subject: Subject) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: play(subject.backend, subject.request), range(3)))
    for events in answers:
        holds(events)
        assert text_of(events).strip()


def test_cancelled_before_it_begins(subject: Subject) -> None:
    cancel = threading.Event()
    cancel.set()
    events = play(subject.backend, subject.request, cancel)
    assert holds(events).status == "cancelled"
    assert not text_of(events)


def test_cancelled_in_the_middle(subject: Subject) -> None:
    subject.hang()
    asked = replace(subject.request, parameters={"max_output_tokens": 4000})
    cancel = threading.Event()
    events: list[Event] = []
    at = 0.0
    for event in subject.backend.stream(asked, cancel):
        events.append(event)
        if event.kind == "text" and not at:
            at = time.monotonic()
            timer = threading.Timer(0.05, cancel.set) if subject.api else None  # by then the read blocks
            timer.start() if timer else cancel.set()
    assert holds(events).status == "cancelled"
    assert time.monotonic() - at < PROMPT
    assert text_of(events)
    if subject.api:
        assert subject.api.left.wait(2), "the line was not closed: the server would go on writing"


def test_left_in_the_middle_and_asked_again(subject: Subject) -> None:
    stream = subject.backend.stream(subject.request, threading.Event())
    for event in stream:
        if event.kind == "text":
            break
    stream.close()  # type: ignore[attr-defined]
    events = play(subject.backend, subject.request)
    holds(events)
    assert text_of(events).strip()


def test_any_script_and_sign_may_be_asked(subject: Subject) -> None:
    asked = replace(subject.request, question=replace(subject.request.question, text=ODD, parts=()))
    holds(play(subject.backend, asked))
    if subject.api:
        assert ODD in _strings(subject.told())


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in inner for text in _strings(item)]


def test_goes_on_where_an_answer_stopped(subject: Subject) -> None:
    whole = text_of(play(subject.backend, subject.request))
    said = whole[: len(whole) // 2]
    events = play(subject.backend, replace(subject.request, resume_from=said))
    holds(events)
    name = subject.backend.name
    if name in {"scripted", "extractive"}:
        assert said + text_of(events) == whole
        other = text_of(play(subject.backend, replace(subject.request, resume_from="Something else. ")))
        assert whole.strip() in other
    elif subject.api:
        assert subject.told()[-2:] == [{"role": "assistant", "content": said}, {"role": "user", "content": GO_ON}]


def test_check_looks_and_never_raises(subject: Subject) -> None:
    check = subject.backend.check()
    assert check.state == "ok" and check.detail
    assert KEY not in f"{check}"


def test_a_line_that_is_cut_is_an_error_not_an_end(subject: Subject) -> None:
    from coach_core.errors import StreamCut

    if subject.backend.name == "scripted":
        backend: Backend = build("scripted", Endpoint("s"), script=["Sleep ", {"cut": True}])
        stream = backend.stream(subject.request, threading.Event())
    elif subject.api:
        first = subject.api.replies[0]
        subject.api.replies.insert(0, replace(first, pieces=[*first.pieces[: subject.pieces], "cut"]))
        stream = subject.backend.stream(subject.request, threading.Event())
    elif subject.backend.name == "local":
        asked = replace(subject.request, parameters={"max_output_tokens": 4000})
        stream = _killed_in_the_middle(subject, asked)
    else:
        return  # nothing that could be cut
    seen: list[Event] = []
    with pytest.raises(StreamCut) as caught:
        seen.extend(stream)
    assert caught.value.retryable and "done" not in {e.kind for e in seen}


def _killed_in_the_middle(subject: Subject, asked: Request) -> Iterator[Event]:
    import os
    import signal

    local: Any = subject.backend
    for number, event in enumerate(local.stream(asked, threading.Event())):
        yield event
        if number == 3:
            os.kill(local._starting.result().pid, signal.SIGKILL)


def test_a_model_that_says_nothing_in_time(subject: Subject) -> None:
    from coach_core.errors import TimedOut

    if subject.api is None:
        return
    subject.api.replies[:] = [Reply(sse(), wait_first=True)]
    began = time.monotonic()
    with pytest.raises(TimedOut) as caught:
        play(subject.backend, replace(subject.request, first_token_timeout=0.3))
    assert time.monotonic() - began < 0.3 + PROMPT
    assert "127.0.0.1" in caught.value.sentence
    assert len(subject.api.requests) == 1, "a slow server is not asked again"
