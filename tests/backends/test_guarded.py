"""A leak on each wire, over real HTTP: the stream is left, asked anew, and only the second answer stands."""

from __future__ import annotations

import threading

import pytest

from coach_core.backends import Request
from coach_core.turn import Choice, Turn, run_turn
from coach_core.types import Event, new_id
from tests.backends.conftest import Wire, message, text_of
from tests.backends.fake_api import Reply
from tests.backends.voices import PIECES, TEXT, VOICES, Voice

LEAK = ("Let me look. ", "<tool", '_call>{\\"name\\"', ': \\"look\\"}', "</tool_call>", ".")


def leaking(voice: Voice) -> Reply:
    """The wire's answer with other words."""
    lines = voice.lines(voice.frames, over=True)
    for line, leak in zip(PIECES[:5], LEAK, strict=False):
        lines = [b.replace(f'"{line}"'.encode(), f'"{leak}"'.encode()) if isinstance(b, bytes) else b for b in lines]
    return Reply(lines)


@pytest.mark.parametrize("name", VOICES)
def test_the_second_answer_alone_stands(wire: Wire, name: str) -> None:
    voice = VOICES[name]
    with voice.api(leaking(voice), Reply(voice.lines(voice.frames, over=True))) as api:
        turn = Turn(new_id(), Request(message("How do I sleep better?")), [Choice(wire(name, api.url), name)])
        events = list(run_turn(turn, threading.Event()))
    back = [i for i, e in enumerate(events) if e.kind == "retract"]
    assert len(back) == 1 and text_of(events[: back[0]]).strip() == "Let me look."
    assert text_of(events[back[0] :]) == TEXT and events[-1].status == "completed"
    assert [e.source for e in events if e.kind == "notice"] == ["guard"]
    assert _counts(events) == {"guard_activations": 1, "guard_tool": 1}


def _counts(events: list[Event]) -> dict[str, int]:
    return next(e.arguments["counts"] for e in events if e.arguments and "counts" in e.arguments)
