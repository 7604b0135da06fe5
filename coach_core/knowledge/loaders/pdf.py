"""PDF: paragraphs and tables with their page, sections from the outline, repeated headers and footers left out.

Columns come in the order they are read. A sentence that a page break cuts stays whole, on its first page.

Invariant: one thread at a time is inside pdfium, which is not safe to share.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from coach_core.errors import DamagedFile, EncryptedFile, FileTooLarge, FileTooSlow
from coach_core.knowledge import loaders
from coach_core.knowledge.loaders import SEPARATOR, Block, Loaded, dated, layout

_gate = threading.Lock()
_MOST_PAGES = 5000
_FRAME_LINES = 2  # at the top and the bottom of a page, where headers and footers stand
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.I)
_HYPHEN = re.compile("[\x02\ufffe]\n?")  # how pdfium marks a word broken at the end of a line
_ENDS = re.compile(r"[.!?:;。！？؟»”\"’)]$")
_SENTENCE = re.compile(r".*?[.!?;。！？؟](?=\s|$)")
_BETWEEN = re.compile(r"[\W_]+")
_LONGEST_HEADING = 200
_SCAN_DPI = 200
_SCAN_DOTS = 4000  # of the longer side
_SCAN_SECONDS = 90.0
_REST = 300  # characters of a sentence that may follow a page break
_BULLET = re.compile(r"^(?:[-*•▪◦‣●○–]|\(?\d{1,2}[.)]|[a-z]\))\s+")


def load(data: bytes, name: str) -> Loaded:
    with _gate:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if "password" in str(error).lower() or "security" in str(error).lower():
                raise EncryptedFile() from error
            raise DamagedFile() from error
        try:
            return _read(document)
        finally:
            document.close()


def _read(document: Any) -> Loaded:
    count = len(document)
    if count > _MOST_PAGES:
        raise FileTooLarge(f"The file has {count:,} pages. Split it into parts of at most {_MOST_PAGES:,}.")
    pages: list[list[str]] = []
    for i in range(count):
        pages.append(_lines(document[i]))
        loaders.on_page(i + 1, count)
    _read_scans(document, pages)
    said = document.get_metadata_dict()
    title = str(said.get("Title") or "").strip()
    headings = _headings(document, count)
    frame = _frame(pages)
    blocks: list[Block] = []
    section = ""
    for number, lines in enumerate(pages, 1):
        body = [line for i, line in enumerate(lines) if not (_outer(i, lines) and frame.holds(line))]
        marks = headings.get(number - 1, [])
        paragraphs = _paragraphs(body, {_letters(label) for label, _ in marks})
        follows = bool(blocks and paragraphs) and blocks[-1].page == number - 1
        rest = _rest(blocks[-1].text, paragraphs[0]) if follows else ""
        if rest:
            blocks[-1] = replace(blocks[-1], text=_continued(blocks[-1].text, rest))
            paragraphs[0] = paragraphs[0][len(rest) :].lstrip()
        for text, path in _placed([p for p in paragraphs if p], marks, section):
            blocks.append(Block(text, path, number))
        section = marks[-1][1] if marks else section
    written = dated.first((said.get("CreationDate"), said.get("ModDate")))
    return Loaded(title, tuple(blocks), pages=count, dated=written)


def _lines(page: Any) -> list[str]:
    """The page's lines from the top, "" where a gap was; a table is one entry of several lines."""
    try:
        text_page = page.get_textpage()
        try:
            found = layout.lines(text_page)
            if found is not None:
                return [_HYPHEN.sub("", line) for line in found]
            text: str = text_page.get_text_bounded()
        finally:
            text_page.close()
    finally:
        page.close()
    text = _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return [" ".join(line.split()) for line in text.split("\n")]


def _read_scans(document: Any, pages: list[list[str]]) -> None:
    """Pages that are pictures of text, by OCR where that is installed; many of them are left, for time is bounded."""
    from coach_core.knowledge.loaders import image

    scans = [i for i, lines in enumerate(pages) if not any(line.strip() for line in lines)]
    if not scans or not image.available():
        return
    until = time.monotonic() + _SCAN_SECONDS
    for i in scans:
        page = document[i]
        try:
            if not any(True for _ in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3)):
                continue
            scale = min(_SCAN_DPI / 72, _SCAN_DOTS / max(page.get_width(), page.get_height(), 1))
            pages[i] = [line for paragraph in image.read(page.render(scale=scale).to_pil()) for line in (paragraph, "")]
        finally:
            page.close()
        if time.monotonic() > until:
            raise FileTooSlow(
                f"Reading the scan stopped at page {i + 1} of {len(pages)}: text recognition takes long. "
                "Split the file, or run text recognition (OCR) on it first."
            )


