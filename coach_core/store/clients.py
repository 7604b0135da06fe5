"""Clients, and what hangs on them: goals, progress, session notes, homework.

Invariant: every query carries its Actor: a client is seen by the coach whose client it is, and by that client;
another's is ClientNotFound, as if it were not there. What comes from a message names one of a thread about that
same client. Deleting only sets `deleted_at`; `erase` takes all that is kept about a client, memories first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Table

from coach_core.errors import ClientNotFound, InputError, MessageNotFound, NotFound
from coach_core.store import Database
from coach_core.store.messages import MESSAGES
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.people import (
    ClientRow,
    GoalRow,
    HomeworkRow,
    MemoryRow,
    ProgressRow,
    SessionNoteRow,
)
from coach_core.store.threads import THREADS, visible
from coach_core.types import (
    Actor,
    Client,
    ClientDraft,
    ClientQuery,
    ClientSummary,
    Goal,
    Homework,
    Progress,
    SessionNote,
    Source,
    clean_text,
    new_id,
    now,
)

CLIENTS = table_of(ClientRow)
GOALS = table_of(GoalRow)
PROGRESS = table_of(ProgressRow)
NOTES = table_of(SessionNoteRow)
HOMEWORK = table_of(HomeworkRow)
_MEMORIES = table_of(MemoryRow)
_LIVE = CLIENTS.c.deleted_at.is_(None)


def own(actor: Actor) -> ColumnElement[bool]:
    """The condition under which `actor` sees a client."""
    if actor.role == "client":
        return CLIENTS.c.id == actor.client_id if actor.client_id is not None else sa.false()
    return CLIENTS.c.coach_id == actor.user_id


def seen(connection: Connection, actor: Actor, client_id: UUID, *, deleted: bool = False) -> Client:
    """The client within a transaction, or ClientNotFound."""
    which = [CLIENTS.c.id == client_id, own(actor)]
    row = connection.execute(sa.select(CLIENTS).where(*which, *([] if deleted else [_LIVE]))).first()
    if row is None:
        raise ClientNotFound()
    return _client(row)


def get(db: Database, actor: Actor, client_id: UUID, *, deleted: bool = False) -> Client:
    with db.read() as connection:
        return seen(connection, actor, client_id, deleted=deleted)


def save(db: Database, actor: Actor, draft: ClientDraft, client_id: UUID | None = None) -> Client:
    """A new client of the actor's, or the changed one."""
    moment = now()
    values: dict[str, Any] = {
        "name": clean_text(draft.name),
        "style": clean_text(draft.style),
        "core_values": [clean_text(v) for v in draft.values],
        "constraints": [clean_text(v) for v in draft.constraints],
        "locale": clean_text(draft.locale),
        "time_zone": clean_text(draft.time_zone),
        "memory_mode": draft.memory_mode,
        "updated_at": moment,
    }
    upcoming = draft.next_session.isoformat() if draft.next_session else None

    def work(connection: Connection) -> Client:
        if client_id is None:
            fresh = new_id()
            made = {"id": fresh, "coach_id": actor.user_id, "extra": {"next_session": upcoming}, "created_at": moment}
            connection.execute(sa.insert(CLIENTS).values(**made, **values))
            return seen(connection, actor, fresh)
        seen(connection, actor, client_id)
        extra = connection.execute(sa.select(CLIENTS.c.extra).where(CLIENTS.c.id == client_id)).scalar_one()
        changed = values | {"extra": {**extra, "next_session": upcoming}}
        connection.execute(sa.update(CLIENTS).where(CLIENTS.c.id == client_id, own(actor)).values(**changed))
        return seen(connection, actor, client_id)

    return db.write(work).result()


def delete(db: Database, actor: Actor, client_id: UUID) -> Client:
    """Out of every list; `undelete` brings the client back with all that is kept."""
    return _stamp(db, actor, client_id, now())


def undelete(db: Database, actor: Actor, client_id: UUID) -> Client:
    return _stamp(db, actor, client_id, None)


def erase(db: Database, before: datetime) -> int:
    """Erase clients deleted before `before`, and first their threads and memories, which would lose whose they are."""

    def work(connection: Connection) -> int:
        gone = sa.select(CLIENTS.c.id).where(CLIENTS.c.deleted_at < before)
        connection.execute(sa.delete(_MEMORIES).where(_MEMORIES.c.client_id.in_(gone)))
        connection.execute(sa.delete(THREADS).where(THREADS.c.client_id.in_(gone)))
        return connection.execute(sa.delete(CLIENTS).where(CLIENTS.c.deleted_at < before)).rowcount

    return db.write(work).result()


