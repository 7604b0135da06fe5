"""Markdown: read by its grammar, so that a passage shows words and not marks; headings make sections."""

from __future__ import annotations

import re
from typing import Any

from markdown_it import MarkdownIt

from coach_core.knowledge.loaders import Loaded, titled
from coach_core.knowledge.loaders.decode import decode
from coach_core.knowledge.loaders.outline import Outline

_FRONT = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:\s*[\"']?(.+?)[\"']?\s*$", re.MULTILINE)


def load(data: bytes, name: str) -> Loaded:
    text = decode(data)
    title = ""
    if front := _FRONT.match(text):
        found = _FRONT_TITLE.search(front.group(1))
        title, text = titled(found.group(1) if found else ""), text[front.end() :]
    outline = Outline()
    headings: list[tuple[int, str]] = []
    _walk(MarkdownIt("commonmark").enable("table").parse(text), outline, headings)
    if not title and headings:
        title = min(headings, key=lambda h: h[0])[1]
    return Loaded(title, tuple(outline.blocks))


def _walk(tokens: list[Any], outline: Outline, headings: list[tuple[int, str]]) -> None:
    """Lists and tables become one block each, all else a block a paragraph."""
    lines: list[str] = []  # of the list or table that is open
    depth = 0
    item = ""
    cells: list[str] | None = None
    heading = 0
    for token in tokens:
        kind = token.type
        if kind in ("bullet_list_open", "ordered_list_open", "table_open"):
            depth += 1
        elif kind in ("bullet_list_close", "ordered_list_close", "table_close"):
            depth -= 1
            if depth == 0:
                outline.add("\n".join(lines))
                lines = []
        elif kind == "list_item_open":
            item = "  " * (depth - 1) + (f"{token.info}. " if token.info else "- ")
        elif kind == "tr_open":
            cells = []
        elif kind == "tr_close" and cells is not None:
            lines.append(" | ".join(cells))
            cells = None
        elif kind == "heading_open":
            heading = int(token.tag[1])
        elif kind == "inline":
            said = plain(token)
            if heading:
                headings.append((heading, said))
                outline.heading(heading, said)
                heading = 0
            elif cells is not None:
                cells.append(said)
            elif depth:
                lines.append((item or "  " * depth) + said)
                item = ""
            else:
                outline.add(said)
        elif kind in ("fence", "code_block"):
            lines.append(token.content.rstrip()) if depth else outline.add(token.content.rstrip())
        elif kind == "html_block":
            from coach_core.knowledge.loaders.html import plain_text

            said = plain_text(token.content)
            lines.append(said) if depth else outline.add(said)


def plain(inline: Any) -> str:
    """The words of an inline token; an image is its description."""
    out: list[str] = []
    for child in inline.children or []:
        if child.type in ("text", "code_inline", "image"):
            out.append(child.content)
        elif child.type in ("softbreak", "hardbreak"):
            out.append(" " if child.type == "softbreak" else "\n")
    return "".join(out).strip()
