"""Every cell of the fault table at the backend: the error, the text before it, the requests, the sentence."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from coach_core.backends import Backend, Request, line
from coach_core.errors import BackendError, HostedSearchFailed, StateLost, told_after
from coach_core.types import Event, ToolSpec
from tests.backends.conftest import KEY, request
from tests.backends.fault import Fault
from tests.backends.faults import CELLS, FAULTS, page
from tests.backends.served import backend_of, served, voice_of
from tests.backends.voices import TOOL

DOCS = Path(__file__).parents[2] / "docs"
SPEC = ToolSpec(TOOL, "Looks up a topic.", {"type": "object", "properties": {"topic": {"type": "string"}}})
PATIENCE = {"first_token_timeout": 8.0, "token_timeout": 8.0, "total_timeout": 30.0}


@dataclass
class Played:
    """What came of one question."""

    events: list[Event] = field(default_factory=list)
    fault: BackendError | None = None

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if e.kind == "text")

    @property
    def done(self) -> Event:
        assert self.fault is None, self.fault
        assert [e.kind for e in self.events].count("done") == 1
        return self.events[-1]


def asked(backend: Backend, question: Request | None = None) -> Played:
    played = Played()
    try:
        for event in backend.stream(question or request(**PATIENCE), threading.Event()):
            played.events.append(event)
    except BackendError as fault:
        played.fault = fault
    return played


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before a retry, in seconds; they are noted, not waited for."""
    noted: list[float] = []
    monkeypatch.setattr(line, "pause", noted.append)
    return noted


@pytest.mark.parametrize(("fault", "wire"), CELLS, ids=[f"{f.name}-{w}" for f, w in CELLS])
def test_cell(fault: Fault, wire: str, waits: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    question = request(tools=(SPEC,) if fault.tools else (), **PATIENCE | dict(fault.times))
    wanted = fault.on(wire)
    with served(fault, voice_of(wire)) as (url, api):
        backend = backend_of(wire, url)
        played = asked(backend, question)
        backend.close()
    assert played.text == wanted.kept
    assert [e.name for e in played.events if e.kind == "tool_call"] == ([TOOL] if wanted.called else [])
    if wanted.error:
        told = played.fault
        assert told is not None and told.kind == wanted.error
        assert told_after(told, partial=bool(played.text)) == wanted.sentence.format(host=url.split("/")[2])
        assert told.retry_after == wanted.wait
        assert KEY not in told.sentence
    else:
        done = played.done
        assert done.finish_reason == wanted.finish
        assert done.status == ("incomplete" if wanted.finish in {"length", "content_filter"} else "completed")
        assert done.retries == wanted.requests - 1
        assert done.usage is not None
    assert (len(waits) + 1 if api is None else len(api.requests)) == wanted.requests
    assert not any(KEY in record.getMessage() for record in caplog.records)


def test_the_page_says_what_the_table_says() -> None:
    """`python -m tests.backends.faults docs/faults.md` writes it."""
    assert (DOCS / "faults.md").read_text(encoding="utf-8") == page()


def test_each_row_has_a_name_of_its_own_and_no_cell_is_forgotten() -> None:
    assert len({f.name for f in FAULTS}) == len(FAULTS) == len({f.says for f in FAULTS})
    assert all(set(f.but) <= set(f.wires) for f in FAULTS)


#: These are mended within the turn, and told as notices.
MENDED = (HostedSearchFailed, StateLost)
ADVICE = re.compile(r"\b(?:[Tt]ry again|Check|[Pp]ress|Start|Choose|[Aa]sk it|ask in|give it|run|Run)\b")


def _kinds(of: type[BackendError]) -> list[type[BackendError]]:
    return [of, *(kind for sub in of.__subclasses__() for kind in _kinds(sub))]


@pytest.mark.parametrize("partial", [True, False])
def test_every_sentence_says_what_to_do(partial: bool) -> None:
    told = [told_after(kind(), partial=partial) for kind in _kinds(BackendError) if not issubclass(kind, MENDED)]
    told += [o.sentence for f, w in CELLS if (o := f.on(w)).error]
    assert not [sentence for sentence in told if not ADVICE.search(sentence)]
