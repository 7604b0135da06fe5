"""One order out of two: how near in meaning, and how well the words match.

Invariant: the score lies in 0..1 and depends only on the candidates given. Cosines are stretched over
the candidates' own range, because those of a model lie in a narrow band (.77-.90 for e5); bm25 is taken
relative to the best. A candidate without words scores 0 there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEANING = 0.5


@dataclass(frozen=True, slots=True)
class Found:
    """A row with its fused score and what made it."""

    number: int
    score: float
    rank_words: int | None = None
    rank_meaning: int | None = None
    score_words: float | None = None
    score_meaning: float | None = None


def fuse(cosines: Mapping[int, float], bm25: Mapping[int, float], meaning: float = MEANING) -> list[Found]:
    """Rows by their fused score, best first; equal ones by number. `meaning` is the cosine's share.

    With one side missing the other decides alone.
    """
    low = min(cosines.values(), default=0.0)
    span = max(cosines.values(), default=0.0) - low
    most = max(bm25.values(), default=0.0)
    share = meaning if cosines and bm25 else 1.0 if cosines else 0.0
    by_words, by_meaning = _ranks(bm25), _ranks(cosines)
    out: list[Found] = []
    for number in cosines.keys() | bm25.keys():
        near = (cosines[number] - low) / span if number in cosines and span > 0 else float(number in cosines)
        said = bm25.get(number, 0.0) / most if most > 0 else 0.0
        score = share * near + (1 - share) * said
        ranks = (by_words.get(number), by_meaning.get(number))
        out.append(Found(number, score, *ranks, bm25.get(number), cosines.get(number)))
    return sorted(out, key=lambda f: (-f.score, f.number))


def _ranks(scores: Mapping[int, float]) -> dict[int, int]:
    order = sorted(scores, key=lambda n: (-scores[n], n))
    return {number: rank for rank, number in enumerate(order, 1)}
