"""What a provider keeps of a thread (response id, conversation id ...), one row a thread and endpoint.

Invariant: a cache, valid for one message; losing it costs a replay of local history and nothing else. A
conversation that changes as it is used is never in the table while a turn uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.conversations import ProviderStateRow
from coach_core.types import now

_STATE = table_of(ProviderStateRow)
#: What names a conversation that the provider itself writes on: whoever speaks into it changes it.
MUTABLE = frozenset({"conversation_id", "thread_id"})


@dataclass(frozen=True, slots=True)
class ProviderState:
    """`data` holds as long as `message_id` is the last answer on the branch."""

    message_id: UUID
    data: Mapping[str, Any]


def get(db: Database, thread_id: UUID, endpoint: str) -> ProviderState | None:
    with db.read() as connection:
        row = connection.execute(
            sa.select(_STATE.c.message_id, _STATE.c.state).where(_key(thread_id, endpoint))
        ).first()
    return ProviderState(row.message_id, row.state) if row else None


def take(db: Database, thread_id: UUID, endpoint: str, message_id: UUID) -> Mapping[str, Any] | None:
    """What holds after the answer `message_id`, for a turn that begins there.

    A conversation that the turn will write to is taken out with it: only a turn that completes puts it
    back, so that nobody goes on with one that has heard more than the branch.
    """
    known = get(db, thread_id, endpoint)
    if known is None or known.message_id != message_id:
        return None
    if MUTABLE & known.data.keys():
        mine = sa.and_(_key(thread_id, endpoint), _STATE.c.message_id == message_id)
        taken = db.write(lambda connection: connection.execute(sa.delete(_STATE).where(mine)).rowcount).result()
        return known.data if taken else None
    return known.data


def put(db: Database, thread_id: UUID, endpoint: str, message_id: UUID, data: Mapping[str, Any]) -> None:
    db.write(lambda connection: store(connection, thread_id, endpoint, message_id, data)).result()


def drop(db: Database, thread_id: UUID, endpoint: str) -> None:
    db.write(lambda connection: connection.execute(sa.delete(_STATE).where(_key(thread_id, endpoint)))).result()


def store(connection: Connection, thread_id: UUID, endpoint: str, message_id: UUID, data: Mapping[str, Any]) -> None:
    """`put` within a transaction."""
    values = {"message_id": message_id, "state": dict(data), "updated_at": now()}
    changed = connection.execute(sa.update(_STATE).where(_key(thread_id, endpoint)).values(**values))
    if not changed.rowcount:
        connection.execute(sa.insert(_STATE).values(thread_id=thread_id, endpoint=endpoint, **values))


def _key(thread_id: UUID, endpoint: str) -> sa.ColumnElement[bool]:
    return sa.and_(_STATE.c.thread_id == thread_id, _STATE.c.endpoint == endpoint)
