"""Whether sentences answer a question: words and meaning, each against what chance would give.

Invariant: no absolute cosine decides. Likeness in meaning is measured in standard deviations above a
fixed set of unrelated sentences, scored with the same question, because the cosines of some models lie
in a narrow band whose place shifts with question and language.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from coach_core.search import words

Score = Callable[[str, Sequence[str]], Sequence[float]]

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


@dataclass(frozen=True, slots=True)
class Fit:
    """A score a sentence (higher fits better) and whether the best is good enough to be quoted."""

    scores: tuple[float, ...]
    enough: bool
    meaning: float = 0.0
    coverage: float = 0.0


def judge(question: str, sentences: Sequence[str], score: Score | None) -> Fit:
    """How well each of `sentences` answers `question`."""
    if not sentences:
        return Fit((), False)
    covered = coverage(question, sentences)
    cosines = [float(c) for c in score(question, [*UNRELATED, *sentences])] if score else []
    if not cosines:
        return Fit(tuple(covered), max(covered) >= 0.45, coverage=max(covered))
    above = _above(cosines[: len(UNRELATED)], cosines[len(UNRELATED) :])
    total = tuple(max(a, 0.0) / 4 + c for a, c in zip(above, covered, strict=True))
    return Fit(total, max(total) >= 1.0, max(above), max(covered))


def coverage(question: str, sentences: Sequence[str]) -> list[float]:
    """The share of the question's content words in each sentence, rare words counting more."""
    asked = set(words.query_words(question))
    has = [asked & set(words.tokenise(s).split()) for s in sentences]
    if not asked:
        return [0.0] * len(sentences)
    weight = {w: math.log(1 + len(sentences) / (1 + sum(w in h for h in has))) for w in asked}
    total = sum(weight.values())
    return [sum(weight[w] for w in sorted(h)) / total for h in has]


def _above(unrelated: Sequence[float], cosines: Sequence[float]) -> list[float]:
    mean, spread = fmean(unrelated), pstdev(unrelated) or 1e-6
    return [(c - mean) / spread for c in cosines]
