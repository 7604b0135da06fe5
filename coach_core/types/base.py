"""Ids, the clock, storable text, and how a value becomes JSON without its empty fields."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7 as _uuid7

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def new_id() -> UUID:
    """A fresh UUIDv7 (RFC 9562): sorts by the time it was made."""
    return _uuid7()


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def clean_text(text: str) -> str:
    """`text` as it may be stored: NUL bytes and lone surrogates become U+FFFD, all else is kept."""
    return _UNSTORABLE.sub("\ufffd", text)


def within_title(title: str, section: str) -> str:
    head, _, rest = section.partition(" > ")
    return rest if head.strip() == title.strip() else section


def without_empty(value: Any) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for f in dataclasses.fields(value):
        item = getattr(value, f.name)
        if item is None or item == "" or (f.name in {"attempts", "retries", "seq"} and item == 0):
            continue
        if isinstance(item, UUID):
            item = str(item)
        out[f.name] = item
    return out
