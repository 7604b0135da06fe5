"""A thread as a file: Markdown to read, JSON with everything, branches included.

Invariant: the JSON holds every message of the tree with its parts, citations and turns; Markdown holds
the branch on show with its sources.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from coach_core.turn import hold
from coach_core.types import Citation, Message, Persona, Thread, TurnRecord, Usage

_WEB = re.compile(r"https?://\S+$", re.IGNORECASE)


def markdown(
    thread: Thread, persona: str, branch: Sequence[Message], citations: Mapping[UUID, Sequence[Citation]]
) -> str:
    """The branch on show, each answer with its sources."""
    out = [f"# {thread.title or 'Untitled'}", f"{persona}, {thread.created_at:%Y-%m-%d %H:%M} UTC"]
    for message in branch:
        if message.speaker not in {"user", "assistant"}:
            continue
        who = "You" if message.speaker == "user" else persona
        mark = "" if message.status == "complete" else f" ({message.status})"
        out.append(f"## {who}{mark}\n\n{message.text}")
        files = [f"- {p.name}" for p in message.parts if p.kind in {"file", "image"}]
        if files:
            out.append("Attached:\n\n" + "\n".join(files))
        cited = citations.get(message.id) or ()
        if cited:
            out.append("Sources:\n\n" + "\n".join(_source(c, message.text) for c in cited))
    return "\n\n".join(out) + "\n"


def _source(citation: Citation, answer: str) -> str:
    quote = f"\n   > {_one_line(citation.text)}" if citation.text.strip() else ""
    beyond = "".join(f"\n   - {line}" for line in doubts(citation, answer))
    return f"{citation.number}. {place(citation)}{quote}{beyond}"


def doubts(citation: Citation, answer: str) -> list[str]:
    """A line for each sentence of the answer that may go beyond the passage."""
    return [f"{hold.BEYOND}: {why} \u201c{_one_line(said)}\u201d" for said, why in hold.doubts(answer, citation)]


def place(citation: Citation) -> str:
    """Where a citation points: title, section, page, row or address, as a person reads it."""
    parts = [_one_line(citation.title), citation.within]
    parts += [f"p. {citation.page}"] if citation.page is not None else []
    parts += [f"row {citation.row}"] if citation.row is not None else []
    parts += [citation.url] if _WEB.match(citation.url) else []
    return ", ".join(p for p in parts if p) or "a source without a name"


def as_json(
    thread: Thread,
    persona: Persona | None,
    tree: Sequence[Message],
    citations: Mapping[UUID, Sequence[Citation]],
    turns: Sequence[TurnRecord],
) -> str:
    """Everything of the thread, as one JSON object with `format` "coach-thread" and `version` 1."""
    data = {
        "format": "coach-thread",
        "version": 1,
        "thread": dataclasses.asdict(thread),
        "persona": {"slug": persona.slug, "name": persona.name, "version": persona.version} if persona else None,
        "messages": [
            {
                "id": m.id,
                "parent_id": m.parent_id,
                "speaker": m.speaker,
                "status": m.status,
                "created_at": m.created_at,
                "text": m.text,
                "parts": [p.to_dict() for p in m.parts],
                "citations": [c.to_dict() for c in citations.get(m.id) or ()],
                "feedback": m.feedback,
                "feedback_reason": m.feedback_reason,
                "turn_id": m.turn_id,
            }
            for m in tree
        ],
        "turns": [
            {k: v for k, v in _plain(t).items() if k not in {"lease_owner", "lease_until", "key"}} for t in turns
        ],
    }
    return json.dumps(data, ensure_ascii=False, indent=2, default=_value)


def _plain(turn: TurnRecord) -> dict[str, Any]:
    return {f.name: getattr(turn, f.name) for f in dataclasses.fields(turn)}


def _value(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Usage):
        return dataclasses.asdict(value)
    return dict(value) if isinstance(value, Mapping) else list(value)


def _one_line(text: str, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
