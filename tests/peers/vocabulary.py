"""tiktoken's cl100k_base without a network, made of the same vocabulary in the wheel of quicktok-v1.

Invariant: the file is byte for byte the one that tiktoken would fetch, which it checks by SHA-256; it
stands under the name that tiktoken looks for, the SHA-1 of the address.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path

_ADDRESS = b"https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"


def write(folder: Path) -> Path:
    """Make `folder` one that TIKTOKEN_CACHE_DIR can name."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (base64.b64encode(token) + b" %d\n" % rank for rank, token in sorted(_tokens(_bundled().read_bytes())))
    (folder / hashlib.sha1(_ADDRESS).hexdigest()).write_bytes(b"".join(lines))
    return folder


def _tokens(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(rank, token); the file is a count, then length, bytes and rank of each, little-endian."""
    (count,) = struct.unpack_from("<I", data)
    at = 4
    for _ in range(count):
        (size,) = struct.unpack_from("<H", data, at)
        (rank,) = struct.unpack_from("<I", data, at + 2 + size)
        yield rank, data[at + 2 : at + 2 + size]
        at += size + 6


def _bundled() -> Path:
    spec = importlib.util.find_spec("quicktok")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "data" / "cl100k.vocab"
