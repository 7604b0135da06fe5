"""Slides, workbooks, books, records, messages, archives and pictures: read by their structure, or refused."""

from __future__ import annotations

import io
import json
import re
import stat
import zipfile
from datetime import date
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from coach_core import errors
from coach_core.errors import UnsupportedFile
from coach_core.knowledge import loaders
from coach_core.knowledge.loaders import Block, image, load, safe_name
from coach_core.knowledge.loaders import zip as zips


def deck() -> bytes:
    made: Any = pptx.Presentation()
    for number, title in enumerate(("Goals", "Habits", "Sleep", "Rest"), 1):
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = title
        frame = slide.placeholders[1].text_frame
        frame.text = f"Point {number}"
        inner = frame.add_paragraph()
        inner.text, inner.level = "a detail", 1
        slide.shapes.add_textbox(0, 0, Inches(2), Inches(1)).text_frame.text = "Shore Coaching Ltd"
    first, second = made.slides[0], made.slides[1]
    first.notes_slide.notes_text_frame.text = "Ask what they want first."
    table = second.shapes.add_table(2, 2, 0, 0, Inches(4), Inches(1)).table
    for at, said in enumerate(["Day", "Hours", "Monday", "8"]):
        table.cell(at // 2, at % 2).text = said
    data = CategoryChartData()
    data.categories = ["May", "June"]
    data.add_series("Walks", (3, 5.5))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, 0, 0, Inches(3), Inches(3), data)
    return saved(made)


def workbook(rows: dict[str, list[list[Any]]]) -> Any:
    made: Any = openpyxl.Workbook()
    made.remove(made.active)
    for name, lines in rows.items():
        sheet = made.create_sheet(name)
        for line in lines:
            sheet.append(line)
    return made


def saved(made: Any) -> bytes:
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def packed(members: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_slides_are_pages_with_tables_charts_and_notes() -> None:
    loaded = load(deck(), "talk.pptx")
    assert (loaded.pages, loaded.title) == (4, "Goals")
    said = [(b.page, b.section, b.text) for b in loaded.blocks]
    assert said[:3] == [
        (1, "Goals", "Goals"),
        (1, "Goals", "Point 1\n- a detail"),
        (1, "Goals", "Notes: Ask what they want first."),
    ]
    assert (2, "Habits", "Day | Hours\nMonday | 8") in said
    assert (2, "Habits", "Walks: May 3, June 5.5") in said
    assert not any("Shore Coaching" in text for *_, text in said), "a footer on each slide is no text"


def test_a_workbook_tells_its_rows_with_their_columns() -> None:
    made = workbook(
        {
            "Budget": [
                ["Household 2026"],
                [],
                ["Item", "Amount", "Share", "Due"],
                ["Rent", 950.5, 0.5, date(2026, 3, 1)],
            ],
            "People": [["Name", "Note"], ["Zoë", "early"], [], [], ["Pet", "Age"], ["Rex", 4]],
            "Lists": [["x", "y"], ["secret", "hidden"]],
        }
    )
    made["Budget"]["C4"].number_format = "0%"
    made["Lists"].sheet_state = "hidden"
    assert [(b.row, b.section, b.text) for b in load(saved(made), "home.xlsx").blocks] == [
        (1, "Budget", "Household 2026"),
        (4, "Budget", "Item: Rent\nAmount: 950.5\nShare: 50%\nDue: 2026-03-01"),
        (2, "People > Zoë", "Zoë\nNote: early"),
        (6, "People", "Pet: Rex\nAge: 4"),
    ]


def test_a_workbook_gives_the_values_of_formulas() -> None:
    data = saved(workbook({"Sheet1": [["Item", "Sum"], ["Rent", "=1+2"]]}))
    sheet = "xl/worksheets/sheet1.xml"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, bytes | str] = {n: archive.read(n) for n in archive.namelist()}
    members[sheet] = (
        bytes(members[sheet])
        .replace(b"<f>1+2</f><v></v>", b"<f>1+2</f><v>3</v>")
        .replace(b"<f>1+2</f><v/>", b"<f>1+2</f><v>3</v>")
    )  # what a spreadsheet program keeps beside the formula
    assert [(b.section, b.text) for b in load(packed(members), "x.xlsx").blocks] == [("", "Item: Rent\nSum: 3")]


