"""Workbooks: each row is a unit with its number, its cells told with the names of their columns.

Invariant: what a reader of the workbook sees: the values of formulas, dates as dates, shares in percent; no
hidden sheet beside shown ones, no error mark. The section of a row begins with its sheet's name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from coach_core.errors import FileTooLarge
from coach_core.knowledge.loaders import Block, Loaded, archive, dated, table, titled

_MOST_CELLS = 5_000_000
_MOST_COLUMNS = 1_000
_UNNAMED = re.compile(r"(?:sheet|tabelle|hoja|feuil|foglio|planilha|лист|工作表|ورقة)\s*\d*", re.I)
_ABOVE = 10  # rows at the top of a table that may be its title and remarks
Row = tuple[int, list[str]]


def load(data: bytes, name: str) -> Loaded:
    with archive.opened(data):
        pass
    import openpyxl

    book: Any = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        sheets: list[Any] = [s for s in book.worksheets if hasattr(s, "iter_rows")]
        shown = [s for s in sheets if s.sheet_state == "visible"] or sheets
        budget = [_MOST_CELLS]
        blocks: list[Block] = []
        for sheet in shown:
            named = len(shown) > 1 or not _UNNAMED.fullmatch(sheet.title)
            blocks += _sheet(list(_rows(sheet, budget)), sheet.title if named else "")
        return Loaded(titled(book.properties.title or ""), tuple(blocks), dated=dated.office(book.properties))
    finally:
        book.close()


def _rows(sheet: Any, budget: list[int]) -> Iterator[Row]:
    """The rows that hold something, with their numbers."""
    sheet.reset_dimensions()  # what the file says of its size is often a million rows
    for number, cells in enumerate(sheet.iter_rows(), 1):
        budget[0] -= len(cells) + 1
        if budget[0] < 0:
            raise FileTooLarge(f"The workbook has more than {_MOST_CELLS:,} cells. Split it into parts.")
        said = [_said(cell) for cell in cells[:_MOST_COLUMNS]]
        if any(said):
            yield number, said


def _sheet(rows: Sequence[Row], section: str) -> Iterator[Block]:
    """The tables of a sheet, parted by empty rows where the next row is a header of its own."""
    at = 0
    while at < len(rows):
        head = _header_at(rows, at)
        for number, cells in rows[at:head]:
            yield Block(" ".join(c for c in cells if c), section, row=number)
        header = rows[head][1] if head < len(rows) else []
        end = next((i for i in range(head + 1, len(rows)) if _new_table(rows, i, header)), len(rows))
        yield from table.blocks(header, rows[head + 1 : end], section)
        at = max(end, head + 1)


def _header_at(rows: Sequence[Row], at: int) -> int:
    """Which row names the columns; what is above it is a title. Without one no row is."""
    for i in range(at, min(at + _ABOVE, len(rows))):
        if _is_header(rows[i][1]) and i + 1 < len(rows):
            return i
        if sum(map(bool, rows[i][1])) > 1:
            break
    return _no_header(rows, at)


def _no_header(rows: Sequence[Row], at: int) -> int:
    return next((i for i in range(at, len(rows)) if i > at and _new_table(rows, i, [])), len(rows))


def _new_table(rows: Sequence[Row], i: int, header: Sequence[str]) -> bool:
    """Whether after a gap another header stands."""
    gap = rows[i][0] > rows[i - 1][0] + 1
    return gap and i + 1 < len(rows) and _is_header(rows[i][1]) and rows[i][1] != header


def _is_header(cells: Sequence[str]) -> bool:
    filled = [c for c in cells if c]
    return len(filled) > 1 and table.is_header(filled)


def _said(cell: Any) -> str:
    value: Any = cell.value
    if value is None or cell.data_type == "e":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
    if isinstance(value, date | time | timedelta):
        return str(value)
    if isinstance(value, int | float):
        share = "%" in (cell.number_format or "")
        return f"{value * 100 if share else value:.10g}{'%' if share else ''}"
    return " ".join(str(value).split(" ")).strip()
