"""Questions in five languages over a few real English pages, with the bundled model."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from coach_core.knowledge import Knowledge
from coach_core.store import Database

from .conftest import DATA


@pytest.fixture(scope="module")
def library(
    template: Path, embedder: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Knowledge, UUID]]:
    home = tmp_path_factory.mktemp("library")
    shutil.copy(template, home / "coach.db")
    db = Database.open(f"sqlite:///{home}/coach.db", home, upgrade=False)
    knowledge = Knowledge(db, embedder=embedder)
    collection = knowledge.create_collection("Library").id
    for name in ("sleep.cnxml", "budgeting.cnxml", "counsel.csv", "meditations-2.xhtml"):
        knowledge.add(collection, name, DATA / name)
    knowledge.embed_pending(threading.Event())
    yield knowledge, collection
    db.close()


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How cool should my bedroom be at night?", "Sleep"),
        ("¿Cuántas horas necesito dormir cada noche?", "Sleep"),
        ("Warum soll ich abends keinen Kaffee trinken?", "Sleep"),
        ("睡眠不足会怎么样？", "Sleep"),
        ("كم ساعة نوم أحتاج كل ليلة؟", "Sleep"),
        ("What do I do when I spend more than I earn?", "Savings, Expenses, and Budgeting"),
        ("¿Cómo hago un presupuesto mensual?", "Savings, Expenses, and Budgeting"),
        ("Wie stelle ich einen Haushaltsplan auf?", "Savings, Expenses, and Budgeting"),
        ("我应该怎样做预算？", "Savings, Expenses, and Budgeting"),
        ("كيف أضع ميزانية شهرية؟", "Savings, Expenses, and Budgeting"),
    ],
)
def test_the_right_page_is_first(library: tuple[Knowledge, UUID], question: str, title: str) -> None:
    knowledge, collection = library
    found = knowledge.find(question, [collection], k=5, wait=30)
    assert found[0].title == title