def find(db: Database, actor: Actor, query: ClientQuery) -> tuple[list[ClientSummary], int]:
    """One page of the actor's clients by name, and how many there are in all."""
    which = [own(actor), CLIENTS.c.deleted_at.is_not(None) if query.deleted else _LIVE]
    with db.read() as connection:
        rows = connection.execute(sa.select(CLIENTS).where(*which)).all()
        wanted = clean_text(query.text).casefold().split()
        fit = [r for r in rows if all(w in r.name.casefold() for w in wanted)]
        fit.sort(key=lambda row: (row.name.casefold(), row.id))
        page = fit[query.offset : query.offset + query.limit]
        counts = _counts(connection, actor, [row.id for row in page])
    return [ClientSummary(_client(row), **counts.get(row.id, {})) for row in page], len(fit)


def mode_of(connection: Connection, client_id: UUID) -> str:
    """How memories of a client come to be: review, automatic or off; off for one who was deleted."""
    found = connection.execute(sa.select(CLIENTS.c.memory_mode).where(CLIENTS.c.id == client_id, _LIVE)).scalar()
    return found or "off"


# -- goals and progress -----------------------------------------------------------------------------------


def goals(db: Database, actor: Actor, client_id: UUID) -> list[Goal]:
    """Goals and challenges, the newest first, each with its progress."""
    with db.read() as connection:
        seen(connection, actor, client_id, deleted=True)
        made: dict[UUID | None, list[Progress]] = {}
        for step in _progress(connection, client_id):
            made.setdefault(step.goal_id, []).append(step)
        query = sa.select(GOALS).where(GOALS.c.client_id == client_id)
        rows = connection.execute(query.order_by(GOALS.c.created_at.desc(), GOALS.c.id.desc())).all()
    return [_value(Goal, row, progress=tuple(made.get(row.id, ()))) for row in rows]


def progress(db: Database, actor: Actor, client_id: UUID) -> list[Progress]:
    """All steps of a client, the newest first."""
    with db.read() as connection:
        seen(connection, actor, client_id, deleted=True)
        return _progress(connection, client_id)


def save_goal(db: Database, actor: Actor, client_id: UUID, values: Mapping[str, Any], row_id: UUID | None) -> Goal:
    saved = _save(db, actor, GOALS, client_id, values, row_id)
    return next(g for g in goals(db, actor, client_id) if g.id == saved)


def save_progress(
    db: Database, actor: Actor, client_id: UUID, values: Mapping[str, Any], row_id: UUID | None
) -> Progress:
    saved = _save(db, actor, PROGRESS, client_id, values, row_id)
    return next(p for p in progress(db, actor, client_id) if p.id == saved)


# -- notes and homework -----------------------------------------------------------------------------------


def notes(db: Database, actor: Actor, client_id: UUID) -> list[SessionNote]:
    """Session notes, the newest first. They are the coach's: a client sees none."""
    with db.read() as connection:
        seen(connection, actor, client_id, deleted=True)
        if actor.role == "client":
            return []
        query = sa.select(NOTES).where(NOTES.c.client_id == client_id).order_by(NOTES.c.at.desc(), NOTES.c.id.desc())
        return [_value(SessionNote, row) for row in connection.execute(query)]


def save_note(
    db: Database, actor: Actor, client_id: UUID, values: Mapping[str, Any], row_id: UUID | None
) -> SessionNote:
    saved = _save(db, actor, NOTES, client_id, values, row_id)
    return next(n for n in notes(db, actor, client_id) if n.id == saved)


def homework(db: Database, actor: Actor, client_id: UUID) -> list[Homework]:
    """Homework, what is open first, then by when it is due."""
    with db.read() as connection:
        seen(connection, actor, client_id, deleted=True)
        query = sa.select(HOMEWORK).where(HOMEWORK.c.client_id == client_id).order_by(HOMEWORK.c.created_at.desc())
        found = [_value(Homework, row) for row in connection.execute(query)]
    late = datetime.max.replace(tzinfo=now().tzinfo)
    return sorted(found, key=lambda h: (h.status != "given", h.due_at or late))


