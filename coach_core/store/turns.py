"""Turns: begun, written to as they go, ended once; taken from owners that died.

Invariant: every write to a running turn is fenced by its lease's owner and attempt, in the same
transaction. A turn ends exactly once: message, search index, citations, turn, metrics and provider
state in one commit, with a terminal event as the last of its events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from coach_core.errors import LeaseLost, MessageNotFound, TurnNotFound, TurnRunning
from coach_core.store import Database, metrics, state
from coach_core.store import text as fulltext
from coach_core.store.messages import CITATIONS, MESSAGES, cleaned, plain_text, storable
from coach_core.store.models.base import AnyRow, AnySelect, table_of
from coach_core.store.models.conversations import TurnEventRow, TurnRow
from coach_core.store.threads import THREADS, seen, short_title, visible
from coach_core.types import (
    Actor,
    Citation,
    Event,
    MessageStatus,
    Part,
    TurnRecord,
    TurnStatus,
    Usage,
    clean_text,
    new_id,
    now,
)

TURNS = table_of(TurnRow)
_EVENTS = table_of(TurnEventRow)
_PLAIN = [n for n in TurnRecord.__dataclass_fields__ if n not in {"usage", "notices"}]
_USAGE = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_COLUMNS = [TURNS.c[name] for name in (*_PLAIN, *_USAGE, "tokens_estimated", "notices")]
_RUNNING = TURNS.c.status == "running"
INTERRUPTED = "The answer was interrupted before it was complete. What had arrived is kept; press Continue."


@dataclass(frozen=True, slots=True)
class Lease:
    """What `renew` found: whether the turn is still this owner's, and whether someone pressed Stop."""

    held: bool
    cancel: bool


def begin(
    db: Database,
    actor: Actor,
    thread_id: UUID,
    *,
    question: tuple[Part, ...] | None,
    question_id: UUID | None,
    parent_id: UUID | None,
    backend: str,
    endpoint: str,
    model: str,
    persona_id: UUID | None,
    persona_version_id: UUID | None,
    arm: str,
    key: str | None,
    lease_owner: str,
    lease_seconds: float = 10,
    answer_parent: UUID | None = None,
    resume_of: UUID | None = None,
) -> TurnRecord:
    """Store a new question below `parent_id` (or take `question_id` again), the answer's place and the turn.

    The answer hangs on `answer_parent`, else on the question. The same `key` of
    the same person gives the same turn.
    """
    moment = now()
    record = TurnRecord(
        id=new_id(),
        thread_id=thread_id,
        question_id=question_id or new_id(),
        answer_id=new_id(),
        user_id=actor.user_id,
        status="running",
        backend=backend,
        created_at=moment,
        persona_id=persona_id,
        persona_version_id=persona_version_id,
        endpoint=endpoint,
        model=model,
        arm=arm,
        lease_owner=lease_owner,
        lease_until=moment + timedelta(seconds=lease_seconds),
        key=key,
    )

    def work(connection: Connection) -> TurnRecord:
        if key and (before := _by_key(connection, actor, key)):
            return before
        thread = seen(connection, actor, thread_id)
        _bury(connection, moment, TURNS.c.thread_id == thread_id)
        changes: dict[str, Any] = {"head_id": record.answer_id, "updated_at": moment, "last_backend": backend}
        if question_id is None:
            content = plain_text(question or ())
            _check_in_thread(connection, thread_id, parent_id)
            _add_message(connection, record, record.question_id, parent_id, "user", content, question or ())
            fulltext.index(connection, thread_id, record.question_id, content)
            if not thread.title:
                changes["title"] = short_title(content or next((p.name for p in question or () if p.name), ""))
        else:
            _check_in_thread(connection, thread_id, question_id)
        began = _began(connection, thread_id, resume_of)
        _check_in_thread(connection, thread_id, answer_parent)
        _add_message(connection, record, record.answer_id, answer_parent or record.question_id, "assistant", began, ())
        values = {name: getattr(record, name) for name in _PLAIN}
        connection.execute(sa.insert(TURNS).values(**values, channel=actor.channel, resume_of=resume_of))
        connection.execute(sa.update(THREADS).where(THREADS.c.id == thread_id).values(**changes))
        return record

    try:
        return db.write(work).result()
    except IntegrityError as fault:  # the key's, or the one running turn's unique index
        if key and (before := of_key(db, actor, key)):
            return before
        if running(db, actor, thread_id) is not None:
            raise TurnRunning() from fault
        raise


def append(
    db: Database, turn: TurnRecord, lease_owner: str, attempt: int, events: Sequence[Event], text: str
) -> Future[None]:
    """Store `events` and the answer's text so far; the future raises LeaseLost when the turn is not this owner's."""
    content = clean_text(text)

    def work(connection: Connection) -> None:
        _fence(connection, turn.id, lease_owner, attempt)
        _add_events(connection, turn.id, events)
        change = sa.update(MESSAGES).where(MESSAGES.c.id == turn.answer_id, MESSAGES.c.text != content)
        connection.execute(change.values(text=content))

    return db.write(work)


