"""Collections of documents, and the generation that tells other processes what is new in them.

Invariant: a generation rises in the same transaction as what it stands for, and that transaction holds
the collection's row: whoever reads generation n sees all that was written up to n.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection, Row
from sqlalchemy.exc import IntegrityError

from coach_core.errors import CollectionNotFound, InputError, NameTaken
from coach_core.store import Database
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import CollectionRow, DocumentRow
from coach_core.types import Collection, clean_text, new_id, now

COLLECTIONS = table_of(CollectionRow)
_DOCUMENTS = table_of(DocumentRow)


def create(db: Database, name: str, description: str = "", licence: str = "") -> Collection:
    name = " ".join(clean_text(name).split())
    if not name:
        raise InputError("The collection needs a name.")
    texts = {"description": clean_text(description), "licence": clean_text(licence)}
    made = Collection(new_id(), name, texts["description"], 0, now(), licence=texts["licence"])

    def work(connection: Connection) -> Collection:
        values = {"id": made.id, "name": name, **texts, "generation": 0, "created_at": made.created_at}
        try:
            connection.execute(sa.insert(COLLECTIONS).values(values))
        except IntegrityError as error:
            raise NameTaken(f"There is a collection called {name} already. Choose another name.") from error
        return made

    return db.write(work).result()


def update(db: Database, collection_id: UUID, name: str, description: str, licence: str) -> Collection:
    """Say anew what it is called and what is in it."""
    name = " ".join(clean_text(name).split())
    if not name:
        raise InputError("The collection needs a name.")
    values = {"name": name, "description": clean_text(description), "licence": clean_text(licence)}

    def work(connection: Connection) -> None:
        change = sa.update(COLLECTIONS).where(COLLECTIONS.c.id == collection_id).values(**values)
        try:
            if not connection.execute(change).rowcount:
                raise CollectionNotFound()
        except IntegrityError as error:
            raise NameTaken(f"There is a collection called {name} already. Choose another name.") from error

    db.write(work).result()
    return get(db, collection_id)


def list_collections(db: Database) -> list[Collection]:
    with db.read() as connection:
        found = [_collection(row) for row in connection.execute(_with_counts())]
    return sorted(found, key=lambda c: c.name.casefold())


def get(db: Database, collection_id: UUID) -> Collection:
    with db.read() as connection:
        row = connection.execute(_with_counts().where(COLLECTIONS.c.id == collection_id)).first()
    if row is None:
        raise CollectionNotFound()
    return _collection(row)


def raise_generation(connection: Connection, collection_id: UUID) -> int:
    """One more; raises CollectionNotFound when the collection went meanwhile."""
    up = (
        sa.update(COLLECTIONS)
        .where(COLLECTIONS.c.id == collection_id)
        .values(generation=COLLECTIONS.c.generation + 1)
        .returning(COLLECTIONS.c.generation)
    )
    row = connection.execute(up).first()
    if row is None:
        raise CollectionNotFound()
    return int(row.generation)


def all_ids(connection: Connection) -> list[UUID]:
    return list(connection.execute(sa.select(COLLECTIONS.c.id)).scalars())


def generations(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, int]:
    """The generation of each of `ids` that exists."""
    query = sa.select(COLLECTIONS.c.id, COLLECTIONS.c.generation).where(COLLECTIONS.c.id.in_(ids))
    return {row.id: row.generation for row in connection.execute(query)}


def total_generation(connection: Connection) -> int:
    """A number that is another whenever something was taken in, embedded, moved or removed."""
    total = sa.select(sa.func.coalesce(sa.func.sum(COLLECTIONS.c.generation), 0), sa.func.count())
    generations, count = connection.execute(total).one()
    return int(generations) * 1000 + int(count)


def _with_counts() -> sa.Select[tuple[object, ...]]:
    return (
        sa.select(
            *COLLECTIONS.c,
            sa.func.count(_DOCUMENTS.c.id).label("documents"),
            sa.func.coalesce(sa.func.sum(_DOCUMENTS.c.chunks), 0).label("chunks"),
        )
        .outerjoin(_DOCUMENTS, _DOCUMENTS.c.collection_id == COLLECTIONS.c.id)
        .group_by(*COLLECTIONS.c)
    )


def _collection(row: Row[tuple[object, ...]]) -> Collection:
    return Collection(
        row.id,
        row.name,
        row.description,
        row.generation,
        row.created_at,
        documents=row.documents,
        chunks=int(row.chunks),
        licence=row.licence,
    )
