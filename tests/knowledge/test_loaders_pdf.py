"""PDF pages as they are printed: columns, tables, headings of the outline, headers and footers."""

from __future__ import annotations

import io
import time
from typing import Any

import pypdfium2
import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import ListFlowable, Paragraph, SimpleDocTemplate, Table

from coach_core.knowledge.loaders import load

STYLE: Any = getSampleStyleSheet()["BodyText"]
SAID = "The heron waits for the tide to turn before it walks into the shallow water of the bay at noon".split()  # noqa: SIM905


def drawn(pages: list[list[tuple[float, float, str]]], outline: list[tuple[str, int, int]] = []) -> bytes:  # noqa: B006
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for number, pieces in enumerate(pages, 1):
        for label, level, page in outline:
            if page == number:
                canvas.bookmarkPage(label)
                canvas.addOutlineEntry(label, label, level)
        for x, y, text in pieces:
            canvas.setFont("Helvetica", 9)
            canvas.drawString(x, y, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def column(x: float, tag: str) -> list[tuple[float, float, str]]:
    lines = [f"{tag}{n} " + " ".join(SAID[(n * 5) % 9 :][:9]) for n in range(20)]
    return [(x, 770 - 12 * n, line) for n, line in enumerate(lines)]


def built(*parts: Any) -> bytes:
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=A4).build(list(parts))
    return out.getvalue()


@pytest.mark.parametrize("order", ["columns", "rows", "right first"])
def test_columns_are_read_one_after_the_other(order: str) -> None:
    left, right = column(60, "L"), column(310, "R")
    pieces = {"columns": left + right, "right first": right + left}.get(order)
    if pieces is None:
        pieces = [p for pair in zip(left, right, strict=True) for p in pair]
    title = "A title over both of the columns of this page, as papers have it, is read before them all"
    text = " ".join(b.text for b in load(drawn([[(60, 800, title), *pieces]]), "x.pdf").blocks)
    places = [text.index(f"{tag}{n} ") for tag in "LR" for n in range(20)]
    assert places == sorted(places) and text.startswith("A title over both")


def test_a_table_comes_as_rows() -> None:
    body = Paragraph(" ".join(SAID * 4), STYLE)
    note = Paragraph("a long note that goes over several lines because its cell is narrow, indeed.", STYLE)
    rows = [["Day", "Hours", "Note"], ["Monday", "7.5", "slept, well"], ["Tuesday", "12", note], ["Friday", "9", "ok"]]
    table = Table(rows, colWidths=[80, 80, 150], style=[("VALIGN", (0, 0), (-1, -1), "TOP")])
    texts = [b.text for b in load(built(body, table, body), "x.pdf").blocks]
    assert texts[1] == (
        "Day | Hours | Note\nMonday | 7.5 | slept, well\n"
        "Tuesday | 12 | a long note that goes over several lines because its cell is narrow, indeed.\nFriday | 9 | ok"
    )
    assert texts[0] == texts[2] == " ".join(SAID * 4)


TOWERS = [
    ["Tower", "Height", "Colour"],
    ["North", "31 m", "red"],
    ["South", "41 m", "white"],
    ["East", "51 m", "green"],
]


def table(x: tuple[float, ...], y: float, rows: list[list[str]] = TOWERS) -> list[tuple[float, float, str]]:
    return [(at, y - 16 * n, said) for n, row in enumerate(rows) for at, said in zip(x, row, strict=True) if said]


def told(rows: list[list[str]] = TOWERS) -> str:
    return "\n".join(" | ".join(filter(None, row)) for row in rows)


def under(x: float, tag: str) -> list[tuple[float, float, str]]:
    """A column that begins where a table at 500 has ended."""
    return [(x, y - 360, said.replace(tag, f"{tag}b", 1)) for x, y, said in column(x, tag)]


@pytest.mark.parametrize("across", [(64, 184, 304), (64, 250, 420), (64, 170, 262), (64, 310, 400), (90, 180, 330)])
def test_a_table_under_two_columns_keeps_its_rows(across: tuple[float, ...]) -> None:
    wide = [[f"{row[0]} and its surroundings", *row[1:]] if across[1] > 200 else row for row in TOWERS]
    for rows in (wide, [*wide[:2], [wide[2][0], "", "white"], wide[3]]):
        columns = column(60, "L") + column(310, "R")
        for pieces in ([*columns, *table(across, 500, rows)], [*table(across, 500, rows), *columns]):
            texts = [b.text for b in load(drawn([pieces]), "x.pdf").blocks]
            assert told(rows) in texts
            assert [t for t in texts if "|" in t] == [told(rows)]
            assert " ".join(texts).index("L19 ") < " ".join(texts).index("R0 ") < " ".join(texts).index("North")


