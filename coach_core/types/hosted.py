"""What an API holds of a persona's documents, as people are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


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
