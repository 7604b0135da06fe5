"""The schema's version: brought up to date, looked at, refused when newer than this app.

Invariant: an existing SQLite file is copied to home/backups before it is changed; an upgrade happens whole
or not at all, and by one process at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from coach_core.errors import SchemaBehind, SchemaTooNew
from coach_core.store.faults import map_fault
from coach_core.types import now

_SCRIPTS = Path(__file__).parent / "alembic"
_LOCK = 0x736368656D61
EMPTY = ""


def head() -> str:
    """The version this app needs."""
    return _scripts().get_current_head() or EMPTY


def current(engine: Engine) -> str:
    """The version the database has; "" when it is empty."""
    with _faults(), engine.connect() as connection:
        return _current(connection)


def check(engine: Engine) -> None:
    """Raise SchemaBehind or SchemaTooNew unless the database has the version this app needs."""
    if _known(found := current(engine)) != head():
        raise SchemaBehind(f"The database has version {found or 'none'}, this app needs {head()}.")


def upgrade(engine: Engine, home: Path) -> None:
    """Bring the database to the version this app needs; nothing is touched when it has it."""
    if _known(current(engine)) != head():
        _migrate(engine, home, head(), up=True)


def downgrade(engine: Engine, home: Path, to: str = "base") -> None:
    """Go back to version `to`."""
    _migrate(engine, home, to, up=False)


def copy_sqlite(engine: Engine, target: Path) -> None:
    """An online copy of the SQLite database behind `engine`, whole and consistent."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(str(engine.url.database))) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)


def _migrate(engine: Engine, home: Path, to: str, *, up: bool) -> None:
    eager = engine.execution_options(begin="IMMEDIATE")
    with _faults(), eager.connect() as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = _known(_current(connection))  # another process may have done it while this one waited
        if up and found == to:
            return
        if engine.dialect.name == "sqlite" and found != EMPTY:
            copy_sqlite(engine, home / "backups" / f"before-{to}-from-{found}-{now():%Y%m%dT%H%M%S%f}.db")
        config = _config()
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, to)


def _current(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or EMPTY


def _known(version: str) -> str:
    if version != EMPTY and version not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaTooNew()
    return version


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


@lru_cache(maxsize=1)
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except DBAPIError as fault:
        raise map_fault(fault) from fault
