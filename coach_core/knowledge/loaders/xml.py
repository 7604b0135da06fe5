"""XML: CNXML (the modules of OpenStax) by its own structure, any other by the text of its elements.

Invariant: no entity is expanded and nothing is fetched, whatever the file asks for.
"""

from __future__ import annotations

import re
from typing import Any

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from coach_core.errors import DamagedFile
from coach_core.knowledge.loaders import Loaded, html
from coach_core.knowledge.loaders.outline import Outline

_CNXML = "http://cnx.rice.edu/cnxml"
_DROPPED = frozenset({"metadata", "media", "image", "link-group", "footnote"})
_PARAGRAPHS = frozenset({"para", "caption", "quote", "meaning", "term-entry", "code", "equation"})
_SPACES = re.compile(r"\s+")


def load(data: bytes, name: str) -> Loaded:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        raise DamagedFile(f"The XML is damaged or cut off (line {error.lineno or 1}). Upload a whole copy.") from error
    if root is None:
        raise DamagedFile()
    if _tag(root) == "html":
        return html.load(data, name)
    outline = Outline()
    if etree.QName(root).namespace == _CNXML:
        for child in root:
            if _tag(child) in ("content", "glossary"):
                _cnxml(child, outline, 1)
    else:
        _any(root, outline)
    return Loaded(_title(root), tuple(outline.blocks))


def _cnxml(node: Any, outline: Outline, level: int) -> None:
    for child in node:
        tag = _tag(child)
        if not tag or tag in _DROPPED:
            continue
        if tag == "title":
            continue
        if tag in (
            "section",
            "note",
            "example",
            "exercise",
            "problem",
            "solution",
            "glossary",
            "figure",
            "injected-exercise",
        ):
            title = child.find(f"{{{_CNXML}}}title")
            heading = _text(title) if title is not None else ""
            if heading and tag == "section":
                outline.heading(level, heading)
                _cnxml(child, outline, level + 1)
            else:
                outline.add(heading)
                _cnxml(child, outline, level)
        elif tag in ("list", "table"):
            title = child.find(f"{{{_CNXML}}}title")
            head = [_text(title)] if title is not None else []
            lines = _rows(child) if tag == "table" else _items(child)
            outline.add("\n".join(line for line in [*head, *lines] if line))
        elif tag == "definition":
            outline.add(": ".join(filter(None, (_text(part) for part in child))))
        elif tag == "para":
            _paragraph(child, outline)
        elif tag in _PARAGRAPHS:
            outline.add(_text(child))
        else:
            _cnxml(child, outline, level)


def _paragraph(node: Any, outline: Outline) -> None:
    """A paragraph, and what stands in it as a block of its own (lists, tables)."""
    inner = [c for c in node if _tag(c) in ("list", "table")]
    if not inner:
        outline.add(_text(node))
        return
    outline.add(_text(node, skip=frozenset({"list", "table"})))
    for child in inner:
        outline.add("\n".join(_rows(child) if _tag(child) == "table" else _items(child)))


def _items(node: Any) -> list[str]:
    return [f"- {text}" for item in node if _tag(item) == "item" and (text := _text(item))]


def _rows(node: Any) -> list[str]:
    rows = (row for row in node.iter() if _tag(row) == "row")
    return [" | ".join(filter(None, (_text(entry) for entry in row))) for row in rows]


def _any(root: Any, outline: Outline) -> None:
    """Elements that hold text of their own are paragraphs, with all that is in them."""
    todo = [root]
    while todo:
        node = todo.pop()
        if not _tag(node):
            continue
        own = (node.text or "") + "".join(child.tail or "" for child in node)
        if own.strip():
            outline.add(_text(node))
        else:
            todo += reversed(node)


def _title(root: Any) -> str:
    for node in root.iter():
        if _tag(node) == "title":
            return _text(node)
    return ""


def _text(node: Any, skip: frozenset[str] = frozenset()) -> str:
    return _words(node, skip).strip()


def _words(node: Any, skip: frozenset[str] = frozenset()) -> str:
    """All text below `node`, in order, without what is dropped."""
    out: list[str] = [node.text or ""]
    for child in node:
        tag = _tag(child)
        if tag and tag not in _DROPPED and tag not in skip:
            out.append(_words(child))
            if tag in ("para", "item", "list", "entry"):
                out.append(" ")
        elif tag == "media":
            out.append(" ")
        out.append(child.tail or "")
    return _SPACES.sub(" ", "".join(out))


def _tag(node: Any) -> str:
    """The local name; "" for comments and processing instructions."""
    return etree.QName(node).localname if isinstance(node.tag, str) else ""
