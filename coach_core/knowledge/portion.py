"""As many of the found passages as go with a question: neighbours made one, within a budget of tokens.

Invariant: a passage's text is its document's from `start` to `end`, whatever was joined or cut, so that a citation
opens at that very place; the best passage is always there, cut at a sentence where it alone is too long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from coach_core import tokens
from coach_core.types import Passage

#: the text of a passage's document between two places, None when it is no longer that document
Between = Callable[[Passage, int, int], str | None]
_GAP = 8  # characters between two passages that stand next to each other: blanks and line ends
_LONGEST = 600  # tokens of neighbours made one
_LEAST = 40  # tokens; what a cut leaves less of is left out
_SENTENCE = re.compile(r"[.!?…。！？؟۔]+[\"'”’»」)\]]*(?=\s|$)|(?<=[。！？])|\n")


def portion(found: Sequence[Passage], k: int, budget: int, between: Between) -> list[Passage]:
    """The best of `found` (best first): `k` places at most, of `budget` tokens together."""
    kept: list[Passage] = []
    for passage in found:
        at = next((n for n, other in enumerate(kept) if _adjacent(other, passage)), None)
        joined = _joined(kept[at], passage, between) if at is not None else None
        if at is not None and joined is not None:
            kept[at] = joined
        elif len(kept) < k:
            kept.append(passage)
        else:
            break
    return _within(kept, budget)


def _adjacent(a: Passage, b: Passage) -> bool:
    same = (a.document_id, a.document_hash, a.row) == (b.document_id, b.document_hash, b.row)
    return same and a.end > a.start and b.end > b.start and max(a.start, b.start) - min(a.end, b.end) <= _GAP


def _joined(a: Passage, b: Passage, between: Between) -> Passage | None:
    """Both as one, by the name and the ranks of the better one `a`; None where that would be too long."""
    first = a if a.start <= b.start else b
    start, end = min(a.start, b.start), max(a.end, b.end)
    text = between(a, start, end)
    if text is None or tokens.count(text) > _LONGEST:
        return None
    section = a.section if a.section == b.section else _common(a.section, b.section)
    also = tuple(dict.fromkeys((*a.also, *b.also)))
    return replace(a, text=text, start=start, end=end, page=first.page, row=first.row, section=section, also=also)


def _common(one: str, other: str) -> str:
    """The path of headings that both stand under."""
    parts: list[str] = []
    for a, b in zip(one.split(" > "), other.split(" > "), strict=False):
        if a != b:
            break
        parts.append(a)
    return " > ".join(parts)


def _within(passages: Sequence[Passage], budget: int) -> list[Passage]:
    kept: list[Passage] = []
    left = budget
    for passage in passages:
        size = tokens.count(passage.text)
        if size > left:
            short = _cut(passage, left) if left >= _LEAST or not kept else None
            return [*kept, short] if short is not None else kept
        kept.append(passage)
        left -= size
    return kept


def _cut(passage: Passage, most: int) -> Passage | None:
    """The passage up to the last sentence within `most` tokens; of a single one that is longer, its first words."""
    ends = [m.end() for m in _SENTENCE.finditer(passage.text)]
    fitting = [end for end in ends if tokens.count(passage.text[:end]) <= most]
    at = fitting[-1] if fitting else _first_words(passage.text, most)
    text = passage.text[:at].rstrip()
    return replace(passage, text=text, end=passage.start + len(text)) if text else None


def _first_words(text: str, most: int) -> int:
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens.count(text[:middle]) <= most else (low, middle - 1)
    return max(text.rfind(" ", 0, low), 0) or low
