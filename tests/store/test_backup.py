from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coach_core.errors import BadBackup, DatabaseBusy, SchemaTooNew
from coach_core.store import Database, backup, files, messages, settings_table, threads
from coach_core.store.models import metadata
from coach_core.types import ThreadQuery


@pytest.fixture
def filled(world: Any, cite: Any) -> Any:
    """A world with a thread, a branch, a citation, feedback and a file."""
    thread = world.thread(title="Kept title")
    turn = world.ask(thread, "Where do habits begin?", "With one small step [1].", citations=[cite(1)])
    world.ask(thread, "And then?", "Again.")
    world.ask(thread, "Or else?", "Again, differently.", parent_id=turn.answer_id)
    messages.set_feedback(world.db, world.actor, turn.answer_id, 1, "good")
    settings_table.set(world.db, "passages", "5")
    world.file = files.put(world.db, "plan.pdf", "application/pdf", b"%PDF of a plan", world.actor.user_id)
    world.thread_id = thread.id
    return world


def rows(connection: Any, table: sa.Table) -> Any:
    return connection.execute(sa.select(table)).mappings()


def contents(db: Database) -> dict[str, list[Any]]:
    with db.read() as connection:
        return {
            table.name: sorted(json.dumps(dict(row), sort_keys=True, default=str) for row in rows(connection, table))
            for table in metadata.sorted_tables
            if table.name != "file_bytes"
        }


def check(db: Database, world: Any, expected: dict[str, list[Any]]) -> None:
    assert contents(db) == expected
    assert files.read(db, world.file.id) == b"%PDF of a plan"
    hits, total = threads.find(db, world.actor, ThreadQuery(text="habit"))
    assert (total, hits[0].thread.id) == (1, world.thread_id)
    assert world.thread(title="After") and threads.recent(db, world.actor)


def test_what_comes_back_is_what_was_there(filled: Any, tmp_path: Path) -> None:
    expected = contents(filled.db)
    backup.backup(filled.db, tmp_path / "out" / "b.zip")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["b.zip"]
    home = tmp_path / "elsewhere"
    url = f"sqlite:///{home}/coach.db"
    assert backup.restore(home, url, tmp_path / "out" / "b.zip") is None
    db = Database.open(url, home)
    check(db, filled, expected)
    db.close()
    assert [p.name for p in home.iterdir() if p.name.startswith(".")] == []


@pytest.mark.postgres
def test_a_backup_of_either_database_restores_into_a_server(filled: Any, tmp_path: Path, postgres: Any) -> None:
    expected = contents(filled.db)
    backup.backup(filled.db, tmp_path / "b.zip")
    home = tmp_path / "server"
    url = postgres.fresh()
    db = Database.open(url, home)
    settings_table.set(db, "old", "1")
    aside = backup.restore(home, url, tmp_path / "b.zip")
    check(db, filled, expected)
    before = threads.create(db, filled.actor, filled.persona.id, title="Numbered on")
    assert threads.find(db, filled.actor, ThreadQuery(text="numbered"))[0][0].thread.id == before.id
    assert aside is not None and zipfile.is_zipfile(aside)
    backup.restore(home, url, aside)
    assert settings_table.get_all(db) == {"old": "1"}
    db.close()


def test_what_is_replaced_is_kept_aside(filled: Any, tmp_path: Path) -> None:
    backup.backup(filled.db, tmp_path / "b.zip")
    home = tmp_path / "other"
    url = f"sqlite:///{home}/coach.db"
    old = Database.open(url, home)
    settings_table.set(old, "old", "kept")
    old.close()
    aside = backup.restore(home, url, tmp_path / "b.zip")
    assert aside is not None and aside.parent == home / "backups"
    kept = sqlite3.connect(aside / "coach.db").execute("SELECT value FROM settings").fetchall()
    assert kept == [("kept",)]
    db = Database.open(url, home)
    assert settings_table.get_all(db) == {"passages": "5"}
    db.close()


