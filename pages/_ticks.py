"""Documents that are ticked in a table of several pages.

Invariant: a tick belongs to a document, never to a place in the table; it stays while one leafs and filters, and
is gone with its document and when another collection is looked at.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import streamlit as st

from coach_core.types import Document


class Ticks:
    """Those of the table `name`, in this browser session; `scope` is what it shows documents of."""

    def __init__(self, name: str, scope: UUID) -> None:
        self.name = name
        self._held: dict[str, Any] = st.session_state.setdefault(f"{name}_ticks", {})
        if self._held.get("scope") != scope:
            self._held.clear()
            self._held.update(scope=scope, ids={}, round=0, drawn=("", []))

    @property
    def ids(self) -> list[UUID]:
        return list(self._held["ids"])

    def set(self, ids: Iterable[UUID]) -> None:
        """Exactly these; the table is drawn as a new one, for the browser would keep its own ticks."""
        self._held["ids"] = dict.fromkeys(ids)
        self._held["round"] += 1

    def table(self, documents: Sequence[Document], draw: Callable[..., Any]) -> None:
        """Draw a page of the table with its ticks, and take over those that changed."""
        mark = zlib.crc32(b"".join(d.id.bytes for d in documents))
        key = f"{self.name}_{mark:08x}_{self._held['round']}"
        if self._held["drawn"][0] != key:  # what it begins with is told once: from then on the browser knows
            rows = [row for row, d in enumerate(documents) if d.id in self._held["ids"]]
            self._held["drawn"] = (key, rows)
        default = {"selection": {"rows": self._held["drawn"][1], "columns": [], "cells": []}}
        state = draw(key=key, selection_default=default)
        picked = {documents[row].id for row in state.selection.rows if row < len(documents)}
        for d in documents:
            if d.id in picked:
                self._held["ids"][d.id] = None
            else:
                self._held["ids"].pop(d.id, None)


def forget() -> None:
    """No document is ticked any more, in no table."""
    for key in [k for k in st.session_state if str(k).endswith("_ticks")]:
        held: dict[str, Any] = st.session_state[key]
        held.update(ids={}, round=held.get("round", 0) + 1)
