"""Settings that admins edit on the page.

Invariant: never a secret; those come from the environment, .env or secrets.toml alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.errors import BadSetting
from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.operations import SettingRow
from coach_core.types import clean_text, now

_SETTINGS = table_of(SettingRow)
_SECRET = re.compile(r"(^|_)(api_?key|key|secret|password)$", re.IGNORECASE)


def get_all(db: Database) -> Mapping[str, str]:
    with db.read() as connection:
        rows = connection.execute(sa.select(_SETTINGS.c.name, _SETTINGS.c.value)).all()
    return {row.name: row.value for row in rows}


def get(db: Database, name: str) -> str:
    """The value of one row; "" where there is none."""
    with db.read() as connection:
        return connection.execute(sa.select(_SETTINGS.c.value).where(_SETTINGS.c.name == name)).scalar() or ""


def set(db: Database, name: str, value: str, *, by: str = "") -> None:
    if _SECRET.search(name):
        raise BadSetting(f"{name} is a secret. Put it into .env or the environment, not into the database.")
    values = {"value": clean_text(value), "updated_at": now(), "updated_by": by}

    def work(connection: Connection) -> None:
        changed = connection.execute(sa.update(_SETTINGS).where(_SETTINGS.c.name == name).values(**values))
        if not changed.rowcount:
            connection.execute(sa.insert(_SETTINGS).values(name=name, **values))

    db.write(work).result()


def unset(db: Database, name: str) -> None:
    drop = sa.delete(_SETTINGS).where(_SETTINGS.c.name == name)
    db.write(lambda connection: connection.execute(drop)).result()
