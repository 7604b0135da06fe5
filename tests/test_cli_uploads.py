"""`ingest` of many files and `uploads` from the terminal: broken off, gone on with, seen and steered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coach_core.coach import Coach
from coach_core.settings import ROOT, Settings
from tests.test_cli import Ran, run

__all__ = ["run"]
Run = Callable[..., Ran]


@pytest.fixture
def coach(used: Path) -> Coach:
    return Coach.from_settings(Settings(home=used, embedder="./nowhere"), background=False)


def test_uploads_of_the_app_are_seen_and_steered(run: Run, coach: Coach) -> None:
    assert run("uploads").out.strip() == "No uploads."
    me = coach.owner()
    group = coach.create_collection(me, "Bulk")
    coach._uploads._stop.set()  # it waits for the app
    for n in range(3):
        coach.upload(me, group.id, f"{n}.txt", f"The number {n}.".encode())
    coach.upload(me, group.id, "big.txt", b"x" * 26_000_000)
    ran = run("uploads")
    assert ran.out.startswith("1 of 4 files, 1 failed, 3 waiting.") and "26.0 MB; 25 MB is the most" in ran.out
    assert "The app is not running" in ran.err
    assert "Files: 3 paused." in run("uploads", "--pause", "-c", "bulk").err
    told = json.loads(run("uploads", "--json").out)
    assert (told["paused"], told["waiting"], told["errors"][0]["name"]) == (3, 0, "big.txt")
    assert run("uploads", "--resume", "--cancel", "--clear").out.strip() == "No uploads."
    assert coach.uploads(me) == []


def test_each_collection_is_told_of_as_its_page_does(run: Run, coach: Coach) -> None:
    me = coach.owner()
    old, new = coach.create_collection(me, "Old batch"), coach.create_collection(me, "New batch")
    coach._uploads._stop.set()
    coach.upload(me, old.id, "big.txt", b"x" * 26_000_000)
    for n in range(3):
        coach.upload(me, new.id, f"{n}.txt", f"The number {n}.".encode())
    ran = run("uploads")
    assert ran.out.splitlines()[:2] == ["New batch: 0 of 3 files, 3 waiting.", "Old batch: 1 of 1 files, 1 failed."]
    told = json.loads(run("uploads", "--json").out)
    assert (told["total"], told["waiting"], told["failed"]) == (3, 3, 0)  # of what is on its way
    assert {c["collection"]: c["total"] for c in told["collections"]} == {"New batch": 3, "Old batch": 1}
    assert run("uploads", "-c", "new batch").out.startswith("0 of 3 files, 3 waiting.")


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_in_and_the_same_command_goes_on(run: Run, used: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(120):
        (folder / f"{n:03d}.md").write_text(f"# Chapter {n}\n\n" + f"Words of the number {n}. " * 4000)
    command = [sys.executable, "-m", "coach_core", "ingest", str(folder), "-c", "Many", "--words-only"]
    coach = Coach.from_settings(Settings(home=used, embedder="./nowhere"), background=False)
    me = coach.owner()
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as going:
        until = time.monotonic() + 60
        while sum(c.documents for c in coach.collections(me) if c.name == "Many") < 10:
            assert time.monotonic() < until
        going.send_signal(signal.SIGINT)
        _, told = going.communicate(timeout=30)
    assert going.returncode == 130 and "Traceback" not in told
    assert "Stopped at" in told and "of 120 files" in told and "Run the same command again" in told
    group = next(c for c in coach.collections(me) if c.name == "Many")
    assert 10 <= group.documents < 120
    coach.close()
    again = run("ingest", str(folder), "-c", "Many", "--words-only")
    assert again.code == 0 and "120 documents" in again.err
    assert f"{group.documents} of 120 files were there already." in again.err
