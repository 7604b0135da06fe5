"""One file that holds the database and the files, and back.

Invariant: a backup is whole or is not there; `restore` looks through the whole of it before it touches
anything, and keeps what it replaces aside. The database in it is always an SQLite file of the same
tables, so that a backup of one kind of database restores into the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from coach_core.errors import BadBackup, DatabaseBusy, DiskFull, StoreError
from coach_core.store import Database, make_engine, schema
from coach_core.store.faults import map_fault
from coach_core.store.models import metadata
from coach_core.store.models.base import table_of
from coach_core.store.models.conversations import FileBytesRow
from coach_core.types import now

FORMAT = "coach-backup"
VERSION = 1
ROWS_TOGETHER = 500
_BYTES = table_of(FileBytesRow)


def backup(db: Database, file: Path) -> None:
    """Write everything as it is now into `file` (a zip), while the app goes on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
            copy = Path(folder) / "coach.db"
            if db.sqlite:
                schema.copy_sqlite(db.engine, copy)
            else:
                _copy_out(db.engine, copy)
                _export_files(db, Path(folder))
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
                archive.write(copy, "coach.db")
                home = db.home if db.sqlite else Path(folder)
                for path in _files(home):  # after the copy: each file that a row names is there
                    archive.write(path, path.relative_to(home).as_posix())
                archive.writestr("manifest.json", json.dumps(_manifest(db, copy)))
        with part.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(part, file)
    except OSError as fault:
        raise DiskFull("The backup could not be written: the disk is full or not writable.") from fault
    finally:
        part.unlink(missing_ok=True)


def restore(home: Path, url: str, file: Path) -> Path | None:
    """Put the backup in the place of what is there. Returns where that was put aside, or None.

    The app must not run on this home meanwhile.
    """
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".restore-") as name:
        folder = Path(name)
        _unpack(file, folder)
        engine = make_engine(url)
        try:
            if engine.dialect.name == "sqlite":
                return _replace_sqlite(engine, home, folder)
            return _replace_server(engine, home, folder)
        finally:
            engine.dispose()


def _manifest(db: Database, copy: Path) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_at": now().isoformat(),
        "schema": schema.current(db.engine),
        "database": _digest(copy),
    }


def _files(home: Path) -> Iterator[Path]:
    return (path for path in sorted((home / "files").glob("*/*")) if path.is_file() and path.name[0] != ".")


def _unpack(file: Path, folder: Path) -> None:
    """Everything of the backup into `folder`, once all of it has been found good."""
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            if manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
                raise BadBackup()
            for name in archive.namelist():
                if name != "manifest.json":
                    _extract(archive, name, folder)
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile, EOFError, NotImplementedError) as fault:
        if isinstance(fault, FileNotFoundError):
            raise BadBackup("There is no such file. Check the path of the backup.") from fault
        raise BadBackup() from fault
    except zlib.error as fault:
        raise BadBackup() from fault
    database = folder / "coach.db"
    if not database.exists() or _digest(database) != manifest.get("database") or not _sound(database):
        raise BadBackup()
    engine = make_engine(f"sqlite:///{database}")
    try:
        schema.upgrade(engine, folder)  # an older backup is brought up to date; a newer one is refused
    finally:
        engine.dispose()


def _extract(archive: zipfile.ZipFile, name: str, folder: Path) -> None:
    """One member; a stored file must lie where its hash says and have that hash."""
    pieces = name.split("/")
    stored = len(pieces) == 3 and pieces[0] == "files" and pieces[2].startswith(pieces[1]) and len(pieces[2]) == 64
    if name != "coach.db" and not (stored and pieces[2].isalnum()):
        raise BadBackup()
    target = folder.joinpath(*pieces)
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out)
    if stored and _digest(target) != pieces[2]:
        raise BadBackup()


def _sound(database: Path) -> bool:
    try:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    except sqlite3.DatabaseError:
        return False


