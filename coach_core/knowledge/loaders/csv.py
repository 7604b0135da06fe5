"""Tables: each row is a unit with its number, its cells told with the names of their columns.

Invariant: a row's number is the one a spreadsheet shows (the header is row 1), counted in records.
Addresses and opaque ids say nothing to a search and are left out, and so are columns of nothing but counts
beside texts; never all columns. HTML in cells is reduced to its words.
The cell that names a row (a title, question, name or subject) becomes its section.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from coach_core.errors import DamagedFile
from coach_core.knowledge.loaders import Block, Loaded
from coach_core.knowledge.loaders.decode import decode
from coach_core.knowledge.loaders.html import plain_text

_LONGEST_CELL = 2_000_000
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


def load(data: bytes, name: str) -> Loaded:
    rows = _rows(decode(data))
    first = next(rows, [])
    header, body = (first, rows) if _is_header(first) else ([], _with(first, rows))
    labels = [_label(h) for h in header]
    table = [(number, row) for number, row in enumerate(body, 2 if header else 1) if any(c.strip() for c in row)]
    silent = _silent(labels, [row for _, row in table])
    naming = _naming(header, [row for _, row in table[:50]], silent)
    blocks = (_block(labels, row, number, naming, silent) for number, row in table)
    return Loaded("", tuple(b for b in blocks if b.text))


def _rows(text: str) -> Iterator[list[str]]:
    csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from csv.reader(io.StringIO(text.replace("\x00", "")), _dialect(text))
    except csv.Error as error:
        raise DamagedFile("The table breaks off: a quotation mark is never closed. Upload a whole copy.") from error


def _dialect(text: str) -> type[csv.Dialect]:
    """Commas, semicolons, tabs or bars: whichever parts the first records most evenly."""
    head = text[:20_000]

    class Guess(csv.excel):
        delimiter = max(",;\t|", key=lambda d: (_evenness(head, d), -",;\t|".index(d)))

    return Guess


def _evenness(head: str, delimiter: str) -> float:
    """Columns of the first record, times the share of records with as many."""
    widths = [len(r) for r in islice(csv.reader(io.StringIO(head), delimiter=delimiter), 12) if r]
    if not widths or widths[0] < 2:
        return 0.0
    same = sum(w == widths[0] for w in widths) / len(widths)
    return same * same * min(widths[0], 10)


def _is_header(row: Sequence[str]) -> bool:
    """Short distinct words, no number among them."""
    cells = [c.strip() for c in row]
    short = all(0 < len(c) <= 60 and not _NUMBER.fullmatch(c) and not c.startswith("http") for c in cells)
    return (
        bool(cells) and short and len(set(cells)) == len(cells) and not any(c.endswith((".", "?", "!")) for c in cells)
    )


def _with(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest


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


def _block(labels: Sequence[str], row: Sequence[str], number: int, naming: int | None, silent: set[int]) -> Block:
    lines: list[str] = []
    section = ""
    for at, cell in enumerate(row):
        if at in silent:
            continue
        said = plain_text(cell) if _TAG.search(cell) else cell.strip()
        if _NOISE.fullmatch(said):
            continue
        if at == naming:
            section = " ".join(said.split())
            lines.append(said)
        elif len(said) >= _LONG or "\n" in said or at >= len(labels):
            lines.append(said)
        else:
            lines.append(f"{labels[at]}: {said}")
    return Block("\n".join(lines), section, row=number)


def _label(header: str) -> str:
    words = _WORDS_APART.sub(" ", header).split()
    said = " ".join(w if w.isupper() and len(w) > 1 else w.lower() for w in words)
    return said[:1].upper() + said[1:]