def save_homework(
    db: Database, actor: Actor, client_id: UUID, values: Mapping[str, Any], row_id: UUID | None
) -> Homework:
    saved = _save(db, actor, HOMEWORK, client_id, values, row_id)
    return next(h for h in homework(db, actor, client_id) if h.id == saved)


def remove(db: Database, actor: Actor, kind: str, row_id: UUID) -> dict[str, Any]:
    """Take a goal, progress, note or homework out; what it was comes back, for `put_back`."""
    table = _TABLES[kind]

    def work(connection: Connection) -> dict[str, Any]:
        row = _owned(connection, actor, table, row_id)
        steps: list[dict[str, Any]] = []
        if table is GOALS:  # its progress stays, without a goal, until it comes back
            tied = sa.select(PROGRESS.c.id).where(PROGRESS.c.goal_id == row_id)
            steps = [{"id": i} for i in connection.execute(tied).scalars()]
        connection.execute(sa.delete(table).where(table.c.id == row_id))
        return {"kind": kind, "row": {c.name: getattr(row, c.name) for c in table.c}, "steps": [s["id"] for s in steps]}

    return db.write(work).result()


def put_back(db: Database, actor: Actor, removed: Mapping[str, Any]) -> None:
    """Undo `remove`."""
    table = _TABLES[removed["kind"]]

    def work(connection: Connection) -> None:
        seen(connection, actor, removed["row"]["client_id"])
        connection.execute(sa.insert(table).values(**removed["row"]))
        if removed["steps"]:
            again = sa.update(PROGRESS).where(PROGRESS.c.id.in_(removed["steps"]))
            connection.execute(again.values(goal_id=removed["row"]["id"]))

    db.write(work).result()


def sources(db: Database, actor: Actor, message_ids: Iterable[UUID | None]) -> dict[UUID, Source]:
    """The messages behind something, as far as the actor may read their threads."""
    wanted = [i for i in dict.fromkeys(message_ids) if i is not None]
    out: dict[UUID, Source] = {}
    with db.read() as connection:
        for at in range(0, len(wanted), 500):
            query = (
                sa.select(MESSAGES.c.id, MESSAGES.c.thread_id, THREADS.c.title, MESSAGES.c.text, MESSAGES.c.created_at)
                .join(THREADS, THREADS.c.id == MESSAGES.c.thread_id)
                .where(MESSAGES.c.id.in_(wanted[at : at + 500]), visible(actor), THREADS.c.deleted_at.is_(None))
            )
            out |= {row.id: Source(*row) for row in connection.execute(query)}
    return out


# -- within a transaction ---------------------------------------------------------------------------------


_TABLES: Mapping[str, Table] = {"goal": GOALS, "progress": PROGRESS, "note": NOTES, "homework": HOMEWORK}


def _save(
    db: Database, actor: Actor, table: Table, client_id: UUID, values: Mapping[str, Any], row_id: UUID | None
) -> UUID:
    """Insert or change a row of a client; what it refers to must be the same client's."""
    moment = now()
    given = {k: clean_text(v) if isinstance(v, str) else v for k, v in values.items()}

    def work(connection: Connection) -> UUID:
        seen(connection, actor, client_id)
        if actor.role == "client":
            raise ClientNotFound()
        _check_refs(connection, actor, client_id, given)
        if "updated_at" in table.c:
            given["updated_at"] = moment
        if row_id is not None:
            if _owned(connection, actor, table, row_id).client_id != client_id:
                raise NotFound()
            connection.execute(sa.update(table).where(table.c.id == row_id).values(**given))
            return row_id
        fresh = new_id()
        connection.execute(sa.insert(table).values(id=fresh, client_id=client_id, created_at=moment, **given))
        return fresh

    return db.write(work).result()


def _check_refs(connection: Connection, actor: Actor, client_id: UUID, values: Mapping[str, Any]) -> None:
    if (goal_id := values.get("goal_id")) is not None:
        query = sa.select(GOALS.c.id).where(GOALS.c.id == goal_id, GOALS.c.client_id == client_id)
        if connection.execute(query).first() is None:
            raise InputError("That goal is not one of this client's. Choose another.")
    about = sa.and_(visible(actor), THREADS.c.client_id == client_id)
    if (message_id := values.get("message_id")) is not None:
        query = sa.select(MESSAGES.c.id).join(THREADS, THREADS.c.id == MESSAGES.c.thread_id)
        if connection.execute(query.where(MESSAGES.c.id == message_id, about)).first() is None:
            raise MessageNotFound("That message is in no thread about this client. Choose another.")
    thread = sa.select(THREADS.c.id).where(THREADS.c.id == values.get("thread_id"), about)
    if values.get("thread_id") is not None and connection.execute(thread).first() is None:
        raise InputError("That thread is not about this client. Choose another.")


