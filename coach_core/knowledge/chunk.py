"""Cuts a document's text into passages of about 200 tokens, each with its exact place.

Invariant: text[chunk.start:chunk.end] is the chunk's text; chunks are in order and do not overlap; none
crosses a page, a row or a section, but for tiny sections of one page, which go together; all words of the
text are in one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from semchunk.semchunk import chunk as split

from coach_core import tokens
from coach_core.knowledge.loaders import SEPARATOR, Block

MOST_TOKENS = 220
TINY_TOKENS = 60
_GAP = "\n\n"
#: a run of letters without a space is cut here first: tokenisers and the splitter are slow on such runs
_LONGEST_RUN = 4000


@dataclass(frozen=True, slots=True)
class Chunk:
    start: int
    end: int
    tokens: int
    section: str = ""
    page: int | None = None
    row: int | None = None


@dataclass(slots=True)
class _Unit:
    """Blocks that may share a chunk: `start` to `end` of the text."""

    start: int
    end: int
    section: str
    page: int | None
    row: int | None
    tokens: int
    sections: int = 1


def joined(blocks: Sequence[Block]) -> tuple[str, list[int]]:
    """The document's text, and where each block starts in it."""
    starts: list[int] = []
    at = 0
    for block in blocks:
        starts.append(at)
        at += len(block.text) + len(_GAP)
    return _GAP.join(b.text for b in blocks), starts


def marks(blocks: Sequence[Block], starts: Sequence[int]) -> list[tuple[str, int, int]]:
    """(page, row or section as a person reads it, start, end), a run of like blocks together."""
    out: list[tuple[str, int, int]] = []
    for block, start in zip(blocks, starts, strict=True):
        label = f"Page {block.page}" if block.page else f"Row {block.row}" if block.row else block.section
        end = start + len(block.text)
        if out and out[-1][0] == label:
            out[-1] = (label, out[-1][1], end)
        else:
            out.append((label, start, end))
    return out


def chunks(blocks: Sequence[Block], text: str, starts: Sequence[int], most: int = MOST_TOKENS) -> list[Chunk]:
    out: list[Chunk] = []
    for unit in _units(blocks, starts, most):
        for start, end in _cut(text[unit.start : unit.end], unit.tokens, most):
            begin, finish = unit.start + start, unit.start + end
            block = blocks[bisect_right(starts, begin) - 1]
            section = block.section if unit.sections == 1 else unit.section
            out.append(Chunk(begin, finish, tokens.count(text[begin:finish]), section, unit.page, unit.row))
    return out


def _units(blocks: Sequence[Block], starts: Sequence[int], most: int) -> list[_Unit]:
    units: list[_Unit] = []
    for block, start in zip(blocks, starts, strict=True):
        end, size = start + len(block.text), tokens.count(block.text)
        last = units[-1] if units else None
        place = (block.section, block.page)
        if last and block.row is None and last.row is None and place == (last.section, last.page):
            last.end, last.tokens = end, last.tokens + size
        else:
            units.append(_Unit(start, end, block.section, block.page, block.row, size))
    merged: list[_Unit] = []
    for unit in units:
        last = merged[-1] if merged else None
        if last and _together(last, unit, most):
            last.section = _common(last.section, unit.section)
            last.end, last.tokens, last.sections = unit.end, last.tokens + unit.tokens, last.sections + 1
        else:
            merged.append(unit)
    return merged


def _together(last: _Unit, unit: _Unit, most: int) -> bool:
    """Tiny sections go with the next one: a heading alone says nothing."""
    tiny = min(last.tokens, unit.tokens) < TINY_TOKENS
    apart = last.page != unit.page or last.row is not None or unit.row is not None
    return tiny and not apart and last.tokens + unit.tokens <= most


def _common(one: str, other: str) -> str:
    """The longer path when one continues the other, else what both begin with."""
    if other.startswith(one):
        return other
    if one.startswith(other):
        return one
    from coach_core.knowledge.loaders import SEPARATOR

    shared: list[str] = []
    for a, b in zip(one.split(SEPARATOR), other.split(SEPARATOR), strict=False):
        if a != b:
            break
        shared.append(a)
    return SEPARATOR.join(shared)


def _cut(text: str, size: int, most: int) -> list[tuple[int, int]]:
    """Places of the chunks in `text`, of about equal size rather than full ones and a rest."""
    if size <= most and len(text) <= _LONGEST_RUN:
        return [(0, len(text))]
    parts = -(-size // most)
    limit = min(most, int(size / parts * 1.12) + 8)
    _, found = split(text, limit, tokens.count, offsets=True, cache_maxsize=4096)
    places = cast("list[tuple[int, int]]", found)
    return [_trimmed(text, start, end) for start, end in places if not text[start:end].isspace() and end > start]


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))


def in_context(title: str, section: str, row: int | None, text: str) -> str:
    """The passage under its headings, as it is embedded and indexed: alone it may not say what it is about."""
    path = section if row is not None or section.startswith(title) else f"{title}{SEPARATOR}{section}"
    heading = path.removesuffix(SEPARATOR)
    last = heading.rsplit(SEPARATOR, 1)[-1]
    if last and text.startswith(last):  # it stands there already
        heading = heading[: -len(last)].removesuffix(SEPARATOR)
    return f"{heading}\n{text}" if heading else text
