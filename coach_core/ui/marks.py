"""Text of others as Markdown of ours: shown letter by letter, with what was found or changed marked.

Invariant: nothing in the text given is ever read as Markdown, a directive, an icon or a link.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from coach_core.types import PersonaDraft

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
#: Streamlit swaps these for pictures after escapes are gone; a word joiner stops it, unseen.
_SHORTCODE = re.compile(r":(?=[\w+/-]+:)")
#: Streamlit links what looks like an address, escaped or not.
_ADDRESS = re.compile(r"(?i)(https?|ftp|www)(?=[:.])|(?<=\w)(?=@\w)")
_BOLD = re.compile(r"\*\*(.+?)\*\*", re.S)
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")

FIELDS: Mapping[str, str] = {
    "name": "Name",
    "instructions": "Instructions",
    "greeting": "Greeting",
    "empty_state": "Sentence on an empty page",
    "starters": "Starters",
    "backend": "Backend",
    "model": "Model",
    "parameters": "Parameters",
    "tools": "Tools",
    "collections": "Collections",
    "icon": "Icon",
    "picture_id": "Picture",
}


class Change(NamedTuple):
    """One field that differs between two versions of a persona."""

    label: str
    before: str
    after: str


def plain(text: str) -> str:
    """`text` as Markdown that shows exactly `text`, its line breaks kept."""
    apart = _ADDRESS.sub(lambda m: f"{m[0]}\u2060", _SHORTCODE.sub(":\u2060", text))
    escaped = _PUNCTUATION.sub(r"\\\g<0>", apart)
    lines = (re.sub(r"^[ \t]{2,}", lambda m: "\u00a0" * len(m[0]), line) for line in escaped.split("\n"))
    return "  \n".join(lines)


def found(snippet: str) -> str:
    """A snippet whose found words are **so** marked, as Markdown with those words highlighted."""
    pieces = _BOLD.split(" ".join(snippet.split()))
    return "".join(_lit("primary", p) if i % 2 else plain(p) for i, p in enumerate(pieces))


def lit(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """`text` as Markdown that shows exactly `text`, the places `spans` (in order, apart) highlighted."""
    out: list[str] = []
    at = 0
    for start, end in spans:
        out += [_kept(text[at:start]), _lit("primary", text[start:end])]
        at = end
    return "".join([*out, _kept(text[at:])])


def _kept(text: str) -> str:
    """As `plain`, of a piece that stands beside other pieces."""
    return plain(text) if text else ""


def changes(old: PersonaDraft, new: PersonaDraft, names: Mapping[UUID, str]) -> list[Change]:
    """What differs, in the order of the editor; `names` gives collections their names."""
    pairs = ((label, _text(old, f, names), _text(new, f, names)) for f, label in FIELDS.items())
    return [Change(label, a, b) for label, a, b in pairs if a != b]


def inline(before: str, after: str) -> str:
    """Both texts in one: words taken out in red and struck, words put in in green."""
    out: list[str] = []
    for kind, a, b in _steps(before, after):
        out += [plain(a)] if kind == "equal" else [_lit("red", a, struck=True), _lit("green", b)]
    return "".join(out)


def sides(before: str, after: str) -> tuple[str, str]:
    """The two texts beside each other, each with what the other has not marked."""
    left, right = list[str](), list[str]()
    for kind, a, b in _steps(before, after):
        left.append(plain(a) if kind == "equal" else _lit("red", a))
        right.append(plain(b) if kind == "equal" else _lit("green", b))
    return "".join(left), "".join(right)


def _steps(before: str, after: str) -> list[tuple[str, str, str]]:
    """Equal and changed stretches, by whole words, by whole texts where hardly a word stayed."""
    a, b = _TOKEN.findall(before), _TOKEN.findall(after)
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    if matcher.quick_ratio() < 0.3:
        return [("replace", before, after)]
    return [(k, "".join(a[i:j]), "".join(b[m:n])) for k, i, j, m, n in matcher.get_opcodes()]


def _lit(colour: str, text: str, *, struck: bool = False) -> str:
    """`text` on a coloured ground, line by line, for a directive may not span paragraphs."""
    if text and not text.strip():
        return plain(text.replace("\n", "\u21b5\n")) if "\n" in text else text
    lines: Sequence[str] = text.split("\n")
    mark = "~~" if struck else ""
    lit = (f":{colour}-background[{mark}{plain(line.strip())}{mark}]" if line.strip() else "" for line in lines)
    head, tail = text[: len(text) - len(text.lstrip(" "))], text[len(text.rstrip(" ")) :]
    return (head + "  \n".join(lit) + tail) if text else ""


def _text(draft: PersonaDraft, field: str, names: Mapping[UUID, str]) -> str:
    value: Any = getattr(draft, field)
    if field == "collections":
        value = tuple(names.get(c, str(c)) for c in value)
    if isinstance(value, tuple):
        return "\n".join(str(v) for v in value)
    if isinstance(value, Mapping):
        return "\n".join(f"{k}: {json.dumps(v)}" for k, v in sorted(value.items()))
    return "" if value is None else str(value)
