from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from coach_core.errors import FileNotFound
from coach_core.store import files
from coach_core.store.models import metadata
from coach_core.types import new_id


def test_bytes_come_back_by_their_hash(world: Any, tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    stored = files.put(world.db, "a\x00b.pdf", "application/pdf", source, world.actor.user_id)
    assert (stored.sha256, stored.size, stored.name) == (hashlib.sha256(content).hexdigest(), 256_000, "a\ufffdb.pdf")
    assert files.get(world.again(), stored.id) == stored
    assert files.read(world.db, stored.id) == content
    assert files.owner_of(world.db, stored.id) == world.actor.user_id
    place = files.path(world.db, stored.id)
    assert (place is None) == (not world.db.sqlite)
    if place is not None:
        assert place.relative_to(world.db.home).as_posix() == f"files/{stored.sha256[:2]}/{stored.sha256}"


def test_the_same_bytes_are_kept_once(world: Any) -> None:
    owner = world.actor.user_id
    first = files.put(world.db, "a.txt", "text/plain", b"same", owner)
    assert files.put(world.db, "a.txt", "text/plain", b"same", owner).id == first.id
    others = [
        files.put(world.db, "b.txt", "text/plain", b"same", owner),
        files.put(world.db, "a.txt", "text/plain", b"same", None),
    ]
    assert len({first.id, *(other.id for other in others)}) == 3
    if world.db.sqlite:
        assert len(list((world.db.home / "files").glob("*/*"))) == 1
    else:
        assert len(world.rows(metadata.tables["file_bytes"])) == 1


def test_many_at_once(world: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda n: files.put(world.db, "x", "text/plain", b"%d" % (n % 4), None), range(24)))
    assert len({s.sha256 for s in stored}) == 4
    assert {files.read(world.db, s.id) for s in stored} == {b"0", b"1", b"2", b"3"}


def test_lost_or_changed_bytes_are_not_handed_out(world: Any) -> None:
    for look in (files.get, files.read, files.path, files.owner_of):
        with pytest.raises(FileNotFound):
            look(world.db, new_id())
    stored = files.put(world.db, "a", "text/plain", b"right", None)
    place = files.path(world.db, stored.id)
    if place is not None:
        place.write_bytes(b"wrong")
        with pytest.raises(FileNotFound):
            files.read(world.db, stored.id)
        place.unlink()
        assert files.path(world.db, stored.id) is None
        files.put(world.db, "b", "text/plain", b"right", None)
        assert files.read(world.db, stored.id) == b"right"


def test_an_empty_file_is_a_file(world: Any) -> None:
    assert files.read(world.db, files.put(world.db, "e", "text/plain", b"", None).id) == b""
