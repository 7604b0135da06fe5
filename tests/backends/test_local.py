"""The child process behind the local model: found, started, watched, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from coach_core.backends import Backend, Endpoint, build
from coach_core.backends import local_model as model
from coach_core.errors import LocalModelFailed
from tests.backends.conftest import play, request, small_model, text_of

SHORT = {"max_output_tokens": 4}
PARENT = """
import sys, threading
from pathlib import Path
from coach_core.backends.local import _Child
child = _Child(Path(sys.argv[1]), "small", Path(sys.argv[2]), 512)
print(child.pid, flush=True)
threading.Event().wait()
"""


def local(spec: Path | str, home: Path, closing: Callable[[Backend], Backend]) -> Backend:
    return closing(build("local", Endpoint("local", model=str(spec)), home=home, context=512))


def alive(pid: int) -> bool:
    """Whether the process still runs; one that has ended but was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int, within: float = 10.0) -> bool:
    until = time.monotonic() + within
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not alive(pid)


@pytest.mark.local_model
def test_the_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(small_model()), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
        parent.wait()
        assert gone(pid)


@pytest.mark.local_model
def test_one_child_started_late_watched_and_stopped(tmp_path: Path, closing: Callable[[Backend], Backend]) -> None:
    backend = local(small_model(), tmp_path, closing)
    assert "starts with the first question" in backend.check().detail
    first = play(backend, request(parameters=SHORT))
    assert first[0].kind == "notice" and text_of(first)
    pid = backend._starting.result().pid  # type: ignore[attr-defined]
    assert [e.kind for e in play(backend, request(parameters=SHORT))].count("notice") == 0, "it runs already"
    assert "is running" in backend.check().detail

    os.kill(pid, signal.SIGKILL)
    assert text_of(play(backend, request(parameters=SHORT))), "started again"
    again = backend._starting.result()  # type: ignore[attr-defined]
    assert again.pid != pid

    answer = httpx2.get(f"{again._address}/v1/models")
    assert answer.status_code == 401, "only who knows the key of this start may ask"
    backend.close()
    assert gone(again.pid)
    assert not (tmp_path / "logs" / "local-model.log").read_text().count(again.wire.endpoint.key)


@pytest.mark.local_model
def test_a_question_longer_than_the_window(tmp_path: Path, closing: Callable[[Backend], Backend]) -> None:
    from coach_core.errors import ContextTooLong

    with pytest.raises(ContextTooLong):
        play(local(small_model(), tmp_path, closing), request("sleep " * 2000))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "COACH_LOCAL_MODEL=path"),
        ("/nowhere/model.gguf", "no file"),
        ("../model.gguf", "no file"),
        ("not a model", "no file"),
        ("owner/name", "could not be fetched"),
        ("owner/name:Q4_K_M", "could not be fetched"),
    ],
)
def test_what_cannot_be_found_is_told(
    spec: str, words: str, tmp_path: Path, closing: Callable[[Backend], Backend]
) -> None:
    backend = local(spec, tmp_path, closing)
    for _ in range(2):  # a failed start does not stand in the way of the next
        with pytest.raises(LocalModelFailed, match=words):
            play(backend)
    assert backend.check().state in {"fail", "warn"}


def test_a_file_that_is_no_model(tmp_path: Path, closing: Callable[[Backend], Backend]) -> None:
    (tmp_path / "model.gguf").write_bytes(b"<html>")
    with pytest.raises(LocalModelFailed, match="no GGUF"):
        play(local(tmp_path / "model.gguf", tmp_path, closing))
    (tmp_path / "cut.gguf").write_bytes(small_model().read_bytes()[:5000])
    with pytest.raises(LocalModelFailed, match="did not start"):
        play(local(tmp_path / "cut.gguf", tmp_path, closing))


def test_cancelled_while_it_starts(
    tmp_path: Path, closing: Callable[[Backend], Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    monkeypatch.setattr("coach_core.backends.local.find", lambda *_: free.wait(10))
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    began = time.monotonic()
    events = play(local("owner/name", tmp_path, closing), request(), cancel)
    assert events[-1].status == "cancelled" and time.monotonic() - began < 0.8
    free.set()


class TestWhichFile:
    FILES = ("m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-BF16-00001-of-00002.gguf", "m-BF16-00002-of-00002.gguf")

    def test_chosen(self) -> None:
        assert model._choose(list(self.FILES), "") == "m-Q4_K_M.gguf"
        assert model._choose(list(self.FILES), "q8_0") == "m-Q8_0.gguf"
        assert model._choose(list(self.FILES[2:]), "") == self.FILES[2]
        assert model._parts(self.FILES[2]) == list(self.FILES[2:])
        with pytest.raises(LocalModelFailed, match="Q2_K"):
            model._choose(list(self.FILES), "Q2_K")

    def test_what_was_fetched_is_found_without_a_network(self, tmp_path: Path) -> None:
        folder = tmp_path / "models" / "models--owner--name" / "snapshots" / "abc"
        folder.mkdir(parents=True)
        for name in self.FILES[1:3]:
            (folder / name).write_bytes(b"GGUF")
        assert model.present("owner/name", tmp_path) == folder / "m-Q4_K_M.gguf"
        assert model.present("owner/name:bf16", tmp_path) is None, "a part is missing"
        assert model.present("owner/name/m-Q4_K_M.gguf", tmp_path) == folder / "m-Q4_K_M.gguf"
        assert model.present("owner/other", tmp_path) is None
        (folder / "m-Q4_K_M.gguf").write_bytes(b"oops")
        with pytest.raises(LocalModelFailed, match="no GGUF"):
            model.present("owner/name", tmp_path)

    def test_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(LocalModelFailed, match="no GGUF file in the folder"):
            model.present(str(tmp_path), tmp_path)
        (tmp_path / "a.gguf").write_bytes(b"GGUF")
        assert model.present(str(tmp_path), tmp_path) == tmp_path / "a.gguf"