def renew(db: Database, turn_id: UUID, lease_owner: str, attempt: int, seconds: float = 10) -> Lease:
    """Hold the turn for `seconds` more, if it is still this owner's."""
    until = now() + timedelta(seconds=seconds)

    def work(connection: Connection) -> Lease:
        mine = sa.and_(TURNS.c.id == turn_id, _held(lease_owner, attempt))
        held = connection.execute(sa.update(TURNS).where(mine).values(lease_until=until)).rowcount == 1
        return Lease(held, _cancelled(connection, turn_id))

    return db.write(work).result()


def cancel_requested(db: Database, turn_id: UUID) -> bool:
    with db.read() as connection:
        return _cancelled(connection, turn_id)


def request_cancel(db: Database, actor: Actor, turn_id: UUID) -> None:
    """Ask whoever runs the turn to stop; a turn that has ended stays as it is."""

    def work(connection: Connection) -> None:
        if _one(connection, actor, TURNS.c.id == turn_id) is None:
            raise TurnNotFound()
        stop = sa.update(TURNS).where(TURNS.c.id == turn_id, _RUNNING).values(cancel_requested=True)
        connection.execute(stop)

    db.write(work).result()


def finish(
    db: Database,
    turn_id: UUID,
    lease_owner: str,
    attempt: int,
    *,
    status: TurnStatus,
    message_status: MessageStatus,
    parts: Sequence[Part],
    text: str,
    events: Sequence[Event],
    citations: Sequence[Citation],
    usage: Usage,
    cost: int,
    timing: Mapping[str, float],
    error: str,
    error_text: str,
    finish_reason: str,
    attempts: int,
    notices: Sequence[str],
    provider_state: Mapping[str, Any] | None,
    backend: str,
    model: str,
    endpoint: str | None = None,
    counts: Mapping[str, int] | None = None,
) -> Future[None]:
    """End the turn. `endpoint` when another than begun with answered; `counts` go into the metrics as they are."""
    moment = now()
    content = clean_text(text)
    outcome: dict[str, Any] = {
        "status": status,
        "backend": backend,
        "model": model,
        "attempts": attempts,
        "tokens_estimated": usage.estimated,
        **{name: getattr(usage, name) for name in _USAGE},
        "cost": cost,
        "timing": dict(timing),
        "error": error,
        "error_text": clean_text(error_text),
        "finish_reason": finish_reason,
        "notices": [clean_text(notice) for notice in notices],
        "ended_at": moment,
    }
    if endpoint is not None:
        outcome["endpoint"] = endpoint

    def work(connection: Connection) -> None:
        row = _fence(connection, turn_id, lease_owner, attempt)
        _add_events(connection, turn_id, events)
        _end_message(connection, row, message_status, content, storable(parts))
        _cite(connection, row.answer_id, citations)
        connection.execute(sa.update(TURNS).where(TURNS.c.id == turn_id).values(**outcome))
        seen_by = {"updated_at": moment, "last_backend": backend}
        connection.execute(sa.update(THREADS).where(THREADS.c.id == row.thread_id).values(**seen_by))
        if provider_state:
            where = endpoint if endpoint is not None else row.endpoint
            state.store(connection, row.thread_id, where, row.answer_id, provider_state)
        metrics.record_turn(connection, turn_id, counts or {})

    return db.write(work)


def parts_of(events: Iterable[Event], before: Sequence[Part] = ()) -> tuple[Part, ...]:
    """An answer as ordered parts: its text, broken where tools ran. A call that never ran is none.

    `before` is what an answer that is gone on with consists of.
    """
    told = list(events)
    parts, words = [*before], list[str]()
    ran = {event.call_id for event in told if event.kind == "tool_result"}

    def close() -> None:
        if words and parts and parts[-1].kind == "text":
            words.insert(0, parts.pop().text)
        if words:
            parts.append(Part("text", "".join(words)))
            words.clear()

    for event in told:
        if event.kind == "text":
            words.append(event.text)
        elif event.kind == "retract":  # all text of this turn goes; what tools did stays
            words.clear()
            parts = [*before, *(p for p in parts[len(before) :] if p.kind != "text")]
        elif event.kind == "tool_call" and event.call_id in ran:
            close()
            parts.append(Part("tool_call", call_id=event.call_id, name=event.name, arguments=event.arguments))
        elif event.kind == "tool_result":
            close()
            parts.append(Part("tool_result", event.text, call_id=event.call_id, name=event.name, error=event.error))
    close()
    return tuple(parts)


