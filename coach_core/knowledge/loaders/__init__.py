"""Reads files: what kind a file really is, and its text with the structure it has.

Invariant: `load` gives text, or raises a FileError that tells a person what is wrong; never any other
error, whatever the bytes are. Adding a kind is one module with load(data, name) and a line in KINDS.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from pathlib import PurePath

from coach_core.errors import (
    CoachError,
    DamagedFile,
    EncryptedFile,
    FileTooLarge,
    MislabelledFile,
    NoText,
    UnsupportedFile,
)
from coach_core.errors import EmptyFile as EmptyFile
from coach_core.search.words import language_of
from coach_core.types import clean_text

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list, table or row. `section` is its heading path ("Health > Sleep")."""

    text: str
    section: str = ""
    page: int | None = None
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    title: str
    blocks: tuple[Block, ...]
    language: str = ""
    pages: int | None = None
    media_type: str = ""
    dated: datetime | None = None  # when it was written, as the file itself says


_OFFICE = "application/vnd.openxmlformats-officedocument"
#: ending -> (kind, media type)
KINDS: dict[str, tuple[str, str]] = {
    "pdf": ("pdf", "application/pdf"),
    "docx": ("docx", f"{_OFFICE}.wordprocessingml.document"),
    "md": ("markdown", "text/markdown"),
    "markdown": ("markdown", "text/markdown"),
    "txt": ("text", "text/plain"),
    "text": ("text", "text/plain"),
    "html": ("html", "text/html"),
    "htm": ("html", "text/html"),
    "xhtml": ("html", "application/xhtml+xml"),
    "csv": ("csv", "text/csv"),
    "tsv": ("csv", "text/tab-separated-values"),
    "pptx": ("pptx", f"{_OFFICE}.presentationml.presentation"),
    "xlsx": ("xlsx", f"{_OFFICE}.spreadsheetml.sheet"),
    "epub": ("epub", "application/epub+zip"),
    "json": ("json", "application/json"),
    "jsonl": ("json", "application/jsonl"),
    "ndjson": ("json", "application/jsonl"),
    "eml": ("eml", "message/rfc822"),
    "zip": ("zip", "application/zip"),
    "png": ("image", "image/png"),
    "jpg": ("image", "image/jpeg"),
    "jpeg": ("image", "image/jpeg"),
    "tif": ("image", "image/tiff"),
    "tiff": ("image", "image/tiff"),
    "webp": ("image", "image/webp"),
    "cnxml": ("xml", "application/xml"),
    "xml": ("xml", "application/xml"),
}
SAID = ("PDF", "DOCX", "PPTX", "XLSX", "EPUB", "Markdown", "text", "HTML", "CSV", "JSON", "EML")
_PICTURES = "pictures of text (PNG, JPEG, TIFF, WEBP)"
SEPARATOR = " > "
_PACKED = frozenset({"docx", "pptx", "xlsx", "epub"})
_SEEN_AS = {
    "pdf": "a PDF", "zip": "a ZIP archive", "docx": "a Word document", "pptx": "a presentation",
    "xlsx": "a workbook", "epub": "an EPUB book", "ole": "an old Office file",
    "html": "a web page", "image": "an image", "binary": "not text",
}  # fmt: skip
_MAGIC = (
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"\x89PNG", "image"), (b"\xff\xd8\xff", "image"), (b"GIF8", "image"), (b"II*\x00", "image"),
    (b"MM\x00*", "image"), (b"\x1f\x8b", "binary"), (b"\x7fELF", "binary"), (b"Rar!", "binary"),
    (b"7z\xbc\xaf", "binary"), (b"BZh", "binary"), (b"MZ", "binary"),
)  # fmt: skip
#: what programs write where a title was never given
_UNTITLED = re.compile(
    r"\W*(?:(?:untitled|unnamed|unbenannt|unknown|unspecified|anonymous|none|null|n/?a|no title|title|new|sans titre"
    r"|ohne titel|sin t[ií]tulo|sem t[ií]tulo|senza titolo|без названия|无标题|無標題|無題|بدون عنوان)"
    r"(?:[\s_-]+(?:document|dokument|documento|page|file|text))?"
    r"|(?:(?:microsoft|ms|new)\s+)*(?:word|office|pdf|text|powerpoint)[\s_-]+(?:document|presentation|file)"
    r"|document|dokument|documento|presentation|slide)[\W\d_]*"
    r"|microsoft (?:office )?(?:word|powerpoint|excel|publisher)\s*[-–—].*"
    r"|.*\w\.(?:docx?|dotx?|odt|rtf|indd|qxd|qxp|tex|dvi|ps|eps|pptx?|xlsx?|wpd|pages|pub|pdf|p65|pmd)"
    r"|\S*\w\.(?:md|markdown|txt|text|html?|xhtml|csv|tsv|xml|cnxml|fm|ai)"
    r"|[\W\d_]*",
    re.I | re.S,
)


def on_page(done: int, total: int) -> None:
    """Told by loaders of long files how far they are; the process that reads puts its own in this one's place."""


def kind_of(name: str) -> str:
    """Which loader reads files of this name; "" where none does."""
    return KINDS.get(_ending(name), ("", ""))[0]


def readable(name: str) -> bool:
    """Whether a file of this name is of a kind that can be read."""
    kind = kind_of(name)
    if kind == "image":
        from coach_core.knowledge.loaders import image

        return image.available()
    return bool(kind)


def said() -> str:
    """The kinds that can be read here, as a person reads it, where files are chosen."""
    return ", ".join((*_said(), "ZIP"))


def _said() -> tuple[str, ...]:
    return (*SAID, _PICTURES) if readable("picture.png") else SAID


