"""Endpoints: where models are served, as admins list them. Read each turn, never cached.

Invariant: a row names the variable that holds its key, never the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from coach_core.errors import BadSetting, NameTaken
from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.conversations import ProviderStateRow, ThreadRow
from coach_core.store.models.operations import EndpointRow
from coach_core.types import new_id, now

_ENDPOINTS = table_of(EndpointRow)
_STATE = table_of(ProviderStateRow)
_THREADS = table_of(ThreadRow)


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """`wire` is the backend that speaks it; `profile` holds a vendor's facts."""

    id: UUID
    name: str
    base_url: str
    wire: str
    key_variable: str = ""
    model: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)


_COLUMNS = [_ENDPOINTS.c[name] for name in EndpointRecord.__dataclass_fields__]


def list_endpoints(db: Database) -> list[EndpointRecord]:
    with db.read() as connection:
        rows = connection.execute(sa.select(*_COLUMNS).order_by(_ENDPOINTS.c.name))
        return [EndpointRecord(*row) for row in rows]


def get(db: Database, name: str) -> EndpointRecord | None:
    with db.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(_ENDPOINTS.c.name == name)).first()
    return EndpointRecord(*row) if row else None


def save(
    db: Database,
    name: str,
    base_url: str,
    wire: str,
    *,
    key_variable: str = "",
    model: str = "",
    profile: Mapping[str, Any] | None = None,
    endpoint_id: UUID | None = None,
) -> EndpointRecord:
    """Add an endpoint, or change the one with `endpoint_id`."""
    record = EndpointRecord(endpoint_id or new_id(), name, base_url, wire, key_variable, model, dict(profile or {}))
    values = {n: getattr(record, n) for n in EndpointRecord.__dataclass_fields__} | {"updated_at": now()}
    change = sa.update(_ENDPOINTS).where(_ENDPOINTS.c.id == record.id).values(**values)
    statement = change if endpoint_id else sa.insert(_ENDPOINTS).values(**values)
    try:
        changed = db.write(lambda connection: connection.execute(statement).rowcount).result()
    except IntegrityError as fault:
        raise NameTaken() from fault
    if not changed:
        raise BadSetting("That endpoint does not exist any more. Reload the page.")
    return record


def delete(db: Database, endpoint_id: UUID) -> None:
    drop = sa.delete(_ENDPOINTS).where(_ENDPOINTS.c.id == endpoint_id)
    db.write(lambda connection: connection.execute(drop)).result()


def threads_on(db: Database, name: str) -> int:
    """How many threads, whoever's, have chosen the backend `name`."""
    chosen = sa.and_(_THREADS.c.backend == name, _THREADS.c.deleted_at.is_(None))
    with db.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(_THREADS).where(chosen)).scalar_one()


def forget_state(db: Database, endpoint: str) -> None:
    """Drop what the server at `endpoint` ("wire@name") kept of threads: it is another server now, or none."""
    drop = sa.delete(_STATE).where(_STATE.c.endpoint == endpoint)
    db.write(lambda connection: connection.execute(drop)).result()
