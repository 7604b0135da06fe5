"""PDF: paragraphs with their page, sections from the outline, repeated headers and footers left out.

A sentence that a page break cuts stays whole, on its first page.

Invariant: one thread at a time is inside pdfium, which is not safe to share.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pypdfium2

from coach_core.errors import DamagedFile, EncryptedFile, FileTooLarge
from coach_core.knowledge.loaders import SEPARATOR, Block, Loaded

_gate = threading.Lock()
_MOST_PAGES = 5000
_FRAME_LINES = 2  # at the top and the bottom of a page, where headers and footers stand
_NUMBERS = re.compile(r"\d+|\b[ivxlc]+\b", re.I)
_HYPHEN = re.compile("[\x02\ufffe]\n?")  # how pdfium marks a word broken at the end of a line
_ENDS = re.compile(r"[.!?:;。！？؟»”\"’)]$")
_SENTENCE = re.compile(r".*?[.!?;。！？؟](?=\s|$)")
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
    pages = [_lines(document[i]) for i in range(count)]
    title = str(document.get_metadata_dict().get("Title") or "").strip()
    sections = _sections(document, count)
    frame = _frame(pages)
    blocks: list[Block] = []
    for number, lines in enumerate(pages, 1):
        body = [line for i, line in enumerate(lines) if not (_outer(i, lines) and _shape(line) in frame)]
        paragraphs = _paragraphs(body)
        follows = bool(blocks and paragraphs) and blocks[-1].page == number - 1
        rest = _rest(blocks[-1].text, paragraphs[0]) if follows else ""
        if rest:
            blocks[-1] = replace(blocks[-1], text=_continued(blocks[-1].text, rest))
            paragraphs[0] = paragraphs[0][len(rest) :].lstrip()
        blocks += [Block(text, sections[number - 1], number) for text in paragraphs if text]
    return Loaded(title, tuple(blocks), pages=count)


def _lines(page: Any) -> list[str]:
    """The page's lines from the top, "" where a gap was."""
    try:
        text_page = page.get_textpage()
        try:
            text: str = text_page.get_text_bounded()
        finally:
            text_page.close()
    finally:
        page.close()
    text = _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return [" ".join(line.split()) for line in text.split("\n")]


def _sections(document: Any, count: int) -> list[str]:
    """The outline's path that is open at the end of each page's first heading."""
    marks: dict[int, str] = {}
    path: list[str] = []
    for item in document.get_toc(max_depth=6):
        dest = item.get_dest()
        index = dest.get_index() if dest is not None else None
        label = " ".join((item.get_title() or "").split())
        path = [*path[: item.level], label]
        if index is not None and 0 <= index < count and label:
            marks.setdefault(index, SEPARATOR.join(filter(None, path)))
    out: list[str] = []
    for index in range(count):
        out.append(marks.get(index, out[-1] if out else ""))
    return out


def _frame(pages: Sequence[Sequence[str]]) -> set[str]:
    """Lines at the edge of more than half the pages, their numbers aside."""
    if len(pages) < 4:
        return set()
    seen = Counter(shape for lines in pages for shape in {_shape(x) for i, x in enumerate(lines) if _outer(i, lines)})
    return {shape for shape, times in seen.items() if times > len(pages) / 2}


def _outer(index: int, lines: Sequence[str]) -> bool:
    edge = min(_FRAME_LINES, max(len(lines) // 4, 1))
    return index < edge or index >= len(lines) - edge


def _shape(line: str) -> str:
    return _NUMBERS.sub("#", line.lower())


def _paragraphs(lines: Sequence[str]) -> list[str]:
    """Lines joined as they were before the page's width broke them."""
    width = max((len(line) for line in lines), default=0)
    out: list[str] = []
    open_ = False
    for line in lines:
        if not line:
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
