"""Plain text: paragraphs parted by empty lines; a short first line is the title."""

from __future__ import annotations

import re

from coach_core.knowledge.loaders import Block, Loaded
from coach_core.knowledge.loaders.decode import decode

_GAP = re.compile(r"\n[ \t\f\v]*\n\s*|\f")


def load(data: bytes, name: str) -> Loaded:
    parts = [p.strip() for p in _GAP.split(decode(data))]
    blocks = tuple(Block(p) for p in parts if p)
    first = blocks[0].text if blocks else ""
    title = first if len(first) <= 100 and "\n" not in first and not first.endswith((".", ",", ";")) else ""
    return Loaded(title, blocks)