def safe_name(name: str) -> str:
    """A file's name as it may be shown and kept: no control characters, no way out of its folder."""
    tidy = clean_text("".join(c for c in name.replace("\\", "/") if c.isprintable()))
    parts = [p.strip() for p in tidy.split("/")]
    if ".." in parts or not parts[0] or parts[0].endswith(":"):
        parts = parts[-1:]
    return "/".join(p for p in parts if p not in ("", ".", ".."))[-250:] or "document"


def load(data: bytes, name: str) -> Loaded:
    """The text of a file. Raises a FileError when there is none to be had."""
    kind, media_type = check(data, name)
    loader = import_module(f"coach_core.knowledge.loaders.{kind}")
    try:
        loaded: Loaded = loader.load(data, name)
    except CoachError:
        raise
    except MemoryError as error:
        raise FileTooLarge("Reading the file takes more memory than is allowed. Split it into parts.") from error
    except RecursionError as error:
        raise DamagedFile("The file is nested too deeply to be read.") from error
    except Exception as error:  # a parser met what it does not expect
        _log.info("reading a %s failed: %s: %s", kind, type(error).__name__, error)
        raise DamagedFile() from error
    return _settled(loaded, name, media_type)


def titled(title: str) -> str:
    """A title in one line; "" for one that says nothing: "Untitled", "Microsoft Word - x.docx", a file's name."""
    tidy = " ".join(clean_text(title).split())[:200]
    return "" if _UNTITLED.fullmatch(tidy) else tidy


def check(data: bytes, name: str) -> tuple[str, str]:
    """(kind, media type) of a file that is what its name says; raises a FileError when it is not."""
    if not data:
        raise EmptyFile()
    ending = _ending(name)
    seen = sniff(data)
    if ending not in KINDS:
        raise UnsupportedFile(f"This kind of file cannot be read yet. Use {', '.join(_said())} or a ZIP of these.")
    kind, media_type = KINDS[ending]
    if kind in _PACKED and seen == "ole" and _encrypted_package(data):
        raise EncryptedFile()
    if seen == "zip":
        from coach_core.knowledge.loaders import archive

        seen = archive.kind_of(data)
        if kind in _PACKED and seen == "zip":  # cut off, or another archive: opening it tells which
            with archive.opened(data):
                pass
    if not _fits(kind, seen):
        what = _SEEN_AS.get(seen, "plain text")
        raise MislabelledFile(f"The file is called .{ending} but is {what}. Rename it to what it is, or save it again.")
    return kind, media_type


def sniff(data: bytes) -> str:
    """What the bytes look like: pdf, zip, ole, image, binary, html, xml or text."""
    if b"%PDF-" in data[:1024] and not data.startswith(b"PK"):  # an archive's first member may be one
        return "pdf"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image"
    for magic, seen in _MAGIC:
        if data.startswith(magic):
            return seen
    head = data[:4096]
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and _binary(head):
        return "binary"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1024].lower()
    if start.startswith((b"<!doctype html", b"<html")) or (start.startswith(b"<?xml") and b"<html" in start):
        return "html"
    return "xml" if start.startswith((b"<?xml", b"<document", b"<col:")) else "text"


def _fits(kind: str, seen: str) -> bool:
    if kind == "pdf":
        return seen == "pdf"
    if kind in _PACKED or kind in ("zip", "image"):
        return seen == kind
    if kind in ("html", "xml"):
        return seen in ("html", "xml", "text")
    return seen in ("text", "xml") or (kind == "eml" and seen == "html")


def _binary(head: bytes) -> bool:
    """Text has no NUL bytes, but for UTF-16, where every other byte may be one."""
    nul = head.count(0)
    if nul and (head[0::2].count(0) == nul or head[1::2].count(0) == nul) and nul > len(head) // 4:
        return False
    control = sum(b < 9 or 13 < b < 27 or 27 < b < 32 for b in head)
    return nul > 0 or control > len(head) // 20


def _encrypted_package(data: bytes) -> bool:
    return "EncryptedPackage".encode("utf-16-le") in data


def _settled(loaded: Loaded, name: str, media_type: str) -> Loaded:
    """Storable text, no empty blocks, a title and a language."""
    blocks = tuple(
        replace(b, text=clean_text(b.text).strip(), section=clean_text(b.section)[:500])
        for b in loaded.blocks
        if b.text and not b.text.isspace()
    )
    blocks = tuple(b for b in blocks if b.text)
    if not any(c.isalnum() for b in blocks for c in b.text):
        raise NoText()
    title = _in_archive(titled(loaded.title) or _stem(name), name)
    language = loaded.language or language_of(_sample(blocks))
    return Loaded(title, blocks, language, loaded.pages, loaded.media_type or media_type, loaded.dated)


def _sample(blocks: tuple[Block, ...]) -> str:
    """Text from the middle: the beginning is often a licence or a list of names."""
    out, size = [], 0
    for block in blocks[len(blocks) // 3 :]:
        out.append(block.text)
        size += len(block.text)
        if size > 4000:
            break
    return "\n".join(out)


def _stem(name: str) -> str:
    stem = PurePath(name.replace("\\", "/")).stem
    return " ".join(re.sub(r"[_-]+", " ", stem).split())[:200] or stem[:200]


def _in_archive(title: str, name: str) -> str:
    """A document out of an archive ("week.zip/plan.pdf") bears the archive's name too: its own may be "1"."""
    outer, found, _ = name.replace("\\", "/").lower().partition(".zip/")
    archive = _stem(name[: len(outer)]) if found else ""
    return f"{title} ({archive})" if archive and archive.lower() not in title.lower() else title


def _ending(name: str) -> str:
    return PurePath(name.replace("\\", "/")).suffix.lower().lstrip(".")
