"""A PDF's page as a picture with a passage's words marked: runs in the child process of extract.py.

Invariant: the picture has at most MOST_DOTS dots whatever size the page says it is, and a passage is found by its
words, in whatever order the file has them (columns), each once, so that only what is the passage's is marked.
"""

from __future__ import annotations

import ctypes
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from coach_core.errors import DamagedFile, EncryptedFile
from coach_core.knowledge.span import WORD

DPI = 130
MOST_DOTS = 4_000_000
_MOST_SIDE = 3000
_LEAST_SIDE = 32
_MOST_LETTERS = 60_000
_RUN = 5  # words in a row that make a place of the passage
_NEAR = 60  # words from where a piece is expected: a line of each other column may stand between
_MOST_BLOCKS = 400  # stretches that are looked at: a page that says one thing again and again has many
_GAP = 3  # words between two places that are marked too: a hyphen, a ligature that was read otherwise
_STRAY = 0.25  # of the largest place in words: what is smaller stands there by chance
_MARK = (255, 224, 130)
_HEAVY = 1_500_000  # bytes above which a picture is sent as JPEG
Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """A page as it looks: `page` of `pages` (from 1), `boxes` (left, top, right, bottom in dots) of what is marked."""

    data: bytes
    media_type: str
    width: int
    height: int
    page: int
    pages: int
    boxes: tuple[Box, ...] = ()


def picture(data: bytes, page: int, text: str) -> Picture:
    """Page `page` (from 1; the nearest there is), with the words of `text` marked. Raises FileError."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise EncryptedFile() from error
        raise DamagedFile() from error
    try:
        count = len(document)
        if not count:
            raise DamagedFile()
        number = min(max(page, 1), count)
        opened = document[number - 1]
        try:
            return _drawn(opened, number, count, text)
        finally:
            opened.close()
    except pypdfium2.PdfiumError as error:
        raise DamagedFile("The page could not be drawn. Open the file itself to read it.") from error
    finally:
        document.close()


def _drawn(page: Any, number: int, count: int, text: str) -> Picture:
    image = page.render(scale=_scale(page), may_draw_forms=False).to_pil().convert("RGB")
    boxes = _boxes(page, text, image.width, image.height) if text.strip() else ()
    for box in boxes:
        _mark(image, box)
    out = io.BytesIO()
    image.save(out, "PNG")
    kind = "image/png"
    if out.tell() > _HEAVY:
        out, kind = io.BytesIO(), "image/jpeg"
        image.save(out, "JPEG", quality=80)
    return Picture(out.getvalue(), kind, image.width, image.height, number, count, tuple(boxes))


def _scale(page: Any) -> float:
    """Dots a point: DPI, or what keeps a page of any size within bounds."""
    wide, high = max(float(page.get_width()), 0.01), max(float(page.get_height()), 0.01)
    most = min(_MOST_SIDE / max(wide, high), (MOST_DOTS / (wide * high)) ** 0.5)
    return min(max(DPI / 72, _LEAST_SIDE / max(wide, high)), most)


def _mark(image: Any, box: Box) -> None:
    """The dots of `box` as if a marker had been drawn over them: what is dark stays dark."""
    from PIL import Image, ImageChops

    part = image.crop(box)
    image.paste(ImageChops.multiply(part, Image.new("RGB", part.size, _MARK)), box[:2])


# -- where the words are -----------------------------------------------------------------------------------------


def _boxes(page: Any, text: str, width: int, height: int) -> list[Box]:
    text_page = page.get_textpage()
    try:
        letters, at = _letters(text_page)
        spans = [(at[start], at[end - 1] + 1) for start, end in marked(letters, text)]
        found: list[Box] = []
        for start, end in spans:
            found += _lines(page, text_page, start, end - start, width, height)
        return found
    finally:
        text_page.close()


def _letters(text_page: Any) -> tuple[str, list[int]]:
    """The page's text, and of each of its characters the number that pdfium gives it."""
    import pypdfium2.raw as pdfium

    out: list[str] = []
    at: list[int] = []
    count = min(pdfium.FPDFText_CountChars(text_page.raw), _MOST_LETTERS)
    broken = False
    for index in range(count):
        code = pdfium.FPDFText_GetUnicode(text_page.raw, index)
        if code in (0x02, 0xFFFE):  # a word broken at the end of a line goes on in the next
            broken = True
            continue
        letter = chr(code) if 0 < code < 0x110000 and not 0xD800 <= code <= 0xDFFF else " "
        if broken and letter.isspace():
            continue
        broken = False
        out.append(letter)
        at.append(index)
    return "".join(out), at


def marked(page: str, text: str) -> list[tuple[int, int]]:
    """(start, end) in `page` of what stands in `text`: runs of words, each word of it at one place only."""
    places = list(WORD.finditer(page))
    words = [m.group().casefold() for m in places]
    wanted = [m.group().casefold() for m in WORD.finditer(text)]
    hits = sorted(at for _, start, count in _aligned(wanted, words) for at in range(start, start + count))
    groups = _groups(hits)
    run = min(_RUN, len(wanted))
    most = max((last - first + 1 for first, last in groups), default=0)
    kept = [(a, b) for a, b in groups if b - a + 1 >= _STRAY * most or b - a + 1 >= 3 * run]
    return [(places[a].start(), places[b].end()) for a, b in kept]


