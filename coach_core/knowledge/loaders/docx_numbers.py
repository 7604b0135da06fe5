"""The marks of a Word document's lists and headings, which the file leaves to whoever draws it.

Invariant: a mark is what Word shows ("3.", "1.2", "b)"), by the counters of its list; "-" for any bullet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_SLOT = re.compile(r"%(\d)")
_LEVELS = 9


class Numbers:
    """Counts as paragraphs come; ask for each one once, in order."""

    def __init__(self, document: Any) -> None:
        self._lists: dict[str, str] = {}  # number -> abstract list: several may share its counters
        self._levels: dict[str, list[Any]] = {}
        self._starts: dict[str, dict[int, int]] = {}
        self._counts: dict[str, list[int]] = {}
        self._begun: set[str] = set()
        try:
            root: Any = document.part.numbering_part.element
        except (KeyError, NotImplementedError, AttributeError):
            return
        for abstract in root.iterfind("{*}abstractNum"):
            self._levels[_value(abstract, "abstractNumId")] = list(abstract.iterfind("{*}lvl"))
        for num in root.iterfind("{*}num"):
            number, of = _value(num, "numId"), num.find("{*}abstractNumId")
            self._lists[number] = _value(of, "val") if of is not None else ""
            self._starts[number] = {
                int(_value(o, "ilvl") or 0): int(_value(start, "val") or 1)
                for o in num.iterfind("{*}lvlOverride")
                if (start := o.find("{*}startOverride")) is not None
            }

    def mark(self, paragraph: Any) -> str | None:
        """None for a paragraph of no list."""
        found = _numbered(paragraph)
        if found is None:
            return None
        number, at = found
        of = self._lists.get(number, "")
        levels = self._levels.get(of, [])
        if number == "0":
            return None
        if at >= len(levels):
            return "-"
        counts = self._counts.setdefault(of, [0] * _LEVELS)
        if number not in self._begun:
            self._begun.add(number)
            for level, start in self._starts[number].items():
                counts[level:] = [start - 1, *[0] * (_LEVELS - level - 1)]
        for above in range(at):
            counts[above] = counts[above] or _start(levels[above])
        counts[at] = counts[at] + 1 if counts[at] or self._starts[number].get(at) else _start(levels[at])
        counts[at + 1 :] = [0] * (_LEVELS - at - 1)
        return self._said(levels, counts, at)

    def _said(self, levels: list[Any], counts: list[int], at: int) -> str:
        kind, text = _of(levels[at], "numFmt"), _of(levels[at], "lvlText")
        if kind in ("bullet", "none", ""):
            return "-" if kind == "bullet" else ""

        def slot(found: re.Match[str]) -> str:
            level = min(int(found.group(1)) - 1, at)
            return _FORMATS.get(_of(levels[level], "numFmt"), str)(counts[level])

        return _SLOT.sub(slot, text).strip()


def _numbered(paragraph: Any) -> tuple[str, int] | None:
    """(number of the list, level) by the paragraph itself or the styles it is based on."""
    number, level = "", None
    style = paragraph.style
    sources = [paragraph._p.pPr]
    for _ in range(10):
        if style is None:
            break
        sources.append(style.element.find("{*}pPr"))
        style = style.base_style
    for source in sources:
        given = source.find("{*}numPr") if source is not None else None
        if given is None:
            continue
        number = number or _of(given, "numId")
        level = level if level is not None else _of(given, "ilvl") or None
        if number:
            break
    return (number, min(int(level or 0), _LEVELS - 1)) if number else None


def _start(level: Any) -> int:
    return int(_of(level, "start") or 1)


def _of(node: Any, tag: str) -> str:
    found = node.find(f"{{*}}{tag}")
    return _value(found, "val") if found is not None else ""


def _value(node: Any, name: str) -> str:
    return next((v for k, v in node.attrib.items() if k.rpartition("}")[2] == name), "")


def _letter(count: int) -> str:
    return chr(97 + (count - 1) % 26) * ((count - 1) // 26 + 1)


def _roman(count: int) -> str:
    out = ""
    for value, sign in _ROMAN:
        out += sign * (count // value)
        count %= value
    return out


_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_FORMATS: dict[str, Callable[[int], str]] = {
    "lowerLetter": _letter,
    "upperLetter": lambda count: _letter(count).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda count: _roman(count).upper(),
    "decimalZero": lambda count: f"{count:02}",
}
