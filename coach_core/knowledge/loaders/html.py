"""Web pages and the XHTML of books: the words a reader sees, under their headings.

Invariant: nothing of a script, a style sheet, a form or the page's navigation becomes text; a form or a
header that holds what the page is about is not one.
"""

from __future__ import annotations

import re
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from coach_core.knowledge.loaders import Loaded, dated, titled
from coach_core.knowledge.loaders.decode import decode
from coach_core.knowledge.loaders.outline import Outline

_DROPPED = (
    "script, style, noscript, template, nav, form, iframe, object, svg, button, select, [hidden], [aria-hidden=true]"
)
_CONTROLS = "label, input, textarea, dialog, search, [role=search], [role=menu], [role=menubar], [role=toolbar]"
_ROLES = "[role=navigation], [role=banner], [role=contentinfo]"
_PAGE_FRAME = f"body > header, body > footer, body > aside, {_ROLES}"
_FRAMES = "header, footer, aside"  # of a site's page, wherever they stand; of a book they are its text
_BOOK = "http://www.idpf.org/2007/ops"
_SKIP = re.compile(r"(?:jump|skip) (?:to|over)\b.{0,40}", re.I)
_MENU = re.compile(r"menu|navi|\bnav|nav(?:bar|list)?\b|breadcrumb|toolbar|sidebar", re.I)
_DATES = (
    "article:published_time", "datepublished", "dcterms.issued", "dcterms.date", "dc.date.issued", "dc.date",
    "citation_publication_date", "citation_date", "date", "article:modified_time", "datemodified", "dcterms.modified",
    "last-modified", "og:updated_time",
)  # fmt: skip
_BLOCK_TAGS = (
    "address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer header hr "
    "html li main ol p pre section summary table tbody td tfoot th thead tr ul caption"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
#: tags that XHTML may write <so/> and that HTML would leave open to the end of the page
_EMPTY_PAIR = re.compile(r"<(title|script|style|a|i|b|em|span|div|p|td|th|section|iframe|textarea)(\s[^<>]*)?/>", re.I)
_CHARSET = re.compile(rb"""charset=["']?\s*([\w-]+)""", re.I)
_MARK_ALONE = re.compile(r"-|\d+\.")
_SPACES = re.compile(r"[ \t\n\r\f\v\u00a0]+")


def load(data: bytes, name: str, *, book: bool = False) -> Loaded:
    """`book`: there is no site around the page."""
    text = _text(data)
    tree = LexborHTMLParser(_EMPTY_PAIR.sub(r"<\1\2></\1>", text))
    title = tree.css_first("title")
    published = dated.first(_dates(tree))
    book = book or _BOOK in text
    for node in _inner_first(tree, f"{_DROPPED}, {_CONTROLS}, {_ROLES if book else _PAGE_FRAME}"):
        if node.tag != "form" or node.css_first("main, article, h1") is None:  # some pages are one form
            node.decompose()
    if not book:
        _drop_menus(tree)
    for node in tree.css("a"):
        if "noteref" in (node.attributes.get("epub:type") or "") or node.attributes.get("role") == "doc-noteref":
            node.decompose()
    reader = _Reader()
    if tree.body is not None:
        reader.read(tree.body)
    if not book and not reader.outline.blocks:  # a page of nothing but what looks like a menu is that
        return load(data, name, book=True)
    heading = tree.css_first("h1")
    named = titled(title.text()) if title else ""
    named = named or (_tidy(heading.text()) if heading else "")
    return Loaded(named, tuple(reader.outline.blocks), dated=published)


def _dates(tree: Any) -> list[str]:
    """What the page says of its own date, the surest first."""
    said: dict[str, str] = {}
    for meta in tree.css("meta[content]"):
        for key in ("name", "property", "itemprop", "http-equiv"):
            called = (meta.attributes.get(key) or "").strip().lower()
            said.setdefault(called, meta.attributes.get("content") or "")
    return [said[name] for name in _DATES if name in said]


def _inner_first(tree: Any, selector: str) -> list[Any]:
    """So that none is taken from what is gone already."""
    return list(reversed(tree.css(selector)))


def _drop_menus(tree: Any) -> None:
    """What a site has around each of its pages."""
    for node in _inner_first(tree, _FRAMES):
        if node.tag == "header" and node.css_first("h1, h2, h3, h4, h5, h6") is not None:
            inside = _within(node, ("main", "article", "section"))
            if inside or len(tree.css("h1")) == len(node.css("h1")):
                for menu in _inner_first(node, "ul, ol"):
                    menu.decompose()
                continue
        if node.tag != "footer" or not _within(node, ("blockquote", "figure")):
            node.decompose()
    for node in _inner_first(tree, "a[href^='#']"):
        if _SKIP.fullmatch(_tidy(node.text())):
            node.decompose()
    for node in _inner_first(tree, "ul, ol"):
        if _menu(node):
            node.decompose()


def _menu(node: Any) -> bool:
    """A list of links alone, in what is called a menu, or of one word each beside the page's text."""
    if node.css_first("li ul, li ol") is not None:  # an inner menu went before
        return False
    items = [_tidy(item.text()) for item in node.css("li")]
    links = [_tidy(link.text()) for link in node.css("a")]
    if not items or [i for i in items if i] != [link for link in links if link]:
        return False
    near: list[Any] = [node]
    while len(near) < 4 and near[-1].parent is not None and near[-1].parent.tag not in ("body", "main", "article"):
        near.append(near[-1].parent)
    called = " ".join(f"{n.attributes.get('class') or ''} {n.attributes.get('id') or ''}" for n in near)
    if _MENU.search(called):
        return True
    return len(items) > 1 and all(" " not in i for i in items) and not _within(node, ("main", "article"))


def _within(node: Any, tags: tuple[str, ...]) -> bool:
    while (node := node.parent) is not None:
        if node.tag in tags:
            return True
    return False


def plain_text(fragment: str) -> str:
    """The words of a piece of HTML, a line a paragraph; text without tags stays as it is."""
    if "<" not in fragment and "&" not in fragment:
        return fragment.strip()
    tree = LexborHTMLParser(fragment)
    for node in tree.css(_DROPPED):
        node.decompose()
    reader = _Reader()
    if tree.body is not None:
        reader.read(tree.body)
    return "\n".join(b.text for b in reader.outline.blocks)


class _Reader:
    """Walks the tree once; inline text gathers until a block begins or ends."""

    def __init__(self) -> None:
        self.outline = Outline()
        self._run: list[str] = []
        self._list: list[str] | None = None
        self._row: list[str] | None = None
        self._numbers: list[int | None] = []  # of the next item of each open list, None in one of bullets

    def read(self, node: Any, depth: int = 0) -> None:
        if depth > 400:
            raise RecursionError
        if listed := node.tag in ("ol", "ul"):
            start = node.attributes.get("start") or "1"
            self._numbers.append(
                (int(start) if start.isdecimal() and len(start) < 9 else 1) if node.tag == "ol" else None
            )
        child = node.child
        while child is not None:
            self._visit(child, depth)
            child = child.next
        if listed:
            self._numbers.pop()
        if node.tag in ("body", "html"):
            self._flush()

    def _visit(self, node: Any, depth: int) -> None:
        tag = node.tag
        if tag == "-text":
            self._run.append(node.text_content or "")
        elif tag == "br":
            self._run.append("\x00")
        elif tag == "img":
            self._run.append(" ")
        elif tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self._flush()
            self.outline.heading(int(tag[1]), _tidy(node.text(separator=" ")))
        elif tag == "pre":
            self._flush()
            self._put((node.text() or "").strip("\n"))
        elif tag in ("ul", "ol", "table", "dl") and self._list is None:
            self._flush()
            self._list = []
            self.read(node, depth + 1)
            self._flush()
            lines, self._list = self._list, None
            self.outline.add("\n".join(lines))
        elif tag == "tr":
            self._flush()
            outer, self._row = self._row, []
            self.read(node, depth + 1)
            self._flush()
            cells, self._row = [c for c in self._row if c], outer
            self._put(" | ".join(cells))
        elif tag in _BLOCKS:
            self._flush()
            if tag == "li":
                self._run.append(self._mark())
            self.read(node, depth + 1)
            self._flush()
        elif not tag.startswith(("-", "_", "!")):
            self.read(node, depth + 1)

    def _mark(self) -> str:
        number = self._numbers[-1] if self._numbers else None
        if number is None:
            return "- "
        self._numbers[-1] = number + 1
        return f"{number}. "

    def _flush(self) -> None:
        said, self._run = "".join(self._run), []
        said = "\n".join(line for part in said.split("\x00") if (line := _tidy(part)))
        if said and not _MARK_ALONE.fullmatch(said):
            self._put(said)

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._row is not None:
            self._row.append(text)
        elif self._list is not None:
            self._list.append(text)
        else:
            self.outline.add(text)


def _text(data: bytes) -> str:
    """By the page's own word on its encoding, where it has one and it holds."""
    named = _CHARSET.search(data[:2048])
    if named and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        try:
            return data.decode(named.group(1).decode("ascii")).replace("\r\n", "\n")
        except (LookupError, UnicodeDecodeError):
            pass
    return decode(data)


def _tidy(text: str) -> str:
    return _SPACES.sub(" ", text).strip()
