"""What may come to mind in a thread, as rows: the talks of one person that the actor sees, and their vectors.

Invariant: messages are those of threads that the actor may read and that are about the same person as the thread;
of each thread only the branch on show. A thread about nobody reaches back into itself alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy import Connection

from coach_core.store import Database
from coach_core.store.memories import MEMORIES, MEMORY_VECTORS, of
from coach_core.store.messages import MESSAGES, path_up
from coach_core.store.models.base import table_of
from coach_core.store.models.conversations import MessageVectorRow
from coach_core.store.text import WORDS
from coach_core.store.threads import THREADS, visible
from coach_core.types import Actor, OldTurn, Whose

MESSAGE_VECTORS = table_of(MessageVectorRow)
_AT_ONCE = 500
_LONG = 40  # messages: a thread about nobody is indexed when it is longer than a model is told
_SPOKEN = MESSAGES.c.speaker.in_(("user", "assistant"))
_KEPT = MESSAGES.c.status.in_(("complete", "interrupted", "cancelled"))


@dataclass(frozen=True, slots=True)
class Talk:
    """A thread and the end of its branch on show: what is said in it has changed when these have."""

    thread_id: UUID
    head_id: UUID | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """A message of a talk, with the tokens it is found by."""

    id: UUID
    thread_id: UUID
    at: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A message that waits for its vector, with the one before it."""

    id: UUID
    text: str
    before: str


def talks(connection: Connection, actor: Actor, subject: Whose, thread_id: UUID | None) -> list[Talk]:
    """The threads that a thread may reach back into, oldest first."""
    which = [visible(actor), THREADS.c.deleted_at.is_(None)]
    which.append(THREADS.c.client_id == subject.client_id if subject.client_id else THREADS.c.id == thread_id)
    if subject.client_id is None:
        which.append(THREADS.c.client_id.is_(None))
    query = sa.select(THREADS.c.id, THREADS.c.head_id, THREADS.c.updated_at).where(*which)
    return [Talk(*row) for row in connection.execute(query.order_by(THREADS.c.created_at, THREADS.c.id))]


def told(connection: Connection, talk: Talk) -> list[Told]:
    """What was said on the branch on show, oldest first."""
    query = (
        sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, MESSAGES.c.created_at, WORDS.c.words, MESSAGES.c.speaker)
        .outerjoin(WORDS, WORDS.c.message_id == MESSAGES.c.id)
        .where(MESSAGES.c.thread_id == talk.thread_id)
    )
    rows = {row.id: row for row in connection.execute(query)}
    at, out = talk.head_id, list[Told]()
    while at is not None and at in rows:
        row = rows[at]
        if row.words and row.speaker in ("user", "assistant"):  # an answer that is being written has none yet
            out.append(Told(row.id, talk.thread_id, row.created_at, row.words))
        at = row.parent_id
    return out[::-1]


def left_behind(
    connection: Connection, thread_id: UUID, former: UUID | None, own: Iterable[UUID], near: int
) -> frozenset[UUID]:
    """Those of a thread's messages `own` that are not on its branch on show; none where that goes on from `former`,
    which is looked for among the last `near`."""
    head = connection.execute(sa.select(THREADS.c.head_id).where(THREADS.c.id == thread_id)).scalar()
    if former is None or former == head or former in path_up(connection, thread_id, head, near):
        return frozenset()
    return frozenset(own) - set(path_up(connection, thread_id, head))


def turns(connection: Connection, ids: Iterable[UUID]) -> dict[UUID, OldTurn]:
    """The messages themselves; whose they are was asked when their ids were found."""
    wanted, out = list(dict.fromkeys(ids)), dict[UUID, OldTurn]()
    columns = (MESSAGES.c.id, MESSAGES.c.thread_id, MESSAGES.c.speaker, MESSAGES.c.text, MESSAGES.c.created_at)
    for at in range(0, len(wanted), _AT_ONCE):
        query = sa.select(*columns).where(MESSAGES.c.id.in_(wanted[at : at + _AT_ONCE]))
        out |= {row.id: OldTurn(*row, message_ids=(row.id,)) for row in connection.execute(query)}
    return out


