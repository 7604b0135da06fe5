"""EPUB: the chapters in the order they are read, under the titles of the table of contents.

Invariant: nothing is fetched and no entity is expanded; what is not in the reading order is no text.
"""

from __future__ import annotations

import zipfile
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

from coach_core.errors import DamagedFile, EncryptedFile, FileError
from coach_core.knowledge.loaders import SEPARATOR, Block, Loaded, archive, dated, html, titled

_PAGES = ("application/xhtml+xml", "text/html")
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")  # mangled, not locked


def load(data: bytes, name: str) -> Loaded:
    with archive.opened(data) as book:
        _refuse_locked(book)
        place = _attribute(_tree(book, "META-INF/container.xml"), "rootfile", "full-path")
        package = _tree(book, place)
        base = dirname(place)
        items = {i.get("id", ""): i for i in _all(package, "item")}
        toc = _contents(book, base, package, items)
        blocks: list[Block] = []
        for ref in _all(package, "itemref"):
            item: Any = items.get(ref.get("idref", ""))
            if item is None or item.get("media-type") not in _PAGES or "nav" in (item.get("properties") or "").split():
                continue
            path = _path(base, item.get("href", ""))
            page = _page(book, path)
            blocks += _chapter(page, toc.get(path, ""))
        language = _word(package, "language")[:2].lower()
        published = dated.first(node.text for node in _all(package, "date"))
        known = language if language.isalpha() else ""
        return Loaded(titled(_word(package, "title")), tuple(blocks), known, dated=published)


def _page(book: zipfile.ZipFile, path: str) -> tuple[Block, ...]:
    """A chapter that is missing or broken costs itself."""
    try:
        return html.load(archive.read(book, path), path, book=True).blocks
    except FileError:
        return ()


def _chapter(blocks: tuple[Block, ...], path: str) -> list[Block]:
    """Headings of the page below the contents' path to it; its title is told once."""
    if not path:
        return list(blocks)
    last = path.rsplit(SEPARATOR, 1)[-1]
    out: list[Block] = []
    for block in blocks:
        first, _, rest = block.section.partition(SEPARATOR)
        inner = rest if _alike(first, last) else block.section
        out.append(Block(block.text, SEPARATOR.join(filter(None, (path, inner)))))
    return out


def _alike(one: str, other: str) -> bool:
    a, b = ("".join(c for c in text.casefold() if c.isalnum()) for text in (one, other))
    return bool(a) and (a in b or b in a)


def _contents(book: zipfile.ZipFile, base: str, package: Any, items: dict[str, Any]) -> dict[str, str]:
    """The path of titles to each page, by the book's table of contents, new or old."""
    nav = next((i for i in items.values() if "nav" in (i.get("properties") or "").split()), None)
    ncx = next((i for i in items.values() if i.get("media-type") == "application/x-dtbncx+xml"), None)
    out: dict[str, str] = {}
    for item, walk in ((nav, _nav), (ncx, _ncx)):
        if item is None or out:
            continue
        place = _path(base, item.get("href", ""))
        try:
            walk(_tree(book, place), dirname(place), (), out)
        except FileError:
            continue
    return out


def _ncx(node: Any, base: str, path: tuple[str, ...], out: dict[str, str]) -> None:
    for point in node.iter("{*}navPoint") if not path else node.findall("{*}navPoint"):
        if not path and point.getparent().tag.endswith("navPoint"):
            continue
        label = _tidy("".join(point.find("{*}navLabel").itertext()) if point.find("{*}navLabel") is not None else "")
        content = point.find("{*}content")
        _mark(content.get("src", "") if content is not None else "", base, (*path, label), out)
        _ncx(point, base, (*path, label), out)


def _nav(node: Any, base: str, path: tuple[str, ...], out: dict[str, str]) -> None:
    type_ = "{http://www.idpf.org/2007/ops}type"
    navs = [n for n in node.iter("{*}nav") if n.get(type_) in (None, "toc")]
    for nav in navs[:1]:
        for top in nav.findall(".//{*}ol")[:1]:
            _nav_list(top, base, path, out)


def _nav_list(node: Any, base: str, path: tuple[str, ...], out: dict[str, str]) -> None:
    for item in node.findall("{*}li"):
        link = item.find("{*}a") if item.find("{*}a") is not None else item.find("{*}span")
        label = _tidy("".join(link.itertext())) if link is not None else ""
        _mark(link.get("href", "") if link is not None else "", base, (*path, label), out)
        for inner in item.findall("{*}ol"):
            _nav_list(inner, base, (*path, label), out)


def _mark(href: str, base: str, path: tuple[str, ...], out: dict[str, str]) -> None:
    """The first entry of a page names it; entries further down in it are its headings."""
    if href:
        out.setdefault(_path(base, href), SEPARATOR.join(filter(None, path)))


def _refuse_locked(book: zipfile.ZipFile) -> None:
    if "META-INF/encryption.xml" not in book.namelist():
        return
    for method in _tree(book, "META-INF/encryption.xml").iter("{*}EncryptionMethod"):
        if method.get("Algorithm") not in _FONTS:
            raise EncryptedFile("The book is locked by its seller (DRM). Use a copy without the lock.")


def _tree(book: zipfile.ZipFile, path: str) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=True)
    root: Any = etree.fromstring(archive.read(book, path), parser)
    if root is None:
        raise DamagedFile()
    return root


def _all(root: Any, tag: str) -> list[Any]:
    return list(root.iter(f"{{*}}{tag}"))


def _attribute(root: Any, tag: str, name: str) -> str:
    found = next((n.get(name) for n in _all(root, tag) if n.get(name)), "")
    if not found:
        raise DamagedFile()
    return found


def _word(root: Any, tag: str) -> str:
    return next((_tidy(n.text) for n in root.iter(f"{{http://purl.org/dc/elements/1.1/}}{tag}") if n.text), "")


def _path(base: str, href: str) -> str:
    return normpath(join(base, unquote(href.split("#")[0])))


def _tidy(text: str) -> str:
    return " ".join(text.split())
