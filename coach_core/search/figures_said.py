"""Numbers that a sentence states and a passage does not: as digits, as words, in six languages.

Invariant: 1,000 and 1.000 and one thousand are one number, ٨ and 八 and eight too. A small number told in words
may be the writer's own count ("three ways"), so it counts only against another one told of the same thing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from coach_core.search import words

_DIGITS = re.compile(r"\d+(?:[.,'’\u00a0\u202f]\d{3})+(?!\d)|\d+(?:[.,]\d+)?")
_WORD = re.compile(r"\d+(?:[.,'’\u00a0\u202f]\d{3})+(?!\d)|\d+(?:[.,]\d+)?|[^\W\d_]+|[%€$£]")
_OTHER_DIGIT = re.compile(r"(?![0-9])\d")
_HAN = re.compile("[零一二两三四五六七八九十百千万]+")
_HAN_DIGIT = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"两": 2}
_HAN_UNIT = {"十": 10, "百": 100, "千": 1000, "万": 10000}
_OWN_COUNT = 3  # up to here a number in words may be the writer's own count
_LISTS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciseis "
    "diecisiete dieciocho diecinueve veinte",
    "de": "null eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf dreizehn vierzehn funfzehn sechzehn "
    "siebzehn achtzehn neunzehn zwanzig",
    "fr": "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept "
    "dix-huit dix-neuf vingt",
}
_TENS = {
    "thirty treinta dreissig dreißig trente": 30,
    "forty cuarenta vierzig quarante": 40,
    "fifty cincuenta funfzig cinquante": 50,
    "sixty sesenta sechzig soixante": 60,
    "seventy setenta siebzig": 70,
    "eighty ochenta achtzig": 80,
    "ninety noventa neunzig": 90,
    "hundred cien ciento hundert cent": 100,
    "thousand mil tausend mille": 1000,
    "million millon millones millionen": 1000000,
    "once einmal": 1,
    "twice double doppelt zweimal doble": 2,
    "dozen docena dutzend douzaine": 12,
    "half halb halbe halben halfte mitad media medio moitie demi demie نصف": 50,
    "quarter viertel cuarto quart ربع": 25,
    "fifth fifths funftel quinto quinta خمس": 20,
    "اثنان اثنين اثنتين": 2,
    "ثلاثة ثلاث": 3,
    "أربعة اربعة أربع اربع": 4,
    "خمسة": 5,
    "ستة ست": 6,
    "سبعة سبع": 7,
    "ثمانية ثماني": 8,
    "تسعة تسع": 9,
    "عشرة عشر": 10,
    "عشرين عشرون": 20,
    "ثلاثين ثلاثون": 30,
    "مئة مائة": 100,
    "ألف الف": 1000,
}
_SHARES = 20, 25, 50  # what a fifth, a quarter and half are in a hundred
_VALUES: dict[str, float] = {
    word: float(n) for listed in _LISTS.values() for n, word in enumerate(listed.split()) if word not in {"un", "once"}
} | {word: float(n) for listed, n in _TENS.items() for word in listed.split()}
#: what says a share and no count: it may stand for a number of the passage, but is none to look for
_FRACTIONS = frozenset(
    word for listed, n in _TENS.items() if n in _SHARES and not listed.startswith("fifty") for word in listed.split()
)
_IGNORED = frozenset({"once", "second", "mil"})


def lacking(sentence: str, passage: str, *, alike: bool) -> str:
    """A number of the sentence, with its unit, that the passage does not have; `alike`: both in one language."""
    there = _numbers(passage)
    known = {value for value, _, _ in there} | _sums(there)
    for value, said, unit in _numbers(sentence):
        spelled = not said[:1].isdigit()
        if spelled and (value <= 1 or value >= 100 or _folded(said) in _FRACTIONS):
            continue
        others = _of_same(unit, passage) if alike and unit else frozenset[float]()
        if value in known:
            if others and value not in others and value > 1:
                return f"{said} {unit}".strip()
            continue
        if spelled and value <= _OWN_COUNT and not others:
            continue
        return f"{said} {unit}".strip()
    return ""


@lru_cache(maxsize=512)
def _numbers(text: str) -> tuple[tuple[float, str, str], ...]:
    return tuple(_found(text))


def _found(text: str) -> Iterator[tuple[float, str, str]]:
    """(value, as it is written, the word it counts) of each number."""
    plain = _plain(text)
    tokens = list(_WORD.finditer(plain))
    for at, token in enumerate(tokens):
        word = token.group()
        unit = next((t.group() for t in tokens[at + 1 : at + 2] if t.start() - token.end() <= 1), "")
        unit = unit if unit and not unit[0].isdigit() and _counted(unit) else ""
        if word[0].isdigit():
            yield _value(word), word, unit
        elif (value := _VALUES.get(_folded(word))) is not None and _folded(word) not in _IGNORED:
            yield value, word, unit
        else:
            yield from ((n, run, "") for run in _HAN.findall(word) if (n := _han(run)) is not None)


@lru_cache(maxsize=16384)
def _counted(word: str) -> bool:
    """Whether a word may be what a number counts: "to" and "of" are not."""
    return bool(words.tokenise(word, "en"))


def _plain(text: str) -> str:
    """Digits of any script as 0-9; list numbers at the head of a line gone."""
    text = _OTHER_DIGIT.sub(lambda m: str(unicodedata.digit(m.group())), text)
    return re.sub(r"(?m)^\s*\(?\d{1,2}[.)]\s+", "", text)


@lru_cache(maxsize=16384)
def _folded(word: str) -> str:
    if word.isascii():
        return word.casefold()
    return "".join(c for c in unicodedata.normalize("NFD", word.casefold()) if not unicodedata.combining(c))


def _value(said: str) -> float:
    if re.fullmatch(r"\d{1,3}(?:[.,'’\u00a0\u202f]\d{3})+", said):
        return float(re.sub(r"\D", "", said))
    return float(said.replace(",", "."))


def _han(run: str) -> float | None:
    """一 alone is no count (一个, 一些); 一百二十 is."""
    if len(run) == 1 and run in "一十百千万":
        return 10.0 if run == "十" else None
    total = section = digit = 0
    for c in run:
        if c in _HAN_DIGIT:
            digit = _HAN_DIGIT[c]
        else:
            section, digit = section + (digit or 1) * _HAN_UNIT[c], 0
    total += section + digit
    return float(total) if total > 1 else None


def _sums(there: tuple[tuple[float, str, str], ...]) -> set[float]:
    """What number words that follow each other say together: two hundred, one thousand, twenty-five."""
    out: set[float] = set()
    for (a, _, _), (b, next_said, _) in pairwise(there):
        if not next_said[:1].isdigit():
            out.add(a * b if b in {100, 1000, 1000000} else a + b)
    return out


@lru_cache(maxsize=16384)
def _stem(word: str) -> str:
    return words.tokenise(word, "en") or word


@lru_cache(maxsize=512)
def _of_same(unit: str, passage: str) -> frozenset[float]:
    """The numbers that the passage tells of `unit`: those up to four words before it."""
    stem = _stem(unit)
    tokens = [t.group() for t in _WORD.finditer(_plain(passage))]
    out: set[float] = set()
    for at, token in enumerate(tokens):
        if _stem(token) == stem:
            before = tokens[max(0, at - 5) : at]
            out |= {_value(w) for w in before if w[0].isdigit()}
            out |= {v for w in before if (v := _VALUES.get(_folded(w))) is not None}
    return frozenset(out)
