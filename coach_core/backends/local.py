"""A model on this machine: llama.cpp in a child process, spoken to through the chat wire.

Invariant: at most one child a backend; it is started by the first question, checked before each, started
again when it died, and gone when the app is (see local_server.py). It listens on the loopback only, on a
port the system chose, and answers only who knows its key.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from typing import Any

import httpx2

from coach_core.backends import Endpoint, Request
from coach_core.backends.local_model import find, model_name, present
from coach_core.backends.openai_chat import OpenAIChat
from coach_core.errors import BackendError, CoachError, LocalModelFailed, TimedOut
from coach_core.types import Check, Event, Usage

_FACTS = {"prefill": True}
_STOP = 3.0  # seconds a child has to end by itself
_TICK = 0.1


class Local:
    """Answers with the GGUF that `spec` (a path or a hub id) names."""

    name = "local"

    def __init__(self, spec: str, home: Path, context: int) -> None:
        self.spec = spec
        self.model = model_name(spec)
        self._home = home
        self._context = context
        self._lock = threading.Lock()
        self._starting: Future[_Child] | None = None

    def stream(self, request: Request, cancel: Flag) -> Iterator[Event]:
        began = time.monotonic()
        starting = self._child()
        if not starting.done():
            yield Event("notice", source="local", text=f"Starting the local model {self.model}")
        while not starting.done():
            if cancel.wait(_TICK):
                yield Event("done", status="cancelled", usage=Usage(estimated=True), finish_reason="cancelled")
                return
            if time.monotonic() - began > request.total_timeout:
                raise TimedOut(f"The local model {self.model} is still being loaded. Try again in a moment.")
        # reading a long prompt on a processor takes longer than any server would: the turn's own limit holds
        patient = replace(request, first_token_timeout=max(request.first_token_timeout, request.total_timeout))
        yield from starting.result().wire.stream(patient, cancel)

    def check(self) -> Check:
        began = time.perf_counter()
        try:
            with self._lock:
                running = self._starting
            if running is not None and running.done() and running.exception() is None and running.result().well():
                detail = f"{self.model} is running"
            elif file := present(self.spec, self._home):
                detail = f"{file.name} ({file.stat().st_size / 1e6:.0f} MB) starts with the first question"
            else:
                return Check(self.name, "warn", f"{self.spec} is fetched from the hub with the first question")
        except (CoachError, OSError) as error:
            return Check(self.name, "fail", str(error), "Put COACH_LOCAL_MODEL=path/model.gguf into .env.")
        return Check(self.name, "ok", detail, "", (time.perf_counter() - began) * 1000)

    def close(self) -> None:
        with self._lock:
            starting, self._starting = self._starting, None
        if starting is not None:
            starting.add_done_callback(_stop)

    def _child(self) -> Future[_Child]:
        """The child that runs or is being started; a new one when there is none or it is not well."""
        with self._lock:
            old = self._starting
            if old is not None and (not old.done() or (old.exception() is None and old.result().well())):
                return old
            if old is not None:
                _stop(old)
            self._starting = new = Future[_Child]()
        threading.Thread(target=self._start, args=(new,), name="local-model", daemon=True).start()
        try:
            new.result(timeout=2 * _TICK)  # an error in the settings is told at once
        except NotYet:
            pass
        except Exception:
            with self._lock:
                if self._starting is new:
                    self._starting = None
        return new

    def _start(self, into: Future[_Child]) -> None:
        try:
            into.set_result(_Child(find(self.spec, self._home), self.model, self._home, self._context))
        except BackendError as error:
            into.set_exception(error)
        except Exception as error:
            into.set_exception(LocalModelFailed(f"The local model did not start: {type(error).__name__}."))


class _Child:
    """One running server and the wire to it."""

    def __init__(self, file: Path, alias: str, home: Path, context: int) -> None:
        log = home / "logs" / "local-model.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        key = secrets.token_urlsafe(24)
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "coach_core.backends.local_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).resolve().parents[2],
                env={**os.environ, "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"},
            )
        order = {"path": str(file), "alias": alias, "context": context, "key": key}
        self._address = self._ask(order, log)
        endpoint = Endpoint("local", f"{self._address}/v1", key, alias, _FACTS)
        self.wire = OpenAIChat(endpoint)

    @property
    def pid(self) -> int:
        return self._process.pid

    def well(self) -> bool:
        """Whether it runs and answers."""
        if self._process.poll() is not None:
            return False
        try:
            return httpx2.get(f"{self._address}/health", timeout=2.0, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def stop(self) -> None:
        self.wire.close()
        self._end()

    def _end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, order: dict[str, Any], log: Path) -> str:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(order).encode() + b"\n")
            stdin.flush()
            said: dict[str, str] = json.loads(stdout.readline() or b"{}")
        except (OSError, ValueError):
            said = {}
        if address := said.get("address"):
            return address
        self._end()
        raise LocalModelFailed(f"The local model {order['alias']} did not start. {_why(said, log)}".strip())


def _why(said: dict[str, str], log: Path) -> str:
    """The reason in the child's words; the log holds the rest."""
    reason = said.get("error", "")
    lines = [line for line in log.read_text(errors="replace").splitlines() if " E " in line or "rror" in line]
    detail = reason or (lines[-1].split(" E ")[-1].strip() if lines else "")
    return f"It says: {detail[:200]}. More is in {log.name} in the folder logs." if detail else f"See logs/{log.name}."


def _stop(starting: Future[_Child]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().stop()


def build(endpoint: Endpoint, *, model: str = "", home: Path | str = "data", context: int = 4096, **_: object) -> Local:
    """`model` (or else `endpoint.model`) is COACH_LOCAL_MODEL: a path to a GGUF, or a hub id."""
    return Local(model or endpoint.model, Path(home), context)
