"""Words of one language in another: compact bilingual lexicons with English, read when a question needs one.

Invariant: a lexicon is one block of sorted lines in memory, found in by bisection; nothing is read before the first
question in its language, and a language without a lexicon has no gloss. A line is a key, a tab and the English for it,
the likeliest first. A key is a word folded by `fold`, or "~" and the stems of the words of an expression, by which
other forms are found too.

The lexicons and their licences are in `data/`; `python -m benchmarks lexicon` makes them.
"""

from __future__ import annotations

import lzma
import re
import threading
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from coach_core.search import words
from coach_core.search.stopwords import STOP_WORDS

_DATA = Path(__file__).parent / "data"
_WORD = re.compile(r"(?:[^\W_]|(?<=\w)[\u0300-\u036f\u064b-\u065f\u0670])+(?:-[^\W\d_]+)*")
_MARKS = re.compile(r"[\u0300-\u036f\u064b-\u065f\u0670\u0640]")
_ACCENTS = re.compile(r"[\u0301\u0308]")  # ñ stays
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]+")
_ARABIC = str.maketrans("أإآٱىةؤئ", "اااايهوي")
_NOTHING = ("-",)  # for a word that says nothing by itself
_ARABIC_READINGS, _MOST_ARABIC = 3, 5
_LONGEST_EXPRESSION = 3  # words
_LONGEST_HAN = 8  # characters
_SHORTEST_PART = 4  # letters of a part of a German compound
_BEFORE = ("وبال", "وال", "فال", "بال", "كال", "لل", "ولل", "ال", "وس", "و", "ف", "ب", "ك", "ل", "س")
_AFTER = (
    "كما", "هما", "تها", "ته", "تي", "تك", "هم", "هن", "كم", "نا", "ها", "ني", "ان", "ون", "ين", "ات",
    "وا", "تم", "ه", "ك", "ي", "ا", "ت", "ن",
)  # fmt: skip
_VERB_BEGINS = "انتي"
_gate = threading.Lock()


@dataclass(frozen=True, slots=True)
class Term:
    """A word of a question and what it may be called in the other language, the likeliest first; nothing if unknown."""

    said: str
    options: tuple[str, ...] = ()


