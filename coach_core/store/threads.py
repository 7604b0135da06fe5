"""Threads: made, listed, searched, put away.

Invariant: every query carries its Actor: a thread is seen and changed by its owner alone, and by a
client only when it is about that client. Deleting only sets `deleted_at`; `purge` erases.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from coach_core.errors import PersonaNotFound, ThreadNotFound
from coach_core.store import Database
from coach_core.store import text as fulltext
from coach_core.store.models.base import AnyRow, AnySelect, table_of
from coach_core.store.models.conversations import MessageRow, PersonaRow, ThreadRow
from coach_core.types import Actor, Thread, ThreadHit, ThreadQuery, clean_text, new_id, now

THREADS = table_of(ThreadRow)
_MESSAGES = table_of(MessageRow)
_PERSONAS = table_of(PersonaRow)
_HEAD = _MESSAGES.alias("head")
_COLUMNS = [THREADS.c[name] for name in Thread.__dataclass_fields__]
TITLE_LENGTH = 80
_KEEP: Any = object()


def visible(actor: Actor) -> ColumnElement[bool]:
    """The condition under which `actor` sees a thread."""
    own = THREADS.c.owner_id == actor.user_id
    if actor.role == "client" and actor.client_id is not None:
        return sa.and_(own, THREADS.c.client_id == actor.client_id)
    return own


def create(
    db: Database,
    actor: Actor,
    persona_id: UUID,
    *,
    title: str = "",
    backend: str | None = None,
    client_id: UUID | None = None,
    thread_id: UUID | None = None,
) -> Thread:
    """A new, empty thread of `actor`. A client's thread is always about that client."""
    moment = now()
    thread = Thread(
        id=thread_id or new_id(),
        owner_id=actor.user_id,
        title=short_title(title),
        persona_id=persona_id,
        created_at=moment,
        updated_at=moment,
        client_id=actor.client_id if actor.role == "client" else client_id,
        backend=backend,
        channel=actor.channel,
    )
    values = {name: getattr(thread, name) for name in Thread.__dataclass_fields__}

    def work(connection: Connection) -> Thread:
        if connection.execute(sa.select(_PERSONAS.c.id).where(_PERSONAS.c.id == persona_id)).first() is None:
            raise PersonaNotFound()
        connection.execute(sa.insert(THREADS).values(**values))
        if thread.title:
            fulltext.index(connection, thread.id, None, thread.title)
        return thread

    return db.write(work).result()


def get(db: Database, actor: Actor, thread_id: UUID) -> Thread:
    """The thread, also when archived or deleted (its `deleted_at` says so)."""
    with db.read() as connection:
        return seen(connection, actor, thread_id)


def seen(connection: Connection, actor: Actor, thread_id: UUID) -> Thread:
    """The thread within a transaction, or ThreadNotFound."""
    row = connection.execute(sa.select(*_COLUMNS).where(THREADS.c.id == thread_id, visible(actor))).first()
    if row is None:
        raise ThreadNotFound()
    return _thread(row)


def recent(db: Database, actor: Actor, limit: int = 12) -> list[Thread]:
    """The threads last written in, newest first."""
    query = sa.select(*_COLUMNS).where(visible(actor), _on_show()).order_by(THREADS.c.updated_at.desc()).limit(limit)
    with db.read() as connection:
        return [_thread(row) for row in connection.execute(query)]


def about(db: Database, actor: Actor, client_id: UUID) -> list[Thread]:
    """The threads about a client, archived ones too, newest first."""
    which = (visible(actor), THREADS.c.client_id == client_id, THREADS.c.deleted_at.is_(None))
    query = sa.select(*_COLUMNS).where(*which).order_by(THREADS.c.updated_at.desc())
    with db.read() as connection:
        return [_thread(row) for row in connection.execute(query)]


def update(
    db: Database,
    actor: Actor,
    thread_id: UUID,
    *,
    title: str = _KEEP,
    backend: str | None = _KEEP,
    persona_id: UUID = _KEEP,
    head_id: UUID | None = _KEEP,
    client_id: UUID | None = _KEEP,
) -> Thread:
    """Change what is given. None of these moves the thread up in the list."""
    given: dict[str, Any] = {"title": title, "backend": backend, "persona_id": persona_id, "head_id": head_id}
    given["client_id"] = client_id
    values = {name: value for name, value in given.items() if value is not _KEEP}
    if "title" in values:
        values["title"] = short_title(title)

    def work(connection: Connection) -> Thread:
        thread = seen(connection, actor, thread_id)
        if values:
            connection.execute(sa.update(THREADS).where(THREADS.c.id == thread_id).values(**values))
        if "title" in values and values["title"] != thread.title:
            fulltext.index(connection, thread_id, None, values["title"])
        return seen(connection, actor, thread_id)

    return db.write(work).result()


def archive(db: Database, actor: Actor, ids: Sequence[UUID]) -> int:
    return _stamp(db, actor, ids, "archived_at", now())


def unarchive(db: Database, actor: Actor, ids: Sequence[UUID]) -> int:
    return _stamp(db, actor, ids, "archived_at", None)


def delete(db: Database, actor: Actor, ids: Sequence[UUID]) -> int:
    """Put away until `purge`; `undelete` brings them back."""
    return _stamp(db, actor, ids, "deleted_at", now())


def undelete(db: Database, actor: Actor, ids: Sequence[UUID]) -> int:
    return _stamp(db, actor, ids, "deleted_at", None)


def purge(db: Database, before: datetime) -> int:
    """Erase threads deleted before `before`, with all that hangs on them; returns how many."""
    gone = db.write(
        lambda connection: connection.execute(sa.delete(THREADS).where(THREADS.c.deleted_at < before)).rowcount
    ).result()
    if gone:
        forget(db)
    return gone


