"""Threads to take along: one as it is, several in a zip.

Invariant: a file is made only when it is asked for; no two in a zip have one name.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from coach_core.types import Actor, ThreadHit

if TYPE_CHECKING:
    from coach_core.coach import Coach

Form = Literal["markdown", "json"]
ENDINGS: dict[Form, tuple[str, str]] = {"markdown": ("md", "text/markdown"), "json": ("json", "application/json")}


class File:
    """What a download of these threads is called, is, and holds."""

    def __init__(self, coach: Coach, actor: Actor, hits: Sequence[ThreadHit], form: Form) -> None:
        self._coach, self._actor, self._hits, self._form = coach, actor, hits, form
        self._ending, mime = ENDINGS[form]
        alone = len(hits) == 1
        self.name = f"{_slug(hits[0])}.{self._ending}" if alone else f"threads-{self._ending}.zip"
        self.mime = mime if alone else "application/zip"

    def read(self) -> bytes:
        if len(self._hits) == 1:
            return self._text(self._hits[0])
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for hit in self._hits:
                archive.writestr(f"{_slug(hit)}-{hit.thread.id.hex[-6:]}.{self._ending}", self._text(hit))
        return out.getvalue()

    def _text(self, hit: ThreadHit) -> bytes:
        return self._coach.export(self._actor, hit.thread.id, self._form).encode()


def _slug(hit: ThreadHit) -> str:
    return re.sub(r"\W+", "-", hit.thread.title.lower()).strip("-")[:60] or "thread"
