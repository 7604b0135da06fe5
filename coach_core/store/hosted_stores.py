"""Collections that an admin has a vector store at an endpoint filled from, and kept in step.

Invariant: a row is the wish; what lies at the endpoint is in remote_objects, under the collection's id.
"""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.errors import CollectionNotFound
from coach_core.store import Database, collections
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import HostedStoreRow
from coach_core.types import new_id, now

_WISHES = table_of(HostedStoreRow)


def wish(db: Database, collection_id: UUID, endpoint: str) -> None:
    """Have a store there filled from the collection; once is enough."""
    mine = sa.and_(_WISHES.c.collection_id == collection_id, _WISHES.c.endpoint == endpoint)

    def work(connection: Connection) -> None:
        there = sa.select(collections.COLLECTIONS.c.id).where(collections.COLLECTIONS.c.id == collection_id)
        if connection.execute(there.with_for_update()).first() is None:
            raise CollectionNotFound()
        if connection.execute(sa.select(_WISHES.c.id).where(mine)).first() is None:
            values = {"id": new_id(), "collection_id": collection_id, "endpoint": endpoint, "external_id": ""}
            connection.execute(sa.insert(_WISHES).values(**values, generation=0, details={}, created_at=now()))

    db.write(work).result()


def unwish(db: Database, collection_id: UUID, endpoint: str) -> bool:
    """Have it taken away again; whether there was one."""
    drop = sa.delete(_WISHES).where(_WISHES.c.collection_id == collection_id, _WISHES.c.endpoint == endpoint)
    return bool(db.write(lambda connection: connection.execute(drop).rowcount).result())


def wishes(db: Database) -> list[tuple[str, UUID, str]]:
    """(endpoint, collection, its name) of each, the oldest first."""
    table = collections.COLLECTIONS
    query = sa.select(_WISHES.c.endpoint, table.c.id, table.c.name).join(table, table.c.id == _WISHES.c.collection_id)
    with db.read() as connection:
        return [(r[0], r[1], r[2]) for r in connection.execute(query.order_by(_WISHES.c.created_at))]
