"""Short names for the columns of the baseline, so that a table reads as one line a column.

Invariant: frozen. `of` names what a column refers to, `gone` what happens when that goes, `late`
that it is checked at the commit.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Index, MetaData, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData()
_JSON = sa.JSON().with_variant(JSONB(), "postgresql")
_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def table(name: str, *items: Column[Any] | Index | sa.UniqueConstraint) -> Table:
    return Table(name, metadata, *items)


def uuid(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.Uuid(), **how)


def text(name: str, length: int | None = None, **how: Any) -> Column[Any]:
    return _column(name, sa.String(length), **how)


def long_text(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.Text(), **how)


def integer(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.Integer(), **how)


def big(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.BigInteger(), **how)


def counted(name: str, **how: Any) -> Column[Any]:
    """A number that counts up by itself when it is the key."""
    return _column(name, _COUNTED, **how)


def real(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.Float(), **how)


def flag(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.Boolean(), **how)


def time(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.DateTime(timezone=True), **how)


def json(name: str, **how: Any) -> Column[Any]:
    return _column(name, _JSON, **how)


def blob(name: str, **how: Any) -> Column[Any]:
    return _column(name, sa.LargeBinary(), **how)


def index(name: str, *columns: str, unique: bool = False, where: str = "") -> Index:
    only: dict[str, Any] = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)} if where else {}
    return Index(name, *columns, unique=unique, **only)


def unique(*columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns)


def _column(
    name: str,
    kind: TypeEngine[Any],
    *,
    key: bool = False,
    null: bool = False,
    of: str = "",
    gone: str | None = None,
    late: bool = False,
    auto: Any = "auto",
) -> Column[Any]:
    when: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"} if late else {}
    refers = [sa.ForeignKey(of, ondelete=gone, **when)] if of else []
    return Column(name, kind, *refers, primary_key=key, nullable=null, autoincrement=auto)
