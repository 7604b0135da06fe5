"""Documents kept at an API so that it searches them itself: its files and vector stores.

Invariant: every exchange goes through the wire's own client and ends in a plain value or a BackendError;
what is not there (any more) is None, False or `Gone`, and taking away what has gone is no error. What
makes something is sent once, never twice by a retry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import httpx2
import openai

from coach_core.backends import Backend, Endpoint, build
from coach_core.backends.sdk import VENDOR, Wire
from coach_core.backends.sdk_errors import host_of, mapped, not_an_api, quoting
from coach_core.errors import NotAnApi

#: Wires whose requests can name a vector store.
WIRES = frozenset({"openai_responses", "openai_assistants"})
#: Files in one request; servers differ in how many they take, and all take this many.
BATCH = 100
_PAGE = 100
_SECONDS = 30.0
_LONG = 300.0
_LONGEST_DAYS = 365
_HEADERS = {"OpenAI-Beta": "assistants=v2"}
Status = Literal["in_progress", "completed", "failed"]


class Gone(Exception):
    """What the request names is not there. Internal: callers of this module make it anew."""


@dataclass(frozen=True, slots=True)
class Store:
    """A vector store as its API tells of it; `bytes` is what it takes up there, `files` how many it holds."""

    id: str
    expired: bool = False
    bytes: int = 0
    expires_at: datetime | None = None
    name: str = ""
    files: int = 0
    created_at: datetime | None = None
    active_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file in a store. `why` is what the API says of a failure; `unreadable`: it is of a kind or in a
    state that the API cannot read, and will not be able to."""

    id: str
    status: Status
    bytes: int = 0
    why: str = ""
    unreadable: bool = False


def of(backend: Backend) -> HostedStores | None:
    """The stores at the backend's endpoint; None where it keeps none, or its wire cannot search them."""
    if isinstance(backend, Wire) and backend.name in WIRES and backend.profile.stores:
        return HostedStores(backend)
    return None


def reach(backend: Backend) -> HostedStores | None:
    """What lies at the backend's endpoint, also where nothing is to be put any more.

    By a line of its own: the backend may be closed while this is at work. The caller closes it.
    """
    apart = build(backend.name, backend.endpoint) if isinstance(backend, Wire) else None
    return HostedStores(apart) if isinstance(apart, Wire) else None


