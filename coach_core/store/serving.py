"""Which embedding models find passages now, which were left, and the vectors of those.

Invariant: one row says it for all processes, written in one transaction; vectors of a model that is neither wanted
nor serving are kept for a while, so that going back costs nothing, and then dropped in small parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from coach_core.store import Database, chunks, settings_table
from coach_core.store.models.base import table_of
from coach_core.store.models.knowledge import ChunkRow, DocumentRow, VectorRow

_NAME = "embedding.serving"
_VECTORS = table_of(VectorRow)
_DOCUMENTS = table_of(DocumentRow)
_CHUNKS = table_of(ChunkRow)


@dataclass(frozen=True, slots=True)
class Serving:
    """`spec` opens the models that stand as `models` beside the vectors, the first for all languages.

    `left` says since when a model is neither wanted nor serving, `specs` what opens it again.
    """

    spec: str
    models: tuple[str, ...]
    left: Mapping[str, str] = field(default_factory=dict)
    specs: Mapping[str, str] = field(default_factory=dict)


def get(db: Database) -> Serving | None:
    """What serves; None before anything was embedded."""
    value = settings_table.get(db, _NAME)
    try:
        data: dict[str, Any] = json.loads(value) if value else {}
        if not data:
            return None
        return Serving(data["spec"], tuple(data["models"]), dict(data["left"]), dict(data.get("specs") or {}))
    except (ValueError, KeyError, TypeError):
        return None  # a hand has been there: what is wanted serves


def put(db: Database, serving: Serving) -> None:
    settings_table.set(db, _NAME, json.dumps(asdict(serving), ensure_ascii=False))


def models(connection: Connection) -> dict[str, int]:
    """How many vectors each model has, of documents that are there or not."""
    query = sa.select(_VECTORS.c.model, sa.func.count()).group_by(_VECTORS.c.model)
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def uncovered(connection: Connection, old: str, new: str) -> bool:
    """Whether a passage is found by `old` that `new` has not read yet."""
    other = _VECTORS.alias()
    read = sa.exists().where(other.c.chunk_number == _VECTORS.c.chunk_number, other.c.model == new)
    query = sa.select(_VECTORS.c.chunk_number).join(_DOCUMENTS, _DOCUMENTS.c.version_id == _VECTORS.c.version_id)
    return connection.execute(query.where(_VECTORS.c.model == old, sa.not_(read)).limit(1)).first() is not None


def last_number(connection: Connection) -> int:
    """The number of the newest passage."""
    return connection.execute(sa.select(sa.func.coalesce(sa.func.max(_CHUNKS.c.number), 0))).scalar_one()


def drop_some(connection: Connection, model: str) -> int:
    """Delete up to BATCH vectors of `model`; how many."""
    mine = sa.select(_VECTORS.c.chunk_number).where(_VECTORS.c.model == model).limit(chunks.BATCH)
    numbers = list(connection.execute(mine).scalars())
    if numbers:
        gone = sa.delete(_VECTORS).where(_VECTORS.c.model == model, _VECTORS.c.chunk_number.in_(numbers))
        connection.execute(gone)
    return len(numbers)


def waiting(connection: Connection, model: str, languages: Sequence[str]) -> int:
    """How many passages of documents in `languages` (all without) `model` has not read yet."""
    of = [_DOCUMENTS.c.language.in_(languages)] if languages else []
    total = sa.select(sa.func.coalesce(sa.func.sum(_DOCUMENTS.c.chunks), 0)).where(*of)
    read = (
        sa.select(sa.func.count())
        .select_from(_VECTORS)
        .join(_DOCUMENTS, _DOCUMENTS.c.version_id == _VECTORS.c.version_id)
        .where(_VECTORS.c.model == model, *of)
    )
    return max(0, int(connection.execute(total).scalar_one()) - int(connection.execute(read).scalar_one()))