def book(chapters: dict[str, str], *, old: bool = False, locked: bool = False) -> bytes:
    items = "".join(f'<item id="{n}" href="text/{n}.xhtml" media-type="application/xhtml+xml"/>' for n in chapters)
    spine = "".join(f'<itemref idref="{n}"/>' for n in chapters)
    points = "".join(
        f'<navPoint><navLabel><text>Chapter {n}</text></navLabel><content src="text/{n}.xhtml#top"/></navPoint>'
        for n in chapters
    )
    links = "".join(f'<li><a href="text/{n}.xhtml">Chapter {n}</a></li>' for n in chapters)
    nav = f"<li><span>Part One</span><ol>{links}</ol></li>"
    toc = (
        '<item id="toc" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
        if old
        else '<item id="toc" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    )
    members: dict[str, bytes | str] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:title>Tides</dc:title><dc:language>en-GB</dc:language></metadata><manifest>{items}{toc}"
        f"</manifest><spine>{spine}</spine></package>",
        "OEBPS/toc.ncx": f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points}</navMap></ncx>',
        "OEBPS/nav.xhtml": '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>'
        f'<nav epub:type="toc"><ol>{nav}</ol></nav></body></html>',
    }
    for name, body in chapters.items():
        members[f"OEBPS/text/{name}.xhtml"] = f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{body}</body></html>'
    if locked:
        members["META-INF/encryption.xml"] = (
            '<encryption><EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><EncryptionMethod '
            'Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/></EncryptedData></encryption>'
        )
    return packed(members)


CHAPTERS = {
    "two": "<h1>Chapter two</h1><p>Second comes first here.</p><h2>Ebb</h2><p>It goes.</p>",
    "one": "<p>They turn.</p><aside><p>Twice.</p></aside><script>steal()</script>",
}


@pytest.mark.parametrize(("old", "part"), [(False, "Part One > "), (True, "")])
def test_a_book_is_read_in_its_order_under_its_contents(old: bool, part: str) -> None:
    loaded = load(book(CHAPTERS, old=old), "x.epub")
    assert (loaded.title, loaded.language) == ("Tides", "en")
    assert [(b.section, b.text) for b in loaded.blocks] == [
        (f"{part}Chapter two", "Chapter two"),
        (f"{part}Chapter two", "Second comes first here."),
        (f"{part}Chapter two > Ebb", "Ebb"),
        (f"{part}Chapter two > Ebb", "It goes."),
        (f"{part}Chapter one", "They turn."),
        (f"{part}Chapter one", "Twice."),
    ]


def test_records_of_json_are_rows() -> None:
    people = [
        {"name": "Ada", "home": {"city": "London", "geo": {"lat": 51.50, "zip": None}}, "likes": ["walks", "tea"]},
        {"name": "Bo", "home": {"city": "Oslo"}, "visits": [{"on": "May", "said": "Slept."}, {"on": "June"}]},
    ]
    wanted = [
        (1, "Ada", "Ada\nHome city: London\nHome geo lat: 51.5\nLikes: walks, tea"),
        (2, "Bo", "Bo\nHome city: Oslo\nMay\nJune\nVisits said: Slept."),
    ]
    assert [(b.row, b.section, b.text) for b in load(json.dumps(people).encode(), "x.json").blocks] == wanted
    lines = "\n".join(json.dumps(p) for p in people).encode()
    assert [(b.row, b.section, b.text) for b in load(lines, "x.jsonl").blocks] == wanted


def test_json_that_is_no_table_is_told_by_its_keys() -> None:
    given = {"title": "Week", "coach": "Ada", "plan": {"monday": {"walk": True}, "notes": ["<b>Rest</b> well", "eat"]}}
    loaded = load(json.dumps(given).encode("utf-16"), "x.json")
    assert loaded.title == "Week"
    assert [(b.section, b.text) for b in loaded.blocks] == [
        ("Week", "Week\nCoach: Ada"),
        ("Plan", "Notes: Rest well, eat"),
        ("Plan > Monday", "Walk: yes"),
    ]


