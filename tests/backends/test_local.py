"""The child process behind the local model: found, started, watched, and never left behind."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import httpx2
import psutil
import pytest

from benchmarks.pages import Page
from coach_core.backends import Backend, Endpoint, build
from coach_core.backends import local_model as model
from coach_core.backends.local import Local
from coach_core.errors import LocalModelFailed
from coach_core.settings import ROOT
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


class Slots:
    """What the child writes down of its slots; nothing that stood there before counts."""

    def __init__(self, home: Path) -> None:
        self._log = home / "logs" / "local-model.log"
        self._from = self._log.stat().st_size if self._log.exists() else 0

    def begun(self) -> None:
        self._wait(r"launch_slot_: .*processing task")

    def taken(self) -> bool:
        return "processing task" in self._written()

    def freed(self) -> int:
        """How many tokens, read and written, the slot of the question taken back had come to."""
        task = self._wait(r"cancel task, id_task = (\d+)")[1]
        return int(self._wait(rf"release: .*task {task} \| stop processing: n_tokens = (\d+)")[1])

    def _written(self) -> str:
        return self._log.read_bytes()[self._from :].decode(errors="replace") if self._log.exists() else ""

    def _wait(self, pattern: str, most: float = 30.0) -> re.Match[str]:
        until = time.monotonic() + most
        while time.monotonic() < until:
            if found := re.search(pattern, self._written()):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} is not in the log:\n{self._written()}")


@pytest.mark.local_model
class TestASlotIsFreedAtOnce:
    """The server has two slots; one that works on for nobody makes everybody wait."""

    LONG: Mapping[str, int] = MappingProxyType({"max_output_tokens": 3000})
    PROMPT = 1600  # "sleep well " again and again: tokens that take seconds to read

    @pytest.fixture(scope="class")
    def backend(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
        """Its model never comes to an end by itself."""
        patch, home = pytest.MonkeyPatch(), tmp_path_factory.mktemp("slots")
        patch.setattr("coach_core.backends.local._FACTS", {"prefill": True, "body": {"ignore_eos": True}})
        backend = build("local", Endpoint("local", model=str(small_model())), home=home, context=4096)
        play(backend, request(parameters=SHORT))
        yield backend
        backend.close()
        patch.undo()

    @pytest.fixture
    def slots(self, backend: Backend) -> Slots:
        assert isinstance(backend, Local)
        return Slots(backend._home)

    def expect_the_next_answered(self, backend: Backend) -> None:
        events = play(backend, request("And now?", parameters=SHORT))
        assert text_of(events) and events[-1].status in {"completed", "incomplete"}

    def test_stopped_in_the_middle(self, backend: Backend, slots: Slots) -> None:
        cancel, heard = threading.Event(), 0
        for event in backend.stream(request("Tell a very long story.", parameters=self.LONG), cancel):
            heard += event.kind == "text"
            if heard == 5:
                cancel.set()
        assert event.status == "cancelled"
        assert slots.freed() < 200
        self.expect_the_next_answered(backend)

    def test_left_without_a_word(self, backend: Backend, slots: Slots) -> None:
        """The generator is closed, as when the turn that reads it ends for another reason."""
        events = backend.stream(request("Tell a very long story.", parameters=self.LONG), threading.Event())
        for _ in range(5):
            next(events)
        events.close()  # type: ignore[attr-defined]
        assert slots.freed() < 200
        self.expect_the_next_answered(backend)

    def test_stopped_while_the_prompt_is_read(self, backend: Backend, slots: Slots) -> None:
        cancel = threading.Event()
        waiting = threading.Thread(target=lambda: (slots.begun(), cancel.set()))
        waiting.start()
        events = play(backend, request("sleep well " * self.PROMPT, parameters=self.LONG), cancel)
        waiting.join()
        assert [e.status for e in events] == ["cancelled"]
        assert slots.freed() < 2048, "so many it would read in one go, deaf until then"
        self.expect_the_next_answered(backend)

    def test_both_slots_stopped_and_taken_again(self, backend: Backend, slots: Slots) -> None:
        cancel = threading.Event()

        def ask() -> str:
            asked = request("Tell a very long story.", parameters=self.LONG)
            heard, last = 0, None
            for event in backend.stream(asked, cancel):
                heard, last = heard + (event.kind == "text"), event
                if heard == 3:
                    both.wait(30)
                    cancel.set()
            return str(last and last.status)

        both = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            assert [f.result() for f in [pool.submit(ask), pool.submit(ask)]] == ["cancelled"] * 2
        slots.freed()
        cancel.clear()
        with ThreadPoolExecutor(2) as pool:
            for answered in [pool.submit(self.expect_the_next_answered, backend) for _ in range(2)]:
                answered.result()


@contextmanager
def running(home: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The app as a program of its own, with the small model."""
    environment = os.environ | {
        "COACH_HOME": str(home),
        "COACH_BACKEND": "local",
        "COACH_LOCAL_MODEL": str(small_model()),
        "COACH_PASSAGES": "0",
    }
    command = [sys.executable, "-m", "coach_core", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as program:
        try:
            yield program
        finally:
            program.kill()


def model_child(program: subprocess.Popen[str]) -> int:
    children = psutil.Process(program.pid).children(recursive=True)
    (child,) = [c.pid for c in children if "coach_core.backends.local_server" in c.cmdline()]
    return child


@pytest.mark.local_model
def test_a_killed_ask_leaves_no_model_behind(used: Path) -> None:
    with running(used, "ask", "--json", "Tell me a very long story.") as program:
        assert program.stdout is not None
        for line in program.stdout:
            if json.loads(line)["kind"] == "text":
                break
        child = model_child(program)
        program.kill()
        program.wait(30)
        assert gone(child)


@pytest.mark.local_model
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ended_in_the_middle_of_an_answer_leaves_no_model_behind(
    used: Path, free_port: Callable[[], int], stop: signal.Signals
) -> None:
    port = free_port()

    slots = Slots(used)

    async def ask() -> None:
        page = Page(f"ws://127.0.0.1:{port}")
        await page.open()
        await page.watch("Tell me a very long story.", lambda _: slots.taken())
        await page.close()

    with running(used, "serve", "--port", str(port)) as program:
        until = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}/healthz"):
            assert time.monotonic() < until
            time.sleep(0.05)
        with ThreadPoolExecutor(1) as own:  # browser tests may leave a loop running in this thread
            own.submit(asyncio.run, ask()).result()
        child = model_child(program)
        program.send_signal(stop)
        program.wait(30)
        assert gone(child)


def answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2.0).status_code == 200
    except httpx2.HTTPError:
        return False


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
