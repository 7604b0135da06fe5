"""Personas and their versions.

Invariant: a version never changes; saving and restoring each add one. A slug is given once, at the
first save, and stays: links and scripts hold it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from coach_core.errors import InputError, NameTaken, PersonaNotFound
from coach_core.store import Database
from coach_core.store.messages import cleaned
from coach_core.store.models.base import AnyRow, table_of
from coach_core.store.models.conversations import PersonaRow, PersonaVersionRow
from coach_core.types import Persona, PersonaDraft, PersonaVersion, new_id, now

PERSONAS = table_of(PersonaRow)
VERSIONS = table_of(PersonaVersionRow)
_CURRENT = sa.select(*PERSONAS.c, VERSIONS.c.draft).join(VERSIONS, VERSIONS.c.id == PERSONAS.c.version_id)
LONGEST_SLUG = 60


def list_personas(db: Database, *, deleted: bool = False) -> list[Persona]:
    """The personas there are, by name; with `deleted`, those that were deleted."""
    which = PERSONAS.c.deleted_at.is_not(None) if deleted else PERSONAS.c.deleted_at.is_(None)
    with db.read() as connection:
        found = [_persona(row) for row in connection.execute(_CURRENT.where(which))]
    return sorted(found, key=lambda persona: persona.name.casefold())


def get(db: Database, id_or_slug: UUID | str) -> Persona:
    """A persona by id (as UUID or text) or slug, also a deleted one (its `deleted_at` says so)."""
    with db.read() as connection:
        return _get(connection, id_or_slug)


def save(
    db: Database,
    actor_name: str,
    draft: PersonaDraft,
    persona_id: UUID | None = None,
    note: str = "",
    *,
    slug: str | None = None,
) -> Persona:
    """A new version of `persona_id`, or a new persona whose slug is `slug` or comes from its name."""
    if not draft.name.strip():
        raise InputError("A persona needs a name. Type one.")

    def work(connection: Connection) -> Persona:
        if persona_id is None:
            return _create(connection, actor_name, draft, note, slug)
        lock = sa.select(PERSONAS.c.version).where(PERSONAS.c.id == persona_id).with_for_update()
        version = connection.execute(lock).scalar()
        if version is None:
            raise PersonaNotFound()
        version_id = _add_version(connection, persona_id, version + 1, draft, actor_name, note)
        values = {"version": version + 1, "version_id": version_id, "name": draft.name, "updated_at": now()}
        connection.execute(sa.update(PERSONAS).where(PERSONAS.c.id == persona_id).values(**values))
        return _get(connection, persona_id)

    try:
        return db.write(work).result()
    except IntegrityError as fault:  # the slug, taken by another process in between
        raise NameTaken() from fault


def versions(db: Database, persona_id: UUID) -> list[PersonaVersion]:
    """Every version, newest first."""
    query = sa.select(VERSIONS).where(VERSIONS.c.persona_id == persona_id).order_by(VERSIONS.c.version.desc())
    with db.read() as connection:
        found = [_version(row) for row in connection.execute(query)]
    if not found:
        raise PersonaNotFound()
    return found


def version(db: Database, version_id: UUID) -> PersonaVersion:
    with db.read() as connection:
        row = connection.execute(sa.select(VERSIONS).where(VERSIONS.c.id == version_id)).first()
    if row is None:
        raise PersonaNotFound()
    return _version(row)


def restore(db: Database, actor_name: str, persona_id: UUID, number: int) -> Persona:
    """Make version `number` the newest again, as a version of its own."""
    old = next((v for v in versions(db, persona_id) if v.version == number), None)
    if old is None:
        raise PersonaNotFound(f"There is no version {number} of this persona.")
    return save(db, actor_name, old.draft, persona_id, f"restored from version {number}")


def delete(db: Database, persona_id: UUID) -> None:
    """Take a persona out of the lists; its threads and versions stay."""
    _stamp(db, persona_id, now())


def undelete(db: Database, persona_id: UUID) -> None:
    _stamp(db, persona_id, None)


def slug_of(name: str) -> str:
    """`name` as lower-case ASCII words joined by hyphens; "persona" when nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:LONGEST_SLUG].rstrip("-") or "persona"


def _create(connection: Connection, actor_name: str, draft: PersonaDraft, note: str, slug: str | None) -> Persona:
    base = slug or slug_of(draft.name)
    taken = set(connection.execute(sa.select(PERSONAS.c.slug).where(PERSONAS.c.slug.startswith(base))).scalars())
    free, count = base, 1
    while free in taken:
        count += 1
        free = f"{base}-{count}"
    persona_id, version_id, moment = new_id(), new_id(), now()
    values = {"name": draft.name, "version_id": version_id, "created_at": moment, "updated_at": moment}
    connection.execute(sa.insert(PERSONAS).values(id=persona_id, slug=free, version=1, **values))
    _add_version(connection, persona_id, 1, draft, actor_name, note, version_id)
    return _get(connection, persona_id)


def _add_version(
    connection: Connection,
    persona_id: UUID,
    number: int,
    draft: PersonaDraft,
    actor_name: str,
    note: str,
    version_id: UUID | None = None,
) -> UUID:
    version_id = version_id or new_id()
    values = {"draft": cleaned(draft.to_dict()), "created_by": actor_name, "note": note, "created_at": now()}
    connection.execute(sa.insert(VERSIONS).values(id=version_id, persona_id=persona_id, version=number, **values))
    return version_id


def _get(connection: Connection, id_or_slug: UUID | str) -> Persona:
    which = PERSONAS.c.id == id_or_slug if isinstance(id_or_slug, UUID) else PERSONAS.c.slug == id_or_slug
    row = connection.execute(_CURRENT.where(which)).first()
    if row is None and isinstance(id_or_slug, str) and (as_id := _uuid(id_or_slug)):
        row = connection.execute(_CURRENT.where(PERSONAS.c.id == as_id)).first()
    if row is None:
        raise PersonaNotFound()
    return _persona(row)


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _stamp(db: Database, persona_id: UUID, moment: Any) -> None:
    change = sa.update(PERSONAS).where(PERSONAS.c.id == persona_id).values(deleted_at=moment)
    if not db.write(lambda connection: connection.execute(change).rowcount).result():
        raise PersonaNotFound()


def _persona(row: AnyRow) -> Persona:
    draft = PersonaDraft.from_dict(row.draft)
    times = (row.created_at, row.updated_at, row.deleted_at)
    return Persona(row.id, row.slug, row.version, row.version_id, draft, *times)


def _version(row: AnyRow) -> PersonaVersion:
    draft = PersonaDraft.from_dict(row.draft)
    return PersonaVersion(row.id, row.persona_id, row.version, draft, row.created_at, row.created_by, row.note)
