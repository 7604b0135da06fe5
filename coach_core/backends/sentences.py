"""Cuts a passage into sentences as a reader would, in Latin, CJK and Arabic scripts.

Invariant: sentences come in reading order, whitespace collapsed, each a piece of the passage and none of
it twice; bullets and lone numbers are no sentences. Offsets are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

#: English; Spanish, Portuguese, French, Italian; German
_ABBREVIATIONS = frozenset(
    """mr mrs ms dr prof st jr sr rev gen col lt sgt hon vs etc fig figs no nos vol vols ch pp p ed eds al approx dept
    est inc ltd co corp ave mt e.g i.e cf viz a.m p.m u.s u.k ph.d b.a m.a b.c a.d jan feb mar apr jun jul aug sep
    sept oct nov dec mon tue tues wed thu thurs fri sat sun
    sra srta dña ud uds vd pág págs núm art ej p.ej aprox tel av ee uu m mm mme mlle éd env sig dott
    z.b d.h u.a u.ä usw bzw ca evtl ggf inkl bspw nr hr fr str abs abb s.o s.u o.ä v.a z.t zzgl vgl""".split()  # noqa: SIM905
)
_END = re.compile(
    r"[。！？｡][」』”’）》】\"']*"  # CJK: no blank follows
    r"|[؟۔][»”\"')\]]*(?=\s|$)"
    r"|(?:\.{3}|…|[.!?]+)[»”’\"')\]]*(?=\s|$)"
)
_BLOCKS = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•‣◦·–]|\d{1,2}[.)]|#{1,6})\s)|(?<=[:;.!?。！？])[ \t]*\n")
_BULLET = re.compile(r"^\s*(?:[-*•‣◦·–]|\(?\d{1,2}[.)]|#{1,6})\s+")
_MARKS = re.compile(r"\*\*|__|`|^>+\s*|\[\d+\](?=\W|$)")
_NUMBERED = re.compile(r"^>+\s*|\[\d+\](?=\W|$)")
_DRESS = re.compile(r"\*\*|__|`")
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_INITIAL = re.compile(r"(?:^|[\s(\"“'])[^\W\d_]$")
_OPENER = re.compile(r"[\s\"“«'‘(\[¿¡]*")


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, an item of a list, a question or a heading; `block` counts the paragraphs."""

    text: str
    kind: Literal["sentence", "item", "question", "heading"]
    block: int
    written: str = ""  # the same with the signs of stress and code that stand in it


def split(text: str) -> list[str]:
    """The sentences of `text`. What reads as a heading is left out."""
    return [u.text for u in units(text) if u.kind != "heading"]


def units(text: str, headings: Collection[str] = ()) -> list[Unit]:
    """All of `text` in reading order. `headings` are known ones (the heading path of the passage)."""
    found: list[Unit] = []
    known = {" ".join(h.split()).casefold() for h in headings}
    blocks = [b for b in _BLOCKS.split(text) if b.strip() and not b.lstrip().startswith("|")]  # tables: no sentences
    for number, block in enumerate(blocks):
        item = bool(_BULLET.match(block)) and not block.lstrip().startswith("#")
        dressed = " ".join(_NUMBERED.sub("", _BULLET.sub("", block)).split())
        line = " ".join(_MARKS.sub("", dressed).split())
        last = number == len(blocks) - 1
        if block.lstrip().startswith("#") or line.casefold() in known or (not item and not last and _short(line)):
            found.append(Unit(line, "heading", number, dressed))
            continue
        pieces = _cut(line)
        for piece, written in zip(pieces, _dressed(pieces, dressed), strict=True):
            if item or _is_sentence(piece):
                asks = piece.rstrip('"”’»)').endswith(("?", "？", "؟"))
                found.append(Unit(piece, "question" if asks else "item" if item else "sentence", number, written))
    return found


def _dressed(pieces: Sequence[str], line: str) -> Iterator[str]:
    """Each piece as it stands in `line`, which has signs of stress between its letters."""
    at = 0
    for piece in pieces:
        start, letters = at, iter(piece.replace(" ", ""))
        wanted = next(letters, "")
        while wanted and at < len(line):
            sign = _DRESS.match(line, at)
            if sign:
                at = sign.end()
                continue
            if line[at] == wanted:
                wanted = next(letters, "")
            at += 1
        while sign := _DRESS.match(line, at):  # those that close
            at = sign.end()
        yield line[start:at].strip()


def _short(line: str) -> bool:
    """Whether a paragraph reads as a heading: a few words and no mark at its end."""
    return len(line.split()) <= 12 and len(line) <= 90 and not re.search(r"[.!:;,。！：；，؛،…][\"”’»)]*$", line)


def ends(text: str) -> list[int]:
    """Where the sentences of a paragraph end, all but the last one that has no mark at its end."""
    return [end.end() for end in _END.finditer(text) if _ends_here(text, end)]


def _cut(line: str) -> list[str]:
    bounds = [0, *ends(line), len(line)]
    pieces = (line[a:b].strip() for a, b in pairwise(bounds))
    return [piece for piece in pieces if piece]


def _ends_here(line: str, end: re.Match[str]) -> bool:
    mark = end.group()
    after = line[_OPENER.match(line, end.end()).end() :][:1]  # type: ignore[union-attr]
    if after and after.islower():
        return False
    if not mark.startswith(".") or mark.startswith("..."):
        return True
    before = line[: end.start()]
    word = before.rsplit(None, 1)[-1].lstrip("(\"“«'[").lower() if before.strip() else ""
    if word in _ABBREVIATIONS or _INITIAL.search(before):
        return False
    return not (word.isdigit() and len(word) <= 2 and after)  # "am 3. Mai", "1. Name it"


def _is_sentence(piece: str) -> bool:
    """At least four words, or six wide characters, or an end mark behind three words."""
    if len(_WIDE.findall(piece)) >= 6:
        return True
    words = len(re.findall(r"[^\W\d_]{2,}", piece))
    return words >= 4 or (words >= 3 and bool(_END.search(piece)))
