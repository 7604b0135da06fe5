from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from coach_core.errors import SchemaBehind, SchemaTooNew
from coach_core.store import Database, make_engine, schema
from coach_core.store.models import metadata

_FULL_TEXT = ("message_index", "chunk_words", "ix_message_words_index", "ix_chunks_words")


def _ours(_object: Any, name: str | None, kind: str, reflected: bool, _other: Any) -> bool:
    return not (kind in ("table", "index") and reflected and str(name).startswith(_FULL_TEXT))


def differences(url: str) -> list[Any]:
    engine = make_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _ours, "compare_type": True})
        found = compare_metadata(context, metadata)
    engine.dispose()
    return found


def test_fresh_upgrade_makes_exactly_the_models_tables(empty_url: str, tmp_path: Path) -> None:
    Database.open(empty_url, tmp_path / "home").close()
    assert differences(empty_url) == []


def test_the_comparison_notices_a_difference(fresh_url: str) -> None:
    engine = make_engine(fresh_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP INDEX uq_turns_running")
        connection.exec_driver_sql("ALTER TABLE threads DROP COLUMN source" if "postgres" in fresh_url else "SELECT 1")
    engine.dispose()
    assert differences(fresh_url)


def test_downgrade_takes_everything_back_and_upgrade_makes_it_again(empty_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    Database.open(empty_url, home).close()
    engine = make_engine(empty_url)
    schema.downgrade(engine, home)
    assert schema.current(engine) == ""
    assert set(sa.inspect(engine).get_table_names()) <= {"alembic_version"}
    schema.upgrade(engine, home)
    assert schema.current(engine) == schema.head()
    engine.dispose()
    assert differences(empty_url) == []


def test_current_version_is_left_alone(url: str, tmp_path: Path) -> None:
    engine = make_engine(url)
    schema.upgrade(engine, tmp_path / "home")
    schema.check(engine)
    engine.dispose()
    assert not (tmp_path / "home" / "backups").exists()


def test_empty_database_is_behind(empty_url: str) -> None:
    engine = make_engine(empty_url)
    with pytest.raises(SchemaBehind):
        schema.check(engine)
    engine.dispose()


def test_a_newer_version_is_refused_and_left_alone(fresh_url: str, tmp_path: Path) -> None:
    engine = make_engine(fresh_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    for look in (schema.check, lambda e: schema.upgrade(e, tmp_path / "home")):
        with pytest.raises(SchemaTooNew):
            look(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == "from-the-future"
    engine.dispose()


def test_scripts_are_found_from_any_folder_even_with_a_percent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tmp_path / "100%s"
    odd.mkdir()
    monkeypatch.chdir(odd)
    db = Database.open("sqlite:///home/coach.db", Path("home"))
    assert schema.current(db.engine) == schema.head() == "0004"
    db.close()


def test_an_sqlite_file_is_copied_before_it_changes(sqlite_template: Path, tmp_path: Path) -> None:
    """Going back from the head stands for any change: the copy has what the file had."""
    home = tmp_path
    (home / "coach.db").write_bytes(sqlite_template.read_bytes())
    engine = make_engine(f"sqlite:///{home}/coach.db")
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO settings VALUES ('color', 'red', '2026-01-01', '')"))
    schema.downgrade(engine, home)
    engine.dispose()
    (copy,) = (home / "backups").iterdir()
    assert sqlite3.connect(copy).execute("SELECT value FROM settings").fetchall() == [("red",)]


def test_two_processes_upgrade_one_database_at_once(empty_url: str, tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from pathlib import Path; from coach_core.store import Database;"
        "Database.open(sys.argv[1], Path(sys.argv[2])).close()"
    )
    command = [sys.executable, "-c", program, empty_url, str(tmp_path / "home")]
    root = Path(schema.__file__).parents[2]
    started = [
        subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(root)}, stderr=subprocess.PIPE) for _ in range(3)
    ]
    assert [(p.wait(60), p.stderr and p.stderr.read()) for p in started] == [(0, b"")] * 3
    assert differences(empty_url) == []
