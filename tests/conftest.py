"""What holds for the whole suite: no network beyond this machine, no real key, a home of its own.

The environment is cleared before any test module is imported, because some read it at import. Programs
that tests start inherit it, so they too see neither the person's keys nor their data folder.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

NO_EMBEDDER = "./nowhere"
_SCRATCH = Path(tempfile.mkdtemp(prefix="coach-suite-"))

for _name in [n for n in os.environ if n.startswith(("COACH_", "OPENAI_", "DATABASE_", "HF_"))]:
    del os.environ[_name]
os.environ |= {
    "COACH_HOME": str(_SCRATCH / "home"),
    "COACH_CONFIG": str(_SCRATCH / "config"),
    "HF_HUB_OFFLINE": "1",
    "NO_PROXY": "*",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
}

hypothesis.settings.register_profile("suite", deadline=None, max_examples=50, derandomize=True)
hypothesis.settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when any test was skipped")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium() is not None:
        return
    reason = "no Chromium on this machine: install the package chromium, or name it in CHROMIUM"
    for item in items:
        if item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("--no-skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped and config.getoption("--no-skips"):
        terminalreporter.write_line(f"--no-skips: {len(skipped)} skipped, so this run has failed.", red=True)


def pytest_unconfigure() -> None:
    shutil.rmtree(_SCRATCH, ignore_errors=True)


def chromium() -> str | None:
    """The browser to drive, if this machine has one."""
    names = [os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def _loopback(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _guarded(real: Callable[..., Any]) -> Callable[..., Any]:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _loopback(address[0]):
            raise OSError(f"the tests may not reach {address[0]}")
        return real(self, address)

    return connect


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Connections and look-ups beyond this machine fail at once, as without a network."""
    patch = pytest.MonkeyPatch()
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **named: Any) -> Any:
        if not _loopback(host):
            raise socket.gaierror(socket.EAI_NONAME, f"the tests may not look up {host!r}")
        return look_up(host, *rest, **named)

    patch.setattr(socket.socket, "connect", _guarded(socket.socket.connect))
    patch.setattr(socket.socket, "connect_ex", _guarded(socket.socket.connect_ex))
    patch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    patch.undo()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty COACH_HOME of this test's own, also for the programs it starts."""
    folder = tmp_path / "home"
    monkeypatch.setenv("COACH_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home as it is after the first start, made once; copy it. Documents are found by words alone there."""
    from coach_core.coach import Coach
    from coach_core.settings import Settings

    folder = tmp_path_factory.mktemp("planted") / "home"
    Coach.from_settings(Settings(home=folder, embedder=NO_EMBEDDER), background=False).close()
    return folder


@pytest.fixture
def used(planted: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A planted home of this test's own, also for the programs it starts, without an embedder."""
    shutil.copytree(planted, home)
    monkeypatch.setenv("COACH_EMBEDDER", NO_EMBEDDER)
    return home


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port on loopback that nobody listens on just now."""

    def pick() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return pick


@pytest.fixture(scope="session")
def embedder() -> str:
    """The bundled embedding model as a folder (a spec for COACH_EMBEDDER), made once a checkout."""
    from coach_core.search import e5

    return str(e5.folder(Path(__file__).resolve().parent.parent / ".cache"))
