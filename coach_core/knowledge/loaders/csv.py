"""Tables: each row is a unit with its number, its cells told with the names of their columns.

Invariant: a row's number is the one a spreadsheet shows (the header is row 1), counted in records.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice

from coach_core.errors import DamagedFile
from coach_core.knowledge.loaders import Loaded, table
from coach_core.knowledge.loaders.decode import decode

_LONGEST_CELL = 2_000_000


def load(data: bytes, name: str) -> Loaded:
    records = _rows(decode(data))
    first = next(records, [])
    header, body = (first, records) if table.is_header(first) else ([], _with(first, records))
    rows = [(number, row) for number, row in enumerate(body, 2 if header else 1) if any(c.strip() for c in row)]
    return Loaded("", tuple(table.blocks(header, rows)))


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


def _with(first: list[str], rest: Iterator[list[str]]) -> Iterator[list[str]]:
    yield first
    yield from rest