def test_an_app_that_runs_is_not_replaced_under_its_feet(filled: Any, tmp_path: Path) -> None:
    backup.backup(filled.db, tmp_path / "b.zip")
    home = tmp_path / "other"
    url = f"sqlite:///{home}/coach.db"
    running = Database.open(url, home)
    settings_table.set(running, "old", "kept")
    with pytest.raises(DatabaseBusy):
        backup.restore(home, url, tmp_path / "b.zip")
    assert settings_table.get_all(running) == {"old": "kept"}
    running.close()
    assert backup.restore(home, url, tmp_path / "b.zip") is not None


def test_writing_goes_on_meanwhile(filled: Any, tmp_path: Path) -> None:
    futures = [
        filled.db.write(lambda connection, n=n: connection.execute(sa.text(f"SELECT {n}")).scalar()) for n in range(50)
    ]
    backup.backup(filled.db, tmp_path / "b.zip")
    settings_table.set(filled.db, "later", "1")
    assert [f.result() for f in futures] == list(range(50))


def rewritten(source: Path, target: Path, change: Any) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        members = {name: old.read(name) for name in old.namelist()}
        change(members)
        for name, data in members.items():
            new.writestr(name, data)
    return target


def forge(name: str, value: Any) -> Any:
    def change(members: dict[str, bytes]) -> None:
        manifest = json.loads(members["manifest.json"]) | {name: value}
        members["manifest.json"] = json.dumps(manifest).encode()

    return change


def _first_file(members: dict[str, bytes]) -> str:
    return next(name for name in members if name.startswith("files/"))


BAD: dict[str, Any] = {
    "a foreign zip": lambda m: (m.clear(), m.update({"readme.txt": b"hello"})),
    "no database": lambda m: m.pop("coach.db"),
    "no manifest": lambda m: m.pop("manifest.json"),
    "a manifest that is none": lambda m: m.update({"manifest.json": b"[]"}),
    "another format": forge("format", "other"),
    "a newer format": forge("version", 2),
    "a changed database": lambda m: m.update({"coach.db": m["coach.db"][:5000] + b"x" + m["coach.db"][5001:]}),
    "a cut database": lambda m: m.update({"coach.db": m["coach.db"][:20000]}),
    "a changed file": lambda m: m.update({_first_file(m): b"other bytes"}),
    "a way out": lambda m: m.update({"../../etc/evil": b"x"}),
    "a file out of place": lambda m: m.update({"files/zz/../../../evil": b"x"}),
}


@pytest.mark.parametrize("how", [*BAD, "cut off", "not a zip", "empty", "missing", "a folder"])
def test_a_bad_backup_is_refused_before_anything_is_touched(how: str, sqlite_template: Path, tmp_path: Path) -> None:
    source, file = tmp_path / "good.zip", tmp_path / "bad.zip"
    given = tmp_path / "given"
    given.mkdir()
    shutil.copy(sqlite_template, given / "coach.db")
    db = Database.open(f"sqlite:///{given}/coach.db", given)
    files.put(db, "a", "text/plain", b"bytes", None)
    backup.backup(db, source)
    db.close()
    if how in BAD:
        rewritten(source, file, BAD[how])
    elif how == "cut off":
        file.write_bytes(source.read_bytes()[:-2000])
    elif how == "a folder":
        file.mkdir()
    elif how != "missing":
        file.write_bytes(b"PK\x03\x04 but no" if how == "not a zip" else b"")
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(sqlite_template, home / "coach.db")
    before = {p.name: p.read_bytes() for p in home.iterdir()}
    with pytest.raises(BadBackup):
        backup.restore(home, f"sqlite:///{home}/coach.db", file)
    assert {p.name: p.read_bytes() for p in home.iterdir()} == before
    assert not (tmp_path / "evil").exists()


def test_a_backup_of_a_newer_app_is_refused(sqlite_template: Path, tmp_path: Path) -> None:
    given, home = tmp_path / "given", tmp_path / "home"
    given.mkdir()
    shutil.copy(sqlite_template, given / "coach.db")
    db = Database.open(f"sqlite:///{given}/coach.db", given)
    db.write(lambda connection: connection.execute(sa.text("UPDATE alembic_version SET version_num = 'z'"))).result()
    backup.backup(db, tmp_path / "b.zip")
    db.close()
    with pytest.raises(SchemaTooNew):
        backup.restore(home, f"sqlite:///{home}/coach.db", tmp_path / "b.zip")
    assert not (home / "coach.db").exists()
