"""Headings as a path: what loaders share to know under which section a block stands.

Invariant: the path holds the open headings from the highest to the lowest, each once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from coach_core.knowledge.loaders import SEPARATOR, Block, Loaded


class Outline:
    """Collects blocks in order; `heading` opens a section and closes those of its level and below."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._open: list[tuple[int, str]] = []

    @property
    def section(self) -> str:
        return SEPARATOR.join(title for _, title in self._open)

    def heading(self, level: int, title: str, *, shown: bool = True) -> None:
        title = " ".join(title.split())
        if not title:
            return
        self._open = [h for h in self._open if h[0] < level]
        self._open.append((level, title))
        if shown:
            self.blocks.append(Block(title, self.section))

    def add(self, text: str, page: int | None = None) -> None:
        if text.strip():
            self.blocks.append(Block(text.strip(), self.section, page))


def beneath(path: str, inner: Loaded) -> Iterator[Block]:
    """The blocks of a document that is part of another, below `path` and its own title."""
    for block in inner.blocks:
        own = block.section.removeprefix(inner.title).removeprefix(SEPARATOR)
        yield replace(block, section=SEPARATOR.join(filter(None, (path, inner.title, own))))
