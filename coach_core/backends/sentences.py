"""Cuts a passage into sentences as a reader would, in Latin, CJK and Arabic scripts.

Invariant: sentences come in reading order, whitespace collapsed, each a piece of the passage and none of
it twice; headings, bullets and lone numbers are no sentences. Offsets are not kept.
"""

from __future__ import annotations

import re

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
_WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_INITIAL = re.compile(r"(?:^|[\s(\"“'])[^\W\d_]$")
_OPENER = re.compile(r"[\s\"“«'‘(\[¿¡]*")


def split(text: str) -> list[str]:
    """The sentences of `text`. What reads as a heading is left out."""
    found: list[str] = []
    for block in _BLOCKS.split(text):
        if block.lstrip().startswith("#"):
            continue
        line = " ".join(_MARKS.sub("", _BULLET.sub("", block)).split())
        found += [s for s in _cut(line) if _is_sentence(s)]
    return found


def _cut(line: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    for end in _END.finditer(line):
        if _ends_here(line, end):
            pieces.append(line[start : end.end()].strip())
            start = end.end()
    return [*pieces, rest] if (rest := line[start:].strip()) else pieces


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