def vectors(connection: Connection, model: str, ids: Sequence[UUID], *, memories: bool = False) -> dict[UUID, bytes]:
    """The float16 vectors there are under `model`."""
    table = MEMORY_VECTORS if memories else MESSAGE_VECTORS
    key, out = table.c.memory_id if memories else table.c.message_id, dict[UUID, bytes]()
    for at in range(0, len(ids), _AT_ONCE):
        query = sa.select(key, table.c.vector).where(key.in_(ids[at : at + _AT_ONCE]), table.c.model == model)
        out |= {row[0]: row[1] for row in connection.execute(query)}
    return out


def vectors_by_text(connection: Connection, subject: Whose, model: str) -> dict[str, NDArray[np.float32]]:
    """The vectors of one person's memories, by their text."""
    query = sa.select(MEMORIES.c.text, MEMORY_VECTORS.c.vector).join(
        MEMORY_VECTORS, MEMORY_VECTORS.c.memory_id == MEMORIES.c.id
    )
    found = connection.execute(query.where(of(subject), MEMORY_VECTORS.c.model == model))
    return {row.text: np.frombuffer(row.vector, np.float16).astype(np.float32) for row in found}


def unembedded(connection: Connection, model: str, limit: int) -> list[Unembedded]:
    """Messages that wait: of threads about a client, and of those too long to be told whole."""
    long = sa.select(MESSAGES.c.thread_id).group_by(MESSAGES.c.thread_id).having(sa.func.count() > _LONG)
    has = sa.exists().where(MESSAGE_VECTORS.c.message_id == MESSAGES.c.id, MESSAGE_VECTORS.c.model == model)
    before = MESSAGES.alias("before")
    query = (
        sa.select(MESSAGES.c.id, MESSAGES.c.text, before.c.text.label("before"))
        .join(THREADS, THREADS.c.id == MESSAGES.c.thread_id)
        .outerjoin(before, before.c.id == MESSAGES.c.parent_id)
        .where(THREADS.c.deleted_at.is_(None), _SPOKEN, _KEPT, MESSAGES.c.text != "", ~has)
        .where(sa.or_(THREADS.c.client_id.is_not(None), THREADS.c.id.in_(long)))
        .order_by(MESSAGES.c.created_at.desc())
        .limit(limit)
    )
    return [Unembedded(row.id, row.text, row.before or "") for row in connection.execute(query)]


def unembedded_memories(connection: Connection, model: str, limit: int) -> list[tuple[UUID, str]]:
    has = sa.exists().where(MEMORY_VECTORS.c.memory_id == MEMORIES.c.id, MEMORY_VECTORS.c.model == model)
    waits = MEMORIES.c.status.in_(("pending", "approved"))
    query = sa.select(MEMORIES.c.id, MEMORIES.c.text).where(waits, ~has).limit(limit)
    return [(row.id, row.text) for row in connection.execute(query)]


def keep_vectors(db: Database, model: str, rows: Mapping[UUID, bytes], *, memories: bool = False) -> None:
    """Store vectors; a row that went or has one by now is passed over."""
    table = MEMORY_VECTORS if memories else MESSAGE_VECTORS
    owner, key = (MEMORIES, "memory_id") if memories else (MESSAGES, "message_id")

    def work(connection: Connection) -> None:
        ids = list(rows)
        there = set(connection.execute(sa.select(owner.c.id).where(owner.c.id.in_(ids))).scalars())
        there -= set(vectors(connection, model, ids, memories=memories))
        new = [{key: i, "model": model, "vector": rows[i]} for i in ids if i in there]
        if new:
            connection.execute(sa.insert(table), new)

    db.write(work).result()
