from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coach_core.errors import BadSetting, DatabaseBusy, DatabaseUnreachable, SchemaBehind, StoreError
from coach_core.store import Database, make_engine, settings_table
from coach_core.store.models import metadata

_SETTINGS = metadata.tables["settings"]


def put(name: str) -> Any:
    return lambda connection: connection.execute(sa.insert(_SETTINGS).values(name=name, value="1"))


def test_one_that_fails_takes_nothing_else_with_it(world: Any) -> None:
    gate = threading.Event()
    first = world.db.write(lambda connection: gate.wait(10))  # what follows is committed together
    futures = [world.db.write(put(name)) for name in ("a", "b", "a", "c")]
    gate.set()
    first.result()
    assert [type(f.exception()).__name__ for f in futures] == ["NoneType", "NoneType", "IntegrityError", "NoneType"]
    assert set(settings_table.get_all(world.db)) == {"a", "b", "c"}


def test_a_constraint_that_breaks_only_at_the_commit_is_told_to_its_own_writer(world: Any) -> None:
    thread = world.thread()
    messages = metadata.tables["messages"]
    orphan = {"thread_id": thread.id, "parent_id": thread.id, "speaker": "user", "status": "complete"}
    gate = threading.Event()
    first = world.db.write(lambda connection: gate.wait(10))
    good = world.db.write(put("good"))
    bad = world.db.write(lambda connection: connection.execute(sa.insert(messages).values(**orphan)))
    late = world.db.write(put("late"))
    gate.set()
    first.result()
    assert isinstance(bad.exception(), sa.exc.IntegrityError)
    assert (good.exception(), late.exception()) == (None, None)
    assert set(settings_table.get_all(world.db)) == {"good", "late"}


def test_acknowledged_means_committed(world: Any) -> None:
    seen_by_other = world.again()
    for number in range(20):
        settings_table.set(world.db, f"s{number}", "x")
        assert f"s{number}" in settings_table.get_all(seen_by_other)


def test_a_read_is_one_unchanging_view(world: Any) -> None:
    count = sa.select(sa.func.count()).select_from(_SETTINGS)
    with world.db.read() as connection:
        if not world.db.sqlite:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        assert connection.execute(count).scalar_one() == 0
        world.db.write(put("a")).result()
        assert connection.execute(count).scalar_one() == 0
    assert settings_table.get_all(world.db) == {"a": "1"}


def test_closing_writes_what_waits_and_then_takes_no_more(world: Any) -> None:
    db = world.again()
    futures = [db.write(put(f"s{number}")) for number in range(300)]
    db.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert len(settings_table.get_all(world.db)) == 300
    with pytest.raises(StoreError):
        db.write(put("late"))


def test_another_process_writes_at_the_same_time(world: Any) -> None:
    """As the CLI does beside the app: none of either's writes is lost, and none waits for ever."""
    program = (
        "import sys; from pathlib import Path; from coach_core.store import Database, settings_table\n"
        "db = Database.open(sys.argv[1], Path(sys.argv[2]), upgrade=False)\n"
        "[settings_table.set(db, f'other{n}', '1') for n in range(100)]; db.close()"
    )
    root = Path(make_engine.__code__.co_filename).parents[2]
    other = subprocess.Popen([sys.executable, "-c", program, world.url, str(world.db.home)], cwd=root)
    mine = 0
    while other.poll() is None:
        settings_table.set(world.db, f"mine{mine}", "1")
        mine += 1
    assert other.wait() == 0
    found = settings_table.get_all(world.db)
    assert sum(name.startswith("other") for name in found) == 100
    assert sum(name.startswith("mine") for name in found) == mine > 0


def test_addresses_that_are_none() -> None:
    for address in ("", "nonsense", "mysql://u:secret@h/db", "sqlite://"):
        with pytest.raises(BadSetting) as error:
            make_engine(address)
        assert "secret" not in error.value.sentence


@pytest.mark.postgres
def test_no_server_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnreachable) as error:
        Database.open("postgresql://coach:secret@127.0.0.1:1/coach", tmp_path)
    assert "secret" not in str(error.value)


def test_a_database_without_tables_is_behind(empty_url: str, tmp_path: Path) -> None:
    db = Database.open(empty_url, tmp_path / "home", upgrade=False)
    with pytest.raises(SchemaBehind):
        settings_table.get_all(db)
    with pytest.raises(SchemaBehind):
        db.write(put("a")).result()
    db.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "coach.db").write_bytes(b"This is no database. " * 500)
    with pytest.raises(StoreError, match="damaged"):
        Database.open(f"sqlite:///{tmp_path}/coach.db", tmp_path)


def test_a_database_that_stays_locked_is_busy(sqlite_template: Path, tmp_path: Path) -> None:
    (tmp_path / "coach.db").write_bytes(sqlite_template.read_bytes())
    db = Database.open(f"sqlite:///{tmp_path}/coach.db?timeout=0.05", tmp_path, upgrade=False)
    settings_table.get_all(db)
    holder = sqlite3.connect(tmp_path / "coach.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with db.engine.connect() as connection:  # the pool's connections wait only briefly here
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    with pytest.raises(DatabaseBusy):
        db.write(put("a")).result()
    holder.execute("ROLLBACK")
    db.write(put("a")).result()
    assert settings_table.get_all(db) == {"a": "1"}
    holder.close()
    db.close()