def _headings(document: Any, count: int) -> dict[int, list[tuple[str, str]]]:
    """The outline's (label, path) on each page, in order."""
    found: dict[int, list[tuple[str, str]]] = {}
    path: list[str] = []
    for item in document.get_toc(max_depth=6):
        dest = item.get_dest()
        index = dest.get_index() if dest is not None else None
        label = " ".join((item.get_title() or "").split())
        path = [*path[: item.level], label]
        if index is not None and 0 <= index < count and label:
            found.setdefault(index, []).append((label, SEPARATOR.join(filter(None, path))))
    return found


def _placed(paragraphs: Sequence[str], marks: Sequence[tuple[str, str]], section: str) -> Iterator[tuple[str, str]]:
    """Each paragraph with its path, which changes where a heading of the outline stands.

    The first heading counts from the top of the page where its words are not found there.
    """
    starts: dict[int, str] = {}
    letters = [_letters(p[:_LONGEST_HEADING]) for p in paragraphs] if marks else []
    at = 0
    for nth, (label, path) in enumerate(marks):
        wanted = _letters(label)
        place = next((i for i in range(at, len(letters)) if letters[i].startswith(wanted)), None)
        if place is None and nth:
            continue
        at = place or 0
        starts[at] = path
    for i, text in enumerate(paragraphs):
        section = starts.get(i, section)
        yield text, section


class _Frame:
    """What stands at the edge of many pages: headers and footers, their numbers aside."""

    def __init__(self, shapes: set[str], exact: set[str]) -> None:
        self._shapes, self._exact = shapes, exact

    def holds(self, line: str) -> bool:
        return line in self._exact or _shape(line) in self._shapes


def _frame(pages: Sequence[Sequence[str]]) -> _Frame:
    """Lines at the edge of more than two in five pages; the same first or last line of three pages in ten or more.

    The title of a book stands on each second page, that of a chapter on some.
    """
    if len(pages) < 4:
        return _Frame(set(), set())
    seen = Counter(shape for lines in pages for shape in {_shape(x) for i, x in enumerate(lines) if _outer(i, lines)})
    ends = Counter(line for lines in pages if len(lines) > 2 for line in {lines[0], lines[-1]} if len(line) > 3)
    least = max(3, 0.1 * len(pages))
    return _Frame(
        {shape for shape, times in seen.items() if times > 0.4 * len(pages) and times > 2},
        {line for line, times in ends.items() if times >= least},
    )


def _outer(index: int, lines: Sequence[str]) -> bool:
    edge = min(_FRAME_LINES, max(len(lines) // 4, 1))
    return index < edge or index >= len(lines) - edge


def _shape(line: str) -> str:
    return _NUMBERS.sub("#", line.lower())


def _letters(text: str) -> str:
    return _BETWEEN.sub("", text.casefold())


def _paragraphs(lines: Sequence[str], headings: Container[str] = ()) -> list[str]:
    """Lines joined as they were before the page's width broke them; tables and headings stay alone."""
    width = max((len(line) for line in lines if "\n" not in line), default=0)
    out: list[str] = []
    open_ = False
    for line in lines:
        if not line:
            open_ = False
            continue
        if "\n" in line or (headings and len(line) <= _LONGEST_HEADING and _letters(line) in headings):
            out.append(line)
            open_ = False
            continue
        if open_ and not _BULLET.match(line):
            out[-1] = _continued(out[-1], line)
        else:
            out.append(line)
        # a short line that ends a sentence ends the paragraph; so does a short one without an end, a heading
        short = len(line) < 0.75 * width
        open_ = not (short and (_ENDS.search(line) or len(line) < 0.5 * width))
    return out


def _rest(before: str, paragraph: str) -> str:
    """What of a page's first paragraph ends the sentence that the page before left open."""
    if _ENDS.search(before) or not paragraph[:1].islower() or _BULLET.match(paragraph):
        return ""
    found = _SENTENCE.match(paragraph)
    rest = found.group() if found else ""
    return rest if len(rest) <= _REST else ""


def _continued(before: str, line: str) -> str:
    return before[:-1] + line if _hyphenated(before, line) else f"{before} {line}"


def _hyphenated(before: str, line: str) -> bool:
    return before.endswith("-") and len(before) > 1 and before[-2].isalpha() and line[:1].islower()
