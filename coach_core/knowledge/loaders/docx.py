"""Word documents: paragraphs, lists and tables in order, under their headings; text boxes and formulas too.

Invariant: what the archive would unpack to is bounded before it is unpacked; what was deleted in a tracked
change is no text, and what a document says twice for old programs is told once.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from coach_core.knowledge.loaders import Loaded, archive, dated, titled
from coach_core.knowledge.loaders.docx_numbers import Numbers
from coach_core.knowledge.loaders.outline import Outline

_HEADING = re.compile(r"heading (\d)", re.I)
_STRICT = b"http://purl.oclc.org/ooxml/"
#: in the elements that hold a run's text: what each stands for
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_GONE = frozenset({"del", "moveFrom", "pPr", "rPr", "instrText", "delText", "sdtPr", "footnoteReference", "fldData"})
_DEPTH = 40


def load(data: bytes, name: str) -> Loaded:
    with archive.opened(data) as packed:
        if _STRICT in archive.read(packed, "_rels/.rels"):
            data = _transitional(packed)
    import docx

    document: Any = docx.Document(io.BytesIO(data))
    reader = _Reader(document)
    reader.read(document.element.body)
    reader.close()
    outline = reader.outline
    first = next((b.section for b in outline.blocks if b.section), "")
    said = document.core_properties
    written = dated.office(said)
    return Loaded(titled(said.title or "") or reader.title or first, tuple(outline.blocks), dated=written)


class _Reader:
    """Walks the body once; items of a list gather until it ends."""

    def __init__(self, document: Any) -> None:
        self.outline = Outline()
        self.title = ""
        self._document = document
        self._items: list[str] = []
        self._numbers = Numbers(document)

    def read(self, node: Any, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise RecursionError
        for child in node.iterchildren():
            tag = _tag(child)
            if tag == "p":
                self._paragraph(child, depth)
            elif tag == "tbl":
                self.close()
                self.outline.add("\n".join(_table(child)))
            elif tag == "AlternateContent":
                self.read(_chosen(child), depth + 1)
            elif tag in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag"):
                self.read(child, depth + 1)

    def close(self) -> None:
        if self._items:
            self.outline.add("\n".join(self._items))
            self._items.clear()

    def _paragraph(self, node: Any, depth: int) -> None:
        from docx.text.paragraph import Paragraph

        boxes: list[Any] = []
        text = "".join(_words(node, boxes)).strip()
        if text:
            item: Any = Paragraph(node, self._document._body)
            self._tell(item, text)
        for box in boxes:
            self.close()
            self.read(box, depth + 1)

    def _tell(self, item: Any, text: str) -> None:
        style = _style(item)
        mark = self._numbers.mark(item)
        if heading := _HEADING.match(style):
            self.close()
            self.outline.heading(int(heading.group(1)), f"{mark} {text}" if mark and mark != "-" else text)
        elif style == "title":
            self.close()
            self.title = self.title or text
            self.outline.add(text)
        elif mark is not None or style.startswith("list"):
            self._items.append(f"{mark or '-'} {text}")
        else:
            self.close()
            self.outline.add(text)


def _words(node: Any, boxes: list[Any]) -> Iterator[str]:
    """The text of a paragraph, formulas and links in it; text boxes that hang on it go to `boxes`."""
    for child in node.iterchildren():
        tag = _tag(child)
        if tag == "t":
            yield child.text or ""
        elif tag in _SIGNS:
            yield _SIGNS[tag]
        elif tag == "sym":
            yield " "
        elif tag == "txbxContent":
            boxes.append(child)
        elif tag == "AlternateContent":
            yield from _words(_chosen(child), boxes)
        elif tag in ("oMath", "f", "num", "den", "sup", "sub"):
            yield " "
            yield from _words(child, boxes)
            yield " "
        elif tag and tag not in _GONE:
            yield from _words(child, boxes)


def _chosen(node: Any) -> Any:
    """One of the versions of a thing that a document holds for newer and older programs."""
    versions = [c for c in node.iterchildren() if _tag(c) in ("Choice", "Fallback")]
    return next((v for v in versions if any(_tag(t) == "t" for t in v.iter())), node if not versions else versions[0])


def _table(table: Any, depth: int = 0) -> list[str]:
    """A line a row; a cell over several rows is told in each, for a row is read alone. A table in a cell is told
    in it."""
    if depth > _DEPTH:
        raise RecursionError
    lines: list[str] = []
    above: dict[int, str] = {}
    for row in _inside(table, "tr"):
        cells: list[str] = []
        at = 0
        for cell in _inside(row, "tc"):
            merged = cell.find("./{*}tcPr/{*}vMerge")
            on = merged is not None and all(v != "restart" for v in merged.attrib.values())
            said = above.get(at, "") if on else " ".join(" ".join(_cell(cell, depth)).split())
            above[at] = said
            cells.append(said)
            span = cell.find("./{*}tcPr/{*}gridSpan")
            at += int(next(iter(span.attrib.values()), "1")) if span is not None else 1
        if any(cells):
            lines.append(" | ".join(cells))
    return lines


def _cell(node: Any, depth: int) -> Iterator[str]:
    for child in node.iterchildren():
        tag = _tag(child)
        if tag == "p":
            boxes: list[Any] = []
            yield "".join(_words(child, boxes))
            for box in boxes:
                yield from _cell(box, depth + 1)
        elif tag == "tbl":
            yield from _table(child, depth + 1)
        elif tag in ("sdt", "sdtContent", "ins", "AlternateContent", "Choice"):
            yield from _cell(child, depth)


def _inside(node: Any, wanted: str) -> Iterator[Any]:
    """Rows of a table, cells of a row, also those that stand in a content control."""
    for child in node.iterchildren():
        tag = _tag(child)
        if tag == wanted:
            yield child
        elif tag in ("sdt", "sdtContent", "customXml", "ins"):
            yield from _inside(child, wanted)


def _tag(node: Any) -> str:
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _transitional(packed: zipfile.ZipFile) -> bytes:
    """A strict document as the library knows it: the names of its parts are others."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for entry in packed.infolist():
            content = archive.read(packed, entry)
            if entry.filename.endswith((".xml", ".rels")):
                content = _STRICT_NAME.sub(_renamed, content)
            made.writestr(entry.filename, content)
    return out.getvalue()


_STRICT_NAME = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)")


def _renamed(found: re.Match[bytes]) -> bytes:
    return b"http://schemas.openxmlformats.org/" + found.group(1) + b"/2006"


def _style(paragraph: Any) -> str:
    """The style's built-in name, through the styles it is based on: templates rename the headings."""
    style, first = paragraph.style, ""
    for _ in range(10):
        if style is None:
            break
        called = (style.name or "").lower()
        first = first or called
        if _HEADING.match(called):
            return called
        style = style.base_style
    return first