def get(db: Database, actor: Actor, turn_id: UUID) -> TurnRecord:
    with db.read() as connection:
        found = _one(connection, actor, TURNS.c.id == turn_id)
    if found is None:
        raise TurnNotFound()
    return found


def running(db: Database, actor: Actor, thread_id: UUID) -> TurnRecord | None:
    with db.read() as connection:
        return _one(connection, actor, sa.and_(TURNS.c.thread_id == thread_id, _RUNNING))


def of_message(db: Database, actor: Actor, message_id: UUID) -> TurnRecord | None:
    """The turn that wrote this answer, or the newest that answered this question."""
    with db.read() as connection:
        return _one(connection, actor, sa.or_(TURNS.c.answer_id == message_id, TURNS.c.question_id == message_id))


def of_key(db: Database, actor: Actor, key: str) -> TurnRecord | None:
    with db.read() as connection:
        return _by_key(connection, actor, key)


def of_thread(db: Database, actor: Actor, thread_id: UUID) -> list[TurnRecord]:
    """Every turn of a thread, oldest first."""
    query = _select(actor, TURNS.c.thread_id == thread_id).order_by(TURNS.c.created_at, TURNS.c.id)
    with db.read() as connection:
        return [_record(row) for row in connection.execute(query)]


def status(db: Database, turn_id: UUID) -> TurnStatus | None:
    """The status of a turn, or None when there is no such turn."""
    with db.read() as connection:
        return connection.execute(sa.select(TURNS.c.status).where(TURNS.c.id == turn_id)).scalar()


def events(db: Database, turn_id: UUID, after: int = 0) -> list[Event]:
    """What is stored of the turn's events after seq `after`, in order."""
    query = (
        sa.select(_EVENTS.c.event).where(_EVENTS.c.turn_id == turn_id, _EVENTS.c.seq > after).order_by(_EVENTS.c.seq)
    )
    with db.read() as connection:
        return [Event.from_dict(event) for event in connection.execute(query).scalars()]


def recover(db: Database, moment: datetime) -> list[UUID]:
    """Mark turns whose lease ended before `moment` interrupted, with the text that had arrived."""
    dead = sa.select(TURNS.c.id).where(_RUNNING, TURNS.c.lease_until < moment).limit(1)
    with db.read() as connection:
        if connection.execute(dead).first() is None:
            return []
    return db.write(lambda connection: _bury(connection, moment, sa.true())).result()


def drop_old_events(db: Database, before: datetime) -> int:
    """Forget events of turns that ended before `before`; the messages are what lasts."""
    ended = sa.select(TURNS.c.id).where(TURNS.c.ended_at < before)
    drop = sa.delete(_EVENTS).where(_EVENTS.c.turn_id.in_(ended))
    return db.write(lambda connection: connection.execute(drop).rowcount).result()


# -- within a transaction ---------------------------------------------------------------------------------


def _held(lease_owner: str, attempt: int) -> sa.ColumnElement[bool]:
    return sa.and_(_RUNNING, TURNS.c.lease_owner == lease_owner, TURNS.c.attempt == attempt)


def _fence(connection: Connection, turn_id: UUID, lease_owner: str, attempt: int) -> AnyRow:
    """The turn, locked until the commit, or LeaseLost. A lease that ran out unnoticed is still held."""
    query = sa.select(TURNS.c.id, TURNS.c.thread_id, TURNS.c.answer_id, TURNS.c.endpoint)
    row = connection.execute(query.where(TURNS.c.id == turn_id, _held(lease_owner, attempt)).with_for_update()).first()
    if row is None:
        raise LeaseLost()
    return row


def _bury(connection: Connection, moment: datetime, which: sa.ColumnElement[bool]) -> list[UUID]:
    query = sa.select(TURNS.c.id, TURNS.c.thread_id, TURNS.c.answer_id, TURNS.c.resume_of, MESSAGES.c.text)
    query = query.join(MESSAGES, MESSAGES.c.id == TURNS.c.answer_id)
    dead = query.where(_RUNNING, TURNS.c.lease_until < moment, which).with_for_update(of=TURNS, skip_locked=True)
    rows = connection.execute(dead).all()
    for row in rows:
        last = sa.select(sa.func.max(_EVENTS.c.seq)).where(_EVENTS.c.turn_id == row.id)
        seq = (connection.execute(last).scalar() or 0) + 1
        _add_events(connection, row.id, [Event("error", row.id, seq, INTERRUPTED, error="interrupted")])
        stored = sa.select(_EVENTS.c.event).where(_EVENTS.c.turn_id == row.id).order_by(_EVENTS.c.seq)
        told = [Event.from_dict(event) for event in connection.execute(stored).scalars()]
        before, cited = _gone_on_with(connection, row.resume_of)
        _cite(connection, row.answer_id, [*cited, *(e.citation for e in told if e.citation)])
        parts = parts_of(told, before)
        if "".join(p.text for p in parts if p.kind == "text") != row.text:
            parts = (Part("text", row.text),)
        _end_message(connection, row, "interrupted", row.text, storable(parts))
        values = {"status": "interrupted", "error": "interrupted", "error_text": INTERRUPTED, "ended_at": moment}
        connection.execute(sa.update(TURNS).where(TURNS.c.id == row.id).values(**values))
        metrics.record_turn(connection, row.id, {})
    return [row.id for row in rows]


