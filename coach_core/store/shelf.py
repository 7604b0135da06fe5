"""A collection as one leafs through it: the database counts, sorts, filters and cuts, so that five thousand
documents cost what the page of them costs that is shown.

Invariant: a page's order is a whole one (ties are broken by id), so that no document is on two pages or on none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection

from coach_core.errors import CollectionNotFound
from coach_core.store import Database, collections, documents
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import DocumentUseRow, VectorRow
from coach_core.types import (
    CollectionUse,
    Document,
    DocumentName,
    DocumentPage,
    DocumentShow,
    DocumentSort,
    DocumentUse,
    Figures,
    clean_text,
)

_DOCUMENTS = documents.DOCUMENTS
_USES = table_of(DocumentUseRow)
_VECTORS = table_of(VectorRow)
_PART = 500  # ids of one query
_BY_USE: frozenset[DocumentSort] = frozenset({"most_cited", "least_cited", "last_used"})


def figures(db: Database, collection_id: UUID, model: str, known: Figures | None = None) -> Figures:
    """What the collection holds; `known`, as it is, where nothing has changed since."""
    with db.read() as connection:
        generation = collections.generations(connection, [collection_id]).get(collection_id)
        if generation is None:
            raise CollectionNotFound()
        if known is not None and (known.model, known.generation) == (model, generation):
            return known
        count, total = connection.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_DOCUMENTS.c.chunks), 0)).where(_in(collection_id))
        ).one()
        embedded = (
            sa.select(sa.func.count())
            .select_from(_DOCUMENTS)
            .join(_VECTORS, _VECTORS.c.version_id == _DOCUMENTS.c.version_id)
            .where(_in(collection_id), _VECTORS.c.model == model)
        )
        return Figures(int(count), int(total), int(connection.execute(embedded).scalar_one()), model, generation)


def page(
    db: Database,
    collection_id: UUID,
    model: str,
    *,
    find: str = "",
    sort: DocumentSort = "newest",
    show: DocumentShow = "all",
    since: datetime | None = None,
    limit: int = 50,
    offset: int = 0,
) -> DocumentPage:
    """Documents whose title or file name holds every word of `find`; uses are counted from the day of `since` on."""
    used = _used(collection_id, since)
    fits = _fitting(collection_id, find, show, used, db.sqlite)
    query, count = sa.select(_DOCUMENTS.c.id), sa.select(sa.func.count()).select_from(_DOCUMENTS)
    beside = used.c.document_id == _DOCUMENTS.c.id
    if show != "all":
        count = count.outerjoin(used, beside)
    if show != "all" or sort in _BY_USE:
        query = query.outerjoin(used, beside)
    query = query.where(*fits).order_by(*_order(sort, used, db.sqlite)).limit(limit).offset(offset)
    with db.read() as connection:
        total = int(connection.execute(count.where(*fits)).scalar_one())
        shown = list(connection.execute(query).scalars())
        found = {d.id: d for d in documents.some(connection, shown, model)}
        uses = _uses(connection, shown, since)
    return DocumentPage(tuple((found[i], uses.get(i)) for i in shown), total)


def ids(
    db: Database, collection_id: UUID, *, find: str = "", show: DocumentShow = "all", since: datetime | None = None
) -> list[UUID]:
    """All documents that fit, in no order."""
    used = _used(collection_id, since)
    query = sa.select(_DOCUMENTS.c.id)
    if show != "all":
        query = query.outerjoin(used, used.c.document_id == _DOCUMENTS.c.id)
    with db.read() as connection:
        return list(connection.execute(query.where(*_fitting(collection_id, find, show, used, db.sqlite))).scalars())


def these(db: Database, wanted: Sequence[UUID], model: str) -> list[Document]:
    """The documents of these ids that are still there, in the same order."""
    found: dict[UUID, Document] = {}
    with db.read() as connection:
        for at in range(0, len(wanted), _PART):
            found |= {d.id: d for d in documents.some(connection, wanted[at : at + _PART], model)}
    return [found[i] for i in wanted if i in found]


def names(db: Database, collection_ids: Sequence[UUID]) -> list[DocumentName]:
    """What the documents of these collections are called."""
    columns = (_DOCUMENTS.c.id, _DOCUMENTS.c.name, _DOCUMENTS.c.title, _DOCUMENTS.c.language)
    with db.read() as connection:
        found = connection.execute(sa.select(*columns).where(_DOCUMENTS.c.collection_id.in_(collection_ids)))
        return [DocumentName(*row) for row in found]


def use(db: Database, collection_id: UUID, since: datetime | None = None) -> CollectionUse:
    """How the documents were used together, from the day of `since` on."""
    used = _used(collection_id, since)
    found, cited = (sa.func.coalesce(used.c[name], 0) for name in ("found", "cited"))
    never = (sa.func.coalesce(sa.func.sum(sa.case((n == 0, 1), else_=0)), 0) for n in (found, cited))
    sums = (sa.func.coalesce(sa.func.sum(n), 0) for n in (found, cited))
    query = sa.select(sa.func.count(), *sums, *never).select_from(_DOCUMENTS)
    query = query.outerjoin(used, used.c.document_id == _DOCUMENTS.c.id).where(_in(collection_id))
    with db.read() as connection:
        return CollectionUse(*map(int, connection.execute(query).one()))


# -- parts of a query -------------------------------------------------------------------------------------


def _in(collection_id: UUID) -> ColumnElement[bool]:
    return _DOCUMENTS.c.collection_id == collection_id


def _fitting(
    collection_id: UUID, find: str, show: DocumentShow, used: sa.Subquery, sqlite: bool
) -> list[ColumnElement[bool]]:
    called = _DOCUMENTS.c.title.concat(" ").concat(_DOCUMENTS.c.name)
    place = sa.func.instr if sqlite else sa.func.strpos
    words = clean_text(find).split()
    never = [sa.func.coalesce(used.c.cited if show == "uncited" else used.c.found, 0) == 0] if show != "all" else []
    holds = (place(_folded(called, sqlite), _folded(sa.literal(w), sqlite)) > 0 for w in words)
    return [_in(collection_id), *holds, *never]


def _folded(text: ColumnElement[str], sqlite: bool) -> ColumnElement[str]:
    """Without the difference of large and small letters; SQLite itself knows those of English alone."""
    return sa.func.casefold(text) if sqlite else sa.func.lower(text)


def _order(sort: DocumentSort, used: sa.Subquery, sqlite: bool) -> list[Any]:
    called = _folded(sa.func.coalesce(sa.func.nullif(_DOCUMENTS.c.title, ""), _DOCUMENTS.c.name), sqlite)
    cited = sa.func.coalesce(used.c.cited, 0)
    first = {
        "newest": [_DOCUMENTS.c.created_at.desc()],
        "oldest": [_DOCUMENTS.c.created_at],
        "name": [],
        "most_cited": [cited.desc(), sa.func.coalesce(used.c.found, 0).desc()],
        "least_cited": [cited, sa.func.coalesce(used.c.found, 0)],
        "last_used": [used.c.last_at.desc().nulls_last()],
    }[sort]
    return [*first, called, _DOCUMENTS.c.id]


def _used(collection_id: UUID, since: datetime | None) -> sa.Subquery:
    mine = sa.select(_DOCUMENTS.c.id).where(_in(collection_id))
    return _sums(since).where(_USES.c.document_id.in_(mine)).subquery()


def _uses(connection: Connection, wanted: Sequence[UUID], since: datetime | None) -> dict[UUID, DocumentUse]:
    rows: Iterable[Any] = connection.execute(_sums(since).where(_USES.c.document_id.in_(wanted)))
    return {r[0]: DocumentUse(r[0], int(r[1]), int(r[2]), r[3]) for r in rows}


def _sums(since: datetime | None) -> sa.Select[*tuple[Any, ...]]:
    query = sa.select(
        _USES.c.document_id,
        sa.func.sum(_USES.c.found).label("found"),
        sa.func.sum(_USES.c.cited).label("cited"),
        sa.func.max(_USES.c.last_at, type_=_USES.c.last_at.type).label("last_at"),
    ).group_by(_USES.c.document_id)
    if since is not None:
        query = query.where(_USES.c.day >= since.replace(hour=0, minute=0, second=0, microsecond=0))
    return query
