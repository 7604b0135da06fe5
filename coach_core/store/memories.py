"""Memories: proposed, approved, changed, superseded; used in turns and judged.

Invariant: every query is kept to one `Whose` (a client, or one person's own) or to an Actor's own clients; a
memory never changes whose it is. Each change leaves a version behind. Who acts as a client reaches only what
was said in threads of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from coach_core.errors import MemoryNotFound, TurnNotFound
from coach_core.store import Database, metrics
from coach_core.store.clients import CLIENTS, own
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.people import MemoryRow, MemoryUseRow, MemoryVectorRow, MemoryVersionRow
from coach_core.store.threads import THREADS, visible
from coach_core.store.turns import TURNS
from coach_core.types import (
    Actor,
    Candidate,
    Memory,
    MemoryQuery,
    MemoryStatus,
    MemoryUse,
    MemoryVersion,
    Message,
    Thread,
    Whose,
    clean_text,
    new_id,
    now,
)

MEMORIES = table_of(MemoryRow)
MEMORY_VECTORS = table_of(MemoryVectorRow)
_VERSIONS = table_of(MemoryVersionRow)
_USES = table_of(MemoryUseRow)
_FIELDS = tuple(Memory.__dataclass_fields__)
_COLUMNS = [MEMORIES.c[name] for name in _FIELDS]
MOST_MESSAGES = 50  # that one memory is linked to


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be done with a candidate: kept anew, joined to a memory, put in a memory's place, or nothing."""

    candidate: Candidate
    join: UUID | None = None
    supersede: UUID | None = None
    drop: bool = False


#: Given the memories there are, what to do with each candidate.
Decide = Callable[[Sequence[Memory]], Sequence[Change]]


def whose(db: Database, actor: Actor, thread: Thread | None) -> Whose | None:
    """Whose memory a thread goes with; None where there is none to be had (a client deleted, or another's)."""
    client_id = actor.client_id if actor.role == "client" else thread.client_id if thread else None
    if thread is not None and thread.client_id != client_id:
        return None
    if client_id is None:
        return None if actor.role == "client" else Whose(actor.user_id)
    return of_client(db, actor, client_id)


def of_client(db: Database, actor: Actor, client_id: UUID) -> Whose | None:
    with db.read() as connection:
        query = sa.select(CLIENTS.c.coach_id).where(
            CLIENTS.c.id == client_id, own(actor), CLIENTS.c.deleted_at.is_(None)
        )
        coach = connection.execute(query).scalar()
    return Whose(coach, client_id) if coach is not None else None


def of(subject: Whose) -> ColumnElement[bool]:
    """The condition under which a memory is of `subject`."""
    if subject.client_id is not None:
        return MEMORIES.c.client_id == subject.client_id
    return sa.and_(MEMORIES.c.owner_id == subject.owner_id, MEMORIES.c.client_id.is_(None))


def readable(actor: Actor) -> ColumnElement[bool]:
    """The condition under which `actor` reads a memory at all."""
    mine = sa.and_(MEMORIES.c.owner_id == actor.user_id, MEMORIES.c.client_id.is_(None))
    clients = sa.select(CLIENTS.c.id).where(own(actor), CLIENTS.c.deleted_at.is_(None))
    if actor.role == "client":
        said = sa.select(THREADS.c.id).where(visible(actor))
        return sa.and_(MEMORIES.c.client_id.in_(clients), MEMORIES.c.thread_id.in_(said))
    return sa.or_(mine, MEMORIES.c.client_id.in_(clients))


# -- what there is ----------------------------------------------------------------------------------------


def approved(connection: Connection, actor: Actor, subject: Whose) -> list[Memory]:
    """What may be recalled, the newest first."""
    query = sa.select(*_COLUMNS).where(of(subject), readable(actor), MEMORIES.c.status == "approved")
    return [_memory(row) for row in connection.execute(query.order_by(MEMORIES.c.updated_at.desc()))]