def message(**parts: Any) -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ada <ada@shore.example>", "bo@shore.example", "Our plän"
    made["Date"] = "Mon, 02 Mar 2026 10:00:00 +0000"
    made.set_content(parts.get("text", "See you at noon.\n\nBring the notes.\n"))
    return made


def test_a_message_with_its_attachments() -> None:
    made = message()
    made.add_alternative("<p>See <b>you</b> at noon.</p>", subtype="html")
    made.add_attachment(b"# Plan\n\nWalk daily.\n", maintype="text", subtype="markdown", filename="plan.md")
    made.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="run.exe")
    made.add_attachment(b"%PDF-1.4 cut", maintype="application", subtype="pdf", filename="broken.pdf")
    inner = message(text="What do you think?")
    made.add_attachment(inner)
    loaded = load(bytes(made), "mail.eml")
    assert loaded.title == "Our plän"
    texts = [(b.section, b.text) for b in loaded.blocks]
    head = (
        "From: Ada <ada@shore.example>\nTo: bo@shore.example\nDate: Mon, 02 Mar 2026 10:00:00 +0000\nSubject: Our plän"
    )
    assert texts == [
        ("Our plän", head),
        ("Our plän", "See you at noon."),
        ("Our plän", "Bring the notes."),
        ("Our plän > Plan", "Plan"),
        ("Our plän > Plan", "Walk daily."),
        ("Our plän", head),
        ("Our plän", "What do you think?"),
    ]


def test_a_message_of_html_alone_gives_its_words() -> None:
    made = message()
    made.set_content("<p>See you</p><script>steal()</script>", subtype="html")
    assert load(bytes(made), "x.eml").blocks[1] == Block("See you", "Our plän")


def test_an_archive_gives_its_documents_by_their_names() -> None:
    data = packed(
        {
            "week 1/plan.md": "# Plan\n\n## Monday\n\nWalk.",
            "notes.txt": "Rest well.",
            "inner.zip": packed({"x.md": "deep"}),
            "__MACOSX/._plan.md": "noise",
            ".hidden.md": "noise",
            "run.exe": b"MZ",
            "broken.pdf": b"%PDF-1.4",
        }
    )
    loaded = load(data, "course.zip")
    assert loaded.title == "course"
    assert [(b.section, b.text) for b in loaded.blocks] == [
        ("Plan", "Plan"),
        ("Plan > Monday", "Monday"),
        ("Plan > Monday", "Walk."),
        ("notes", "Rest well."),
    ]
    assert [name for name, _ in zips.members(data)] == ["week 1/plan.md", "notes.txt", "broken.pdf"]
    assert load(b"Walk.", "course.zip/week 1/plan.md").title == "plan (course)"


def test_names_lose_what_could_harm() -> None:
    assert safe_name("../../etc/passwd.txt") == "passwd.txt"
    assert safe_name("C:\\Users\\ada\\plan.docx") == "plan.docx"
    assert safe_name("/etc/plan.md") == "plan.md"
    assert safe_name("week 1/plan.md") == "week 1/plan.md"
    assert safe_name("pl\x00an\x1b[31m\u202etxt.md\n") == "plan[31mtxt.md"
    assert safe_name("..") == safe_name("") == "document"


