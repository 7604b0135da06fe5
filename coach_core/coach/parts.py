"""The backends of this process, each built when it is first needed and rebuilt when its settings change.

Invariant: one instance (one client, one model server) a backend and endpoint; a key is read from the
settings here and goes nowhere but into its Endpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from coach_core import backends
from coach_core.backends import Backend, Endpoint
from coach_core.types import BackendInfo

Score = Callable[[str, Any], Any]


class BackendParts:
    """`endpoints` maps a backend to its Endpoint; `parts` to what its module's build takes besides."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        parts: Mapping[str, Mapping[str, Any]],
        ready: Mapping[str, str],
    ) -> None:
        """`ready`: backend -> "" when it could answer, else the sentence that says what is missing."""
        self._endpoints = endpoints
        self._parts = parts
        self._ready = ready
        self._built: dict[str, Backend] = {}
        self._gate = threading.Lock()

    def get(self, name: str) -> Backend:
        with self._gate:
            if name not in self._built:
                endpoint = self._endpoints.get(name, Endpoint(name))
                self._built[name] = backends.build(name, endpoint, **self._parts.get(name, {}))
            return self._built[name]

    def infos(self) -> Mapping[str, BackendInfo]:
        return {
            name: BackendInfo(name, label, self._endpoints.get(name, Endpoint(name)).model, not why, why, needs_key)
            for name, (_, label, needs_key) in backends.BACKENDS.items()
            if (why := self._ready.get(name)) is not None
        }

    def endpoint_name(self, name: str) -> str:
        """What a remote conversation's state is kept under; "" for backends that keep none."""
        endpoint = self._endpoints.get(name)
        return f"{name}@{endpoint.name}" if endpoint else ""

    def close(self) -> None:
        with self._gate:
            for backend in self._built.values():
                backend.close()
            self._built.clear()
