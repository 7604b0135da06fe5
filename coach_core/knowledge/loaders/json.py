"""JSON, and JSON Lines: a list of records is a table, all else is told under the path of its keys.

Invariant: a record is one row with its number, from 1; numbers stay as they were written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from coach_core.errors import DamagedFile
from coach_core.knowledge.loaders import Block, Loaded, table
from coach_core.knowledge.loaders.decode import decode
from coach_core.knowledge.loaders.html import plain_text
from coach_core.knowledge.loaders.outline import Outline

_TITLES = ("title", "name", "subject")
_MOST_COLUMNS = 300
_STEP = " "  # between the keys of a path that names a column


def load(data: bytes, name: str) -> Loaded:
    text = decode(data)
    lines = name.lower().endswith(("jsonl", "ndjson"))
    value: Any = list(_lines(text)) if lines else _parsed(text)
    outline = Outline()
    _tell(value, outline, 1)
    given: Any = value if isinstance(value, dict) else {}
    title = next((given[key] for key in _TITLES if isinstance(given.get(key), str)), "")
    return Loaded(title if len(title) <= 150 else "", tuple(outline.blocks))


def _lines(text: str) -> Iterator[Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _parsed(line, number)


def _parsed(text: str, line: int = 0) -> Any:
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except json.JSONDecodeError as error:
        where = line or error.lineno
        raise DamagedFile(f"The JSON is damaged or cut off (line {where}). Upload a whole copy.") from error


def _tell(value: Any, outline: Outline, level: int) -> None:
    """A mapping's own words first, then what is below its keys as sections."""
    if isinstance(value, Mapping):
        plain = [(k, s) for k, v in value.items() if not _deep(v) and (s := _said(v))]
        if plain:
            header, cells = [k for k, _ in plain], [s for _, s in plain]
            outline.blocks += [_unnumbered(b) for b in table.blocks(header, [(1, cells)], outline.section)]
        for key, inner in value.items():
            if _deep(inner):
                outline.heading(level, table.label(str(key)), shown=False)
                _tell(inner, outline, level + 1)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        _records(value, outline)
    elif said := _said(value):
        outline.add(said)


def _records(items: Sequence[Any], outline: Outline) -> None:
    rows = [list(_cells(item, ())) for item in items]
    columns = list(dict.fromkeys(path for row in rows for path, _ in row))
    if len(columns) > _MOST_COLUMNS:  # not a table: nearly each record is of other keys
        said = ("\n".join(f"{table.label(p)}: {s}" if p else s for p, s in row) for row in rows)
        outline.blocks += [Block(s, outline.section, row=n) for n, s in enumerate(said, 1) if s]
        return
    numbered = [(n, _row(row, columns)) for n, row in enumerate(rows, 1) if row]
    outline.blocks += table.blocks(columns, numbered, outline.section)


def _row(cells: Sequence[tuple[str, str]], columns: Sequence[str]) -> list[str]:
    found: dict[str, list[str]] = {}
    for path, said in cells:
        found.setdefault(path, []).append(said)
    return ["\n".join(found.get(path, ())) for path in columns]


def _cells(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(path of keys, words) of all that a record holds; what stands in lists comes under one path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _cells(inner, (*path, str(key)))
    elif _deep(value):
        for inner in value:
            yield from _cells(inner, path)
    elif said := _said(value):
        yield _STEP.join(path), said


def _deep(value: Any) -> bool:
    """Whether it holds mappings or lists of them; a list of plain values is told in a line."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and any(isinstance(v, list | Mapping) for v in value)


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        said = [s for v in value if (s := _said(v))]
        return "\n".join(said) if any(len(s) > 60 for s in said) else ", ".join(said)
    return plain_text(str(value)) if "<" in str(value) else str(value).strip()


def _unnumbered(block: Block) -> Block:
    return Block(block.text, block.section)
