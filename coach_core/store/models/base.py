"""Column types that mean the same in SQLite and PostgreSQL: aware UTC times, JSON, ids.

Invariant: a time read from a row is aware and in UTC; a naive time is never written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, DateTime, Integer, LargeBinary, Row, Select, Table, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from coach_core.types import new_id, now

AnyRow = Row[*tuple[Any, ...]]
AnySelect = Select[*tuple[Any, ...]]
Json = JSON().with_variant(JSONB(), "postgresql")
Number = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER counts up by itself in SQLite


class UtcTime(TypeDecorator[datetime]):
    """timestamptz in PostgreSQL; sortable ISO text of the UTC time in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def table_of(row: type[SQLModel]) -> Table:
    """The Core table behind a row class; store functions read and write through it."""
    return row.__table__  # type: ignore[attr-defined,no-any-return]


def id_field() -> Any:
    return Field(default_factory=new_id, primary_key=True)


def number_field() -> Any:
    """A key that counts up by itself."""
    return Field(default=None, primary_key=True, sa_type=Number, sa_column_kwargs={"autoincrement": True})


def time_field(*, index: bool = False) -> Any:
    """A time that is always there; the present moment unless given."""
    return Field(default_factory=now, sa_type=UtcTime, index=index, nullable=False)


def maybe_time(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=UtcTime, index=index, nullable=True)


def json_field(default: Any = dict) -> Any:
    return Field(default_factory=default, sa_type=Json, nullable=False)


def big_field(default: int = 0) -> Any:
    """A whole number beyond 32 bits: money, bytes, sums."""
    return Field(default=default, sa_type=BigInteger, nullable=False)


def bytes_field(*, nullable: bool = True) -> Any:
    return Field(default=None, sa_type=LargeBinary, nullable=nullable)


def ref(target: str, *, index: bool = True) -> Any:
    """A row that cannot be without `target`, and goes when that goes."""
    return Field(foreign_key=target, ondelete="CASCADE", index=index, nullable=False)


def key_part() -> Any:
    """A column of a primary key of several."""
    return Field(primary_key=True)


def key_time() -> Any:
    return Field(primary_key=True, sa_type=UtcTime)


def key_ref(target: str) -> Any:
    return Field(primary_key=True, foreign_key=target, ondelete="CASCADE")


def maybe_ref(target: str, *, index: bool = True) -> Any:
    """Names `target` while it exists."""
    return Field(default=None, foreign_key=target, ondelete="SET NULL", index=index, nullable=True)


__all__ = [
    "UUID",
    "AnyRow",
    "AnySelect",
    "Json",
    "Number",
    "SQLModel",
    "UtcTime",
    "Uuid",
    "big_field",
    "bytes_field",
    "id_field",
    "json_field",
    "key_part",
    "key_ref",
    "key_time",
    "maybe_ref",
    "maybe_time",
    "number_field",
    "ref",
    "table_of",
    "time_field",
]