def _replace_sqlite(engine: Engine, home: Path, folder: Path) -> Path | None:
    database = Path(str(engine.url.database))
    aside = home / "backups" / f"replaced-{now():%Y%m%dT%H%M%S%f}"
    _check_unused(database)
    there = [Path(f"{database}{end}") for end in ("", "-wal", "-shm") if Path(f"{database}{end}").exists()]
    if there:
        aside.mkdir(parents=True)
        for path in reversed(there):
            shutil.move(path, aside / path.name)
    database.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / "coach.db", database)
    _add_files(home, folder)
    return aside if there else None


def _check_unused(database: Path) -> None:
    """Only one who is alone with an SQLite file can lock the whole of it."""
    if not database.exists():
        return
    with closing(sqlite3.connect(database, isolation_level=None, timeout=1)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError as fault:
            raise DatabaseBusy("The app is running on this database. Stop it, then restore again.") from fault
        except sqlite3.DatabaseError:
            return  # what is there is damaged; it is put aside as it is


def _replace_server(engine: Engine, home: Path, folder: Path) -> Path | None:
    """Into a server's database, in one transaction; what was there is first backed up to home/backups."""
    schema.upgrade(engine, home)
    aside = home / "backups" / f"replaced-{now():%Y%m%dT%H%M%S%f}.zip"
    there = Database(engine, home)
    try:
        backup(there, aside)
    finally:
        there.writer.close()
    source = make_engine(f"sqlite:///{folder / 'coach.db'}")
    try:
        with _faults(), source.connect() as old, engine.begin() as new:
            for table in reversed(metadata.sorted_tables):
                new.execute(sa.delete(table))
            for table in metadata.sorted_tables:
                _copy_table(old, new, table)
                _count_on(new, table)
            for path in _files(folder):
                new.execute(sa.delete(_BYTES).where(_BYTES.c.sha256 == path.name))
                new.execute(sa.insert(_BYTES).values(sha256=path.name, data=path.read_bytes()))
    finally:
        source.dispose()
    return aside


def _copy_out(engine: Engine, target: Path) -> None:
    """A server's database as an SQLite file, from one unchanging view of it."""
    copy = make_engine(f"sqlite:///{target}")
    try:
        schema.upgrade(copy, target.parent)
        view = engine.execution_options(isolation_level="REPEATABLE READ")
        with _faults(), view.connect() as old, copy.connect() as new:
            new.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            for table in metadata.sorted_tables:
                if table is not _BYTES:
                    _copy_table(old, new, table)
            new.exec_driver_sql("INSERT INTO chunk_words(chunk_words) VALUES ('rebuild')")
            new.commit()
    finally:
        copy.dispose()


def _export_files(db: Database, folder: Path) -> None:
    with db.read() as connection:
        for digest in connection.execute(sa.select(_BYTES.c.sha256)).scalars().all():
            data = connection.execute(sa.select(_BYTES.c.data).where(_BYTES.c.sha256 == digest)).scalar_one()
            target = folder / "files" / digest[:2] / digest
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def _copy_table(old: Connection, new: Connection, table: sa.Table) -> None:
    order = [column for name in ("created_at", "number") if (column := table.c.get(name)) is not None]
    rows = old.execution_options(yield_per=ROWS_TOGETHER).execute(sa.select(table).order_by(*order))
    for some in rows.mappings().partitions(ROWS_TOGETHER):
        new.execute(sa.insert(table), [dict(row) for row in some])


def _count_on(connection: Connection, table: sa.Table) -> None:
    """Let a server's own numbering go on after the numbers that were copied."""
    column = table.c.get("number")
    if column is not None and column.primary_key:
        last = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
        sequence = sa.func.pg_get_serial_sequence(table.name, "number")
        connection.execute(sa.select(sa.func.setval(sequence, last, False)))


def _add_files(home: Path, folder: Path) -> None:
    for path in _files(folder):
        target = home / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except DBAPIError as fault:
        raise map_fault(fault) from fault
    except SQLAlchemyError as fault:
        raise StoreError() from fault
