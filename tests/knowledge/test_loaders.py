"""Files as they come: read by their structure, or refused with the right sentence."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import docx
import pikepdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from coach_core import errors
from coach_core.knowledge.loaders import KINDS, load, readable
from coach_core.knowledge.loaders.csv import load as load_csv
from coach_core.knowledge.loaders.decode import decode
from coach_core.knowledge.loaders.html import plain_text

from .conftest import DATA


def pdf(pages: list[list[str]], outline: dict[int, str] | None = None, title: str = "") -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    canvas.setTitle(title)
    for number, lines in enumerate(pages, 1):
        if outline and number in outline:
            canvas.bookmarkPage(f"p{number}")
            canvas.addOutlineEntry(outline[number], f"p{number}")
        for at, line in enumerate(lines):
            canvas.drawString(60, 780 - 14 * at, line)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def protected(data: bytes) -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(data)) as opened:
        opened.save(out, encryption=pikepdf.Encryption(user="secret", owner="secret"))
    return out.getvalue()


PAGES = [
    [
        "The Coaching Handbook",
        f"A goal on page {n} is a promise that you make to your-",
        "self, and it needs a date.",
        f"{n}",
    ]
    for n in range(1, 7)
]


def test_pdf_with_pages_and_sections() -> None:
    loaded = load(pdf(PAGES, {1: "Goals", 4: "Habits"}, "Handbook"), "x.pdf")
    assert (loaded.title, loaded.pages, loaded.language) == ("Handbook", 6, "en")
    assert [b.page for b in loaded.blocks] == [1, 2, 3, 4, 5, 6]
    assert [b.section for b in loaded.blocks] == ["Goals"] * 3 + ["Habits"] * 3
    assert loaded.blocks[2].text == "A goal on page 3 is a promise that you make to yourself, and it needs a date."


JUNK_TITLES = [
    "", "untitled", "Untitled document", "Untitled-1", "(anonymous)", "Microsoft Word - x.docx", "Word Document",
    "Microsoft PowerPoint - talk", "Document1", "report_final.doc", "Annual report.indd", "book.pdf", "notes.md",
    "---", "12/2024", "PowerPoint Presentation", "Unbenannt", "Sin título", "无标题",
]  # fmt: skip


@pytest.mark.parametrize("title", JUNK_TITLES)
def test_a_title_that_says_nothing_gives_way_to_the_name(title: str) -> None:
    assert load(pdf(PAGES, title=title), "tide_handbook-v2.pdf").title == "tide handbook v2"
    made: Any = docx.Document()
    made.core_properties.title = title
    made.add_paragraph("The heron waits for the tide.")
    out = io.BytesIO()
    made.save(out)
    assert load(out.getvalue(), "inbox/tide_handbook.docx").title == "tide handbook"


@pytest.mark.parametrize(
    "title", ["Handbook", "Word by Word", "Document Design", "Node.js", "Untitled Lives", "潮汐手册", "7 Habits", "Q&A"]
)
def test_a_title_that_says_something_stays(title: str) -> None:
    made: Any = docx.Document()
    made.core_properties.title = title
    made.add_paragraph("The heron waits for the tide.")
    out = io.BytesIO()
    made.save(out)
    assert load(out.getvalue(), "x.docx").title == title


def test_a_heading_is_a_better_title_than_the_name() -> None:
    made: Any = docx.Document()  # its template is titled "Word Document"
    made.add_heading("Tides", 1)
    out = io.BytesIO()
    made.save(out)
    assert load(out.getvalue(), "x.docx").title == "Tides"
    page = b"<html><head><title>Untitled document</title></head><body><h1>Tides</h1><p>They turn.</p></body></html>"
    assert load(page, "x.html").title == "Tides"
    assert load(b"---\ntitle: Untitled\n---\n# Tides\n\nThey turn.\n", "x.md").title == "Tides"


def test_a_sentence_over_a_page_break_stays_on_its_first_page() -> None:
    cut = [
        ["The heron waits for the tide to turn before it walks into the shallow water of the", "bay and its long"],
        ["shadow. Crabs come out at night when the gulls are asleep on the sands of the north", "and east."],
        ["Seals rest on the rocks at noon, all of them, where the sun is warm and the wind is", "not felt, as in"],
        ["July", "Whales pass in May, far from the shore, on the way to the cold waters of the north", "again."],
    ]
    loaded = load(pdf(cut), "x.pdf")
    assert [(b.page, b.text.partition(" ")[0], b.text.rpartition(" ")[2]) for b in loaded.blocks] == [
        (1, "The", "shadow."),
        (2, "Crabs", "east."),
        (3, "Seals", "in"),
        (4, "July", "July"),
        (4, "Whales", "again."),
    ]


def test_csv_of_real_answers_keeps_question_and_answer_together() -> None:
    loaded = load((DATA / "counsel.csv").read_bytes(), "counsel.csv")
    assert [b.row for b in loaded.blocks] == list(range(2, 14))
    first = loaded.blocks[0]
    assert first.section == "Escalating disagreements between mother and wife"
    assert "My wife and mother are having tense disagreements" in first.text
    assert 'something psychologists have termed "triangulation"' in first.text
    assert "<p>" not in first.text and "https://" not in first.text and "5566fab2a64752d71ec3ca69" not in first.text
    assert "Topics: Family Conflict" in first.text
    assert not any("pvotes" in b.text for b in loaded.blocks)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_csv_of_any_spreadsheet(delimiter: str, encoding: str) -> None:
    rows = [["Name", "Größe", "Notiz"], ["Jürgen", "1", "früh, müde"], ["Zoë", "2", "später; wacher | heute"]]
    lines = [delimiter.join(f'"{c}"' if any(d in c for d in ",;|") else c for c in row) for row in rows]
    loaded = load("\r\n".join(lines).encode(encoding), "x.csv")
    assert [(b.row, b.section, b.text) for b in loaded.blocks] == [
        (2, "Jürgen", "Jürgen\nGröße: 1\nNotiz: früh, müde"),
        (3, "Zoë", "Zoë\nGröße: 2\nNotiz: später; wacher | heute"),
    ]


def test_csv_columns_without_words_are_left_out() -> None:
    said = "The heron waits for the tide to turn before it walks into the shallow water of the bay. "
    rows = [f"{n},7f3a{n}c,{said}{n},{n}.5,shore.example/q/{n},{'high' if n > 2 else 12}" for n in range(1, 5)]
    table = "question_id,key,answer,weight,address,level\n" + "\n".join(rows)
    assert [(b.section, b.text) for b in load(table.encode(), "x.csv").blocks] == [
        ("", f"{said}{n}\nLevel: {'high' if n > 2 else 12}") for n in range(1, 5)
    ]
    short = load(b"name,upvotes,viewCount\nHeron,3,10\nGull,4,11\n", "x.csv")
    assert [b.text for b in short.blocks] == ["Heron", "Gull"]


def test_csv_keeps_numbers_that_are_what_it_tells() -> None:
    assert [b.text for b in load(b"Item,Amount\nRent,950\nFood,310\n", "x.csv").blocks] == [
        "Item: Rent\nAmount: 950",
        "Item: Food\nAmount: 310",
    ]
    assert [b.text for b in load(b"id,views\n1,20\n2,30\n", "x.csv").blocks] == ["Id: 1\nViews: 20", "Id: 2\nViews: 30"]
    assert [b.text for b in load(b"word\ndecade\nfacade\n", "x.csv").blocks] == ["Word: decade", "Word: facade"]


def test_csv_without_a_header() -> None:
    loaded = load(b"2024-01-05,Slept badly again.,3\n2024-01-06,Slept well.,8\n", "diary.csv")
    assert [(b.row, b.text) for b in loaded.blocks] == [
        (1, "2024-01-05\nSlept badly again.\n3"),
        (2, "2024-01-06\nSlept well.\n8"),
    ]


def test_cnxml_with_its_sections() -> None:
    loaded = load((DATA / "budgeting.cnxml").read_bytes(), "index.cnxml")
    assert loaded.title == "Savings, Expenses, and Budgeting"
    assert "Budgets > Income" in {b.section for b in loaded.blocks}
    assert not any("m79891" in b.text or "<" in b.text for b in loaded.blocks)


def test_xhtml_of_a_book() -> None:
    loaded = load((DATA / "meditations-2.xhtml").read_bytes(), "book-2.xhtml")
    assert (loaded.title, loaded.language) == ("Book II", "en")
    assert loaded.blocks[1].text.startswith("Begin the morning by saying to thyself, I shall meet with the busybody,")


def test_markdown_without_its_marks() -> None:
    loaded = load((DATA / "equity.md").read_bytes(), "equity.md")
    assert loaded.title == "The Open Guide to Equity Compensation"
    text = "\n".join(b.text for b in loaded.blocks)
    assert "](" not in text and "**" not in text
    assert "Introduction" in {b.section for b in loaded.blocks}


def test_docx_with_headings() -> None:
    loaded = load((DATA / "headers.docx").read_bytes(), "headers.docx")
    sections = [b.section for b in loaded.blocks]
    assert "Section 1 > Section 1.2 > Section 1.2.3" in sections
    assert "Paragraph 1.2.3.1" in {b.text for b in loaded.blocks}


def test_docx_lists_and_tables_in_order() -> None:
    made: Any = docx.Document()
    made.add_heading("Plan", 1)
    made.add_paragraph("Before.")
    made.add_paragraph("walk", style="List Bullet")
    made.add_paragraph("sleep", style="List Bullet")
    table = made.add_table(rows=2, cols=2)
    for at, said in enumerate(["Day", "Hours", "Monday", "8"]):
        table.cell(at // 2, at % 2).text = said
    made.add_paragraph("After.")
    out = io.BytesIO()
    made.save(out)
    texts = [b.text for b in load(out.getvalue(), "x.docx").blocks]
    assert texts == ["Plan", "Before.", "- walk\n- sleep", "Day | Hours\nMonday | 8", "After."]


def test_html_without_scripts_and_navigation() -> None:
    page = """<!doctype html><html><head><title>Rest &amp; sleep</title><style>p{}</style></head><body>
    <nav><a href="/">Home</a></nav><script>steal()</script><h1>Rest</h1><p>Sleep <b>eight</b> hours.<br>Rise early.
    <h2>Naps</h2><ul><li>short<li>at noon<ul><li>in bed</ul></ul><table><tr><th>Day<th>Hours<tr><td>Monday<td>8</table>
    <p hidden>nobody sees</p><a href="javascript:alert(1)" onclick="x()">Read on</a></body></html>"""
    loaded = load(page.encode(), "page.html")
    assert loaded.title == "Rest & sleep"
    assert [(b.section, b.text) for b in loaded.blocks] == [
        ("Rest", "Rest"),
        ("Rest", "Sleep eight hours.\nRise early."),
        ("Rest > Naps", "Naps"),
        ("Rest > Naps", "- short\n- at noon\n- in bed"),
        ("Rest > Naps", "Day | Hours\nMonday | 8"),
        ("Rest > Naps", "Read on"),
    ]


def test_html_without_the_menus_of_its_site() -> None:
    page = """<!doctype html><html><head><title>Tides</title></head><body>
    <a class="mw-jump-link" href="#content">Jump to content</a><a href="#main">Skip to the main content</a>
    <div class="page"><header><a href="/">Shore</a><div role="search"><input><a href="/s">Search</a></div></header>
    <div class="tabs"><ul><li><a href="/a">Article</a></li><li><a href="/t">Talk</a></li></ul></div>
    <div id="p-views" class="vector-menu"><div><ul><li><a href="/e">Edit source</a></li></ul></div></div>
    <main id="content"><article><header><h1>Tides</h1><nav><a href="/fr">French</a></nav></header>
    <p>They turn twice a day.</p><button>Share</button><label>Toggle</label>
    <blockquote><p>Wait.</p><footer>A sailor</footer></blockquote>
    <h2>Kinds</h2><ul><li><a href="/spring">Spring</a></li><li><a href="/neap">Neap</a></li></ul>
    <aside><h2>Related</h2><p>Moons for sale.</p></aside></article></main>
    <aside><ul><li>Popular</li></ul></aside><footer><p>Imprint</p></footer></div></body></html>"""
    loaded = load(page.encode(), "page.html")
    assert [(b.section, b.text) for b in loaded.blocks] == [
        ("Tides", "Tides"),
        ("Tides", "They turn twice a day."),
        ("Tides", "Wait."),
        ("Tides", "A sailor"),
        ("Tides > Kinds", "Kinds"),
        ("Tides > Kinds", "- Spring\n- Neap"),
    ]


def test_html_that_stands_in_a_form_or_a_header_is_kept() -> None:
    page = b"<html><body><form><label>Name</label><main><p>They turn twice a day.</p></main></form></body></html>"
    assert [b.text for b in load(page, "x.html").blocks] == ["They turn twice a day."]
    page = b"<html><body><div><header><h1>Tides</h1><ul><li>Home</ul></header><p>They turn.</p></div></body></html>"
    assert [b.text for b in load(page, "x.html").blocks] == ["Tides", "They turn."]


def test_asides_and_footers_of_a_book_are_its_text() -> None:
    page = """<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"
    xmlns:epub="http://www.idpf.org/2007/ops"><head><title>Letters</title></head><body><section>
    <p>The tide is in.</p><aside><p>It was not.</p></aside><footer><p>Yours, Ada</p></footer></section></body></html>"""
    assert [b.text for b in load(page.encode(), "x.xhtml").blocks] == ["The tide is in.", "It was not.", "Yours, Ada"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"])
def test_text_in_any_encoding(encoding: str) -> None:
    said = "Über Ziele sprechen\n\nWer früh schläft, hört später zu. Größe ist keine Maßeinheit für Glück.\n" * 3
    loaded = load(said.encode(encoding), "x.txt")
    assert loaded.blocks[0].text == "Über Ziele sprechen"
    assert loaded.title == "Über Ziele sprechen"
    assert loaded.language == "de"


def _docx_as_ole() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)


def _zip_of(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "x")
    return out.getvalue()


GOOD_PDF = pdf(PAGES)
GOOD_DOCX = (DATA / "headers.docx").read_bytes()


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("x.pdf", b"", errors.EmptyFile),
        ("x.pdf", protected(GOOD_PDF), errors.EncryptedFile),
        ("x.pdf", GOOD_PDF[:120], errors.DamagedFile),
        ("x.pdf", b"<!DOCTYPE html><html><body>Not found</body></html>", errors.MislabelledFile),
        ("x.pdf", b"plain words", errors.MislabelledFile),
        ("x.pdf", pdf([[]]), errors.NoText),
        ("x.docx", GOOD_DOCX[: len(GOOD_DOCX) // 2], errors.DamagedFile),
        ("x.docx", _docx_as_ole(), errors.EncryptedFile),
        ("x.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(900), errors.MislabelledFile),
        ("x.docx", _zip_of("xl/workbook.xml"), errors.MislabelledFile),
        ("x.docx", GOOD_PDF, errors.MislabelledFile),
        ("x.txt", GOOD_PDF, errors.MislabelledFile),
        ("x.txt", b"<html><body>hello", errors.MislabelledFile),
        ("x.md", GOOD_DOCX, errors.MislabelledFile),
        ("x.html", bytes(range(256)) * 10, errors.MislabelledFile),
        ("x.csv", b"\x89PNG\r\n\x1a\n" + bytes(200), errors.MislabelledFile),
        ("x.csv", b'a,b\n"never closed' + b"x" * 2_100_000, errors.DamagedFile),
        ("x.txt", b" \n\t\n ", errors.NoText),
        ("x.md", b"***\n\n---\n", errors.NoText),
        ("x.xml", b"<a><b>half", errors.DamagedFile),
        ("x.cnxml", b"", errors.EmptyFile),
        ("x.exe", b"MZ" + bytes(100), errors.UnsupportedFile),
        ("noending", b"words", errors.UnsupportedFile),
    ],
)
def test_a_file_that_cannot_be_read_says_why(name: str, data: bytes, error: type[errors.FileError]) -> None:
    with pytest.raises(errors.FileError) as raised:
        load(data, name)
    assert type(raised.value) is error
    assert raised.value.sentence.endswith(".")


def test_no_entity_is_expanded() -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd"><!ENTITY y "yyyyyyyy">]>'
    loaded = load(f"{bomb}<a><title>T</title><p>before &x; after &y;</p></a>".encode(), "x.xml")
    assert "root:" not in str(loaded) and "yyyy" not in str(loaded)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coach_core.knowledge.loaders.archive.MOST_UNPACKED", 1000)
    with pytest.raises(errors.FileTooLarge):
        load(GOOD_DOCX, "x.docx")


@given(st.binary(max_size=3000), st.sampled_from(sorted(KINDS)))
def test_any_bytes_give_text_or_a_file_error(data: bytes, ending: str) -> None:
    try:
        loaded = load(data, f"x.{ending}")
    except errors.FileError:
        return
    assert all(b.text.strip() and "\x00" not in b.text for b in loaded.blocks)


@given(st.integers(0, 5000), st.integers(0, 255), st.sampled_from(["x.pdf", "x.docx"]))
def test_a_damaged_file_gives_text_or_a_file_error(at: int, byte: int, name: str) -> None:
    good = GOOD_PDF if name.endswith("pdf") else GOOD_DOCX
    at %= len(good)
    for data in (good[:at], good[:at] + bytes([byte]) + good[at + 1 :]):
        try:
            load(data, name)
        except errors.FileError:
            pass


@given(st.text(max_size=300))
def test_decoding_gives_back_what_was_encoded(text: str) -> None:
    tidy = text.encode("utf-8", "replace").decode().lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    assert decode(tidy.encode("utf-8")) == tidy


@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n\x00")), min_size=2, max_size=4)))
def test_a_table_gives_at_most_a_block_a_row(rows: list[list[str]]) -> None:
    import csv

    out = io.StringIO()
    csv.writer(out).writerows(rows)
    blocks = load_csv(out.getvalue().encode(), "x.csv").blocks
    assert len(blocks) <= len(rows)
    assert [b.row for b in blocks] == sorted({b.row for b in blocks})


@given(st.text(max_size=200))
def test_plain_text_never_fails(text: str) -> None:
    assert isinstance(plain_text(text), str)


def test_which_names_are_read() -> None:
    assert readable("Notes.MD") and readable("a/b/c.PDF") and readable("C:\\x\\y.docx")
    assert (
        readable("x.pptx")
        and readable("x.JSONL")
        and not readable("x.key")
        and not readable("LICENSE")
        and not readable(".md")
    )
