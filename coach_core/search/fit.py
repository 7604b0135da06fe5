"""Whether sentences answer a question: words and meaning, each against what chance would give.

Invariant: no absolute cosine decides, for the cosines of some models lie in a narrow band whose place
shifts with question and language. Likeness counts from 0, the mean of sentences about other things, to 1,
the question itself, all scored with the same question.

The mean of the five best sentences parts questions that the documents answer from others best, since documents that
answer speak of a matter more than once. Three things tell against an answer: a name or number of the question that no
passage holds; a dose, price or number that is asked for and not in the nearest sentences (`asked_for`); and across
languages likeness is less, so less is asked. The limits are measured; docs/answers.md has how well they part.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from coach_core.search import asked_for, words

Score = Callable[[str, Sequence[str]], Sequence[float]]
Verdict = Literal["answers", "near", "nothing"]

#: Sentences about everything and nothing: what unrelated text scores with a question.
UNRELATED = (
    "The ferry to the northern islands leaves twice a day in summer.",
    "Fold the egg whites into the batter and bake for forty minutes.",
    "The volcano last erupted in the seventeenth century.",
    "Tighten the four bolts crosswise before you fit the wheel.",
    "The museum's collection of porcelain was moved to the new wing.",
    "Rainfall in the valley is highest between May and July.",
    "The second violin enters in the ninth bar with the main theme.",
    "A compiler turns source code into instructions for a processor.",
    "The team won the final by two goals in extra time.",
    "Granite consists mostly of quartz, feldspar and mica.",
    "The treaty was signed by the ministers of eleven countries.",
    "Wolves live in packs and mark the borders of their territory.",
)


_BEST = 5  # sentences whose mean decides
_ENOUGH = 0.48
_CLOSE = 0.42  # not an answer, but worth showing as the nearest there is
_MISSED = 0.06  # more for each name or number that the passages lack, at most two
_LACKS = 0.12  # more where what is asked for (a dose, a price, a number) is in none of the nearest sentences
_READ = 12
_ABROAD = 0.04  # less across languages, where the model sees less likeness
_SAMPLE = 2000  # characters that tell the language of the sentences
_SURE = 0.70  # one sentence this near in meaning and words is enough ...
_SURE_OF_FEW = 0.42  # ... or this near where there are few: the best of many is near by chance
_MANY = 48
_WORDS = 0.3  # what the share of words adds to likeness
_WORDS_ALONE, _WORDS_NEAR = 0.45, 0.3
_NEAR = 0.15
_CALENDAR = frozenset((*calendar.month_name, *calendar.day_name, "English"))
_NAME = re.compile(r"(?<=[^.!?:¿¡\"“'(\s])\s([A-Z][a-zà-ÿ]{2,}\w*)|\b(\d[\w.,:]*\w|\d)\b")


@dataclass(frozen=True, slots=True)
class Fit:
    """A score a sentence (higher fits better), what they are worth together, and how near to the best a score
    must be to be worth quoting too."""

    scores: tuple[float, ...]
    verdict: Verdict
    near: float = _NEAR


def judge(question: str, sentences: Sequence[str], score: Score | None) -> Fit:
    """How well each of `sentences` answers `question`."""
    if not sentences:
        return Fit((), "nothing")
    covered = coverage(question, sentences)
    abroad = _ABROAD if words.language_of(question) != words.language_of(" ".join(sentences)[:_SAMPLE]) else 0.0
    cosines = [float(c) for c in score(question, [question, *UNRELATED, *sentences])] if score else []
    if not cosines:
        verdict = _verdict(max(covered), _WORDS_ALONE, _WORDS_NEAR)
        return Fit(tuple(covered), verdict, max(covered) / 4)
    like = _likeness(cosines[0], cosines[1 : len(UNRELATED) + 1], cosines[len(UNRELATED) + 1 :])
    scores = tuple(near + _WORDS * share for near, share in zip(like, covered, strict=True))
    sure = _SURE_OF_FEW + (_SURE - _SURE_OF_FEW) * min(len(sentences) / _MANY, 1.0)
    missed = min(len(missing_names(question, sentences)), 2)
    nearest = sorted(range(len(like)), key=lambda at: -like[at])[:_READ]
    lacks = asked_for.lacking(question, " ".join(sentences[at] for at in nearest))
    best = fmean(sorted(like)[-_BEST:]) - _MISSED * missed - _LACKS * lacks
    if not missed and not lacks and max(scores) > sure:
        return Fit(scores, "answers")
    return Fit(scores, _verdict(best, _ENOUGH - abroad, _CLOSE - abroad))


def _verdict(value: float, enough: float, close: float) -> Verdict:
    return "answers" if value > enough else "near" if value > close else "nothing"


def coverage(question: str, sentences: Sequence[str]) -> list[float]:
    """The share of the question's content words in each sentence, rare words counting more."""
    asked = set(words.query_words(question))
    has = [asked & set(words.tokenise(s).split()) for s in sentences]
    if not asked:
        return [0.0] * len(sentences)
    weight = {w: math.log(1 + len(sentences) / (1 + sum(w in h for h in has))) for w in asked}
    total = sum(weight.values())
    return [sum(weight[w] for w in sorted(h)) / total for h in has]


def missing_names(question: str, sentences: Sequence[str]) -> list[str]:
    """Names and numbers in the question that no sentence holds. German writes every noun like a name."""
    text = " ".join(sentences).casefold()
    german = words.language_of(question) == "de"
    found = [m[2] or ("" if german else m[1]) for m in _NAME.finditer(question)]
    return [name for name in found if name and name not in _CALENDAR and name.casefold() not in text]


def _likeness(itself: float, unrelated: Sequence[float], cosines: Sequence[float]) -> list[float]:
    nothing = fmean(unrelated)
    span = max(itself - nothing, 1e-6)
    return [(c - nothing) / span for c in cosines]