def find(db: Database, actor: Actor, subject: Whose, query: MemoryQuery) -> tuple[list[Memory], int]:
    """A page of the memories that fit, the newest first, and how many fit."""
    which = [of(subject), readable(actor)]
    which += [MEMORIES.c.status == query.status] if query.status else []
    which += [MEMORIES.c.kind == query.kind] if query.kind else []
    select = sa.select(*_COLUMNS).where(*which).order_by(MEMORIES.c.created_at.desc(), MEMORIES.c.id.desc())
    wanted = clean_text(query.text).casefold().split()
    with db.read() as connection:
        found = [_memory(row) for row in connection.execute(select)]
    fit = [m for m in found if all(w in f"{m.text} {m.quote}".casefold() for w in wanted)]
    return fit[query.offset : query.offset + query.limit], len(fit)


def get(db: Database, actor: Actor, memory_id: UUID) -> Memory:
    with db.read() as connection:
        return seen(connection, actor, memory_id)


def seen(connection: Connection, actor: Actor, memory_id: UUID) -> Memory:
    """The memory within a transaction, or MemoryNotFound."""
    row = connection.execute(sa.select(*_COLUMNS).where(MEMORIES.c.id == memory_id, readable(actor))).first()
    if row is None:
        raise MemoryNotFound()
    return _memory(row)


def history(db: Database, actor: Actor, memory_id: UUID) -> list[MemoryVersion]:
    """Every state the memory has had, the oldest first."""
    names = tuple(MemoryVersion.__dataclass_fields__)
    query = sa.select(*(_VERSIONS.c[n] for n in names)).where(_VERSIONS.c.memory_id == memory_id)
    with db.read() as connection:
        seen(connection, actor, memory_id)
        return [MemoryVersion(*row) for row in connection.execute(query.order_by(_VERSIONS.c.version))]


def pending(db: Database, actor: Actor) -> dict[UUID | None, int]:
    """How many wait for a yes, by client (None: one's own)."""
    query = sa.select(MEMORIES.c.client_id, sa.func.count()).where(readable(actor), MEMORIES.c.status == "pending")
    with db.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query.group_by(MEMORIES.c.client_id))}


# -- how they come and change -----------------------------------------------------------------------------


def propose(db: Database, subject: Whose, said: Message, status: MemoryStatus, decide: Decide) -> list[Memory]:
    """Keep what `decide` says is new; those that are new or have changed. Decided and written in one transaction.

    A message may be looked at twice, and after later ones: what it gave is not made new by that.
    """

    def work(connection: Connection) -> list[Memory]:
        rows = connection.execute(sa.select(*_COLUMNS).where(of(subject)).order_by(MEMORIES.c.created_at))
        there = {m.id: m for m in map(_memory, rows)}
        out: list[Memory] = []
        for change in decide(list(there.values())):
            if change.drop:
                continue
            if change.join is not None:
                _join(connection, there[change.join], said)
                continue
            if any(said.id in m.message_ids and m.text == clean_text(change.candidate.text) for m in there.values()):
                continue
            old = there.get(change.supersede) if change.supersede else None
            made = _insert(connection, subject, said, change.candidate, status, old)
            if status == "approved":
                _replace(connection, made, "the app")
            out.append(made)
        return out

    return db.write(work).result()


def add(db: Database, subject: Whose, candidate: Candidate, by: str) -> Memory:
    """A memory that a person wrote down: approved as it is."""

    def work(connection: Connection) -> Memory:
        return _insert(connection, subject, None, candidate, "approved", None, by)

    return db.write(work).result()


def decide(db: Database, actor: Actor, memory_id: UUID, status: MemoryStatus, why: str = "") -> Memory:
    """Approve or reject; on approval what it supersedes steps back, and what rejected it is undone."""

    def work(connection: Connection) -> Memory:
        memory = seen(connection, actor, memory_id)
        if memory.status == status:
            return memory
        if status == "approved":
            _replace(connection, memory, actor.name)
        if memory.status == "approved" and memory.supersedes is not None:
            _revive(connection, memory, actor.name)
        return _change(connection, memory, actor.name, why or status, status=status, superseded_by=None)

    return db.write(work).result()


