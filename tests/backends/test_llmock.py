"""llmock, a model server made to fail, as a witness that knows nothing of this app: its faults, and its verdict.

Its own pytest fixture is not used, since that sets environment variables; the server is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from llmock.scenarios import Behavior, Fail, Reply, SlowFirstToken, StreamFault, ToolCall, ToolFault
from llmock.testing import LLMockServer
from llmock.verdict import Verdict, judge

from coach_core.backends import Endpoint, build
from coach_core.types import ToolSpec
from tests.backends.conftest import KEY, request
from tests.backends.test_fault_table import PATIENCE, Played, asked

SAYS = "Sleep begins with a fixed hour. Get up at that hour every day, on weekends too."
TOOL = ToolSpec("look_up", "Looks up a topic.", {"type": "object", "properties": {"topic": {"type": "string"}}})
#: Events before the first word, on each wire.
BEFORE = {"openai_chat": 1, "openai_responses": 4}
#: What it holds against any client that sends nothing again after the first word, which is what we mean to do.
MEANT = {"disconnect": "gave_up", "truncate": "truncated_stream_accepted", "malformed": "malformed_chunk_ignored"}


def _name(value: object) -> str:
    return f"{value.status}{value.code or value.retry_after or ''}" if isinstance(value, Fail) else str(value)


@pytest.fixture(scope="module")
def server() -> Iterator[LLMockServer]:
    with LLMockServer() as running:
        yield running


@pytest.fixture(params=list(BEFORE))
def wire(request: pytest.FixtureRequest) -> str:
    return request.param


def played(server: LLMockServer, wire: str, *behaviors: Behavior, **asks: object) -> tuple[Played, Verdict]:
    server.state.reset()
    server.state.scenarios.add(*behaviors)
    backend = build(wire, Endpoint("llmock", server.base_url(), KEY, "gpt-4o"))
    came = asked(backend, request(**{**PATIENCE, **asks}))
    backend.close()
    return came, judge(server.state.journal.records(wait=5.0))


def codes(verdict: Verdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


@pytest.mark.parametrize(
    ("fault", "times"), [(Fail(429, retry_after=0.2), 2), (Fail(500), 1), (Fail(502), 1), (Fail(529), 1)], ids=_name
)
def test_what_passes_is_waited_for(fault: Fail, times: int, server: LLMockServer, wire: str) -> None:
    came, verdict = played(server, wire, Reply(SAYS), *[fault] * times)
    assert (came.text, came.done.retries, verdict.attempts, codes(verdict)) == (SAYS, times, times + 1, [])


@pytest.mark.parametrize(
    ("fault", "kind", "attempts"),
    [
        (Fail(429, retry_after=0.1, times=None), "rate_limited", 3),
        (Fail(429, retry_after=60, times=None), "rate_limited", 1),
        (Fail(503, retry_after=0.1, times=None), "overloaded", 3),
        (Fail(401), "auth_failed", 1),
        (Fail(403), "auth_failed", 1),
        (Fail(400), "bad_request", 1),
        (Fail(400, code="context_length_exceeded", message="maximum context length exceeded"), "context_too_long", 1),
    ],
    ids=_name,
)
def test_what_stays_is_told(fault: Fail, kind: str, attempts: int, server: LLMockServer, wire: str) -> None:
    came, verdict = played(server, wire, fault)
    assert came.fault is not None and (came.fault.kind, verdict.attempts) == (kind, attempts)
    assert set(codes(verdict)) <= ({"gave_up"} if fault.retry_after == 60 else set()), "there is no time for a minute"


@pytest.mark.parametrize("fault", ["disconnect", "truncate", "malformed", "stall"])
def test_the_first_words_are_kept(fault: str, server: LLMockServer, wire: str) -> None:
    breaks = StreamFault(fault, after_chunks=BEFORE[wire] + 3, stall_seconds=3)  # type: ignore[arg-type]
    came, verdict = played(server, wire, Reply(SAYS), breaks, token_timeout=0.4)
    kinds = {"malformed": "malformed_stream", "stall": "token_timeout"}
    assert came.fault is not None and came.fault.kind == kinds.get(fault, "stream_cut")
    assert came.text == "Sleep begins with " and verdict.attempts == 1
    assert codes(verdict) == ([MEANT[fault]] if fault in MEANT else [])


@pytest.mark.parametrize("fault", ["disconnect", "truncate"])
@pytest.mark.parametrize("chunks", [0, 1])
def test_before_the_first_word_it_is_asked_again(fault: str, chunks: int, server: LLMockServer, wire: str) -> None:
    breaks = StreamFault(fault, after_chunks=chunks)  # type: ignore[arg-type]
    came, verdict = played(server, wire, Reply(SAYS, times=2), breaks)
    assert (came.text, came.done.retries, verdict.attempts, codes(verdict)) == (SAYS, 1, 2, [])


def test_a_slow_first_word(server: LLMockServer, wire: str) -> None:
    came, verdict = played(server, wire, SlowFirstToken(3), first_token_timeout=0.5)
    assert came.fault is not None and came.fault.kind == "first_token_timeout" and verdict.attempts == 1


@pytest.mark.parametrize("broken", [[], [ToolFault("malformed_arguments")]], ids=["whole", "malformed"])
def test_a_tool_call(broken: Sequence[Behavior], server: LLMockServer, wire: str) -> None:
    call = Reply(tool_calls=(ToolCall("look_up", {"topic": "sleep"}),))
    came, verdict = played(server, wire, call, *broken, tools=(TOOL,))
    (event,) = [e for e in came.events if e.kind == "tool_call"]
    assert event.name == "look_up" and came.done.finish_reason == "tool_calls" and codes(verdict) == []
    assert event.arguments is not None and set(event.arguments) == ({"malformed"} if broken else {"topic"})