def lying() -> bytes:
    """An archive whose member says it is tiny."""
    data = bytearray(packed({"x.md": b"a" * 1_000_000}))
    for at in (data.find(b"PK\x03\x04") + 22, data.find(b"PK\x01\x02") + 24):
        data[at : at + 4] = (10).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "error"),
    [
        ("x.pptx", saved(workbook({"A": [["a", "b"]]})), errors.MislabelledFile),
        ("x.xlsx", deck(), errors.MislabelledFile),
        ("x.zip", deck(), errors.MislabelledFile),
        ("x.epub", packed({"a.md": "x"}), errors.MislabelledFile),
        ("x.pptx", deck()[:9000], errors.DamagedFile),
        ("x.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"), errors.EncryptedFile),
        ("x.epub", book(CHAPTERS, locked=True), errors.EncryptedFile),
        ("x.epub", packed({"META-INF/container.xml": "<a/>"}), errors.DamagedFile),
        ("x.epub", book({"one": "<p> </p>"}), errors.NoText),
        ("x.json", b'{"a": [1, 2', errors.DamagedFile),
        ("x.json", b"[" * 100_000, errors.DamagedFile),
        ("x.jsonl", b'{"a": "b"}\n{"a": ', errors.DamagedFile),
        ("x.json", b"{}", errors.NoText),
        ("x.eml", b"plain words and no header", errors.MislabelledFile),
        ("x.zip", packed({"a.zip": packed({"b.md": "deep"})}), errors.UnsupportedFile),
        ("x.zip", packed({"a.exe": b"MZ"}), errors.NoText),
        ("x.zip", packed({"a.pdf": b"%PDF-"}), errors.NoText),
        ("x.zip", packed({f"{n}.md": "x" for n in range(2001)}), errors.FileTooLarge),
        ("x.zip", packed({"a.md": b"x" * 301_000_000}), errors.FileTooLarge),
        ("x.zip", packed({"a.md": "walk"}, zipfile.ZIP_LZMA), errors.NoText),
        ("x.zip", lying(), errors.NoText),
        ("x.png", b"plain words", errors.MislabelledFile),
    ],
    ids=lambda v: v if isinstance(v, str) else getattr(v, "__name__", ""),
)
def test_a_file_that_cannot_be_read_says_why(name: str, data: bytes, error: type[errors.FileError]) -> None:
    with pytest.raises(errors.FileError) as raised:
        load(data, name)
    assert type(raised.value) is error, raised.value.sentence
    assert raised.value.sentence.endswith(".")


GOOD = {"x.pptx": deck(), "x.xlsx": saved(workbook({"A": [["Item", "Due"], ["Rent", 3]]})), "x.epub": book(CHAPTERS)}


@given(st.integers(0, 50_000), st.integers(0, 255), st.sampled_from(sorted(GOOD)))
def test_a_damaged_file_gives_text_or_a_file_error(at: int, byte: int, name: str) -> None:
    good = GOOD[name]
    at %= len(good)
    for data in (good[:at], good[:at] + bytes([byte]) + good[at + 1 :]):
        try:
            load(data, name)
        except errors.FileError:
            pass


def picture(kind: str = "PNG", frames: int = 1) -> bytes:
    out = io.BytesIO()
    first, *more = [Image.new("RGB", (60, 20), "white") for _ in range(frames)]
    first.save(out, kind, **({"save_all": True, "append_images": more} if more else {}))
    return out.getvalue()