def _end_message(
    connection: Connection, row: AnyRow, final: MessageStatus, content: str, parts: list[dict[str, Any]]
) -> None:
    change = sa.update(MESSAGES).where(MESSAGES.c.id == row.answer_id)
    connection.execute(change.values(status=final, text=content, parts=parts))
    fulltext.index(connection, row.thread_id, row.answer_id, content)


def _add_message(
    connection: Connection,
    turn: TurnRecord,
    message_id: UUID,
    parent_id: UUID | None,
    speaker: str,
    content: str,
    parts: Iterable[Part],
) -> None:
    connection.execute(
        sa.insert(MESSAGES).values(
            id=message_id,
            thread_id=turn.thread_id,
            parent_id=parent_id,
            turn_id=turn.id,
            speaker=speaker,
            status="complete" if speaker == "user" else "streaming",
            text=content,
            parts=storable(parts),
            created_at=turn.created_at if speaker == "user" else turn.created_at + timedelta(microseconds=1),
        )
    )


def _add_events(connection: Connection, turn_id: UUID, events: Sequence[Event]) -> None:
    rows = [{"turn_id": turn_id, "seq": e.seq, "event": cleaned(e.to_dict())} for e in events]
    if rows:
        connection.execute(sa.insert(_EVENTS), rows)


def _cite(connection: Connection, message_id: UUID, citations: Sequence[Citation]) -> None:
    rows: list[dict[str, Any]] = []
    for citation in citations:
        values = {name: getattr(citation, name) for name in Citation.__dataclass_fields__}
        rows.append({"id": new_id(), "message_id": message_id, **cleaned(values)})
    if rows:
        connection.execute(sa.insert(CITATIONS), rows)


def _check_in_thread(connection: Connection, thread_id: UUID, message_id: UUID | None) -> None:
    if message_id is None:
        return
    query = sa.select(MESSAGES.c.id).where(MESSAGES.c.id == message_id, MESSAGES.c.thread_id == thread_id)
    if connection.execute(query).first() is None:
        raise MessageNotFound()


def _began(connection: Connection, thread_id: UUID, resume_of: UUID | None) -> str:
    """The text an answer that is gone on with begins with, there from the first moment."""
    if resume_of is None:
        return ""
    _check_in_thread(connection, thread_id, resume_of)
    return connection.execute(sa.select(MESSAGES.c.text).where(MESSAGES.c.id == resume_of)).scalar_one()


def _gone_on_with(connection: Connection, message_id: UUID | None) -> tuple[list[Part], list[Citation]]:
    """The parts and citations of an answer that a turn goes on with."""
    found = connection.execute(sa.select(MESSAGES.c.text, MESSAGES.c.parts).where(MESSAGES.c.id == message_id)).first()
    if found is None:
        return [], []
    parts = [Part.from_dict(p) for p in found.parts] or ([Part("text", found.text)] if found.text else [])
    fields = tuple(Citation.__dataclass_fields__)
    rows = connection.execute(sa.select(*(CITATIONS.c[n] for n in fields)).where(CITATIONS.c.message_id == message_id))
    return parts, [Citation(**dict(zip(fields, row, strict=True))) for row in rows]


def _cancelled(connection: Connection, turn_id: UUID) -> bool:
    return bool(connection.execute(sa.select(TURNS.c.cancel_requested).where(TURNS.c.id == turn_id)).scalar())


def _by_key(connection: Connection, actor: Actor, key: str) -> TurnRecord | None:
    return _one(connection, actor, sa.and_(TURNS.c.user_id == actor.user_id, TURNS.c.key == key))


def _one(connection: Connection, actor: Actor, which: sa.ColumnElement[bool]) -> TurnRecord | None:
    row = connection.execute(_select(actor, which).order_by(TURNS.c.created_at.desc()).limit(1)).first()
    return _record(row) if row else None


def _select(actor: Actor, which: sa.ColumnElement[bool]) -> AnySelect:
    return sa.select(*_COLUMNS).join(THREADS, THREADS.c.id == TURNS.c.thread_id).where(which, visible(actor))


def _record(row: AnyRow) -> TurnRecord:
    usage = Usage(*(getattr(row, name) for name in _USAGE), estimated=row.tokens_estimated)
    return TurnRecord(**{name: getattr(row, name) for name in _PLAIN}, usage=usage, notices=tuple(row.notices))
