"""What this app made at endpoints (assistants, vector stores, files), so that it is found again or taken back.

Invariant: a cache of what is there; the truth is local. A row may name something that is gone at the
endpoint, and an empty `external_id` stands for something that was begun: whether it is there is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.dialects import postgresql, sqlite

from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.conversations import RemoteObjectRow
from coach_core.types import now

_REMOTES = table_of(RemoteObjectRow)
_KEY = ("endpoint", "kind", "key")


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """Something at `endpoint`, found again by (kind, key); `external_id` is its id there."""

    endpoint: str
    kind: str
    key: str
    external_id: str
    created_at: datetime
    state: Mapping[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None


_COLUMNS = [_REMOTES.c[name] for name in RemoteObject.__dataclass_fields__]


class EndpointRemotes:
    """What was made at one endpoint. What has expired there is not found any more."""

    def __init__(self, db: Database, endpoint: str) -> None:
        self._db = db
        self.endpoint = endpoint

    def find(self, kind: str, key: str) -> RemoteObject | None:
        found = get(self._db, self.endpoint, kind, key)
        return found if found and not (found.expires_at and found.expires_at <= now()) else None

    def keep(
        self,
        kind: str,
        key: str,
        external_id: str,
        state: Mapping[str, Any] | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        """Remember it, in the place of what was remembered under (kind, key)."""
        self.keep_all([RemoteObject(self.endpoint, kind, key, external_id, now(), dict(state or {}), expires_at)])

    def keep_all(self, objects: Sequence[RemoteObject]) -> None:
        """Remember several, all of this endpoint, or none of them."""
        if not objects:
            return
        rows = [{name: getattr(o, name) for name in RemoteObject.__dataclass_fields__} for o in objects]

        def work(connection: Connection) -> None:
            insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
            add = insert(_REMOTES)
            values = {name: add.excluded[name] for name in ("external_id", "state", "expires_at")}
            connection.execute(add.on_conflict_do_update(index_elements=_KEY, set_=values), rows)

        self._db.write(work).result()

    def forget(self, kind: str, key: str) -> None:
        self.forget_all(kind, [key])

    def forget_all(self, kind: str, keys: Sequence[str]) -> None:
        where = _place(self.endpoint, kind, sa.bindparam("of_key"))
        if keys:
            rows = [{"of_key": key} for key in keys]
            self._db.write(lambda connection: connection.execute(sa.delete(_REMOTES).where(where), rows)).result()

    def list(self, *kinds: str) -> list[RemoteObject]:
        """All of these kinds, the oldest first; all there is without any."""
        return list_objects(self._db, self.endpoint, kinds)


def get(db: Database, endpoint: str, kind: str, key: str) -> RemoteObject | None:
    with db.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(_place(endpoint, kind, key))).first()
    return _object(row) if row else None


def list_objects(
    db: Database, endpoint: str | None = None, kinds: Sequence[str] = (), *, begins: str = ""
) -> list[RemoteObject]:
    """What was made at an endpoint, or at all of them with None; of `kinds`, or of all; whose key `begins` so."""
    query = sa.select(*_COLUMNS).order_by(_REMOTES.c.created_at, _REMOTES.c.key)
    if endpoint is not None:
        query = query.where(_REMOTES.c.endpoint == endpoint)
    if begins:
        query = query.where(_REMOTES.c.key.startswith(begins, autoescape=True))
    if kinds:
        query = query.where(_REMOTES.c.kind.in_(kinds))
    with db.read() as connection:
        return [_object(row) for row in connection.execute(query)]


def named(db: Database, endpoint: str, kind: str, external_id: str) -> RemoteObject | None:
    """What has this id there."""
    mine = sa.and_(_REMOTES.c.endpoint == endpoint, _REMOTES.c.kind == kind, _REMOTES.c.external_id == external_id)
    with db.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(mine)).first()
    return _object(row) if row else None


def _place(endpoint: str, kind: str, key: str | sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(_REMOTES.c.endpoint == endpoint, _REMOTES.c.kind == kind, _REMOTES.c.key == key)


def _object(row: Row[Any]) -> RemoteObject:
    return RemoteObject(**{name: getattr(row, name) for name in RemoteObject.__dataclass_fields__})
