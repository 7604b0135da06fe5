"""A Coach on a fresh home; the welcome set is planted once a session and copied.

Documents are found by their words alone here, which is quick; tests of meaning give an `embedder`.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from coach_core.coach import Coach
from coach_core.settings import Settings
from coach_core.types import Actor, Persona

NO_EMBEDDER = "./nowhere"


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("planted")
    Coach.from_settings(Settings(home=home, embedder=NO_EMBEDDER), background=False).close()
    return home


@pytest.fixture
def make_coach(planted: Path, tmp_path: Path) -> Iterator[Callable[..., Coach]]:
    """make_coach(**settings): Coaches of one home, closed at the end."""
    home = tmp_path / "home"
    shutil.copytree(planted, home)
    made: list[Coach] = []

    def make(**settings: Any) -> Coach:
        given = {"embedder": NO_EMBEDDER} | settings
        made.append(Coach.from_settings(Settings(home=home, **given), background=False))
        return made[-1]

    yield make
    for coach in made:
        coach.close()


@pytest.fixture
def coach(make_coach: Callable[..., Coach]) -> Coach:
    return make_coach(backend="scripted")


@pytest.fixture
def me(coach: Coach) -> Actor:
    return coach.owner()


@pytest.fixture
def persona(coach: Coach, me: Actor) -> Persona:
    return coach.persona(me, "general")
