"""Word documents: paragraphs, lists and tables in order, under their headings.

Invariant: what the archive would unpack to is bounded before it is unpacked.
"""

from __future__ import annotations

import io
import re
from typing import Any

from coach_core.knowledge.loaders import Loaded, archive, titled
from coach_core.knowledge.loaders.outline import Outline

_HEADING = re.compile(r"heading (\d)", re.I)


def load(data: bytes, name: str) -> Loaded:
    with archive.opened(data):
        pass
    import docx

    document: Any = docx.Document(io.BytesIO(data))
    outline = Outline()
    title = titled(document.core_properties.title or "")
    lines: list[str] = []  # of the list that is open
    for item in document.iter_inner_content():
        if hasattr(item, "rows"):
            _close(lines, outline)
            outline.add("\n".join(_table(item)))
            continue
        text = item.text.strip()
        if not text:
            continue
        style = _style(item)
        if heading := _HEADING.match(style):
            _close(lines, outline)
            outline.heading(int(heading.group(1)), text)
        elif style == "title":
            _close(lines, outline)
            title = title or text
            outline.add(text)
        elif style.startswith("list") or (item._p.pPr is not None and item._p.pPr.numPr is not None):
            lines.append(f"- {text}")
        else:
            _close(lines, outline)
            outline.add(text)
    _close(lines, outline)
    first = next((b.section for b in outline.blocks if b.section), "")
    return Loaded(title or first, tuple(outline.blocks))


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


def _table(table: Any) -> list[str]:
    """A line a row; a cell that spans several is told once."""
    lines: list[str] = []
    for row in table.rows:
        cells: list[str] = []
        last = None
        for cell in row.cells:
            if cell._tc is not last:
                cells.append(" ".join(cell.text.split()))
            last = cell._tc
        if any(cells):
            lines.append(" | ".join(cells))
    return lines


def _close(lines: list[str], outline: Outline) -> None:
    if lines:
        outline.add("\n".join(lines))
        lines.clear()