class HostedStores:
    """Files and vector stores at the endpoint of `wire`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @property
    def address(self) -> str:
        """Where it is; ids mean nothing anywhere else."""
        return (self._wire.endpoint.base_url or VENDOR).rstrip("/")

    @property
    def host(self) -> str:
        return host_of(self._wire.endpoint)

    def close(self) -> None:
        self._wire.close()

    # vector stores

    def create(self, name: str, metadata: Mapping[str, str], days: int) -> Store:
        """A new, empty store that goes by itself when nothing was searched in it for `days`."""
        body = {
            "name": name[:250],
            "metadata": dict(metadata),
            "expires_after": {"anchor": "last_active_at", "days": days},
        }
        try:
            return self._store(self._call("post", "/vector_stores", body, once=True))
        except Gone as error:
            raise NotAnApi(
                f"{self.host} keeps no vector stores. Search locally, or take the fact `stores` out of its endpoint."
            ) from error

    def find(self, key: str, value: str) -> Store | None:
        """The newest store that was made with this in its metadata."""
        try:
            for item in self._pages("/vector_stores"):
                if (item.get("metadata") or {}).get(key) == value:
                    return self._store(item)
        except Gone:  # a server that lists nothing
            pass
        return None

    def retrieve(self, store_id: str) -> Store | None:
        try:
            return self._store(self._call("get", f"/vector_stores/{store_id}"))
        except Gone:
            return None

    def all(self, most: int = 500) -> list[Store]:
        """Every store that lies there, whoever made it, the newest first."""
        try:
            return [self._store(item) for item, _ in zip(self._pages("/vector_stores"), range(most), strict=False)]
        except Gone:  # a server that lists nothing
            return []

    def keep_alive(self, store_id: str, days: int) -> Store | None:
        """Let the store stay for `days` from today on, whenever it was searched last; None when it is gone."""
        there = self.retrieve(store_id)
        if there is None or there.expired:
            return None
        idle = (datetime.now(UTC) - there.active_at).days if there.active_at else 0
        until = min(days + max(idle, 0), _LONGEST_DAYS)
        body = {"expires_after": {"anchor": "last_active_at", "days": until}}
        try:
            return self._store(self._call("post", f"/vector_stores/{store_id}", body))
        except Gone:
            return None

    def delete(self, store_id: str) -> None:
        self._drop(f"/vector_stores/{store_id}")

    # files in a store

    def files(self, store_id: str) -> dict[str, StoreFile]:
        """What is in the store, by the file's id. Raises Gone with the store."""
        found = (_store_file(item, self._wire.endpoint) for item in self._pages(f"/vector_stores/{store_id}/files"))
        return {file.id: file for file in found}

    def attach(self, store_id: str, file_ids: Sequence[str]) -> None:
        """Put files into the store; `files` tells when they are read. Raises Gone with the store or a file."""
        for at in range(0, len(file_ids), BATCH):
            some = list(file_ids[at : at + BATCH])
            if len(some) > 1:
                self._call("post", f"/vector_stores/{store_id}/file_batches", {"file_ids": some}, once=True)
            else:
                self._call("post", f"/vector_stores/{store_id}/files", {"file_id": some[0]}, once=True)

    def detach(self, store_id: str, file_id: str) -> None:
        self._drop(f"/vector_stores/{store_id}/files/{file_id}")

    # files

    def upload(self, name: str, data: bytes, media_type: str) -> str:
        """Send a file; its id there."""
        timeout = openai.Timeout(_LONG, connect=5.0)
        client = self._wire.client.with_options(max_retries=0, timeout=timeout)
        with mapped(self._wire.endpoint):
            try:
                answer = client.files.with_raw_response.create(file=(name, data, media_type), purpose="assistants")
            except openai.NotFoundError as error:
                raise NotAnApi(f"{self.host} takes no files. Search locally, or correct its endpoint.") from error
            return _id_of(self._read(answer.http_response), self._wire.endpoint)

    def uploaded(self, name: str, size: int, since: datetime) -> list[str]:
        """Files of this name and size that came there at `since` or later, the newest first."""
        found: list[str] = []
        try:
            for item in self._pages("/files", {"purpose": "assistants"}):
                if (item.get("created_at") or 0) < since.timestamp() - 60:  # clocks differ a little
                    break
                if (item.get("filename"), item.get("bytes")) == (name, size):
                    found.append(str(item["id"]))
        except Gone:
            pass
        return found

    def delete_file(self, file_id: str) -> None:
        self._drop(f"/files/{file_id}")

    # the exchange

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        *,
        once: bool = False,
    ) -> dict[str, Any]:
        seconds = _LONG if once else _SECONDS  # some servers answer when all is read
        client = self._wire.client.with_options(timeout=openai.Timeout(seconds, connect=5.0))
        if once:
            client = client.with_options(max_retries=0)
        options: Any = {"headers": _HEADERS, "params": dict(query or {})}
        send: Any = getattr(client, method)
        given = {} if body is None else {"body": dict(body)}
        with mapped(self._wire.endpoint):
            try:
                return self._read(send(path, cast_to=httpx2.Response, options=options, **given))
            except openai.NotFoundError as error:
                raise Gone(path) from error

    def _drop(self, path: str) -> None:
        try:
            self._call("delete", path)
        except Gone:
            pass

    def _pages(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The items of a list, the newest first, page by page."""
        asked: dict[str, Any] = {"limit": _PAGE, "order": "desc", **(query or {})}
        while True:
            page = self._call("get", path, query=asked)
            items: list[dict[str, Any]] = [i for i in page.get("data") or () if isinstance(i, dict) and i.get("id")]
            yield from items
            after = page.get("last_id") or (items[-1].get("id") if items else None)
            if not page.get("has_more") or not items or after == asked.get("after"):
                return
            asked["after"] = after

    def _store(self, item: Mapping[str, Any]) -> Store:
        counts = item.get("file_counts")
        return Store(
            _id_of(item, self._wire.endpoint),
            expired=item.get("status") == "expired",
            bytes=int(item.get("usage_bytes") or 0),
            expires_at=_moment(item.get("expires_at")),
            name=str(item.get("name") or ""),
            files=int(counts.get("total") or 0) if isinstance(counts, dict) else 0,
            created_at=_moment(item.get("created_at")),
            active_at=_moment(item.get("last_active_at")),
        )

    def _read(self, response: httpx2.Response) -> dict[str, Any]:
        if not response.content:
            return {}
        value: Any = response.json() if "json" in response.headers.get("content-type", "json") else None
        if not isinstance(value, dict):
            raise not_an_api(self._wire.endpoint)
        return value


def _moment(seconds: Any) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) else None


def _store_file(item: Mapping[str, Any], endpoint: Endpoint) -> StoreFile:
    status = item.get("status")
    if status not in {"failed", "cancelled"}:
        done: Status = "completed" if status == "completed" else "in_progress"
        return StoreFile(str(item["id"]), done, int(item.get("usage_bytes") or 0))
    fault = item.get("last_error") or {}
    code, message = str(fault.get("code") or ""), str(fault.get("message") or "")
    unreadable = code in {"unsupported_file", "invalid_file"}
    host = host_of(endpoint)
    opening = f"{host} cannot read this file." if unreadable else f"{host} could not take this file in."
    return StoreFile(str(item["id"]), "failed", why=quoting(opening, message, endpoint), unreadable=unreadable)


def _id_of(item: Mapping[str, Any], endpoint: Endpoint) -> str:
    if not item.get("id"):
        raise not_an_api(endpoint)
    return str(item["id"])
