"""Where a PDF page's text stands: columns in the order they are read, tables as rows.

Invariant: `lines` gives None where the file's own order is right, which is most pages and costs a look at the
places of the runs alone; letters are asked for only where a page is put in order anew. A table is one entry,
a line a row, " | " between its cells.
"""

from __future__ import annotations

import ctypes
import re
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

_FULL = 0.55  # of a column's width, what the lines of running text fill
_FULL_OFF = 0.8  # the same of a line that does not begin at the column's edge
_LEAST_LINES = 5  # of a column
_GUTTER = 8.0  # points between columns, at least
_STEP = 3.0  # points, how finely the gutter is looked for
_APART = 1.1  # of a line's height, what parts two cells
_ALIKE = 4.0  # points between the edges of cells that stand in one column
_FLUSH = 1.5  # points off a column's edge that still are at it
_MOST_STRAY = 3  # letters between two runs that are in neither
_MOST_RUNS = 4_000  # a page of more is a drawing
_RTL = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_MARK = re.compile(r"[-*•▪◦‣●○–]|\(?\w{1,3}[.)]|\d+(?:\.\d+)*\.?")


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of text on one line, drawn in one go; `number` is its place in the file's order."""

    left: float
    bottom: float
    right: float
    top: float
    number: int

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


Cell = list[Run]
_Box = tuple[float, float, float, float]
Line = list[Cell]