def test_a_table_between_two_columns_and_two_more_ends_the_columns_above() -> None:
    pieces = [*column(60, "L"), *column(310, "R"), *table((64, 184, 304), 500), *under(60, "L"), *under(310, "R")]
    text = "\n".join(b.text for b in load(drawn([pieces]), "x.pdf").blocks)
    assert told() in text
    places = [text.index(said) for said in ("L0 ", "L19 ", "R0 ", "R19 ", "Tower", "Lb0 ", "Lb19 ", "Rb0 ", "Rb19 ")]
    assert places == sorted(places)


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_a_table_within_a_column_stays_there(side: str) -> None:
    left, right = column(60, "L"), column(310, "R")
    tables: list[tuple[float, float, str]] = []
    if side != "right":
        left, tables = left[:12], table((60, 130, 190), 600)
    if side != "left":
        right, tables = right[:12], tables + table((310, 380, 440), 600)
    texts = [b.text for b in load(drawn([[*left, *right, *tables]]), "x.pdf").blocks]
    assert texts.count(told()) == 1 + (side == "both") and sum("|" in t for t in texts) == texts.count(told())
    text = " ".join(texts)
    assert text.index("L11 ") < (text.index("Tower") if side != "right" else text.index("R0 ")) < text.index("green")
    assert side == "right" or text.index("Tower") < text.index("R0 ")


def test_lists_in_two_columns_are_no_table() -> None:
    left, right = column(60, "L"), column(310, "R")
    items = [
        piece
        for x in (60.0, 310.0)
        for n in range(5)
        for piece in ((x, 500.0 - 12 * n, f"{n + 1}."), (x + 20, 500.0 - 12 * n, f"a walk of {n} hours"))
    ]
    text = " ".join(b.text for b in load(drawn([[*left, *right, *items]]), "x.pdf").blocks)
    assert "|" not in text and text.count("a walk of 3 hours") == 2 and text.index("a walk of 4") < text.index("R0 ")


def test_a_list_is_no_table() -> None:
    items = [Paragraph(f"walk {n} times around the bay", STYLE) for n in range(4)]
    for kind in ("bullet", "1"):
        texts = [b.text for b in load(built(ListFlowable(items, bulletType=kind)), "x.pdf").blocks]
        assert not any("|" in t for t in texts) and all("walk" in t for t in texts)


def test_headings_of_the_outline_are_sections_from_where_they_stand() -> None:
    page = [
        (60, 780, " ".join(SAID)), (60, 740, "Goals"), (60, 720, "Say what you want."),
        (60, 680, "Dates"), (60, 660, "Say when."),
    ]  # fmt: skip
    data = drawn([[(60, 780, "Start"), *page[:0]], page], [("Start", 0, 1), ("Goals", 0, 2), ("Dates", 1, 2)])
    assert [(b.page, b.section, b.text) for b in load(data, "x.pdf").blocks] == [
        (1, "Start", "Start"),
        (2, "Start", " ".join(SAID)),
        (2, "Goals", "Goals"),
        (2, "Goals", "Say what you want."),
        (2, "Goals > Dates", "Dates"),
        (2, "Goals > Dates", "Say when."),
    ]


def test_headers_that_change_by_chapter_and_side_are_left_out() -> None:
    def page(n: int) -> list[tuple[float, float, str]]:
        head = "The Coaching Book" if n % 2 else "Goals and Habits" if n < 7 else "Sleep and Rest"
        body = [(60.0, 760.0 - 14 * i, f"{word} {n} {' '.join(SAID)}") for i, word in enumerate(SAID[:6])]
        return [(60, 810, head), *body, (300, 30, f"Page {n} of 12")]

    text = " ".join(b.text for b in load(drawn([page(n) for n in range(1, 13)]), "x.pdf").blocks)
    assert not any(said in text for said in ("Coaching Book", "Goals and Habits", "Sleep and Rest", "Page 3 of"))
    assert text.count("waits 5 The heron") == 1


def test_reading_the_layout_costs_little() -> None:
    data = drawn([column(60, "A") for _ in range(30)])

    def bare() -> None:
        document = pypdfium2.PdfDocument(data)
        for at in range(len(document)):
            document[at].get_textpage().get_text_bounded()

    def spent(run: Any) -> float:
        started = time.process_time()
        run()
        return time.process_time() - started

    load(data, "x.pdf")
    times = [(spent(bare), spent(lambda: load(data, "x.pdf"))) for _ in range(5)]
    assert min(ours for _, ours in times) < 3 * min(theirs for theirs, _ in times)
