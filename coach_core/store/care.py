"""That help lines were shown: when, where and who judged; never what was said."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.measures import CareReferralRow
from coach_core.store.threads import THREADS, visible
from coach_core.store.turns import TURNS
from coach_core.types import Actor, new_id, now

_ROWS = table_of(CareReferralRow)


def record(db: Database, turn_id: UUID, *, locale: str, channel: str, judge: str, score: float) -> None:
    """Keep that a referral was shown beside the turn's answer."""
    values = {"id": new_id(), "turn_id": turn_id, "locale": locale, "channel": channel, "judge": judge, "score": score}

    def work(connection: Connection) -> None:
        connection.execute(sa.insert(_ROWS).values(**values, created_at=now()))

    db.write(work).result()


def shown(db: Database, actor: Actor, thread_id: UUID) -> dict[UUID, str]:
    """The answers of a thread of the actor's own that a referral stands beside -> its locale."""
    query = sa.select(TURNS.c.answer_id, _ROWS.c.locale).join(TURNS, TURNS.c.id == _ROWS.c.turn_id)
    query = query.join(THREADS, THREADS.c.id == TURNS.c.thread_id).where(THREADS.c.id == thread_id, visible(actor))
    with db.read() as connection:
        return {row.answer_id: row.locale for row in connection.execute(query.order_by(_ROWS.c.created_at))}


def threads(db: Database, actor: Actor, ids: Collection[UUID]) -> set[UUID]:
    """Which of the actor's threads hold a referral."""
    query = sa.select(TURNS.c.thread_id).distinct().join(_ROWS, TURNS.c.id == _ROWS.c.turn_id)
    query = query.join(THREADS, THREADS.c.id == TURNS.c.thread_id).where(THREADS.c.id.in_(ids), visible(actor))
    with db.read() as connection:
        return set(connection.execute(query).scalars())