def lines(text_page: Any) -> list[str] | None:
    """The page's lines from the top, "" where a gap was; None where those of pdfium will do."""
    places = _places(text_page)
    if not 4 <= len(places) <= _MOST_RUNS:
        return None
    tall = float(np.sort(places[:, 3] - places[:, 1])[len(places) // 2])
    gutter = _gutter(places)
    if gutter is None and not _gaps(places, tall):
        return None
    runs = [Run(a, b, c, d, number) for number, (a, b, c, d) in enumerate(places.tolist())]
    columns = _columns(runs, gutter, tall) if gutter is not None else None
    parts = [_lined(part, tall) for part in columns or [runs]]
    if (columns is None or _in_order(columns)) and not any(_tabular(part) for part in parts):
        return None
    page = _Page(_texts(text_page, places), tall)
    return [line for part in parts for line in ("", *page.told(part))]


def _places(text_page: Any) -> NDArray[np.float64]:
    """(left, bottom, right, top) of each run."""
    raw = text_page.raw
    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    out: list[tuple[float, float, float, float]] = []
    for at in range(min(pdfium.FPDFText_CountRects(raw, 0, -1), _MOST_RUNS + 1)):
        pdfium.FPDFText_GetRect(raw, at, left, top, right, bottom)
        out.append((left.value, bottom.value, right.value, top.value))
    return np.array(out, np.float64).reshape(-1, 4)


def _gaps(places: NDArray[np.float64], tall: float) -> bool:
    """Whether there may be lines of several cells: gaps in two that are near each other, by a coarse look."""
    middle = (places[:, 1] + places[:, 3]) / 2
    order = np.argsort(-middle, kind="stable")
    rows = np.zeros(len(order), np.int64)
    rows[order] = np.cumsum(np.diff(middle[order], prepend=middle[order[0]]) < -0.5 * tall)
    order = np.lexsort((places[:, 0], rows))
    same = rows[order][1:] == rows[order][:-1]
    apart = places[order, 0][1:] - places[order, 2][:-1]
    heights = middle[order][1:][same & (apart > _APART * tall)]
    steps = -np.diff(heights)
    return bool(np.any((steps > 0.5 * tall) & (steps < 4 * tall)))


def _lined(runs: Sequence[Run], tall: float) -> list[Line]:
    """Runs that stand side by side as a line of cells, from the top; a lone comma or quote goes with its line."""
    rows: list[list[Run]] = []
    small: list[Run] = []
    for run in sorted(runs, key=lambda r: -r.middle):
        if run.height < 0.6 * tall:
            small.append(run)
        elif rows and abs(rows[-1][0].middle - run.middle) < 0.5 * min(rows[-1][0].height, run.height):
            rows[-1].append(run)
        else:
            rows.append([run])
    heads = [-row[0].middle for row in rows]
    for run in small:
        at = bisect(heads, -run.middle)
        near = min(range(max(at - 1, 0), min(at + 1, len(heads))), key=lambda i: abs(heads[i] + run.middle), default=-1)
        if near >= 0 and abs(heads[near] + run.middle) < 0.8 * tall:
            rows[near].append(run)
        else:
            rows.append([run])
    rows.sort(key=lambda row: -row[0].middle)
    return [_cells(sorted(row, key=lambda r: r.left), tall) for row in rows]


def _cells(row: Sequence[Run], tall: float) -> Line:
    out: Line = []
    for run in row:
        if out and run.left - max(r.right for r in out[-1]) < _APART * tall:
            out[-1].append(run)
        else:
            out.append([run])
    return out


def _columns(runs: Sequence[Run], gutter: float, tall: float) -> list[list[Run]] | None:
    """The parts of a page of two columns in the order they are read, or None."""
    tables = _tables_across(runs, gutter, tall)
    parts = _parted(runs, gutter, tall, tables) if tables else None
    return parts or _parted(runs, gutter, tall, [])


def _parted(runs: Sequence[Run], gutter: float, tall: float, tables: Sequence[list[Run]]) -> list[list[Run]] | None:
    """The parts where `tables` go over both columns and all else is running text, or None."""
    taken = {run.number for table in tables for run in table}
    rest = [r for r in runs if r.number not in taken]
    sides = [r for r in rest if r.right <= gutter], [r for r in rest if r.left >= gutter]
    if not all(_running(side, tall) for side in sides):
        return None
    bands = [*tables, *([r] for r in rest if r.left < gutter < r.right)]
    bands.sort(key=lambda band: -max(r.middle for r in band))
    parts: list[list[Run]] = []
    top = float("inf")
    headed = False  # whether the last part is lines across the columns
    for band in [*bands, None]:  # what goes over both columns ends what is above it
        bottom = max(r.middle for r in band) if band else float("-inf")
        between = [[r for r in side if bottom < r.middle <= top] for side in sides]
        parts += [side for side in between if side]
        if band:
            line = len(band) == 1
            if headed and line and not any(between):
                parts[-1] += band
            else:
                parts.append([*band])
            headed = line
        top = bottom
    return parts


def _tables_across(runs: Sequence[Run], gutter: float, tall: float) -> list[list[Run]]:
    """The tables whose rows go over both columns."""
    rows = _lined(runs, tall)
    sides = [[r for r in runs if r.right <= gutter], [r for r in runs if r.left >= gutter]]
    if not all(sides):
        return []
    column = _Two(gutter, _edges(sides[0]), _edges(sides[1]), tall)
    out: list[list[Run]] = []
    at = 0
    while at < len(rows):
        end = at + 1
        if column.crossed(rows[at]):
            last = rows[at]
            while end < len(rows):
                if column.broken(rows[end]) and _follows(last, rows[end], rows[end - 1]):
                    last = rows[end]
                elif not (column.loose(rows[end]) and _continues(last, rows[end - 1], rows[end], tall)):
                    break
                end += 1
            if sum(map(column.crossed, rows[at:end])) > 2 and _tabular(rows[at:end]):  # fewer stand so by chance
                out.append([run for row in rows[at:end] for cell in row for run in cell])
        at = end
    return out


def _edges(side: Sequence[Run]) -> tuple[float, float]:
    """Where the lines of a column begin and end: where the long ones do."""
    widest = max(r.right - r.left for r in side)
    long = [r for r in side if r.right - r.left > 0.7 * widest]
    return median(r.left for r in long), max(r.right for r in long)


@dataclass(frozen=True, slots=True)
class _Two:
    """Two columns beside a gutter: whether a line of cells is of them or of a table across them."""

    gutter: float
    left: tuple[float, float]
    right: tuple[float, float]
    tall: float

    def crossed(self, row: Line) -> bool:
        """Whether a table across may begin here: a cell over the gutter beside others, or three that fill no column."""
        if len(row) < 2 or not self.broken(row):
            return False
        if any(self._over(cell) for cell in row):
            return True
        one, two = self._parted(row)
        return bool(one and two) and len(one) + len(two) > 2 and not self._beside(one, two)

    def broken(self, row: Line) -> bool:
        """Whether no cell fills its column, as a line of running text does."""
        return len(row) > 1 and self.loose(row)

    def loose(self, row: Line) -> bool:
        sides = [c for c in row if _end(c) <= self.gutter], [c for c in row if _start(c) >= self.gutter]
        return not any(
            len(cells) == 1 and self._fills(cells[0], column)
            for cells, column in zip(sides, (self.left, self.right), strict=True)
        )

    def _fills(self, cell: Cell, column: tuple[float, float]) -> bool:
        """Whether it may be a line of running text: those begin at the column's edge, or fill it nearly."""
        flush = abs(_start(cell) - column[0]) < _FLUSH
        return _end(cell) - _start(cell) > (_FULL if flush else _FULL_OFF) * (column[1] - column[0])

    def _over(self, cell: Cell) -> bool:
        return _start(cell) < self.gutter < _end(cell)

    def _parted(self, row: Line) -> tuple[Line, Line]:
        """The cells of each side; the mark of a list's item is none."""
        one = [cell for cell in row if _end(cell) <= self.gutter]
        two = [cell for cell in row if _start(cell) >= self.gutter]
        return self._unmarked(one), self._unmarked(two)

    def _unmarked(self, cells: Line) -> Line:
        marked = len(cells) == 2 and _end(cells[0]) - _start(cells[0]) < 1.5 * self.tall
        return cells[1:] if marked and _start(cells[1]) - _end(cells[0]) < 3 * self.tall else cells

    def _beside(self, one: Line, two: Line) -> bool:
        """Whether these are rows of two tables, each in a column of its own."""
        starts = abs(_start(one[0]) - self.left[0]), abs(_start(two[0]) - self.right[0])
        return len(one) > 1 and len(two) > 1 and max(starts) < _FLUSH


def _start(cell: Cell) -> float:
    return cell[0].left


def _end(cell: Cell) -> float:
    return max(run.right for run in cell)


def _gutter(places: NDArray[np.float64]) -> float | None:
    """The middle of the widest upright strip near the page's middle that hardly a run crosses."""
    left, right = float(places[:, 0].min()), float(places[:, 2].max())
    count = int((right - left) / _STEP) + 1
    if count < 20:
        return None
    height = places[:, 3] - places[:, 1]
    covered = np.zeros(count + 2)
    np.add.at(covered, ((places[:, 0] - left) / _STEP).astype(np.int64), height)
    np.add.at(covered, ((places[:, 2] - left) / _STEP).astype(np.int64) + 1, -height)
    covered = np.cumsum(covered)
    first, last = int(count * 0.3), int(count * 0.7) + 1
    free = np.flatnonzero(covered[first:last] < 0.25 * covered.max()) + first
    if not len(free):
        return None
    strips = np.split(free, np.flatnonzero(np.diff(free) > 1) + 1)
    widest = max(strips, key=len)
    return left + (widest[0] + widest[-1] + 1) / 2 * _STEP if len(widest) * _STEP >= _GUTTER else None


def _running(side: Sequence[Run], tall: float) -> bool:
    """Whether these are lines of running text, not the cells of a table."""
    if len(side) < _LEAST_LINES:
        return False
    width = max(r.right for r in side) - min(r.left for r in side)
    rows = _lined(side, tall)
    spans = [row[-1][-1].right - row[0][0].left for row in rows]
    return len(rows) >= _LEAST_LINES and width > 60 and median(spans) > _FULL * width


def _in_order(parts: Sequence[Sequence[Run]]) -> bool:
    """Whether the file draws each part before the next: its own order is the right one then."""
    order = [at for _, at in sorted((run.number, at) for at, part in enumerate(parts) for run in part)]
    rising: list[int] = []  # the ends of the longest runs of parts in order
    for part in order:
        at = bisect(rising, part)
        rising[at : at + 1] = [part]
    return len(order) - len(rising) <= 2  # a footer may be drawn first


def _tabular(rows: Sequence[Line]) -> bool:
    """Three rows in line, or two of three cells."""
    follows = [_follows(a, b) for a, b in pairwise(rows)]
    three = any(a and b for a, b in pairwise(follows))
    return three or any(f and min(len(a), len(b)) > 2 for f, (a, b) in zip(follows, pairwise(rows), strict=True))


def _follows(above: Line, below: Line, last: Line | None = None) -> bool:
    """Whether two lines can be rows of one table: two of their cells or more stand in line.

    `last` is the last line of the row above, where it has several.
    """
    if len(above) < 2 or len(below) < 2:
        return False
    if (last or above)[0][0].middle - below[0][0].middle > 4 * max(above[0][0].height, below[0][0].height):
        return False
    return sum(any(_apart(a, b) < _ALIKE for a in above) for b in below) >= 2


def _continues(columns: Line, above: Line, line: Line, tall: float) -> bool:
    """Whether it is a further line of a row: near, and with nothing in the first column."""
    near = above[0][0].middle - line[0][0].middle < 2.5 * tall
    beside = line[0][0].left > columns[0][-1].right
    return near and beside and all(min(_apart(c, cell) for cell in columns) < _ALIKE for c in line)


def _apart(one: Cell, other: Cell) -> float:
    """How far two cells are from standing in one column: by their left edges, right edges or middles."""
    (left, right), (start, end) = (one[0].left, one[-1].right), (other[0].left, other[-1].right)
    return min(abs(left - start), abs(right - end), abs(left + right - start - end) / 2)


def _texts(text_page: Any, places: NDArray[np.float64]) -> list[str]:
    """The letters of each run. Runs stand in the order of their letters; what pdfium put between is a blank."""
    letters = _Letters(text_page)
    boxes = [(a - 0.1, b - 0.1, c + 0.1, d + 0.1) for a, b, c, d in places.tolist()]
    spans = _quick_spans(letters, boxes) or _spans(letters, boxes)
    return [text_page.get_text_range(first, last - first + 1) if last >= 0 else "" for first, last in spans]


class _Letters:
    """The middles of a page's letters, each asked of pdfium when it is wanted: asking for all takes long."""

    def __init__(self, text_page: Any) -> None:
        self._raw = text_page.raw
        self.count: int = pdfium.FPDFText_CountChars(self._raw)
        self._edges = [ctypes.c_double() for _ in range(4)]
        self._known: dict[int, tuple[float, float] | None] = {}

    def middle(self, index: int) -> tuple[float, float] | None:
        """None of what pdfium put between two words."""
        if index not in self._known:
            self._known[index] = self._asked(index)
        return self._known[index]

    def _asked(self, index: int) -> tuple[float, float] | None:
        left, right, bottom, top = self._edges
        if not pdfium.FPDFText_GetCharBox(self._raw, index, left, right, bottom, top) or left.value == right.value:
            return None
        return (left.value + right.value) / 2, (bottom.value + top.value) / 2

    def inside(self, index: int, box: _Box) -> bool:
        at = self.middle(index)
        return at is not None and box[0] <= at[0] <= box[2] and box[1] <= at[1] <= box[3]

    def solid(self, index: int) -> int:
        """The last letter at or before `index` that is no blank."""
        while index >= 0 and self.middle(index) is None:
            index -= 1
        return index


def _quick_spans(letters: _Letters, boxes: Sequence[_Box]) -> list[tuple[int, int]] | None:
    """(first, last letter) of each run, found in strides; None where a run does not begin behind the one before."""
    spans: list[tuple[int, int]] = []
    at = 0
    for box in boxes:
        tried = 0
        while at < letters.count and not letters.inside(at, box):
            tried += letters.middle(at) is not None
            at += 1
            if tried > _MOST_STRAY:
                return None
        if at >= letters.count:
            return None
        low, stride = at, 8
        while low + stride < letters.count and letters.inside(letters.solid(low + stride), box):
            low, stride = low + stride, 2 * stride
        high = min(low + stride, letters.count)
        while high - low > 1:
            half = (low + high) // 2
            if letters.inside(letters.solid(half), box):
                low = half
            else:
                high = half
        spans.append((at, letters.solid(low)))
        at = low + 1
    return spans


def _spans(letters: _Letters, boxes: Sequence[_Box]) -> list[tuple[int, int]]:
    """The same by asking for each letter."""
    spans = [(0, -1)] * len(boxes)
    at = 0
    for index in range(letters.count):
        for place in range(at, min(at + 4, len(boxes))):
            if letters.inside(index, boxes[place]):
                first, last = spans[place]
                spans[place] = (index if last < 0 else first, index)
                at = place
                break
    return spans


class _Page:
    """Lines of cells as they are told. `texts` are the runs' letters by their numbers."""

    def __init__(self, texts: Sequence[str], tall: float) -> None:
        self._texts, self._tall = texts, tall

    def told(self, rows: Sequence[Line]) -> Iterator[str]:
        steps = [a[0][0].middle - b[0][0].middle for a, b in pairwise(rows)]
        pitch = median(steps) if steps else 0.0
        at = 0
        while at < len(rows):
            end = self._table_end(rows, at)
            if _tabular(rows[at:end]):
                yield from ("", self._table(rows[at:end]), "")
            else:
                end = at + 1
                if at and steps[at - 1] > 1.5 * pitch:
                    yield ""
                yield " ".join(self._ordered([self._said(cell) for cell in rows[at]]))
            at = end

    def _table_end(self, rows: Sequence[Line], at: int) -> int:
        """Behind the last row of the table that begins here."""
        end, last = at + 1, rows[at]
        if len(last) < 2 or self._marked(last):
            return end
        while end < len(rows):
            if _follows(last, rows[end], rows[end - 1]) and not self._marked(rows[end]):
                last = rows[end]
            elif not _continues(last, rows[end - 1], rows[end], self._tall):
                break
            end += 1
        return end

    def _table(self, rows: Sequence[Line]) -> str:
        wide = max(rows, key=len)
        first = min(row[0][0].left for row in rows) + _ALIKE
        steps = [a[0][0].middle - b[0][0].middle for a, b in pairwise(rows)]
        out: list[list[str]] = []
        whole = True  # whether the last row has its first cell
        for at, row in enumerate(rows):
            cells = [""] * len(wide)
            for cell in row:
                column = min(range(len(wide)), key=lambda n: _apart(wide[n], cell))
                cells[column] = f"{cells[column]} {self._said(cell)}".strip()
            lone = row[0][0].left > first
            # a line without a first cell goes with the line it is nearer to
            nearer = lone and at > 0 and steps[at - 1] <= 1.15 * (steps[at] if at < len(steps) else steps[at - 1])
            if out and (nearer or not whole):
                out[-1] = [" ".join(filter(None, pair)) for pair in zip(out[-1], cells, strict=True)]
                whole = whole or not lone
            else:
                out.append(cells)
                whole = not lone
        return "\n".join(" | ".join(self._ordered([c for c in cells if c])) for cells in out)

    def _marked(self, line: Line) -> bool:
        """Whether it is an item of a list, or a numbered heading: its mark is no cell."""
        first = line[0]
        narrow = first[-1].right - first[0].left < 3 * self._tall
        return len(line) == 2 and narrow and bool(_MARK.fullmatch(self._said(first)))

    def _said(self, cell: Cell) -> str:
        return " ".join(" ".join(self._texts[run.number] for run in cell).split())

    def _ordered(self, cells: list[str]) -> list[str]:
        """From the right where the script runs so."""
        return cells[::-1] if _RTL.search(cells[0] if cells else "") else cells
