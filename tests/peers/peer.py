"""The real peer: llama-stack in `.venv-peer` (Python 3.12, `make peer`), behind a tap.

Invariant: it listens on the loopback only, keeps everything in the folder it is given, reaches no network,
and ends with the process that started it. Its models are the small one in llama.cpp and one that is told.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from coach_core.backends import Endpoint
from coach_core.backends.local import _Child
from tests.backends.conftest import small_model
from tests.peers import vocabulary
from tests.peers.tap import Tap
from tests.peers.told import CHAT, Told

_HERE = Path(__file__).resolve().parent
PYTHON = _HERE.parents[1] / ".venv-peer" / "bin" / "python"
SMALL_MODEL = "small/smollm2"
TOLD_MODEL = f"told/{CHAT}"
_WINDOW = 1024
_START = 180.0


@dataclass(frozen=True)
class Peer:
    tap: Tap
    told: Told

    @property
    def url(self) -> str:
        return f"{self.tap.url}/v1"

    @property
    def sent(self) -> list[dict[str, object]]:
        """The bodies of the responses that were asked for since the last `forget`."""
        return self.tap.bodies("/v1/responses")

    def endpoint(self, model: str = TOLD_MODEL, **facts: object) -> Endpoint:
        return Endpoint("peer", self.url, "any", model, facts)

    def forget(self) -> None:
        self.tap.seen.clear()
        self.told.says("Yes.")


@contextmanager
def running(folder: Path, port: int) -> Iterator[Peer]:
    """The peer, its models and the tap, until the block ends."""
    small = _Child(small_model(), "smollm2", folder / "small", _WINDOW)
    try:
        with Told() as told, _served(folder, port, small.wire.endpoint, told) as url:
            tap = Tap(url)
            try:
                yield Peer(tap, told)
            finally:
                tap.close()
    finally:
        small.stop()


@contextmanager
def _served(folder: Path, port: int, small: Endpoint, told: Told) -> Iterator[str]:
    environment = {
        **{k: v for k, v in os.environ.items() if k in {"PATH", "LANG", "NO_PROXY"}},
        "HOME": str(folder),
        "PEER_HOME": str(folder),
        "PEER_SMALL_URL": small.base_url,
        "PEER_SMALL_KEY": small.key,
        "PEER_TOLD_URL": told.url,
        "TIKTOKEN_CACHE_DIR": str(vocabulary.write(folder / "vocabulary")),
        "OTEL_SDK_DISABLED": "true",
    }
    log = folder / "peer.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(PYTHON), "-P", str(_HERE / "serve.py"), str(_HERE / "config.yaml"), str(port)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/v1/health", process, log)
        yield url
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        try:
            if httpx2.get(url, timeout=2.0).status_code == 200:
                return
        except httpx2.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"the peer did not start:\n{log.read_text(errors='replace')[-3000:]}")
