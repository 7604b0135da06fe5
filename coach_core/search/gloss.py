"""A question in other words: glossed word for word into English by a lexicon, for documents in English.

Invariant: without a lexicon of the question's language, or without documents in English, there is no gloss and
nothing is read. What a word may be called in English counts as one word (structured queries, Pirkola 1998): a
passage has the best of its translations, not their sum, or a word of many meanings would outweigh all others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from coach_core.search import lexicon, words
from coach_core.search.lexicon import Term
from coach_core.search.stopwords import STOP_WORDS

INTO = "en"
_OPTIONS = 4  # of a word, that are looked for
_WORDINGS = 3  # with one, two and three options a word: a wrong one is outvoted, a right second one is heard
_K1, _B = 1.2, 0.75  # as FTS5 has them


@dataclass(frozen=True)
class Gloss:
    terms: tuple[Term, ...]

    @cached_property
    def wordings(self) -> list[str]:
        """The question in English as well as words alone can say it, to be embedded."""
        return list(dict.fromkeys(" ".join(_said(t, n) for t in self.terms).strip() for n in range(1, _WORDINGS + 1)))

    @cached_property
    def known(self) -> float:
        """The share of the words that say something which the lexicon knows."""
        telling = [t for t in self.terms if not t.options or not _little(t.options[0])]
        return sum(bool(t.options) for t in telling) / len(telling) if telling else 0.0

    @cached_property
    def choices(self) -> list[list[tuple[str, ...]]]:
        """For each word that says something, the tokens of each of its translations."""
        found: list[list[tuple[str, ...]]] = []
        for term in self.terms:
            said = term.options[:_OPTIONS] or ((term.said,) if term.said.isascii() else ())
            told = [tuple(words.query_words(s)) for s in said if not _little(s)]
            if told := [t for t in dict.fromkeys(told) if t]:
                found.append(told)
        return found

    @property
    def said(self) -> list[str]:
        """The likeliest translation of each word that says something, as a person may be shown it."""
        first = (t.options[0] for t in self.terms if t.options)
        return list(dict.fromkeys(option for option in first if not _little(option.lower())))

    @property
    def tokens(self) -> dict[str, int]:
        """All that may be looked for."""
        return dict.fromkeys((token for told in self.choices for option in told for token in option), 1)

    def scores(self, rows: Mapping[int, str], held: Mapping[str, int], of: int) -> tuple[dict[int, float], float]:
        """bm25 of `rows` (their tokens by number), and how much of the question the best of them says, 0..1.

        `held` says how many of `of` rows hold a token.
        """
        counted = {number: Counter(text.split()) for number, text in rows.items()}
        sizes = {number: sum(c.values()) for number, c in counted.items()}
        mean = sum(sizes.values()) / len(sizes) if sizes else 1.0
        idf = {t: max(math.log((of - n + 0.5) / (n + 0.5)), 1e-6) for t in self.tokens if (n := held.get(t, 0)) < of}
        found: dict[int, float] = {}
        for number, has in counted.items():
            norm = _K1 * (1 - _B + _B * sizes[number] / max(mean, 1.0))
            weight = {t: idf[t] * has[t] * (_K1 + 1) / (has[t] + norm) for t in idf if t in has}
            score = sum(max(sum(weight.get(t, 0.0) for t in option) for option in told) for told in self.choices)
            if score > 0:
                found[number] = score
        there = [[o for o in told if any(held.get(t) for t in o)] for told in self.choices]
        ideal = sum(max((sum(idf.get(t, 0.0) for t in o) for o in told), default=0.0) for told in there)
        return found, min(1.0, max(found.values(), default=0.0) / ideal) if ideal else 0.0


def of(text: str, languages: Iterable[str]) -> Gloss | None:
    """The gloss of a question over documents in `languages`, or None where none is needed or none can be made."""
    language = words.language_of(text)
    if language in ("", INTO) or INTO not in languages:
        return None
    known = lexicon.of(language)
    gloss = Gloss(tuple(known.gloss(text))) if known is not None else None
    return gloss if gloss is not None and gloss.known > 0 else None


def _said(term: Term, options: int) -> str:
    return " ".join(term.options[:options]) or (term.said if term.said.isascii() else "")


def _little(english: str) -> bool:
    return all(w in STOP_WORDS[INTO] for w in english.split())


def better(said: Mapping[int, float], glossed: Mapping[int, float]) -> dict[int, float]:
    """Each row's higher score, in the question's own words or in those of the gloss."""
    return {n: max(said.get(n, 0.0), glossed.get(n, 0.0)) for n in [*said, *(g for g in glossed if g not in said)]}