class Lexicon:
    """`lines` are sorted; each is a key, a tab and options parted by ";"."""

    def __init__(self, language: str, lines: bytes) -> None:
        self.language = language
        self._text = lines + b"\n"
        ends = np.flatnonzero(np.frombuffer(self._text, np.uint8) == ord("\n")).tolist()
        self._ends = array("I", ends)

    def options(self, key: str) -> tuple[str, ...]:
        wanted = f"{key}\t".encode()
        at = bisect_left(range(len(self._ends)), wanted, key=self._line)
        line = self._line(at) if at < len(self._ends) else b""
        return tuple(line[len(wanted) :].decode().split(";")) if line.startswith(wanted) else ()

    def _line(self, at: int) -> bytes:
        return self._text[self._ends[at - 1] + 1 if at else 0 : self._ends[at]]

    def gloss(self, text: str) -> list[Term]:
        """The words of `text` in their order; what says nothing by itself is left out."""
        if self.language == "zh":
            return list(self._han(text))
        return list(self._spaced(text))

    def _spaced(self, text: str) -> Iterator[Term]:
        said = _WORD.findall(unicodedata.normalize("NFKC", text))
        at = 0
        while at < len(said):
            length, options = self._expression(said[at:])
            if options != _NOTHING:
                yield Term(" ".join(said[at : at + length]), options)
            at += length

    def _expression(self, said: Sequence[str]) -> tuple[int, tuple[str, ...]]:
        """How many words from the first are one expression, little words aside, and its English."""
        stop = STOP_WORDS.get(self.language, frozenset())
        full = [at for at, w in enumerate(said[: 2 * _LONGEST_EXPRESSION]) if words.fold(w.casefold()) not in stop]
        for length in range(min(_LONGEST_EXPRESSION, len(full)), 1, -1):
            if full[0] == 0 and (options := self.options(stems([said[i] for i in full[:length]], self.language))):
                return full[length - 1] + 1, options
        return 1, self._word(said[0])

    def _word(self, word: str) -> tuple[str, ...]:
        folded = fold(word, self.language)
        if self.language == "ar":
            return self._arabic(folded)
        for form in dict.fromkeys((folded, folded.lower(), folded.capitalize() if self.language == "de" else folded)):
            if found := self.options(form):
                return found
        if found := self.options(stems([word], self.language)):
            return found
        return self._compound(folded.lower()) if self.language == "de" else ()

    def _arabic(self, word: str) -> tuple[str, ...]:
        """What the word means with and without what is written together with it: no one reading is sure."""
        found = [options for form in _bare(word) if (options := self.options(form))][:_ARABIC_READINGS]
        exact = self.options(word)
        if exact and (exact == _NOTHING or all(w in STOP_WORDS["en"] for w in exact[0].split())):
            return exact
        ranked = sorted(((at + 1.5 * nth, o) for nth, options in enumerate(found) for at, o in enumerate(options)))
        return tuple(dict.fromkeys(o for _, o in ranked if o != "-"))[:_MOST_ARABIC]

    def _compound(self, word: str) -> tuple[str, ...]:
        """A German compound by its parts, the last as long as can be: it says what kind of thing it is."""
        for cut in range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1):
            head = self._part(word[cut:])
            part = word[:cut]
            forms = dict.fromkeys((part, part.removesuffix("s"), part.removesuffix("n"), part.removesuffix("en")))
            first = next((o for form in forms if head and len(form) >= _SHORTEST_PART and (o := self._part(form))), ())
            if first:
                return tuple(f"{a} {b}" for a, b in zip(first, (*head, *[head[0]] * len(first)), strict=False))[:2]
        return ()

    def _part(self, part: str) -> tuple[str, ...]:
        forms = (part.capitalize(), part, stems([part], "de"))
        return next((o for form in forms if (o := self.options(form)) and o != _NOTHING), ())

    def _han(self, text: str) -> Iterator[Term]:
        text = unicodedata.normalize("NFKC", text)
        for part in re.finditer(r"[\u3400-\u4dbf\u4e00-\u9fff]+|[^\W_\u3400-\u9fff]+", text):
            if not _HAN.match(part[0]):
                yield Term(part[0], (part[0].casefold(),))
                continue
            for word in self._cut(part[0]):
                options = self.options(word)
                if options != _NOTHING:
                    yield Term(word, options)

    def _cut(self, run: str) -> list[str]:
        """The run in the fewest words of the lexicon, the first of those with the most even lengths."""
        best: list[tuple[int, int, list[str]]] = [(0, 0, [])]
        for end in range(1, len(run) + 1):
            ways: list[tuple[int, int, list[str]]] = []
            for start in range(max(0, end - _LONGEST_HAN), end):
                word = run[start:end]
                if len(word) == 1 or self.options(word):
                    cost, uneven, before = best[start]
                    ways.append((cost + 1, uneven + len(word) ** 2, [*before, word]))
            best.append(min(ways, key=lambda way: way[:2]))
        return best[-1][2]


def fold(word: str, language: str) -> str:
    """A word as the lexicons write it: without case, and without marks that do not part words in the language.

    Arabic letters that are written either way are one. A German noun keeps its capital: "Leid" is not "leid".
    """
    word = unicodedata.normalize("NFKC", word)
    if language == "de":
        lower = unicodedata.normalize("NFC", word.casefold())
        return lower[:1].upper() + lower[1:] if word[:1].isupper() else lower
    marks = _ACCENTS if language == "es" else _MARKS
    return unicodedata.normalize("NFC", marks.sub("", unicodedata.normalize("NFD", word.casefold()))).translate(_ARABIC)


def stems(said: Sequence[str], language: str) -> str:
    """The key of an expression, or of all forms of a word."""
    return "~" + " ".join(words.stem(w, language) for w in said)


def glosses(language: str) -> bool:
    return (_DATA / f"{language}-en.txt.xz").exists()


@lru_cache(maxsize=16)
def _open(language: str) -> Lexicon | None:
    path = _DATA / f"{language}-en.txt.xz"
    return Lexicon(language, lzma.decompress(path.read_bytes())) if path.exists() else None


def of(language: str) -> Lexicon | None:
    """The lexicon of `language` with English, or None."""
    with _gate:
        return _open(language)


def _bare(word: str) -> Iterator[str]:
    """An Arabic word without what is written together with it, the least taken off first; verbs in the third person."""
    begun = [word, *(word[len(b) :] for b in _BEFORE if word.startswith(b) and len(word) - len(b) >= 3)]
    begun += [b + "ه" for b in begun if not b.endswith("ه")]
    forms = begun + [
        b[: -len(a)] + t for b in begun for a in _AFTER if b.endswith(a) and len(b) - len(a) >= 2 for t in ("", "ه")
    ]
    verbs = [t + f[1:] for f in forms if f[:1] in _VERB_BEGINS and len(f) >= 3 for t in ("ي", "")]
    yield from dict.fromkeys([*sorted(forms, key=lambda f: -len(f)), *verbs])