def forget(db: Database) -> None:
    """Take what was erased out of SQLite's full-text index, file and write-ahead log too."""
    if not db.sqlite:
        return
    db.write(
        lambda connection: connection.exec_driver_sql("INSERT INTO message_index(message_index) VALUES ('optimize')")
    ).result()
    raw = db.engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    finally:
        raw.close()


def find(db: Database, actor: Actor, query: ThreadQuery) -> tuple[list[ThreadHit], int]:
    """One page of the threads that fit, newest first, and how many fit in all."""
    groups = fulltext.wanted(query.text)
    if query.text.strip() and not groups:
        return [], 0
    conditions = _conditions(actor, query)
    with db.read() as connection:
        found, total = _page(connection, conditions, groups, query)
        hits = _details(connection, list(found))
        texts = _texts(connection, found) if groups else {}
    out: list[ThreadHit] = []
    for row in hits:
        message_id, content = texts.get(row.id, (None, ""))
        out.append(
            ThreadHit(
                thread=_thread(row),
                persona_name=row.persona_name or "",
                messages=row.messages,
                last_backend=row.last_backend,
                interrupted=row.head_status == "interrupted",
                snippet=fulltext.snippet(content, groups) if content else "",
                message_id=message_id,
            )
        )
    return out, total


def short_title(content: str) -> str:
    """One line of at most TITLE_LENGTH characters, cut between words."""
    line = " ".join(clean_text(content[: 50 * TITLE_LENGTH]).split())
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[: TITLE_LENGTH - 1]
    return (cut[: cut.rfind(" ")] if " " in cut[TITLE_LENGTH // 2 :] else cut).rstrip(" ,.;:") + "…"


def _on_show() -> ColumnElement[bool]:
    return sa.and_(THREADS.c.deleted_at.is_(None), THREADS.c.archived_at.is_(None))


def _conditions(actor: Actor, query: ThreadQuery) -> list[ColumnElement[bool]]:
    conditions = [visible(actor)]
    if query.deleted:
        conditions.append(THREADS.c.deleted_at.is_not(None))
    elif query.archived:
        conditions += [THREADS.c.deleted_at.is_(None), THREADS.c.archived_at.is_not(None)]
    else:
        conditions.append(_on_show())
    if query.persona_id is not None:
        conditions.append(THREADS.c.persona_id == query.persona_id)
    if query.client_id is not None:
        conditions.append(THREADS.c.client_id == query.client_id)
    if query.backend:
        conditions.append(THREADS.c.last_backend == query.backend)
    if query.since is not None:
        conditions.append(THREADS.c.updated_at >= query.since)
    if query.until is not None:
        conditions.append(THREADS.c.updated_at < query.until)
    return conditions


def _page(
    connection: Connection, conditions: list[ColumnElement[bool]], groups: fulltext.Groups, query: ThreadQuery
) -> tuple[dict[UUID, int | None], int]:
    """Thread ids in order, each with the number of the words that were found, and the total."""
    newest = (THREADS.c.updated_at.desc(), THREADS.c.id.desc())
    page: AnySelect = sa.select(THREADS.c.id)
    total = sa.select(sa.func.count()).select_from(THREADS).where(*conditions)
    if groups:  # every match is read anyway: once for the page and the total
        hits = fulltext.found_threads(groups, connection.dialect.name == "sqlite").subquery("hits")
        page = sa.select(THREADS.c.id, hits.c.number, sa.func.count().over().label("total"))
        page = page.join(hits, hits.c.thread_id == THREADS.c.id)
        total = total.join(hits, hits.c.thread_id == THREADS.c.id)
    page = page.where(*conditions).order_by(*newest).limit(query.limit).offset(query.offset)
    rows = connection.execute(page).all()
    if groups and rows:
        return {row.id: row.number for row in rows}, rows[0].total
    return dict.fromkeys(row.id for row in rows), connection.execute(total).scalar_one()


def _details(connection: Connection, ids: list[UUID]) -> list[AnyRow]:
    counted = (
        sa.select(sa.func.count()).select_from(_MESSAGES).where(_MESSAGES.c.thread_id == THREADS.c.id).scalar_subquery()
    )
    query = (
        sa.select(
            *_COLUMNS,
            THREADS.c.last_backend,
            _PERSONAS.c.name.label("persona_name"),
            _HEAD.c.status.label("head_status"),
            counted.label("messages"),
        )
        .select_from(
            THREADS.outerjoin(_PERSONAS, _PERSONAS.c.id == THREADS.c.persona_id).outerjoin(
                _HEAD, _HEAD.c.id == THREADS.c.head_id
            )
        )
        .where(THREADS.c.id.in_(ids))
    )
    rows = {row.id: row for row in connection.execute(query)}
    return [rows[i] for i in ids if i in rows]


def _texts(connection: Connection, found: dict[UUID, int | None]) -> dict[UUID, tuple[UUID, str]]:
    words = fulltext.WORDS
    numbers = [n for n in found.values() if n is not None]
    query = (
        sa.select(words.c.thread_id, _MESSAGES.c.id, _MESSAGES.c.text)
        .join(_MESSAGES, _MESSAGES.c.id == words.c.message_id)
        .where(words.c.number.in_(numbers))
    )
    return {row.thread_id: (row.id, row.text) for row in connection.execute(query)}


def _stamp(db: Database, actor: Actor, ids: Sequence[UUID], column: str, value: datetime | None) -> int:
    change = sa.update(THREADS).where(THREADS.c.id.in_(list(ids)), visible(actor)).values({column: value})
    return db.write(lambda connection: connection.execute(change).rowcount).result()


def _thread(row: AnyRow) -> Thread:
    return Thread(**{name: getattr(row, name) for name in Thread.__dataclass_fields__})