def edit(db: Database, actor: Actor, memory_id: UUID, values: Mapping[str, Any]) -> Memory:
    """Change the words, the kind or the date; what a coach has edited is approved."""

    def work(connection: Connection) -> Memory:
        memory = seen(connection, actor, memory_id)
        if memory.status == "pending":
            _replace(connection, memory, actor.name)
        if "text" in values and values["text"] != memory.text:
            connection.execute(sa.delete(MEMORY_VECTORS).where(MEMORY_VECTORS.c.memory_id == memory_id))
        return _change(connection, memory, actor.name, "edited", status="approved", **values)

    return db.write(work).result()


def merge(db: Database, actor: Actor, memory_id: UUID, others: Sequence[UUID]) -> Memory:
    """Join `others`, which are of the same person, into one; they are superseded by it."""

    def work(connection: Connection) -> Memory:
        memory = seen(connection, actor, memory_id)
        ids = list(memory.message_ids)
        for other_id in dict.fromkeys(o for o in others if o != memory_id):
            other = seen(connection, actor, other_id)
            if (other.client_id, other.owner_id) != (memory.client_id, memory.owner_id):
                raise MemoryNotFound()
            ids += other.message_ids
            _change(connection, other, actor.name, "merged", status="superseded", superseded_by=memory_id)
        told = [str(i) for i in dict.fromkeys(ids)][:MOST_MESSAGES]
        return _change(connection, memory, actor.name, "merged", status="approved", message_ids=told)

    return db.write(work).result()


# -- used and judged --------------------------------------------------------------------------------------


def record_uses(db: Database, turn_id: UUID, used: Sequence[tuple[UUID, int, float]]) -> None:
    """(memory, rank, score) of each memory that a turn was told, counted in the turn's metrics."""

    def work(connection: Connection) -> None:
        known = set(connection.execute(sa.select(_USES.c.memory_id).where(_USES.c.turn_id == turn_id)).scalars())
        query = sa.select(MEMORIES.c.id).where(MEMORIES.c.id.in_([memory for memory, _, _ in used]))
        fresh = set(connection.execute(query).scalars()) - known
        same = {"turn_id": turn_id, "verdict": 0, "created_at": now()}
        rows = [{"id": new_id(), "memory_id": m, "rank": r, "score": s, **same} for m, r, s in used if m in fresh]
        if rows:
            connection.execute(sa.insert(_USES), rows)
            metrics.record_counts(connection, turn_id, {"memories_recalled": len(rows)})

    db.write(work).result()


def uses(db: Database, actor: Actor, turn_id: UUID) -> list[MemoryUse]:
    """The memories that went into a turn of the actor's, in their order."""
    query = (
        sa.select(*_COLUMNS, _USES.c.rank, _USES.c.score, _USES.c.verdict)
        .join(_USES, _USES.c.memory_id == MEMORIES.c.id)
        .where(_USES.c.turn_id == turn_id, readable(actor))
        .order_by(_USES.c.rank)
    )
    with db.read() as connection:
        _turn_seen(connection, actor, turn_id)
        return [MemoryUse(_memory(r), turn_id, r.rank, r.score, r.verdict) for r in connection.execute(query)]


def used_in_thread(connection: Connection, thread_id: UUID) -> set[UUID]:
    """The memories that any turn of a thread was told."""
    query = sa.select(_USES.c.memory_id).join(TURNS, TURNS.c.id == _USES.c.turn_id)
    return set(connection.execute(query.where(TURNS.c.thread_id == thread_id)).scalars())


def judge(db: Database, actor: Actor, turn_id: UUID, memory_id: UUID, verdict: int) -> None:
    """Whether a memory was right in a turn: 1, -1, or 0 to take it back; counted in the turn's metrics."""
    mine = sa.and_(_USES.c.turn_id == turn_id, _USES.c.memory_id == memory_id)

    def work(connection: Connection) -> None:
        _turn_seen(connection, actor, turn_id)
        seen(connection, actor, memory_id)
        before = connection.execute(sa.select(_USES.c.verdict).where(mine)).scalar()
        if before is None:
            raise MemoryNotFound("That memory was not used in this answer. Reload the page.")
        if before == verdict:
            return
        connection.execute(sa.update(_USES).where(mine).values(verdict=verdict, judged_at=now() if verdict else None))
        changes = {
            "memories_judged_right": (verdict == 1) - (before == 1),
            "memories_judged_wrong": (verdict == -1) - (before == -1),
        }
        metrics.record_counts(connection, turn_id, {k: v for k, v in changes.items() if v})

    db.write(work).result()


