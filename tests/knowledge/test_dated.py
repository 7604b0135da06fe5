"""The date a document gives itself, out of each kind of file that has one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import docx
import openpyxl
import pptx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coach_core.knowledge import Knowledge
from coach_core.knowledge.loaders import dated, load
from tests.knowledge.test_loaders_formats import message, saved

DAY = datetime(2024, 3, 5, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ("D:20240305103000+01'00'", DAY),
        ("D:20240305093000Z", DAY),
        ("D:20240305", DAY.replace(hour=0, minute=0)),
        ("2024-03-05T09:30:00Z", DAY),
        ("2024-03-05 10:30:00+0100", DAY),
        ("2024-03", datetime(2024, 3, 1, tzinfo=UTC)),
        ("2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("Tue, 05 Mar 2024 10:30:00 +0100", DAY),
        (date(2024, 3, 5), DAY.replace(hour=0, minute=0)),
        (DAY.replace(tzinfo=None), DAY),
        ("1831-01-01", None),
        ("2999", None),
        (datetime.now(UTC) + timedelta(days=3), None),
        ("2013-12-23T23:15:00Z", None),
        ("D:00000000000000", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_of_any_form_is_read_or_left(said: object, moment: datetime | None) -> None:
    assert dated.read(said) == moment


@given(st.text(max_size=40) | st.from_regex(r"(D:)?\d{4}-?\d\d-?\d\d[T ]?\d\d:?\d\d.*", fullmatch=True))
def test_whatever_stands_there_no_date_is_made_up(text: str) -> None:
    moment = dated.read(text)
    assert moment is None or (
        moment.tzinfo is UTC and moment.year >= 1900 and moment < datetime.now(UTC) + timedelta(2)
    )


def office() -> list[tuple[str, bytes]]:
    document, deck, book = docx.Document(), pptx.Presentation(), openpyxl.Workbook()
    document.add_paragraph("words")
    deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = "words"
    book.active.append(["words", "more"])
    for core in (document.core_properties, deck.core_properties):
        core.modified = DAY.replace(tzinfo=None)
    out = [("a.docx", saved(document)), ("a.pptx", saved(deck))]
    book.properties.created = DAY.replace(tzinfo=None)
    return out


def test_each_kind_of_file_gives_its_date() -> None:
    page = '<html><head><meta property="article:published_time" content="2024-03-05T09:30:00Z"></head><p>words</html>'
    letter = message()
    del letter["Date"]
    letter["Date"] = "Tue, 05 Mar 2024 10:30:00 +0100"
    files = [*office(), ("a.html", page.encode()), ("a.eml", letter.as_bytes())]
    assert {name: load(data, name).dated for name, data in files} == {name: DAY for name, _ in files}
    undated = docx.Document()
    undated.add_paragraph("words")
    assert load(saved(undated), "a.docx").dated is None, "the template's date is nobody's"


def test_a_document_keeps_the_date_its_file_gives(knowledge: Knowledge) -> None:
    group = knowledge.create_collection("Dated")
    page = b'<html><head><meta name="date" content="2024-03-05T09:30Z"></head><body><p>Sleep well.</body></html>'
    assert knowledge.add(group.id, "a.html", page).dated_at == DAY
    assert knowledge.add(group.id, "b.md", b"Sleep longer.").dated_at is None
    assert knowledge.add(group.id, "c.html", b"<html><body><p>Undated.</body></html>").dated_at is None