def test_without_tesseract_a_picture_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(errors.NoOcr, match="apt install tesseract-ocr"):
        load(picture(), "scan.png")


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name which speaks as the real one does: the picture on stdin, text on stdout."""
    program = tmp_path / "tesseract"
    program.write_text(
        '#!/bin/sh\nif [ "$1" = --list-langs ]; then echo "List of 2"; echo eng; echo deu; exit; fi\n'
        'head -c 8 | grep -q PNG || exit 1\necho "Languages $4"\necho "walk"; echo; echo "daily"; printf "\\f"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    from coach_core.knowledge.loaders import image

    image._languages.cache_clear()
    return program


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_picture_of_text_is_read(kind: str, tesseract: Path) -> None:
    loaded = load(picture(kind), f"scan.{kind.lower()}")
    assert [b.text for b in loaded.blocks] == ["Languages eng+deu walk", "daily"]


def test_each_picture_of_a_fax_is_a_page(tesseract: Path) -> None:
    loaded = load(picture("TIFF", 3), "fax.tif")
    assert loaded.pages == 3
    assert [b.page for b in loaded.blocks] == [1, 1, 2, 2, 3, 3]


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def word(body: str, strict: bool = False) -> bytes:
    made: Any = docx.Document()
    data = saved(made)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members: dict[str, bytes | str] = {n: archive.read(n) for n in archive.namelist()}
    members["word/document.xml"] = (
        f'<w:document xmlns:w="{W}" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
        'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006">'
        f"<w:body>{body}</w:body></w:document>"
    )
    if strict:
        for name, content in members.items():
            if name.endswith((".xml", ".rels")):
                text = content if isinstance(content, str) else content.decode()
                names = r"http://schemas.openxmlformats.org/(wordprocessingml|officeDocument|drawingml)/2006"
                members[name] = re.sub(names, r"http://purl.oclc.org/ooxml/\1", text)
    return packed(members)


def par(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


@pytest.mark.parametrize("strict", [False, True])
def test_word_text_is_found_wherever_it_stands(strict: bool) -> None:
    box = f"<w:txbxContent>{par('In a box')}</w:txbxContent>"
    body = (
        f"<w:sdt><w:sdtContent>{par('In a control')}</w:sdtContent></w:sdt>"
        f"<w:p><w:r><w:t>Beside</w:t><mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}"
        "</mc:Fallback></mc:AlternateContent></w:r></w:p>"
        "<w:p><w:r><w:t>Area</w:t></w:r><m:oMath><m:r><m:t>r</m:t></m:r></m:oMath></w:p>"
        "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>Added</w:t></w:r></w:ins></w:p>"
        f"<w:tbl><w:tr><w:tc><w:tcPr><w:vMerge w:val='restart'/></w:tcPr>{par('Day')}</w:tc><w:tc><w:tbl><w:tr><w:tc>"
        f"{par('Inner')}</w:tc></w:tr></w:tbl>{par('1')}</w:tc></w:tr><w:tr><w:tc><w:tcPr><w:vMerge/></w:tcPr><w:p/>"
        f"</w:tc><w:tc>{par('2')}</w:tc></w:tr></w:tbl>"
    )
    assert [b.text for b in load(word(body, strict), "x.docx").blocks] == [
        "In a control",
        "Beside",
        "In a box",
        "Area r",
        "Added",
        "Day | Inner 1\nDay | 2",
    ]


def test_lists_and_headings_of_word_bear_their_numbers() -> None:
    made: Any = docx.Document()
    for text, style in (
        ("walk", "List Number"),
        ("rest", "List Number"),
        ("inner", "List Bullet"),
        ("eat", "List Number"),
    ):
        made.add_paragraph(text, style=style)
    made.add_paragraph("Between.")
    made.add_paragraph("sleep", style="List Number")
    texts = [b.text for b in load(saved(made), "x.docx").blocks]
    assert texts == ["1. walk\n2. rest\n- inner\n3. eat", "Between.", "4. sleep"]


def test_lists_of_a_page_bear_their_numbers() -> None:
    page = b"<p>Do</p><ol start=3><li>walk<ul><li>far</ul><li>rest<ol><li>long</ol></ol><ul><li>eat</ul>"
    texts = [b.text for b in load(b"<html><body>" + page, "x.html").blocks]
    assert texts == ["Do", "3. walk\n- far\n4. rest\n1. long", "- eat"]


def test_a_page_that_is_all_menu_is_not_lost() -> None:
    page = b"<html><body><ul class=nav><li><a href=/>Tides</a><li><a href=/b>Moons of spring</a></ul></body></html>"
    assert [b.text for b in load(page, "x.html").blocks] == ["- Tides\n- Moons of spring"]


def test_a_scanned_page_is_read_where_it_stands(tesseract: Path) -> None:
    out = io.BytesIO()
    canvas = Canvas(out)
    canvas.drawString(60, 700, "Typed words.")
    canvas.showPage()
    canvas.drawImage(ImageReader(io.BytesIO(picture())), 0, 0, 300, 100)
    canvas.showPage()
    canvas.showPage()  # an empty page is no scan
    canvas.save()
    said = [(b.page, b.text) for b in load(out.getvalue(), "x.pdf").blocks]
    assert said == [(1, "Typed words."), (2, "Languages eng+deu walk"), (2, "daily")]


@pytest.mark.parametrize("there", [True, False])
def test_pictures_are_named_among_the_kinds_where_they_can_be_read(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(image, "available", lambda: there)
    assert ("PNG" in loaders.said()) == there and loaders.said().endswith("ZIP")
    with pytest.raises(UnsupportedFile, match="or a ZIP of these") as refused:
        loaders.load(b"MZ", "odd.exe")
    assert ("PNG" in refused.value.sentence) == there