_Block = tuple[int, int, int]  # where in the text, where on the page, how many words


def _aligned(wanted: Sequence[str], words: Sequence[str]) -> list[_Block]:
    """What stands in both, the longest first and none of it twice: what a page says again is not the passage's.

    A further piece stands near where those before lead to expect it, or holds words that the page says once.
    """
    run = min(_RUN, len(wanted))
    where: dict[tuple[str, ...], list[int]] = {}
    for at in range(len(words) - run + 1):
        where.setdefault(tuple(words[at : at + run]), []).append(at)
    found: list[_Block] = []
    left = _blocks(wanted, where, run) if run else []
    while left:
        one = max(left, key=lambda block: (block[2] - min(_off(block, found) / 4, block[2] / 2), -block[1]))
        left.remove(one)
        text, _, count = one
        alone = any(len(where[tuple(wanted[at : at + run])]) == 1 for at in range(text, text + count - run + 1))
        if not found or alone or _off(one, found) <= _NEAR:
            found.append(one)
            left = [rest for block in left for rest in _without(block, one) if rest[2] >= run]
    return found


def _blocks(wanted: Sequence[str], where: Mapping[tuple[str, ...], Sequence[int]], run: int) -> list[_Block]:
    """The longest stretches that stand in both."""
    out: list[_Block] = []
    open_: dict[int, int] = {}  # by how far the page is ahead: where in the text the stretch began
    for at in range(len(wanted) - run + 2):
        ahead = (
            {place - at for place in where.get(tuple(wanted[at : at + run]), ())} if at + run <= len(wanted) else set()
        )
        for by in [by for by in open_ if by not in ahead]:
            start = open_.pop(by)
            out.append((start, start + by, at - start + run - 1))
        for by in ahead:
            open_.setdefault(by, at)
    return sorted(out, key=lambda block: -block[2])[:_MOST_BLOCKS]


def _off(block: _Block, found: Sequence[_Block]) -> int:
    """How many words from where it would stand if the page went on as the text does."""
    text, page, count = block
    ends = [abs(page - (p + c) - (text - (t + c))) for t, p, c in found if t < text]
    starts = [abs((p - page - count) - (t - text - count)) for t, p, _ in found if t > text]
    return min([*ends, *starts], default=0)


def _without(block: _Block, taken: _Block) -> list[_Block]:
    """What of a stretch is left when the words of another, in the text and on the page, are taken."""
    text, page, count = block
    free = [
        not (taken[0] <= text + at < taken[0] + taken[2] or taken[1] <= page + at < taken[1] + taken[2])
        for at in range(count)
    ]
    out: list[_Block] = []
    at = 0
    for is_free, group in groupby(free):
        size = len(list(group))
        if is_free:
            out.append((text + at, page + at, size))
        at += size
    return out


def _groups(hits: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of the words that stand together, small gaps closed."""
    if not hits:
        return []
    cuts = [(a, b) for a, b in pairwise(hits) if b - a > _GAP + 1]
    firsts = [hits[0], *(b for _, b in cuts)]
    return list(zip(firsts, [*(a for a, _ in cuts), hits[-1]], strict=True))


def _lines(page: Any, text_page: Any, start: int, count: int, width: int, height: int) -> list[Box]:
    """A box a line, in dots of the picture."""
    import pypdfium2.raw as pdfium

    left, top, right, bottom = (ctypes.c_double() for _ in range(4))
    out: list[Box] = []
    for n in range(pdfium.FPDFText_CountRects(text_page.raw, start, count)):
        if not pdfium.FPDFText_GetRect(text_page.raw, n, left, top, right, bottom):
            continue
        a = _dots(page, left.value, top.value, width, height)
        b = _dots(page, right.value, bottom.value, width, height)
        box = (min(a[0], b[0]) - 1, min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1)
        bound = (max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height))
        if bound[0] < bound[2] and bound[1] < bound[3]:
            out.append(bound)
    return _apart(out)


def _apart(boxes: Sequence[Box]) -> list[Box]:
    """Boxes of one line that overlap, as one: what is marked twice would be darker."""
    out: list[Box] = []
    for box in boxes:
        if out and _same_line(out[-1], box):
            a = out.pop()
            box = (min(a[0], box[0]), min(a[1], box[1]), max(a[2], box[2]), max(a[3], box[3]))
        elif out and out[-1][1] < box[1] < out[-1][3] and box[0] < out[-1][2] and out[-1][0] < box[2]:
            box = (box[0], out[-1][3], box[2], max(box[3], out[-1][3] + 1))  # the line above reaches into this one
        out.append(box)
    return out


def _same_line(a: Box, b: Box) -> bool:
    high = min(a[3] - a[1], b[3] - b[1])
    return min(a[3], b[3]) - max(a[1], b[1]) > 0.5 * high and b[0] - a[2] < 3 * high and a[0] - b[2] < 3 * high


def _dots(page: Any, x: float, y: float, width: int, height: int) -> tuple[int, int]:
    import pypdfium2.raw as pdfium

    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page.raw, 0, 0, width, height, 0, x, y, across, down)
    return across.value, down.value