# -- within a transaction ---------------------------------------------------------------------------------


def _insert(
    connection: Connection,
    subject: Whose,
    said: Message | None,
    candidate: Candidate,
    status: MemoryStatus,
    old: Memory | None,
    by: str = "the app",
) -> Memory:
    moment = now()
    memory = Memory(
        id=new_id(),
        owner_id=subject.owner_id,
        client_id=subject.client_id,
        kind=candidate.kind,
        text=clean_text(candidate.text),
        quote=clean_text(candidate.quote),
        status=status,
        confidence=candidate.confidence,
        importance=candidate.importance,
        happened_at=candidate.happened_at,
        thread_id=said.thread_id if said else None,
        message_id=said.id if said else None,
        message_ids=(said.id,) if said else (),
        supersedes=old.id if old else None,
        origin=candidate.origin,
        language=candidate.language,
        created_at=moment,
        updated_at=moment,
    )
    values = {name: getattr(memory, name) for name in _FIELDS} | {"message_ids": [str(i) for i in memory.message_ids]}
    connection.execute(sa.insert(MEMORIES).values(**values, words=""))
    _note(connection, memory, by, "written down" if candidate.origin == "person" else "proposed")
    return memory


def _join(connection: Connection, memory: Memory, said: Message) -> None:
    """Said again: the message is linked, nothing else changes."""
    if said.id in memory.message_ids or len(memory.message_ids) >= MOST_MESSAGES:
        return
    ids = [*map(str, memory.message_ids), str(said.id)]
    connection.execute(sa.update(MEMORIES).where(MEMORIES.c.id == memory.id).values(message_ids=ids))


def _replace(connection: Connection, memory: Memory, by: str) -> None:
    """What a memory takes the place of steps back, and what that would have taken the place of."""
    at, seen_ids = memory.supersedes, {memory.id}
    while at is not None and at not in seen_ids:
        seen_ids.add(at)
        row = connection.execute(sa.select(*_COLUMNS).where(MEMORIES.c.id == at)).first()
        if row is None:
            return
        old = _memory(row)
        if old.status in ("approved", "pending"):
            _change(connection, old, by, "superseded", status="superseded", superseded_by=memory.id)
        at = old.supersedes


def _revive(connection: Connection, memory: Memory, by: str) -> None:
    """What an approved memory had superseded holds again when that is taken back."""
    row = connection.execute(sa.select(*_COLUMNS).where(MEMORIES.c.id == memory.supersedes)).first()
    if row is not None and row.superseded_by == memory.id:
        _change(connection, _memory(row), by, "holds again", status="approved", superseded_by=None)


def _change(connection: Connection, memory: Memory, by: str, why: str, **values: Any) -> Memory:
    values |= {"version": memory.version + 1, "updated_at": now()}
    connection.execute(sa.update(MEMORIES).where(MEMORIES.c.id == memory.id).values(**values))
    row = connection.execute(sa.select(*_COLUMNS).where(MEMORIES.c.id == memory.id)).one()
    changed = _memory(row)
    _note(connection, changed, by, why)
    return changed


def _note(connection: Connection, memory: Memory, by: str, why: str) -> None:
    values = {"memory_id": memory.id, "version": memory.version, "kind": memory.kind, "text": memory.text}
    values |= {"status": memory.status, "changed_by": by, "why": why, "created_at": memory.updated_at}
    connection.execute(sa.insert(_VERSIONS).values(id=new_id(), **values))


def _turn_seen(connection: Connection, actor: Actor, turn_id: UUID) -> None:
    query = sa.select(TURNS.c.id).join(THREADS, THREADS.c.id == TURNS.c.thread_id)
    if connection.execute(query.where(TURNS.c.id == turn_id, visible(actor))).first() is None:
        raise TurnNotFound()


def _memory(row: AnyRow) -> Memory:
    values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS}
    values["message_ids"] = tuple(UUID(i) for i in row.message_ids or ())
    return Memory(**values)
