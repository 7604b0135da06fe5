"""Leases: a piece of work that one process at a time may do, whatever machine it runs on.

Invariant: at most one owner holds a lease that has not run out. Whoever dies holding one loses it within
its seconds; whoever lives renews it in time.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

from coach_core.errors import CoachError
from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.operations import JobRow
from coach_core.types import new_id, now

_JOBS = table_of(JobRow)
_KIND = "lease"


@contextmanager
def held(db: Database, name: str, seconds: float = 60.0) -> Iterator[bool]:
    """Whether the lease `name` is this caller's until the block ends; it is renewed as long as that lasts."""
    owner = new_id().hex
    if not take(db, name, owner, seconds):
        yield False
        return
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(seconds / 3):
            try:
                take(db, name, owner, seconds)
            except CoachError:  # it runs out then, and another takes over
                return

    renewer = threading.Thread(target=renew, name=f"lease-{name}", daemon=True)
    renewer.start()
    try:
        yield True
    finally:
        ended.set()
        renewer.join(5.0)
        try:
            release(db, name, owner)
        except CoachError:  # closing: it runs out by itself
            pass


def take(db: Database, name: str, owner: str, seconds: float) -> bool:
    """Take the lease, or hold on to it: whether it is `owner`'s now."""
    moment = now()
    values = {"lease_owner": owner, "lease_until": moment + timedelta(seconds=seconds)}
    free = sa.or_(_JOBS.c.lease_owner == owner, _JOBS.c.lease_until.is_(None), _JOBS.c.lease_until <= moment)

    def work(connection: Connection) -> bool:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        row = {"id": new_id(), "kind": _KIND, "key": _key(name), "payload": {}, "status": _KIND, "stage": ""}
        counts = {"done": 0, "total": 0, "attempts": 0, "error": "", "created_by": ""}
        add = insert(_JOBS).values(**row, **counts, **values, run_at=moment, created_at=moment)
        taken = add.on_conflict_do_update(index_elements=["key"], set_=values, where=free)
        return connection.execute(taken.returning(_JOBS.c.id)).first() is not None

    return db.write(work).result()


def release(db: Database, name: str, owner: str) -> None:
    mine = sa.and_(_JOBS.c.key == _key(name), _JOBS.c.lease_owner == owner)
    free = sa.update(_JOBS).where(mine).values(lease_until=None, lease_owner="")
    db.write(lambda connection: connection.execute(free)).result()


def _key(name: str) -> str:
    return f"{_KIND}:{name}"
