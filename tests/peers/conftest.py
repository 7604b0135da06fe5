"""One peer a session (a worker), started by the first test that asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.backends.conftest import _vocabulary
from tests.peers.peer import PYTHON, Peer, running

__all__ = ["_vocabulary"]  # loaded once, before anything is timed


@pytest.fixture(scope="session")
def _peer(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[Peer]:
    if not PYTHON.exists():
        pytest.skip("no peer on this machine: make peer")
    with running(tmp_path_factory.mktemp("peer"), free_port()) as peer:
        yield peer


@pytest.fixture
def peer(_peer: Peer) -> Peer:
    """The peer, with nothing remembered of the tests before."""
    _peer.forget()
    return _peer
