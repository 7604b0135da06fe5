"""The welcome set: five personas and the documents they answer from, as files beside this one.

Invariant: reading only; who plants it in a database is coach/seed.py.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class WelcomeCollection:
    folder: str
    name: str
    description: str
    licence: str
    paths: tuple[Path, ...]


def collections() -> list[WelcomeCollection]:
    """The collections with the files in them."""
    data = tomllib.loads((HERE / "collections.toml").read_text(encoding="utf-8"))
    licence = data.pop("licence")
    return [
        WelcomeCollection(
            folder, about["name"], about["description"], licence, tuple(sorted((HERE / folder).glob("*.md")))
        )
        for folder, about in data.items()
    ]


def personas() -> list[dict[str, Any]]:
    """The personas as PersonaDraft's JSON form, with `slug`, and folders as `collections`."""
    data = tomllib.loads((HERE / "personas.toml").read_text(encoding="utf-8"))
    return [{**p, "instructions": p["instructions"].strip()} for p in data["persona"]]
