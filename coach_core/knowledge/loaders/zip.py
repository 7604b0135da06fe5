"""Archives of documents: what can be read in them, each under its own name.

Invariant: an archive inside an archive is never opened, a member that cannot be read costs itself alone, and
what lies there for a machine (hidden files, kinds that cannot be read) is passed over.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from coach_core.errors import EncryptedFile, FileError, FileTooLarge, NoText, UnsupportedFile
from coach_core.knowledge.loaders import Block, Loaded, archive, readable, safe_name
from coach_core.knowledge.loaders import load as load_file
from coach_core.knowledge.loaders.outline import beneath

_MOST_MEMBERS = 2_000


def load(data: bytes, name: str) -> Loaded:
    """All members as the sections of one document."""
    blocks: list[Block] = []
    why = ""
    locked: EncryptedFile | None = None
    for member, content in members(data):
        try:
            if isinstance(content, FileError):
                raise content
            loaded = load_file(content, member)
        except FileError as error:
            locked = locked or error if isinstance(error, EncryptedFile) else locked
            why = why or f"{member}: {error.sentence}"
            continue
        blocks += beneath("", loaded)
    if not blocks and locked is not None:
        raise locked
    if not blocks:
        raise NoText(why or "The archive holds no file that can be read. Pack documents into it.")
    return Loaded("", tuple(blocks))


def members(data: bytes) -> Iterator[tuple[str, bytes | FileError]]:
    """(name with its folders, its bytes or why there are none) of each document. Raises FileError."""
    with archive.opened(data) as opened:
        for entry in _documents(opened):
            try:
                yield safe_name(entry.filename), archive.read(opened, entry)
            except FileError as error:
                yield safe_name(entry.filename), error


def count(data: bytes) -> int:
    """How many `members` gives."""
    with archive.opened(data) as opened:
        return len(_documents(opened))


def passed_over(data: bytes) -> list[str]:
    """The names of members that a person packed and that `members` leaves out. Raises FileError."""
    with archive.opened(data) as opened:
        return [safe_name(e.filename) for e in opened.infolist() if not (e.is_dir() or _hidden(e) or _document(e))]


def _documents(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    entries = [e for e in opened.infolist() if _document(e)]
    if not entries and any(e.filename.lower().endswith(".zip") for e in opened.infolist()):
        raise UnsupportedFile("The archive holds only other archives. Unpack it and upload those one by one.")
    if len(entries) > _MOST_MEMBERS:
        raise FileTooLarge(f"The archive holds {len(entries):,} documents; {_MOST_MEMBERS:,} is the most. Split it.")
    return entries


def _document(entry: zipfile.ZipInfo) -> bool:
    kind = readable(entry.filename) and not entry.filename.lower().endswith("zip")
    return kind and not entry.is_dir() and not _hidden(entry)


def _hidden(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    return any((p.startswith(".") and p not in (".", "..")) or p == "__MACOSX" for p in parts)
