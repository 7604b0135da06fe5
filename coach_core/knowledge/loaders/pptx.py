"""Slides: each is a page under its title, with its bullets, tables, charts' words and the speaker's notes.

Invariant: what stands on more than half of the slides (a footer, the company's name), a slide's number and
its date are no text.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

from coach_core.knowledge.loaders import Block, Loaded, archive, dated, titled

_FRAME = {"DATE", "FOOTER", "HEADER", "SLIDE_NUMBER"}
_FRAME_CHARS = 120  # of the longest text that is taken for a frame
_DEPTH = 20


def load(data: bytes, name: str) -> Loaded:
    with archive.opened(data):
        pass
    import pptx

    deck: Any = pptx.Presentation(io.BytesIO(data))
    slides = [_slide(slide) for slide in deck.slides]
    seen = Counter(text for _, texts, _ in slides for text in set(texts))
    frame = {t for t, times in seen.items() if len(slides) > 3 and times > len(slides) / 2 and len(t) <= _FRAME_CHARS}
    blocks: list[Block] = []
    for number, (title, texts, notes) in enumerate(slides, 1):
        said = [*([title] if title else []), *(t for t in texts if t not in frame)]
        if notes:
            said.append(f"Notes: {notes}")
        blocks += [Block(text, title, number) for text in said]
    first = next((title for title, _, _ in slides if title), "")
    said = deck.core_properties
    return Loaded(titled(said.title or "") or first, tuple(blocks), pages=len(slides), dated=dated.office(said))


def _slide(slide: Any) -> tuple[str, list[str], str]:
    """(title, texts in order, notes)."""
    head = slide.shapes.title
    title = " ".join(head.text_frame.text.split()) if head is not None else ""
    texts = [
        text for shape in slide.shapes if head is None or shape.shape_id != head.shape_id for text in _texts(shape)
    ]
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    return title, texts, notes.text.strip() if notes is not None else ""


def _texts(shape: Any, depth: int = 0) -> Iterator[str]:
    if shape.is_placeholder and getattr(shape.placeholder_format.type, "name", "") in _FRAME:
        return
    if depth < _DEPTH and hasattr(shape, "shapes"):
        for inner in shape.shapes:
            yield from _texts(inner, depth + 1)
    elif getattr(shape, "has_table", False):
        rows = ([" ".join(cell.text.split()) for cell in row.cells if not cell.is_spanned] for row in shape.table.rows)
        yield "\n".join(" | ".join(cells) for cells in rows if any(cells))
    elif getattr(shape, "has_chart", False):
        yield _chart(shape.chart)
    elif shape.has_text_frame:
        yield from _paragraphs(shape.text_frame)


def _paragraphs(frame: Any) -> Iterator[str]:
    """One block a text frame: its paragraphs in lines, the deeper ones as items."""
    lines = [("  " * (p.level - 1) + "- " if p.level else "") + " ".join(p.text.split()) for p in frame.paragraphs]
    if said := "\n".join(line for line in lines if line.strip(" -")):
        yield said


def _chart(chart: Any) -> str:
    """A chart's title, and a line a series with its values."""
    title = chart.chart_title.text_frame.text if chart.has_title and chart.chart_title.has_text_frame else ""
    lines = [title]
    for plot in chart.plots:
        names = [str(c) for c in plot.categories]
        for series in plot.series:
            pairs = ", ".join(f"{n} {v:g}" for n, v in zip(names, series.values, strict=False) if v is not None)
            lines.append(f"{series.name}: {pairs}" if pairs else str(series.name or ""))
    return "\n".join(line for line in lines if line)
