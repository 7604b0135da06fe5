"""ZIP archives, which most kinds of file are inside: opened with bounds, and told apart by what they hold.

Invariant: what an archive would unpack to is bounded before it is unpacked, and no more is ever read than it
said; only the two methods every program writes are read.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from coach_core.errors import DamagedFile, EncryptedFile, FileTooLarge

MOST_UNPACKED = 300_000_000
_MOST_ENTRIES = 20_000
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: what an archive of a kind always holds
_MARKS = (("docx", "word/"), ("pptx", "ppt/"), ("xlsx", "xl/"), ("epub", "META-INF/container.xml"))


@contextmanager
def opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """The archive, once it is known to be small enough. Raises FileError."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DamagedFile() from error
    with archive:
        entries = archive.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise FileTooLarge(f"The archive holds {len(entries):,} files; {_MOST_ENTRIES:,} is the most. Split it.")
        if sum(e.file_size for e in entries) > MOST_UNPACKED:
            most = MOST_UNPACKED // 1_000_000
            raise FileTooLarge(f"The file unpacks to more than {most} MB. Split it into parts.")
        yield archive


def kind_of(data: bytes) -> str:
    """docx, pptx, xlsx, epub, or zip for any other."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "zip"
    office = "[Content_Types].xml" in names
    for kind, mark in _MARKS:
        if (office or kind == "epub") and any(n.startswith(mark) for n in names):
            return kind
    return "zip"


def read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo | str) -> bytes:
    """A member's bytes. Raises FileError."""
    try:
        info = archive.getinfo(entry) if isinstance(entry, str) else entry
        if info.flag_bits & _ENCRYPTED:
            raise EncryptedFile()
        if info.compress_type not in _METHODS:
            raise DamagedFile("The archive is packed in an unusual way. Pack it anew as an ordinary ZIP.")
        return archive.read(info)
    except (KeyError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise DamagedFile() from error
    except Exception as error:
        if isinstance(error, EncryptedFile | DamagedFile):
            raise
        raise DamagedFile() from error  # zlib.error and what else a broken member brings
