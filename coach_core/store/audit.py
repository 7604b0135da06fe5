"""The audit log: who did what to what, and what it was before and after.

Invariant: rows are only added. Each row's hash covers the row and the hash before it, so that a changed,
missing or slipped-in row shows in `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.store import Database
from coach_core.store.messages import cleaned
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.operations import AuditRow
from coach_core.types import Actor, now

_AUDIT = table_of(AuditRow)
_LOCK = 0x636F616368  # one number a purpose for PostgreSQL's advisory locks
_HASHED = ("at", "actor_id", "actor_name", "role", "action", "subject", "before", "after", "why")


@dataclass(frozen=True, slots=True)
class Entry:
    number: int
    at: datetime
    actor_name: str
    role: str
    action: str
    subject: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    why: str = ""
    actor_id: UUID | None = None


def record(
    db: Database | Connection,
    actor: Actor | None,
    action: str,
    subject: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    why: str = "",
) -> None:
    """Add one entry, in the transaction of the connection given or in one of its own."""
    values: dict[str, Any] = {
        "at": now(),
        "actor_id": actor.user_id if actor else None,
        "actor_name": actor.name if actor else "the app",
        "role": actor.role if actor else "",
        "action": action,
        "subject": subject,
        "before": cleaned(json.loads(json.dumps(before or {}, default=str))),
        "after": cleaned(json.loads(json.dumps(after or {}, default=str))),
        "why": why,
    }

    def work(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        last = sa.select(_AUDIT.c.hash).order_by(_AUDIT.c.number.desc()).limit(1)
        chained = _hash(values, connection.execute(last).scalar() or "")
        connection.execute(sa.insert(_AUDIT).values(**values, hash=chained))

    if isinstance(db, Connection):
        work(db)
    else:
        db.write(work).result()


def list_entries(db: Database, limit: int = 100, *, before_number: int | None = None) -> list[Entry]:
    """The newest entries first; `before_number` pages on."""
    query = sa.select(_AUDIT).order_by(_AUDIT.c.number.desc()).limit(limit)
    if before_number is not None:
        query = query.where(_AUDIT.c.number < before_number)
    with db.read() as connection:
        return [Entry(**{n: getattr(row, n) for n in Entry.__dataclass_fields__}) for row in connection.execute(query)]


def verify(db: Database) -> int | None:
    """The number of the first entry that is not as it was written, or None when all are."""
    previous = ""
    with db.read() as connection:
        for row in connection.execution_options(yield_per=1000).execute(sa.select(_AUDIT).order_by(_AUDIT.c.number)):
            if row.hash != _hash(_plain(row), previous):
                return row.number
            previous = row.hash
    return None


def _plain(row: AnyRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _HASHED}


def _hash(values: Mapping[str, Any], previous: str) -> str:
    plain = {**values, "at": values["at"].astimezone(UTC).isoformat(), "actor_id": str(values["actor_id"] or "")}
    text = json.dumps([previous, plain], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
