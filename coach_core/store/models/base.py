"""Column types that mean the same in SQLite and PostgreSQL: aware UTC times, JSON, ids.

Invariant: a time read from a row is aware and in UTC; a naive time is never written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, DateTime, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from coach_core.types import new_id, now

Json = JSON().with_variant(JSONB(), "postgresql")


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


def id_field() -> Any:
    return Field(default_factory=new_id, primary_key=True)


def time_field(*, index: bool = False) -> Any:
    """A time that is always there; the present moment unless given."""
    return Field(default_factory=now, sa_type=UtcTime, index=index, nullable=False)


def maybe_time(*, index: bool = False) -> Any:
    return Field(default=None, sa_type=UtcTime, index=index, nullable=True)


def json_field(default: Any = dict) -> Any:
    return Field(default_factory=default, sa_type=Json, nullable=False)


__all__ = ["Column", "Json", "SQLModel", "UUID", "Uuid", "UtcTime", "id_field", "json_field", "maybe_time", "time_field"]