def _owned(connection: Connection, actor: Actor, table: Table, row_id: UUID) -> AnyRow:
    query = sa.select(table).join(CLIENTS, CLIENTS.c.id == table.c.client_id)
    row = connection.execute(query.where(table.c.id == row_id, own(actor), _LIVE)).first()
    if row is None or actor.role == "client":
        raise NotFound("That does not exist any more, or is not yours to see. Reload the page.")
    return row


def _progress(connection: Connection, client_id: UUID) -> list[Progress]:
    query = sa.select(PROGRESS).where(PROGRESS.c.client_id == client_id)
    rows = connection.execute(query.order_by(PROGRESS.c.at.desc(), PROGRESS.c.id.desc()))
    return [_value(Progress, row) for row in rows]


def _stamp(db: Database, actor: Actor, client_id: UUID, moment: datetime | None) -> Client:
    def work(connection: Connection) -> Client:
        seen(connection, actor, client_id, deleted=True)
        if actor.role == "client":
            raise ClientNotFound()
        connection.execute(sa.update(CLIENTS).where(CLIENTS.c.id == client_id).values(deleted_at=moment))
        return seen(connection, actor, client_id, deleted=True)

    return db.write(work).result()


def _counts(connection: Connection, actor: Actor, ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """The numbers of the list, by client."""
    out: dict[UUID, dict[str, Any]] = {i: {} for i in ids}
    threads_of = sa.and_(THREADS.c.client_id.in_(ids), visible(actor), THREADS.c.deleted_at.is_(None))
    query = sa.select(THREADS.c.client_id, sa.func.count(), sa.func.max(THREADS.c.updated_at))
    for client_id, count, last in connection.execute(query.where(threads_of).group_by(THREADS.c.client_id)):
        out[client_id] |= {"threads": count, "last_activity": last}
    for name, table, which in (
        ("open_goals", GOALS, sa.and_(GOALS.c.status == "open", GOALS.c.kind == "goal")),
        ("open_homework", HOMEWORK, HOMEWORK.c.status == "given"),
        ("pending", _MEMORIES, _MEMORIES.c.status == "pending"),
    ):
        counted = sa.select(table.c.client_id, sa.func.count()).where(table.c.client_id.in_(ids), which)
        for client_id, count in connection.execute(counted.group_by(table.c.client_id)):
            out[client_id][name] = count
    open_goals = sa.and_(GOALS.c.client_id.in_(ids), GOALS.c.kind == "goal", GOALS.c.status == "open")
    wanted = sa.select(GOALS.c.client_id, GOALS.c.text).where(open_goals)
    for client_id, text in connection.execute(wanted.order_by(GOALS.c.created_at.desc(), GOALS.c.id.desc())):
        out[client_id]["wants"] = (*out[client_id].get("wants", ()), text)
    due = sa.and_(HOMEWORK.c.client_id.in_(ids), HOMEWORK.c.status == "given")
    for name, table, moment, which in (
        ("last_session", NOTES, sa.func.max(NOTES.c.at), NOTES.c.client_id.in_(ids)),
        ("homework_due", HOMEWORK, sa.func.min(HOMEWORK.c.due_at), due),
    ):
        for client_id, at in connection.execute(
            sa.select(table.c.client_id, moment).where(which).group_by(table.c.client_id)
        ):
            out[client_id][name] = at
    return out


def _client(row: AnyRow) -> Client:
    upcoming = (row.extra or {}).get("next_session")
    draft = ClientDraft(
        name=row.name,
        style=row.style,
        values=tuple(row.core_values or ()),
        constraints=tuple(row.constraints or ()),
        locale=row.locale,
        time_zone=row.time_zone,
        memory_mode=row.memory_mode,  # type: ignore[arg-type]
        next_session=datetime.fromisoformat(upcoming) if upcoming else None,
    )
    return Client(row.id, row.coach_id, draft, row.created_at, row.updated_at, row.deleted_at)


def _value(kind: Any, row: AnyRow, **more: Any) -> Any:
    return kind(**{n: getattr(row, n) for n in kind.__dataclass_fields__ if n not in more}, **more)
