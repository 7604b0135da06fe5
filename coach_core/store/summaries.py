"""Running summaries: what was said on a branch up to a message, in short.

Invariant: a summary belongs to the branch it was made on; another branch sees it only where it goes through the
same message. Every query asks whether the Actor sees the thread; nothing here is ever changed, only added to.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.store import Database
from coach_core.store.messages import MESSAGES
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.conversations import ThreadSummaryRow
from coach_core.store.threads import seen
from coach_core.types import Actor, Message, Summary, clean_text, new_id, now

SUMMARIES = table_of(ThreadSummaryRow)
_COLUMNS = [SUMMARIES.c[name] for name in Summary.__dataclass_fields__]


def nearest(db: Database, actor: Actor, thread_id: UUID, message_id: UUID | None = None) -> Summary | None:
    """The newest summary on the way from a message (else from the thread's head) up to the root."""
    with db.read() as connection:
        at = message_id or seen(connection, actor, thread_id).head_id
        if message_id is not None:
            seen(connection, actor, thread_id)
        if at is None or not _any(connection, thread_id):
            return None
        found = _above(connection, thread_id, at)
        if found is None:
            return None
        query = sa.select(*_COLUMNS).where(SUMMARIES.c.thread_id == thread_id, SUMMARIES.c.message_id == found)
        row = connection.execute(query.order_by(SUMMARIES.c.created_at.desc()).limit(1)).first()
        return _summary(row) if row is not None else None


def since(db: Database, actor: Actor, thread_id: UUID, message_id: UUID, to: UUID | None, most: int) -> list[Message]:
    """What was said after the message `to` (else from the root) up to and with `message_id`, oldest first; of more
    than `most` messages the oldest."""
    with db.read() as connection:
        seen(connection, actor, thread_id)
        own = MESSAGES.c.thread_id == thread_id
        here = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, sa.literal(1).label("depth"))
        up = here.where(own, MESSAGES.c.id == message_id).cte("up", recursive=True)
        above = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, up.c.depth + 1).where(
            own, MESSAGES.c.id == up.c.parent_id
        )
        up = up.union_all(above if to is None else above.where(up.c.parent_id != to))
        columns = [MESSAGES.c[n] for n in ("id", "thread_id", "parent_id", "speaker", "text", "status", "created_at")]
        query = sa.select(*columns).join(up, up.c.id == MESSAGES.c.id).order_by(up.c.depth.desc()).limit(most)
        return [
            Message(r.id, r.thread_id, r.parent_id, r.speaker, (), r.text, r.status, r.created_at)
            for r in connection.execute(query)
        ]


def add(db: Database, thread_id: UUID, message_id: UUID, text: str, tokens: int, model: str = "") -> Summary | None:
    """Keep a summary up to and with `message_id`; None where there is one by now, or the message went."""
    made = Summary(new_id(), thread_id, message_id, clean_text(text), tokens, now(), model)

    def work(connection: Connection) -> Summary | None:
        there = sa.select(MESSAGES.c.id).where(MESSAGES.c.id == message_id, MESSAGES.c.thread_id == thread_id)
        known = sa.select(SUMMARIES.c.id).where(SUMMARIES.c.message_id == message_id)
        if connection.execute(there).first() is None or connection.execute(known).first() is not None:
            return None
        values = {name: getattr(made, name) for name in Summary.__dataclass_fields__}
        connection.execute(sa.insert(SUMMARIES).values(**values))
        return made

    return db.write(work).result()


def of_thread(db: Database, actor: Actor, thread_id: UUID) -> Sequence[Summary]:
    """All of a thread, oldest first."""
    with db.read() as connection:
        seen(connection, actor, thread_id)
        query = sa.select(*_COLUMNS).where(SUMMARIES.c.thread_id == thread_id).order_by(SUMMARIES.c.created_at)
        return [_summary(row) for row in connection.execute(query)]


def _any(connection: Connection, thread_id: UUID) -> bool:
    return bool(connection.execute(sa.select(sa.exists().where(SUMMARIES.c.thread_id == thread_id))).scalar())


def _above(connection: Connection, thread_id: UUID, at: UUID) -> UUID | None:
    """The first message on the way up that has a summary; the way ends there."""
    own = MESSAGES.c.thread_id == thread_id
    told = sa.exists().where(SUMMARIES.c.message_id == MESSAGES.c.id).label("told")
    up = sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, told).where(own, MESSAGES.c.id == at).cte("up", recursive=True)
    up = up.union_all(
        sa.select(MESSAGES.c.id, MESSAGES.c.parent_id, told).where(own, MESSAGES.c.id == up.c.parent_id, ~up.c.told)
    )
    return connection.execute(sa.select(up.c.id).where(up.c.told)).scalar()


def _summary(row: AnyRow) -> Summary:
    return Summary(**{name: getattr(row, name) for name in Summary.__dataclass_fields__})
