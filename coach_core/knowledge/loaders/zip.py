"""Archives of documents: what can be read in them, each under its own name.

Invariant: an archive inside an archive is never opened, a member that cannot be read costs itself alone, and
what lies there for a machine (hidden files, kinds that cannot be read) is passed over.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath

from coach_core.errors import FileError, FileTooLarge, NoText, UnsupportedFile
from coach_core.knowledge.loaders import Block, Loaded, archive, readable, safe_name
from coach_core.knowledge.loaders import load as load_file
from coach_core.knowledge.loaders.outline import beneath

_MOST_MEMBERS = 2_000


def load(data: bytes, name: str) -> Loaded:
    """All members as the sections of one document."""
    blocks: list[Block] = []
    why = ""
    for member, content in members(data):
        try:
            loaded = load_file(content, member)
        except FileError as error:
            why = why or f"{member}: {error.sentence}"
            continue
        blocks += beneath("", loaded)
    if not blocks:
        raise NoText(why or "The archive holds no file that can be read. Pack documents into it.")
    return Loaded("", tuple(blocks))


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """(name with its folders, bytes) of each document. Raises FileError, also on the way."""
    with archive.opened(data) as opened:
        entries = [e for e in opened.infolist() if _document(e)]
        if not entries and any(e.filename.lower().endswith(".zip") for e in opened.infolist()):
            raise UnsupportedFile("The archive holds only other archives. Unpack it and upload those one by one.")
        if len(entries) > _MOST_MEMBERS:
            raise FileTooLarge(
                f"The archive holds {len(entries):,} documents; {_MOST_MEMBERS:,} is the most. Split it."
            )
        for entry in entries:
            yield safe_name(entry.filename), archive.read(opened, entry)


def _document(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    hidden = any((p.startswith(".") and p not in (".", "..")) or p == "__MACOSX" for p in parts)
    return not entry.is_dir() and not hidden and readable(entry.filename) and not entry.filename.lower().endswith("zip")
