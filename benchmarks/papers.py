"""PDFs of real text, set as books, papers in two columns and reports with tables are: to measure reading by."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from reportlab.lib.enums import TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, PageTemplate, Paragraph, Spacer, Table
from reportlab.platypus.tables import TableStyle

from coach_core.knowledge import loaders

_STYLES = getSampleStyleSheet()
_BODY = ParagraphStyle("text", parent=_STYLES["BodyText"], fontName="Times-Roman", alignment=TA_JUSTIFY, leading=13)
_EVERY = 12  # paragraphs between two tables


def paper(source: Path, columns: int = 1, tables: bool = False) -> bytes:
    """The text of `source` as a PDF with headings, a running header and page numbers."""
    loaded = loaders.load(source.read_bytes(), source.name)
    story: list[Flowable] = [Paragraph(_plain(loaded.title), _STYLES["Title"])]
    section = ""
    for number, block in enumerate(loaded.blocks):
        if block.section != section:
            section = block.section
            story.append(Paragraph(_plain(section.rsplit(loaders.SEPARATOR, 1)[-1]), _STYLES["Heading2"]))
        for part in block.text.split("\n"):
            story.append(Paragraph(_plain(part), _BODY))
        if tables and number % _EVERY == _EVERY - 1:
            story += [Spacer(1, 8), _table(block.text.split()), Spacer(1, 8)]
    return _set(story, _plain(loaded.title), columns)


def pages_of(data: bytes) -> int:
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    try:
        return len(document)
    finally:
        document.close()


def _set(story: Sequence[Flowable], title: str, columns: int) -> bytes:
    out = io.BytesIO()
    document = BaseDocTemplate(out, pagesize=A4, title=title)
    width, gap = A4[0] - 120, 20
    each = (width - gap * (columns - 1)) / columns
    frames = [Frame(60 + n * (each + gap), 60, each, A4[1] - 130) for n in range(columns)]

    def frame(canvas: object, _document: object) -> None:
        canvas.drawString(60, A4[1] - 45, title[:80])  # type: ignore[attr-defined]
        canvas.drawRightString(A4[0] - 60, 40, str(canvas.getPageNumber()))  # type: ignore[attr-defined]

    document.addPageTemplates([PageTemplate(frames=frames, onPage=frame)])
    document.build(list(story))
    return out.getvalue()


def _table(words: Sequence[str]) -> Table:
    cells = [_word(w) for w in words[:15]] or ["-"]
    rows = [cells[n : n + 3] for n in range(0, len(cells), 3)]
    rows = [[*row, *[""] * (3 - len(row))] for row in rows]
    return Table([["First", "Second", "Third"], *rows], style=TableStyle([("GRID", (0, 0), (-1, -1), 0.5, "black")]))


def _word(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")[:18]


def _plain(text: str) -> str:
    text = text.encode("cp1252", "replace").decode("cp1252")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
