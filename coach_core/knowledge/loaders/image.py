"""Pictures of text: read by Tesseract where that is installed.

Invariant: a picture's size is known before it is unpacked; Tesseract sees only what was drawn anew here, and
ends with its time or with this process.
"""

from __future__ import annotations

import io
import shutil
import subprocess
from functools import lru_cache
from typing import Any

from PIL import Image, ImageOps, ImageSequence

from coach_core.errors import DamagedFile, FileTooLarge, FileTooSlow, NoOcr, NoText
from coach_core.knowledge.loaders import Block, Loaded

_MOST_PIXELS = 60_000_000
_MOST_PAGES = 50
_SECONDS = 60
#: read for where they are installed; each makes it slower
_LANGUAGES = ("eng", "deu", "spa", "fra", "ita", "por", "ara", "chi_sim")


def available() -> bool:
    return shutil.which("tesseract") is not None


def load(data: bytes, name: str) -> Loaded:
    if not available():
        raise NoOcr()
    try:
        picture: Any = Image.open(io.BytesIO(data))
        frames = getattr(picture, "n_frames", 1)
    except Exception as error:
        raise DamagedFile() from error
    if picture.width * picture.height > _MOST_PIXELS:
        raise FileTooLarge(f"The picture has {picture.width:,} x {picture.height:,} dots. Make it smaller.")
    if frames > _MOST_PAGES:
        raise FileTooLarge(f"The file has {frames} pictures; {_MOST_PAGES} is the most. Split it.")
    pages = [read(frame) for frame in ImageSequence.Iterator(picture)]
    blocks = [Block(text, "", at if len(pages) > 1 else None) for at, page in enumerate(pages, 1) for text in page]
    if not blocks:
        raise NoText("No text was found in the picture.")
    return Loaded("", tuple(blocks), pages=len(pages) if len(pages) > 1 else None)


def read(picture: Any) -> list[str]:
    """The paragraphs in a picture. Raises FileTooSlow."""
    drawn = io.BytesIO()
    ImageOps.exif_transpose(picture).convert("L").save(drawn, "PNG")
    command = ["tesseract", "stdin", "stdout", "-l", _languages(), "--dpi", "300"]
    try:
        done = subprocess.run(command, input=drawn.getvalue(), capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise FileTooSlow() from error
    text = done.stdout.decode("utf-8", "replace").replace("\f", "\n\n")
    return [joined for part in text.split("\n\n") if (joined := " ".join(part.split()))]


@lru_cache(maxsize=1)
def _languages() -> str:
    done = subprocess.run(["tesseract", "--list-langs"], capture_output=True, timeout=_SECONDS, check=False)
    there = set(done.stdout.decode("utf-8", "replace").split())
    return "+".join(language for language in _LANGUAGES if language in there) or "eng"
