"""What an API holds of our documents, as people are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class HostedFailure:
    """A document that the API did not take in; it is tried `again` then, and `why` is a sentence."""

    name: str
    why: str
    again: datetime | None = None


@dataclass(frozen=True, slots=True)
class HostedState:
    """Where the documents of one persona stand at the API that searches them.

    `wanted` is the persona's choice; `ready` whether the API's search answers now, of which `why` says
    what keeps it. `there` of `documents` have been read by the API; `to_remove` are still there and no
    more to be read. `host` is who holds them, `bytes` what they take up there.
    """

    wanted: bool
    ready: bool = False
    why: str = ""
    endpoint: str = ""
    host: str = ""
    documents: int = 0
    there: int = 0
    to_remove: int = 0
    failed: tuple[HostedFailure, ...] = ()
    bytes: int = 0
    expires_at: datetime | None = None
    synced_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HostedCopy:
    """A vector store that holds documents of one collection, beside that collection.

    `key` is the id of the persona whose store it is, or (`of_collection`) of the collection that it is filled
    from; `store` its id there, "" while there is none. Names of documents say what differs: those that are
    `missing` there, those `changed` here since, what is there and not here (`extra`), what `failed`. `bytes` is
    what the whole store takes up there.
    """

    endpoint: str
    host: str
    key: UUID
    name: str
    of_collection: bool
    store: str = ""
    ready: bool = False
    documents: int = 0
    there: int = 0
    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    failed: tuple[HostedFailure, ...] = ()
    bytes: int = 0
    synced_at: datetime | None = None
    expires_at: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class HostedOther:
    """A vector store that lies at an endpoint and is none of the app's: looked at, never touched."""

    endpoint: str
    host: str
    store: str
    name: str
    files: int = 0
    bytes: int = 0
    created_at: datetime | None = None
    expires_at: datetime | None = None
    expired: bool = False
