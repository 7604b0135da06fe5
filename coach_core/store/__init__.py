"""The database, opened: reads on any thread, writes through one writer, files beside it.

Invariant: nothing outside store/ and search/ sees SQL, a session or a connection; functions of the
nouns (threads, turns, documents ...) take a Database and hand out values of types.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from coach_core.errors import BadSetting
from coach_core.store.faults import map_fault
from coach_core.store.writer import Writer

T = TypeVar("T")


class Database:
    """`home` is the folder for files (COACH_HOME); `url` an SQLAlchemy address, SQLite or PostgreSQL."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        # SQLite's read transactions see one view by nature; PostgreSQL must be asked for it
        level: dict[str, Any] = {} if self.sqlite else {"isolation_level": "REPEATABLE READ"}
        self._reads = engine.execution_options(**level)
        self.writer = Writer(engine.execution_options(begin="IMMEDIATE"))

    @classmethod
    def open(cls, url: str, home: Path, *, upgrade: bool = True) -> Database:
        """Open, and with `upgrade` bring the schema to the newest version (a backup is made first)."""
        home.mkdir(parents=True, exist_ok=True)
        engine = make_engine(url)
        if upgrade:
            from coach_core.store import schema

            schema.upgrade(engine, home)
        return cls(engine, home)

    @property
    def sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection in a read transaction: one unchanging view of the data."""
        try:
            with self._reads.connect() as connection:
                yield connection
        except DBAPIError as fault:
            raise map_fault(fault) from fault

    def write(self, work: Callable[[Connection], T]) -> Future[T]:
        """Hand `work` to the writer; wait for `.result()` to know it is on disk."""
        return self.writer.submit(work)

    def close(self) -> None:
        self.writer.close()
        self.engine.dispose()


def make_engine(url: str) -> Engine:
    """An engine for `url`. SQLite runs in WAL with synchronous=FULL; PostgreSQL through psycopg."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise BadSetting("DATABASE_URL is not an address. Use sqlite:///path or postgresql://...") from error
    if address.get_backend_name() == "postgresql":
        return create_engine(address.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if address.get_backend_name() != "sqlite" or not address.database:
        raise BadSetting("DATABASE_URL must begin with sqlite:/// or postgresql://.")
    folder = Path(address.database).parent
    if not folder.parent.is_dir():  # a slip in the address, rather than a new home
        raise BadSetting(f"The folder of DATABASE_URL does not exist: {folder}. Make it first, or correct the address.")
    folder.mkdir(exist_ok=True)
    engine = create_engine(address.set(drivername="sqlite+pysqlite"), connect_args={"timeout": 15})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.create_function("casefold", 1, _casefold, deterministic=True)
    connection.isolation_level = None  # transactions begin in _begin_sqlite, not by the driver's guess
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


def _casefold(text: str | None) -> str | None:
    return None if text is None else text.casefold()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('begin', 'DEFERRED')}")
