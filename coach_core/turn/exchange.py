"""What tools were asked and said within a turn, as messages that go to the next model after the question.

Invariant: an assistant's message with calls is followed by the results of these calls, one message each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from coach_core.types import Event, Message, Part, new_id, now


def exchange(thread: UUID, said: str, calls: Sequence[Event], results: Sequence[Event]) -> tuple[Message, ...]:
    """One round of tools: what the assistant said and called, then each result."""
    parts = [Part("tool_call", call_id=c.call_id, name=c.name, arguments=c.arguments) for c in calls]
    parts += [Part("tool_result", r.text, call_id=r.call_id, name=r.name, error=r.error) for r in results]
    return _round(thread, said, parts)


def gone_before(thread: UUID, parts: Sequence[Part]) -> tuple[tuple[Message, ...], str]:
    """An answer that is to be gone on with: its rounds of tools, and the text after the last of them.

    A call without a result was never run, so it is as if it had not been made.
    """
    answered = {p.call_id for p in parts if p.kind == "tool_result"}
    rounds: list[Message] = []
    said, tools = "", list[Part]()
    for part in parts:
        if part.kind == "text" or (part.kind == "tool_call" and tools and tools[-1].kind == "tool_result"):
            rounds += _round(thread, said, tools) if tools else ()
            said, tools = ("", []) if tools else (said, tools)
            said += part.text if part.kind == "text" else ""
        if part.call_id in answered and part.kind in {"tool_call", "tool_result"}:
            tools.append(part)
    if tools:
        rounds += _round(thread, said, tools)
        said = ""
    return tuple(rounds), said


def _round(thread: UUID, said: str, parts: Sequence[Part]) -> tuple[Message, ...]:
    asked = (*([Part("text", said)] if said else []), *(p for p in parts if p.kind == "tool_call"))
    results = [p for p in parts if p.kind == "tool_result"]
    return (
        _message(thread, "assistant", asked, said),
        *(_message(thread, "tool", (p,), p.text or p.error) for p in results),
    )


def _message(thread: UUID, speaker: Literal["assistant", "tool"], parts: tuple[Part, ...], text: str) -> Message:
    return Message(new_id(), thread, None, speaker, parts, text, "complete", now())
