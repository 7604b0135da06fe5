"""A PDF's page as a picture: what is marked on it, within which bounds, and what a hostile file costs."""

import io
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas

from coach_core.errors import DamagedFile, EncryptedFile, FileError
from coach_core.knowledge.pages import Pages
from coach_core.knowledge.picture import MOST_DOTS, Picture, marked, picture

LEFT = [
    "The first column tells of sleep and of",
    "what a tired person should do about",
    "it before the week is over again.",
]
RIGHT = ["The second column tells of water and", "how many glasses are enough for a", "grown person in the hot summer."]


def pdf(*pages: Callable[[Any], None], size: tuple[float, float] = A4, **more: Any) -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, pagesize=size, **more)
    for page in pages:
        page(drawing)
        drawing.showPage()
    drawing.save()
    return out.getvalue()


def columns(drawing: Any) -> None:
    """Line by line over both columns, as some programs write."""
    for n, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        drawing.drawString(60, 700 - 14 * n, left)
        drawing.drawString(320, 700 - 14 * n, right)


def blank(drawing: Any) -> None:
    drawing.drawString(60, 700, "Another page altogether, of which nothing is asked.")


def test_only_the_passages_own_column_is_marked() -> None:
    drawn = picture(pdf(columns, blank), 1, " ".join(RIGHT))
    assert (drawn.page, drawn.pages, drawn.media_type) == (1, 2, "image/png")
    middle = drawn.width * 310 / A4[0]
    assert len(drawn.boxes) == 3 and all(left > middle for left, *_ in drawn.boxes)
    image = Image.open(io.BytesIO(drawn.data))
    left, top, *_ = drawn.boxes[0]
    assert image.getpixel((left + 1, top + 1)) != (255, 255, 255) == image.getpixel((5, 5))


def test_a_page_without_the_passage_has_no_mark_and_one_that_is_not_there_gives_the_nearest() -> None:
    data = pdf(columns, blank)
    assert picture(data, 2, " ".join(LEFT)).boxes == ()
    assert (picture(data, 99, "").page, picture(data, -3, "").page) == (2, 1)


def test_a_turned_page_is_marked_where_it_is_seen() -> None:
    document = pypdfium2.PdfDocument(pdf(columns))
    document[0].set_rotation(90)
    out = io.BytesIO()
    document.save(out)
    drawn = picture(out.getvalue(), 1, " ".join(LEFT))
    assert drawn.width > drawn.height and drawn.boxes
    image = Image.open(io.BytesIO(drawn.data)).convert("RGB")
    for left, top, right, bottom in drawn.boxes:
        assert bottom - top > right - left, "the line runs down"
        assert min(sum(image.getpixel((x, y))) for x in range(left, right) for y in range(top, bottom)) < 300, "letters"


@pytest.mark.parametrize("size", [(28346.0, 28346.0), (14000.0, 4.0), (3.0, 3.0)])
def test_a_page_of_any_size_stays_within_bounds(size: tuple[float, float]) -> None:
    words = "A few words on a large page"
    drawn = picture(pdf(lambda d: d.drawString(1, 1, words), size=size), 1, words)
    assert 0 < drawn.width * drawn.height <= MOST_DOTS and max(drawn.width, drawn.height) <= 3000


def test_words_broken_at_a_lines_end_do_not_part_a_mark() -> None:
    page = "One two three four five six se-\nven eight nine ten eleven twelve. And other words."
    text = "One two three four five six seven eight nine ten eleven twelve."
    assert [page[a:b] for a, b in marked(page, text)] == [page[: page.index(".")]]


def test_a_word_that_stands_elsewhere_by_chance_is_not_marked() -> None:
    text = " ".join(f"w{n}" for n in range(60))
    page = f"w0 w1 w2 w3 w4 and then much later in the same page {text}"
    assert [page[a:b] for a, b in marked(page, text)] == [text]


def test_what_the_page_says_again_elsewhere_is_not_marked() -> None:
    said = "The keeper of tower 1 trims the {} wick each evening before the fog horn sounds, and writes it down. "
    left = "Column 1 begins here. " + said.format("left") * 8 + "End of column 1. "
    right = "Column 2 begins here. " + said.format("right") * 8 + "End of column 2."
    page = f"Chapter 1 Lamps {left}{right} Tower Height"
    for text in (left, right):
        assert [page[a:b] for a, b in marked(page, text)] == [text.rstrip(" .")]
    beyond = said.format("right") * 3 + said.format("left") * 4  # its second half stands on the page after
    page = (
        said.format("left") * 8 + "And now to something else, which is of no interest. " * 9 + said.format("right") * 3
    )
    assert [page[a:b] for a, b in marked(page, beyond)][-1].startswith("The keeper")
    broken = right.replace("horn sounds", "hornsounds", 3)
    assert [(a, b) for a, b in marked(left + broken, right) if a < len(left)] == []


def test_what_is_no_pdf_or_locked_is_a_sentence() -> None:
    with pytest.raises(DamagedFile):
        picture(b"%PDF-1.7 nothing of the kind", 1, "")
    with pytest.raises(EncryptedFile):
        picture(pdf(columns, encrypt="secret"), 1, "")


# -- in the child process ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.close()


def test_the_same_page_is_drawn_once(pages: Pages) -> None:
    data, asked = pdf(columns), list[int]()

    def read() -> bytes:
        asked.append(threading.get_ident())
        return data

    first = pages.draw("a" * 64, read, 1, LEFT[0])
    assert isinstance(first, Picture) and first.boxes and pages.draw("a" * 64, read, 1, LEFT[0]) is first
    assert pages.draw("a" * 64, read, 1, RIGHT[0]).boxes != first.boxes
    assert len(asked) == 2


def test_a_file_that_breaks_costs_itself_alone(pages: Pages) -> None:
    with pytest.raises(FileError):
        pages.draw("b" * 64, lambda: b"%PDF-1.7\n" + b"\0" * 1000, 1, "")
    assert pages.draw("c" * 64, lambda: pdf(blank), 1, "").pages == 1
