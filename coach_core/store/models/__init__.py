"""Every table of the app. Importing this package makes `metadata` whole.

Invariant: a table is a class <Noun>Row in one of these modules; the migrations in store/alembic make
exactly these tables, and a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlmodel import SQLModel

from coach_core.store.models import conversations, knowledge, measures, operations, people, practice
from coach_core.store.models.base import table_of

metadata: MetaData = SQLModel.metadata

__all__ = ["conversations", "knowledge", "measures", "metadata", "operations", "people", "practice", "table_of"]
