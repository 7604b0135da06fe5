"""The backends of this process, each built when it is first needed and rebuilt when its settings change.

Invariant: one instance (one client, one model server) a backend and endpoint; rows of endpoints are read
anew each time, never cached, so that what another process wrote holds at once; a key is read from the
settings and goes nowhere but into its Endpoint.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coach_core import backends
from coach_core.backends import BACKENDS, Backend, Endpoint
from coach_core.backends.vendors import WIRES
from coach_core.errors import BadSetting, MissingKey
from coach_core.types import BackendInfo


@dataclass(frozen=True, slots=True)
class Row:
    """An endpoint that an admin listed, with its key; `why` says what keeps it from answering."""

    wire: str
    endpoint: Endpoint
    why: str = ""
    key_variable: str = ""


@dataclass(frozen=True, slots=True)
class _Built:
    """A backend and what it was built from, to tell when that has changed."""

    wire: str
    endpoint: Endpoint
    backend: Backend


class BackendParts:
    """`endpoints` maps a backend to its Endpoint; `parts` to what its module's build takes besides."""

    def __init__(
        self,
        endpoints: Mapping[str, Endpoint],
        parts: Mapping[str, Mapping[str, Any]],
        ready: Mapping[str, str],
        *,
        rows: Callable[[str], Sequence[Row]] = lambda _: (),
        later: Callable[[Callable[[], None]], object] | None = None,
        remotes: Callable[[str], Any] | None = None,
    ) -> None:
        """`ready`: backend -> "" when it could answer, else the sentence that says what is missing.

        `rows` reads the endpoints listed now, or the one of a name; `later` calls a function when no turn of
        now runs any more; `remotes` gives what was made at an endpoint, by its name (`endpoint_name`).
        """
        self._endpoints = endpoints
        self._parts = parts
        self._ready = ready
        self._rows = rows
        self._later = later
        self._remotes = remotes
        self._built: dict[str, _Built] = {}
        self._retired: list[Backend] = []
        self._gate = threading.Lock()

    def get(self, name: str) -> Backend:
        """The backend called `name`: a wire at the settings' endpoint, or a row. Raises ConfigError."""
        wire, endpoint = name, self._endpoints.get(name, Endpoint(name))
        if name not in BACKENDS:
            row = self.row(name)
            if row is None:
                raise BadSetting(f"There is no backend called {name!r}. Choose one of: {', '.join(self.infos())}.")
            if row.why:
                raise (MissingKey if row.key_variable else BadSetting)(row.why)
            wire, endpoint = row.wire, row.endpoint
        with self._gate:
            before = self._built.get(name)
            if before and (before.wire, before.endpoint) == (wire, endpoint):
                return before.backend
            made = self.build(wire, endpoint)
            self._built[name] = _Built(wire, endpoint, made)
            if before:
                self._retire(before.backend)
            return made

    def build(self, wire: str, endpoint: Endpoint) -> Backend:
        """A backend of its own, not kept here: the caller closes it."""
        parts = dict(self._parts.get(wire, {}))
        if self._remotes is not None and endpoint.name and wire in WIRES:
            parts["remotes"] = self._remotes(f"{wire}@{endpoint.name}")
        return backends.build(wire, endpoint, **parts)

    def infos(self) -> Mapping[str, BackendInfo]:
        """The wires of the settings' endpoint, then the rows by name."""
        known = {
            name: BackendInfo(
                name,
                label,
                self._endpoints.get(name, Endpoint(name)).model,
                not why,
                why,
                needs_key,
                name,
                tools=name != "extractive",
            )
            for name, (_, label, needs_key) in BACKENDS.items()
            if (why := self._ready.get(name)) is not None
        }
        rows = [row for row in self._rows("") if row.endpoint.name not in BACKENDS]
        self._drop_vanished({row.endpoint.name for row in rows})
        return known | {row.endpoint.name: _info(row) for row in rows}

    def endpoint_name(self, name: str) -> str:
        """What a remote conversation's state is kept under; "" for backends that keep none."""
        if name in BACKENDS:
            endpoint = self._endpoints.get(name)
            return f"{name}@{endpoint.name}" if endpoint else ""
        row = self.row(name)
        return f"{row.wire}@{name}" if row else ""

    def parameters(self, name: str) -> Mapping[str, Any]:
        """What the endpoint of `name` says of temperature, length, times and the like."""
        row = self.row(name)
        endpoint = row.endpoint if row else self._endpoints.get(name)
        return (endpoint.profile.get("parameters") or {}) if endpoint else {}

    def row(self, name: str) -> Row | None:
        """The endpoint listed under `name` now, if there is one."""
        return None if name in BACKENDS else next(iter(self._rows(name)), None)

    def close(self) -> None:
        with self._gate:
            for backend in (*(built.backend for built in self._built.values()), *self._retired):
                backend.close()
            self._built.clear()
            self._retired.clear()

    def _drop_vanished(self, rows: set[str]) -> None:
        with self._gate:
            for name in [n for n in self._built if n not in BACKENDS and n not in rows]:
                self._retire(self._built.pop(name).backend)

    def _retire(self, backend: Backend) -> None:
        """Close what was replaced, once the turns that may use it have ended."""
        self._retired.append(backend)

        def close() -> None:
            with self._gate:
                if backend in self._retired:
                    self._retired.remove(backend)
                    backend.close()

        if self._later is not None:
            self._later(close)


def _info(row: Row) -> BackendInfo:
    endpoint = row.endpoint
    return BackendInfo(
        endpoint.name,
        endpoint.name,
        endpoint.model,
        ready=not row.why,
        why=row.why,
        needs_key=bool(row.key_variable),
        wire=row.wire,
        endpoint=endpoint.name,
        tools=bool(endpoint.profile.get("tools", True)),
    )
