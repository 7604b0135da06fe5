"""Which words of an answer each [n] stands for.

Invariant: offsets are those of the answer's own text, so that what is shown can be marked. A mark stands for the
sentence it is in or behind; of several in one sentence each for what came since the one before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from coach_core.backends import sentences

_MARK = re.compile(r"\[(\d{1,3})\](?!\()")
_FENCE = re.compile(r"(?ms)^ {0,3}(`{3,}|~{3,}).*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)")
_CODE = re.compile(r"`[^`\n]+`")
_NEW_BLOCK = re.compile(r"\s*(?:[-*+•‣◦–]\s|\d{1,2}[.)]\s|#{1,6}\s|\||>)")
_DRESS = re.compile(r"\*\*|__|(?<!\w)[*_]|[*_](?!\w)|^\s*(?:[-*+•‣◦–]|\d{1,2}[.)]|#{1,6}|>)\s+|~~|\|")
_LINK = re.compile(r"\[([^\]\n]*)\]\([^)\n]*\)")
_ESCAPE = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_WORD = re.compile(r"[^\W\d_]{2,}|[\u3040-\u30ff\u3400-\u9fff]")
_BETWEEN = re.compile(r"[ \t,;]*")
_LEAST = 3  # words of a part of a sentence that says something by itself


@dataclass(frozen=True, slots=True)
class Claim:
    """What text[start:end] states, without its marks and dress, and the sources it rests on."""

    start: int
    end: int
    text: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    """Marks that stand together."""

    start: int
    end: int
    numbers: tuple[int, ...]


def claims(text: str, known: Collection[int]) -> list[Claim]:
    """What the answer states with [n], n in `known`, in reading order; questions and lead-ins state nothing."""
    bare = _blanked(text, _FENCE, _CODE)
    groups = _groups(bare, known)
    spans = list(_sentences(_blanked(bare, _MARK)))
    out: list[Claim] = []
    for at, (start, end) in enumerate(spans):
        until = spans[at + 1][0] if at + 1 < len(spans) else len(text)
        from_ = start if at else 0
        mine = [g for g in groups if from_ <= g.start < until]
        if mine:
            out += _of_sentence(bare, start, end, mine)
    return out


def _of_sentence(text: str, start: int, end: int, groups: list[_Group]) -> Iterator[Claim]:
    whole = said(text[start:end])
    if whole.rstrip('"”’»)* ').endswith(("?", "？", "؟", ":", "：")):
        return
    last = max(end, groups[-1].end)
    if len(groups) == 1:
        yield Claim(min(start, groups[0].start), last, whole, groups[0].numbers)
        return
    begin = start
    for n, group in enumerate(groups):
        final = n == len(groups) - 1
        stop = last if final else group.end
        part = said(text[begin:stop])
        if len(_WORD.findall(part)) >= _LEAST:
            yield Claim(min(begin, group.start), stop, part, group.numbers)
        else:
            yield Claim(start, last, whole, group.numbers)
        begin = group.end


def _groups(text: str, known: Collection[int]) -> list[_Group]:
    out: list[_Group] = []
    for mark in _MARK.finditer(text):
        number = int(mark[1])
        if number not in known:
            continue
        if (
            out
            and _BETWEEN.fullmatch(text, out[-1].end, mark.start())
            and "\n\n" not in text[out[-1].end : mark.start()]
        ):
            before = out.pop()
            numbers = tuple(dict.fromkeys((*before.numbers, number)))
            out.append(_Group(before.start, mark.end(), numbers))
        else:
            out.append(_Group(mark.start(), mark.end(), (number,)))
    return out


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each that has words, over paragraphs, items and rows; what has none goes with the one before."""
    for first, last in _blocks(text):
        at = first
        for end in (*sentences.ends(text[first:last]), last - first):
            piece = text[at : first + end]
            if _WORD.search(piece) or re.search(r"\d", piece):
                lead = len(piece) - len(piece.lstrip())
                yield at + lead, at + len(piece.rstrip())
                at = first + end


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    start: int | None = None
    at = 0
    for line in text.splitlines(keepends=True):
        here, at = at, at + len(line)
        blank = not line.strip()
        if start is not None and (blank or _NEW_BLOCK.match(line)):
            yield start, here
            start = None
        if not blank and start is None:
            start = here
    if start is not None:
        yield start, len(text)


def said(text: str) -> str:
    """The words alone: without marks, list signs, stress and links' addresses."""
    bare = " ".join(_DRESS.sub(" ", _LINK.sub(r"\1", _ESCAPE.sub("", _MARK.sub(" ", text)))).split())
    return re.sub(r"\s+(?=[.,;:!?…。，！？])", "", bare).lstrip(",;. ")


def _blanked(text: str, *patterns: re.Pattern[str]) -> str:
    """`text` with spaces for what the patterns find; every other letter stays in its place."""
    for pattern in patterns:
        text = pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    return text
