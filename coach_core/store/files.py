"""Files by their content: under home/files with SQLite, in the database with PostgreSQL.

Invariant: a row exists only once its bytes are on disk; the same bytes are stored once, whatever their
names. What is read is what was put: a file that no longer has its hash counts as lost.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from coach_core.errors import DiskFull, FileNotFound
from coach_core.store import Database
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.conversations import FileBytesRow, FileRow
from coach_core.types import StoredFile, clean_text, new_id, now

FILES = table_of(FileRow)
_BYTES = table_of(FileBytesRow)
_COLUMNS = [FILES.c[name] for name in StoredFile.__dataclass_fields__]


def put(db: Database, name: str, media_type: str, data: bytes | Path, owner_id: UUID | None) -> StoredFile:
    """Store `data`; the same content under the same name by the same owner is the same file."""
    content = data.read_bytes() if isinstance(data, Path) else data
    digest = hashlib.sha256(content).hexdigest()
    name = clean_text(name)
    if db.sqlite:
        _write(_place(db, digest), content)
    same = sa.and_(FILES.c.sha256 == digest, FILES.c.name == name, FILES.c.owner_id == owner_id)
    stored = StoredFile(new_id(), digest, name, media_type, len(content), now())

    def work(connection: Connection) -> StoredFile:
        row = connection.execute(sa.select(*_COLUMNS).where(same, FILES.c.media_type == media_type)).first()
        if row is not None:
            return _file(row)
        if not db.sqlite:
            add = postgresql.insert(_BYTES).values(sha256=digest, data=content).on_conflict_do_nothing()
            connection.execute(add)
        values = {field: getattr(stored, field) for field in StoredFile.__dataclass_fields__}
        connection.execute(sa.insert(FILES).values(**values, owner_id=owner_id))
        return stored

    made = db.write(work).result()
    if db.sqlite:
        _write(_place(db, digest), content)  # another process may have dropped the same content meanwhile
    return made


def get(db: Database, file_id: UUID) -> StoredFile:
    with db.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(FILES.c.id == file_id)).first()
    if row is None:
        raise FileNotFound()
    return _file(row)


def of_library(db: Database, sha256: str) -> StoredFile:
    """The library's file (nobody's own) that has these bytes."""
    same = sa.and_(FILES.c.sha256 == sha256, FILES.c.owner_id.is_(None))
    with db.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(same).limit(1)).first()
    if row is None:
        raise FileNotFound()
    return _file(row)


def owner_of(db: Database, file_id: UUID) -> UUID | None:
    with db.read() as connection:
        row = connection.execute(sa.select(FILES.c.owner_id).where(FILES.c.id == file_id)).first()
    if row is None:
        raise FileNotFound()
    return row.owner_id


def read(db: Database, file_id: UUID) -> bytes:
    """The bytes, checked against their hash."""
    stored = get(db, file_id)
    content = _load(db, stored.sha256)
    if content is None or hashlib.sha256(content).hexdigest() != stored.sha256:
        raise FileNotFound()
    return content


def path(db: Database, file_id: UUID) -> Path | None:
    """Where the bytes lie on this machine's disk; None where they are in the database."""
    place = _place(db, get(db, file_id).sha256)
    return place if db.sqlite and place.exists() else None


def drop(db: Database, file_id: UUID) -> None:
    """Forget a file, and its bytes when no other file has the same. Nothing happens when it is not there."""

    def work(connection: Connection) -> str:
        gone = sa.delete(FILES).where(FILES.c.id == file_id).returning(FILES.c.sha256)
        digest = connection.execute(gone).scalar()
        if digest is None or connection.execute(sa.select(FILES.c.id).where(FILES.c.sha256 == digest)).first():
            return ""
        connection.execute(sa.delete(_BYTES).where(_BYTES.c.sha256 == digest))
        if db.sqlite:
            _place(db, digest).unlink(missing_ok=True)
        return digest

    db.write(work).result()


def _load(db: Database, digest: str) -> bytes | None:
    if db.sqlite:
        place = _place(db, digest)
        return place.read_bytes() if place.exists() else None
    with db.read() as connection:
        return connection.execute(sa.select(_BYTES.c.data).where(_BYTES.c.sha256 == digest)).scalar()


def _place(db: Database, digest: str) -> Path:
    return db.home / "files" / digest[:2] / digest


def _write(place: Path, content: bytes) -> None:
    """All or nothing, and on disk when this returns."""
    if place.exists() and place.stat().st_size == len(content):
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, place)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as fault:
        raise DiskFull("The file could not be stored: the disk is full or not writable.") from fault


def _file(row: AnyRow) -> StoredFile:
    return StoredFile(**{field: getattr(row, field) for field in StoredFile.__dataclass_fields__})
