"""People who may act: the owner and the profiles beside it.

Invariant: no two live profiles have the same name, whatever its case or composition; a deleted
profile's threads stay its own.
"""

from __future__ import annotations

import unicodedata
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from coach_core.errors import InputError, NameTaken, NotAllowed, ProfileNotFound
from coach_core.store import Database
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.people import UserRow
from coach_core.types import Role, User, clean_text, new_id, now

USERS = table_of(UserRow)
_COLUMNS = [USERS.c[name] for name in User.__dataclass_fields__]
_LIVE = USERS.c.deleted_at.is_(None)
LONGEST_NAME = 80


def ensure_owner(db: Database) -> User:
    """The owner of this installation, made on first use."""
    query = sa.select(*_COLUMNS).where(_LIVE, USERS.c.role == "owner").order_by(USERS.c.created_at).limit(1)

    def look() -> User | None:
        with db.read() as connection:
            row = connection.execute(query).first()
        return _user(row) if row else None

    if owner := look():
        return owner

    def work(connection: Connection) -> User:
        row = connection.execute(query).first()
        return _user(row) if row else _insert(connection, "Owner", "owner", None)

    try:
        return db.write(work).result()
    except IntegrityError:  # another process made it at the same moment
        if owner := look():
            return owner
        raise


def list_users(db: Database) -> list[User]:
    """The live profiles, oldest first."""
    query = sa.select(*_COLUMNS).where(_LIVE).order_by(USERS.c.created_at, USERS.c.id)
    with db.read() as connection:
        return [_user(row) for row in connection.execute(query)]


def get_user(db: Database, user_id: UUID) -> User:
    with db.read() as connection:
        row = connection.execute(sa.select(*_COLUMNS).where(USERS.c.id == user_id, _LIVE)).first()
    if row is None:
        raise ProfileNotFound()
    return _user(row)


def create_user(db: Database, name: str, role: Role, *, client_id: UUID | None = None) -> User:
    name = _clean(name)
    try:
        return db.write(lambda connection: _insert(connection, name, role, client_id)).result()
    except IntegrityError as fault:
        raise NameTaken() from fault


def rename(db: Database, user_id: UUID, name: str) -> User:
    name = _clean(name)
    change = sa.update(USERS).where(USERS.c.id == user_id, _LIVE).values(name=name, name_key=_key(name))
    try:
        db.write(lambda connection: connection.execute(change)).result()
    except IntegrityError as fault:
        raise NameTaken() from fault
    return get_user(db, user_id)


def delete_user(db: Database, user_id: UUID) -> None:
    """Take a profile out of the picker. The last owner stays."""

    def work(connection: Connection) -> None:
        role = connection.execute(sa.select(USERS.c.role).where(USERS.c.id == user_id, _LIVE)).scalar()
        if role is None:
            raise ProfileNotFound()
        owners = sa.select(sa.func.count()).select_from(USERS).where(_LIVE, USERS.c.role == "owner")
        if role == "owner" and connection.execute(owners).scalar_one() == 1:
            raise NotAllowed("This is the only owner. Make another profile an owner first.")
        connection.execute(sa.update(USERS).where(USERS.c.id == user_id).values(deleted_at=now()))

    db.write(work).result()


def _insert(connection: Connection, name: str, role: Role, client_id: UUID | None) -> User:
    user = User(new_id(), name, role, now(), client_id)
    values = {field: getattr(user, field) for field in User.__dataclass_fields__}
    connection.execute(sa.insert(USERS).values(**values, name_key=_key(name)))
    return user


def _clean(name: str) -> str:
    name = " ".join(clean_text(name).split())
    if not name:
        raise InputError("The name is empty. Type one.")
    if len(name) > LONGEST_NAME:
        raise InputError(f"The name is too long. Use at most {LONGEST_NAME} characters.")
    return name


def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()


def _user(row: AnyRow) -> User:
    return User(**{field: getattr(row, field) for field in User.__dataclass_fields__})
