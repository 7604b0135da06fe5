"""Rows with the names of their columns, as they become passages: what tables of every format share.

Invariant: a row is one block with its number. Addresses and opaque ids say nothing to a search and are left
out, and so are columns of nothing but counts beside texts; never all columns. HTML in cells is reduced to
its words. The cell that names a row (a title, question, name or subject) becomes its section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from coach_core.knowledge.loaders import SEPARATOR, Block
from coach_core.knowledge.loaders.html import plain_text

Row = tuple[int, Sequence[str]]

_LONG = 80  # characters from which a cell is a paragraph of its own
_NAMING = re.compile(
    r"title|question|name|subject|topic|heading|frage|titel|pregunta|titulo|nombre|titre|标题|问题|عنوان", re.I
)
_NOISE = re.compile(r"(https?://|www\.)\S+|[0-9a-f]{16,}|[0-9a-f-]{36}|\s*", re.I)
_NUMBER = re.compile(r"[-+]?[\d.,]+%?")
_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|[\w-]+(?:\.[\w-]+)+/\S*", re.I)
_ID = re.compile(r"[0-9a-f]{5,}|[0-9a-f-]{36}", re.I)
_COUNT = re.compile(r"\b(?:ids?|uuid|(?:up|down)votes?|likes?|views?|retweets?|clicks?)\b", re.I)
_TAG = re.compile(r"<[a-zA-Z/!][^>]*>|&#?\w+;")
_WORDS_APART = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-]+")


def blocks(header: Sequence[str], rows: Sequence[Row], section: str = "") -> Iterator[Block]:
    """A block for each numbered row that says something; `section` is where the table stands."""
    labels = [label(h) for h in header]
    cells = [row for _, row in rows]
    silent = _silent(labels, cells)
    naming = _naming(header, cells[:50], silent)
    for number, row in rows:
        block = _block(labels, row, number, naming, silent, section)
        if block.text:
            yield block


def is_header(row: Sequence[str]) -> bool:
    """Short distinct words, no number among them."""
    cells = [c.strip() for c in row]
    short = all(0 < len(c) <= 60 and not _NUMBER.fullmatch(c) and not c.startswith("http") for c in cells)
    return (
        bool(cells) and short and len(set(cells)) == len(cells) and not any(c.endswith((".", "?", "!")) for c in cells)
    )


def _silent(labels: Sequence[str], rows: Sequence[Sequence[str]]) -> set[int]:
    """Columns that add nothing to a passage: addresses, ids, and counts (any numbers, beside texts).

    In a table of short cells numbers are what it tells ("Rent, 950"), but for columns that are called a count.
    """
    columns: dict[int, list[str]] = {}
    for row in rows:
        for at, cell in enumerate(row):
            if said := cell.strip():
                columns.setdefault(at, []).append(said)
    texts = any(sum(map(len, cells)) >= _LONG * len(cells) for cells in columns.values() if not _opaque(cells))
    silent: set[int] = set()
    for at, cells in columns.items():
        counts = all(_NUMBER.fullmatch(c) for c in cells)
        if _opaque(cells) or (counts and (texts or (at < len(labels) and _COUNT.search(labels[at])))):
            silent.add(at)
    return silent if len(silent) < len(columns) else set()


def _opaque(cells: Sequence[str]) -> bool:
    """Whether all are addresses, or all ids; a word may be of hexadecimal digits too, and a number is one."""
    if all(_ADDRESS.fullmatch(part.rstrip(",;")) for c in cells for part in c.split()):
        return True
    return (
        all(_ID.fullmatch(c) for c in cells)
        and sum(any(d.isdigit() for d in c) for c in cells) * 2 > len(cells)
        and any(d.isalpha() for c in cells for d in c)
    )


def _naming(header: Sequence[str], rows: Sequence[Sequence[str]], silent: set[int]) -> int | None:
    """The column whose cells name their rows: mostly filled, short, and called so."""
    for at, called in enumerate(header):
        cells = [row[at].strip() for row in rows if at < len(row)]
        filled = [c for c in cells if c and not _NOISE.fullmatch(c)]
        if at in silent:
            continue
        if _NAMING.search(called) and len(filled) * 2 > len(cells) and sum(map(len, filled)) < 150 * len(filled):
            return at
    return None


def _block(
    labels: Sequence[str], row: Sequence[str], number: int, naming: int | None, silent: set[int], within: str
) -> Block:
    lines: list[str] = []
    section = within
    for at, cell in enumerate(row):
        if at in silent:
            continue
        said = plain_text(cell) if _TAG.search(cell) else cell.strip()
        if _NOISE.fullmatch(said):
            continue
        if at == naming:
            section = SEPARATOR.join(filter(None, (within, " ".join(said.split()))))
            lines.append(said)
        elif len(said) >= _LONG or "\n" in said or at >= len(labels) or not labels[at]:
            lines.append(said)
        else:
            lines.append(f"{labels[at]}: {said}")
    return Block("\n".join(lines), section, row=number)


def label(header: str) -> str:
    words = _WORDS_APART.sub(" ", header).split()
    said = " ".join(w if w.isupper() and len(w) > 1 else w.lower() for w in words)
    return said[:1].upper() + said[1:]
