"""The words of a text, and where a run of them stands: what places a quote in another reading of the same text.

Invariant: words, not marks or blanks, decide, because two readers of one PDF agree on little else.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice

_LETTERS = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # of scripts without blanks between words
WORD = re.compile(rf"[{_LETTERS}]|[^\W_{_LETTERS}]+")
_RUN = 8  # words in a row that hardly stand in a document twice
_LOOKS = 40
_OFTEN = 8  # places of a run that are looked at
_LEAST = 3  # words that a quote must have to be looked for


def span(text: str, quote: str) -> tuple[int, int] | None:
    """(start, end) of `quote` in `text`: of all of it, else of what lies between its first and last words found."""
    wanted = [w.casefold() for w in WORD.findall(quote)]
    if len(wanted) < _LEAST:
        return None
    words = _Words(text)
    if whole := next(words.find(wanted), None):
        return whole
    step = max(_RUN // 2, len(wanted) // _LOOKS)
    runs = (wanted[at : at + _RUN] for at in range(0, len(wanted) - _RUN + 1, step))
    found = [(start, end, n) for n, run in enumerate(runs) for start, end in islice(words.find(run), _OFTEN)]
    return _together(sorted(found), 2 * len(quote)) if found else None


class _Words:
    """The words of a text, in which a run of words is found at once."""

    def __init__(self, text: str) -> None:
        matches = list(WORD.finditer(text))
        self._places = [m.span() for m in matches]
        words = [m.group().casefold() for m in matches]
        self._joined = f" {' '.join(words)} "
        self._starts = [0, *accumulate(len(w) + 1 for w in words)]

    def find(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """(start, end) of each place where the run stands."""
        wanted = f" {' '.join(words)} "
        at = self._joined.find(wanted)
        while at >= 0:
            first = bisect_left(self._starts, at)
            yield self._places[first][0], self._places[first + len(words) - 1][1]
            at = self._joined.find(wanted, at + 1)


def _together(places: Sequence[tuple[int, int, int]], most: int) -> tuple[int, int]:
    """What the largest number of runs (start, end, which) that lie within `most` letters reaches over."""
    best = (0, 0, 0, 0)
    for at, (start, *_) in enumerate(places):
        near = [p for p in islice(places, at, None) if p[1] <= start + most]
        end = max((p[1] for p in near), default=start)
        best = max(best, (len({which for *_, which in near}), start - end, start, end))
    return best[2], best[3]
