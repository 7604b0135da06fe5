"""Clients as a coach sees them: the timeline, the sheet before a session, everything of one as a file.

Invariant: pure values in, pure values or text out; what is shown of a message was handed in as a Source that the
viewer may read.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from coach_core.errors import InputError
from coach_core.types import (
    Brief,
    Client,
    ClientDraft,
    Goal,
    Homework,
    Memory,
    MemoryVersion,
    Progress,
    SessionNote,
    Source,
    TimelineItem,
    clean_text,
)

LONGEST_NAME = 120
LONGEST_TEXT = 4000
MOST_ITEMS = 30
_KNOWN_SHOWN = 8
_PENDING_SHOWN = 8
_PROMISE = re.compile(
    r"\b(?:i(?:'ll| will|'m going to| am going to| promise| commit)|voy a|prometo|me comprometo|ich werde)\b"
    r"|\bich verspreche\b|我会|我要|我保证|سوف|سأ|أعدك",
    re.I,
)


def checked(draft: ClientDraft) -> ClientDraft:
    """The draft as it may be stored. Raises InputError with what to change."""
    name = " ".join(clean_text(draft.name).split())
    if not name:
        raise InputError("The client needs a name. Type one.")
    if len(name) > LONGEST_NAME:
        raise InputError(f"The name is too long. Use at most {LONGEST_NAME} characters.")
    if draft.memory_mode not in ("review", "automatic", "off"):
        raise InputError("Memories are kept by review, automatic or off. Choose one of these.")
    lists = {n: tuple(x for v in getattr(draft, n) if (x := clean_text(v).strip())) for n in ("values", "constraints")}
    if any(len(items) > MOST_ITEMS for items in lists.values()):
        raise InputError(f"There are too many values or constraints. Keep the {MOST_ITEMS} that matter most.")
    for text in (draft.style, *lists["values"], *lists["constraints"]):
        if len(text) > LONGEST_TEXT:
            raise InputError(f"A text is too long. Use at most {LONGEST_TEXT} characters.")
    if draft.time_zone and not _known_zone(draft.time_zone):
        raise InputError(f"{draft.time_zone[:60]!r} is no time zone. Write it like Europe/Berlin.")
    if draft.next_session is not None and draft.next_session.tzinfo is None:
        raise InputError("The next session's time has no time zone.")
    return dataclasses.replace(draft, name=name, **lists)


def text_of(text: str, what: str) -> str:
    """A goal, note or the like as it may be stored."""
    text = clean_text(text).strip()
    if not text:
        raise InputError(f"The {what} is empty. Type something first.")
    if len(text) > LONGEST_TEXT:
        raise InputError(f"The {what} is too long. Use at most {LONGEST_TEXT:,} characters.")
    return text


def timeline(
    goals: Sequence[Goal],
    progress: Sequence[Progress],
    notes: Sequence[SessionNote],
    homework: Sequence[Homework],
    memories: Sequence[Memory],
    sources: Mapping[UUID, Source],
) -> list[TimelineItem]:
    """What happened, the newest first, each with the message it came from. `memories` are the approved ones."""

    def source(message_id: UUID | None) -> Source | None:
        return sources.get(message_id) if message_id is not None else None

    out = [TimelineItem(g.created_at, g.kind, g.text, g.id, g.status, g.id, source(g.message_id)) for g in goals]
    out += [TimelineItem(p.at, "progress", p.text, p.id, "", p.goal_id, source(p.message_id)) for p in progress]
    out += [TimelineItem(n.at, "note", n.text, n.id) for n in notes]
    out += [
        TimelineItem(h.done_at or h.created_at, "homework", h.text, h.id, h.status, h.goal_id, source(h.message_id))
        for h in homework
    ]
    out += [
        TimelineItem(m.happened_at or m.created_at, "memory", m.text, m.id, m.kind, None, source(m.message_id))
        for m in memories
    ]
    return sorted(out, key=lambda item: item.at, reverse=True)


def brief(
    client: Client,
    goals: Sequence[Goal],
    homework: Sequence[Homework],
    notes: Sequence[SessionNote],
    items: Sequence[TimelineItem],
    memories: Sequence[Memory],
    made_at: datetime,
) -> Brief:
    """The sheet before a session. `notes` newest first; `memories` of every status."""
    last = notes[0] if notes else None
    since = last.at if last else None
    approved = [m for m in memories if m.status == "approved"]
    recent = [i for i in items if _is_progress(i) and (since is None or i.at >= since)]
    wanted = [g for g in goals if g.status == "open" and g.kind == "goal"]
    hard = [g for g in goals if g.status == "open" and g.kind == "challenge"]
    open_work = [h for h in homework if h.status == "given"]
    said = [m for m in approved if m.kind == "goal" and not any(_alike(m.text, g.text) for g in wanted)]
    promised = [m for m in approved if _PROMISE.search(m.text) and (since is None or m.created_at >= since)]
    known = [m for m in sorted(approved, key=lambda m: -m.importance) if m not in promised]
    made = Brief(
        client,
        made_at,
        since,
        tuple(wanted),
        tuple(hard),
        tuple(recent[:10]),
        tuple(open_work),
        tuple(m.text for m in promised[:6]),
        last,
        tuple(dict.fromkeys([*said, *known]))[:_KNOWN_SHOWN],
        tuple(m for m in memories if m.status == "pending")[:_PENDING_SHOWN],
    )
    return dataclasses.replace(made, question=opening(made))


def opening(sheet: Brief) -> str:
    """A question to begin the session with, from what stands on the sheet."""
    name = sheet.client.name.split()[0]
    if sheet.homework:
        return f"{name}, how did it go with “{_short(sheet.homework[0].text)}”?"
    if sheet.progress:
        return f"{name}, last time came “{_short(sheet.progress[0].text)}”. What has that changed for you?"
    if sheet.challenges:
        return f"{name}, where did “{_short(sheet.challenges[0].text)}” show up since we last spoke?"
    if sheet.goals:
        return f"{name}, what would be a small sign this week that you are nearer to “{_short(sheet.goals[0].text)}”?"
    return f"{name}, what would make this conversation worth your time today?"


def brief_markdown(sheet: Brief) -> str:
    """The sheet as it is printed."""
    out = [f"# {_line(sheet.client.name)}", f"Brief of {_day(sheet.made_at)}"]
    draft = sheet.client.draft
    if draft.next_session:
        out[1] += f", next session {draft.next_session:%Y-%m-%d %H:%M}"
    if sheet.question:
        out.append(f"**To open with:** {_line(sheet.question)}")
    since = f" since {_day(sheet.since)}" if sheet.since else ""
    sections: list[tuple[str, list[str]]] = [
        ("What they want now", [_goal(g) for g in sheet.goals]),
        ("What is hard", [_goal(g) for g in sheet.challenges]),
        (f"Progress{since}", [f"{_day(i.at)}: {_line(i.text)}" for i in sheet.progress]),
        ("Open homework", [_line(h.text) + (f" (due {_day(h.due_at)})" if h.due_at else "") for h in sheet.homework]),
        ("Commitments", [_line(c) for c in sheet.commitments]),
        ("Also known", [f"{m.kind}: {_line(m.text)}" for m in sheet.known]),
        ("Waiting for your yes", [f"{m.kind}: {_line(m.text)}" for m in sheet.pending]),
    ]
    for title, lines in sections:
        if lines:
            out.append(f"## {title}\n\n" + "\n".join(f"- {line}" for line in lines))
    if sheet.last_note is not None:
        out.append(f"## Last session, {_day(sheet.last_note.at)}\n\n{sheet.last_note.text.strip()}")
    asides = [f"Values: {', '.join(map(_line, draft.values))}"] if draft.values else []
    asides += [f"To be respected: {', '.join(map(_line, draft.constraints))}"] if draft.constraints else []
    asides += [f"Preferred style: {_line(draft.style)}"] if draft.style else []
    if asides:
        out.append("\n".join(f"- {line}" for line in asides))
    return "\n\n".join(out) + "\n"


def exported(
    client: Client,
    goals: Sequence[Goal],
    progress: Sequence[Progress],
    notes: Sequence[SessionNote],
    homework: Sequence[Homework],
    memories: Sequence[tuple[Memory, Sequence[MemoryVersion]]],
    threads: Sequence[Mapping[str, Any]],
) -> str:
    """Everything of one client as one JSON object with `format` "coach-client" and `version` 1."""
    data = {
        "format": "coach-client",
        "version": 1,
        "client": dataclasses.asdict(client),
        "goals": [dataclasses.asdict(g) for g in goals],
        "progress": [dataclasses.asdict(p) for p in progress],
        "session_notes": [dataclasses.asdict(n) for n in notes],
        "homework": [dataclasses.asdict(h) for h in homework],
        "memories": [
            dataclasses.asdict(m) | {"history": [dataclasses.asdict(v) for v in versions]} for m, versions in memories
        ],
        "threads": list(threads),
    }
    return json.dumps(data, ensure_ascii=False, indent=2, default=_value)


def exported_markdown(
    sheet: Brief, items: Sequence[TimelineItem], notes: Sequence[SessionNote], threads: Sequence[str]
) -> str:
    """Everything of one client to read: the sheet, the timeline with its quotes, all notes, the threads."""
    out = [brief_markdown(sheet).rstrip()]
    if items:
        lines: list[str] = []
        for item in items:
            status = f" ({item.status})" if item.status else ""
            lines.append(f"- {_day(item.at)} {item.kind}{status}: {_line(item.text)}")
            if item.source is not None:
                lines.append(f"  > {_line(item.source.text)[:300]}")
        out.append("## Timeline\n\n" + "\n".join(lines))
    if notes:
        out.append("## Session notes\n\n" + "\n\n".join(f"### {_day(n.at)}\n\n{n.text.strip()}" for n in notes))
    out += threads
    return "\n\n".join(out) + "\n"


def _is_progress(item: TimelineItem) -> bool:
    if item.kind == "progress" or (item.kind == "memory" and item.status == "progress"):
        return True
    return (item.kind == "homework" and item.status == "done") or (item.kind == "goal" and item.status == "reached")


def _goal(goal: Goal) -> str:
    due = f" (by {_day(goal.due_at)})" if goal.due_at else ""
    step = f"; last: {_line(goal.progress[0].text)}" if goal.progress else ""
    return f"{_line(goal.text)}{due}{step}"


def _alike(one: str, other: str) -> bool:
    a, b = set(one.casefold().split()), set(other.casefold().split())
    return len(a & b) >= 0.6 * min(len(a), len(b))


def _known_zone(name: str) -> bool:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return True


def _short(text: str) -> str:
    line = _line(text).rstrip(".!")
    return line if len(line) <= 90 else line[:89].rstrip() + "…"


def _line(text: str) -> str:
    return " ".join(text.split())


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
