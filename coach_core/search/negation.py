"""Whether a sentence says the opposite of a passage: what one denies and the other does not.

Invariant: tells only of sentences that share most of their words, in one language; a sentence with a condition
("only if", "unless") is left alone, for it turns a denial round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from coach_core.search import words

_SCOPE = 3  # content words after a negator that it denies
_ENOUGH = 0.62  # share of the sentence's words in one place of the passage
_SURE = 0.75  # from which each negator is held against the other's
_NEGATORS = frozenset(
    """not no never nobody nothing none neither nor cannot without hardly rarely seldom barely avoid avoids avoiding
    refrain stop stops skip omit isnt arent wasnt werent dont doesnt didnt cant couldnt wont wouldnt shouldnt mustnt
    neednt havent hasnt hadnt lack lacks
    nunca jamas sin nadie nada tampoco evita evite evitar
    nicht nie niemals kein keine keinen keinem keiner keines ohne niemand nichts vermeide vermeiden statt
    pas jamais sans aucun aucune rien eviter evitez
    لا لم لن ليس ليست غير بدون دون""".split()  # noqa: SIM905
)
_SOFT = frozenset(
    {"avoid", "avoids", "avoiding", "refrain", "stop", "stops", "skip", "omit", "lack", "lacks", "without"}
)
#: words in whose neighbourhood a soft negator may be said another way
_MINOR = frozenset(
    {"leave", "left", "drop", "less", "limit", "cut", "reduce", "instead", "rather", "quit", "out", "off"}
)
_SPANISH_NO = frozenset({"no", "ni"})
_PIVOTS = frozenset({"than", "before", "after", "als", "bevor", "antes", "despues", "avant"})
_TURNS = re.compile(
    r"\b(?:only|unless|except|until|not just|not only|no matter|solo|salvo|excepto|nur|außer|"
    r"es sei denn|sauf|ne\b.*\bque)\b|سوى|إلا|除非|只有|仅",
    re.I,
)
_AT_MOST = re.compile(
    r"\bnot? (?:more|less|fewer|longer|later|earlier|sooner) than\b|\bno (?:más|menos) de\b|"
    r"\bnicht (?:mehr|weniger|länger) als\b|\bnot (?:only|just|necessarily)\b|\bno (?:matter|doubt|wonder)\b"
)
_CLAUSE = re.compile(r"[,;:.!?()—–]|\b(?:but|sondern|sino|mais|however|because|which|who)\b")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
#: what a quote may not have lost before its first word, as letters
_CUT = ("not", "dont", "doesnt", "didnt", "cannot", "cant", "never", "isnt", "arent", "avoid", "nicht", "nie", "nunca")
#: words that deny each other
_OPPOSITES = {
    a: b
    for pair in (
        "more less", "most least", "higher lower", "increase decrease", "increases decreases", "better worse",
        "always never", "strength weakness", "easier harder", "faster slower", "early late", "earlier later",
        "raise lower", "gain lose", "safe dangerous", "helpful harmful", "mehr weniger",
        "immer nie", "mas menos", "siempre nunca", "plus moins",
    )
    for a, b in (pair.split(), pair.split()[::-1])
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Word:
    """A stem; which negator of the text denies it (0: none); whether that one is a soft one, such as "avoid"."""

    stem: str
    denied: int
    soft: bool


def flipped(sentence: str, places: Sequence[str], language: str) -> bool:
    """Whether the sentence says the opposite of the place of the passage that is most like it."""
    if _TURNS.search(sentence):
        return False
    ours = _read(sentence, language)
    stems = {w.stem for w in ours}
    like = sorted(places, key=lambda p: -_shared(stems, _read(p, language)))[:1]
    for place in like:
        theirs = _read(place, language)
        share = _shared(stems, theirs)
        if share >= _ENOUGH and not _TURNS.search(place) and _opposed(ours, theirs, sure=share >= _SURE):
            return True
    return False


def _opposed(ours: Sequence[_Word], theirs: Sequence[_Word], *, sure: bool) -> bool:
    return _denied(ours, theirs, 1, sure=sure) or _denied(theirs, ours, 2, sure=sure) or _turned(ours, theirs)


def _denied(one: Sequence[_Word], other: Sequence[_Word], least: int, *, sure: bool) -> bool:
    """Whether `one` denies at least so many words that `other` affirms; unless `other` denies too, in its own way."""
    if not sure and any(w.denied for w in other):
        return False
    if any(w.soft for w in (*one, *other)) and not sure:
        return False
    denied_there = {w.stem for w in other if w.denied}
    affirmed = {w.stem for w in other if not w.denied}
    for group in {w.denied for w in one if w.denied}:
        stems = {w.stem for w in one if w.denied == group}
        if not stems & denied_there and len(stems & affirmed) >= least:
            return True
    return False


def _turned(ours: Sequence[_Word], theirs: Sequence[_Word]) -> bool:
    """Whether one has a word's opposite in its place, or compares the same two things the other way round."""
    here, there = {w.stem for w in ours}, {w.stem for w in theirs}
    for stem in here - there:
        opposite = _OPPOSITES.get(stem)
        if opposite and opposite in there - here:
            return True
    for pivot in _PIVOTS & here & there:
        left, right = _about(ours, pivot)
        before, after = _about(theirs, pivot)
        if right & before and left & after and not right & after:
            return True
    return False


def _about(read: Sequence[_Word], pivot: str) -> tuple[set[str], set[str]]:
    at = next(i for i, w in enumerate(read) if w.stem == pivot)
    return {w.stem for w in read[:at]}, {w.stem for w in read[at + 1 :]}


def _shared(stems: set[str], read: Sequence[_Word]) -> float:
    return len(stems & {w.stem for w in read}) / len(stems) if stems else 0.0


@lru_cache(maxsize=2048)
def _read(text: str, language: str) -> tuple[_Word, ...]:
    """The content words' stems and the words that compare, each with the negator (1, 2 ...; 0: none) that denies it."""
    out: list[_Word] = []
    text = _AT_MOST.sub("", text.casefold())
    text = re.sub(r"\b(can|\w+?)n?n['’]t\b", r"\1 not", text)
    count = 0
    for clause in _CLAUSE.split(text):
        left, soft = 0, False
        for match in _WORD.finditer(clause or ""):
            word = match.group()
            if word in _NEGATORS and (word not in _SPANISH_NO or language in {"en", "es"}):
                count, left, soft = count + 1, _SCOPE, word in _SOFT
                continue
            if word in _PIVOTS:
                out.append(_Word(word, 0, False))
                continue
            stems = words.tokenise(word, language).split()
            opposed = [word] if word in _OPPOSITES else stems
            out += [_Word(s, count if left > 0 else 0, soft and left > 0) for s in opposed]
            left -= bool(stems)
            soft = soft or word in _MINOR
    return tuple(out)


def ends_in(letters: str) -> bool:
    """Whether text, given as its letters alone, ends with a negation: "...butdont"."""
    return letters.endswith(_CUT)
