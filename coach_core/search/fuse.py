"""One order out of several: how near in meaning, by one model or more, and how well the words match.

Invariant: scores lie in 0..1, the best has 1 or less, and they depend only on the candidates given. Likeness
is stretched over the candidates' own range, because that of a model lies in a narrow band (.77-.90 for e5);
bm25 is taken relative to the best. A candidate without words scores 0 there; one that no model has read yet is taken
to be as near as its words suggest, and changes the score of no other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numkong
import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
POOL = 200  # of the best, whose likeness to each other counts
_NEIGHBOURS = 10
_LENT = 0.3
_ALIKE = 3  # rows with a little fewer and a little more of the words, by which an unread one is judged


@dataclass(frozen=True, slots=True)
class Found:
    """A row with its fused score and what made it."""

    number: int
    score: float
    rank_words: int | None = None
    rank_meaning: int | None = None
    score_words: float | None = None
    score_meaning: float | None = None


def fuse(
    likeness: Mapping[int, float],
    bm25: Mapping[int, float],
    coverage: float = 1.0,
    cosines: Mapping[int, float] | None = None,
) -> list[Found]:
    """Rows by their fused score, best first; equal ones by number. `cosines` are told in place of the likeness.

    Words count as much as meaning where some row says all that is asked (`coverage` 1), less as the best of them
    says less: the best of bad matches is no good one, and in another language nothing but names will match. With
    one side missing the other decides alone.
    """
    by_words, by_meaning = _ranks(bm25), _ranks(likeness)
    told = likeness if cosines is None else cosines
    out: list[Found] = []
    for number, score in weighed(likeness, bm25, coverage).items():
        ranks = (by_words.get(number), by_meaning.get(number))
        out.append(Found(number, score, *ranks, bm25.get(number), told.get(number)))
    return _ordered(out)


def weighed(likeness: Mapping[int, float], bm25: Mapping[int, float], coverage: float = 1.0) -> dict[int, float]:
    """The fused score of each row (see `fuse`)."""
    low = min(likeness.values(), default=0.0)
    span = max(likeness.values(), default=0.0) - low
    most = max(bm25.values(), default=0.0)
    share = 1 / (1 + coverage) if likeness and bm25 else 1.0 if likeness else 0.0
    out = {n: share * ((near - low) / span if span > 0 else 1.0) for n, near in likeness.items()}
    if most > 0:
        if out:
            out |= _suggested(out, bm25, most / coverage if coverage > 0 else math.inf, share)
        for number, said in bm25.items():
            out[number] = out.get(number, 0.0) + (1 - share) * said / most
    return out | {n: 0.0 for n in bm25 if n not in out}


def _suggested(near: Mapping[int, float], bm25: Mapping[int, float], all_said: float, share: float) -> dict[int, float]:
    """What meaning is to add for rows that it does not know yet, such as those of a document just taken in.

    As near as those are whose words match as well, and at least as its words alone say: one that says all that is
    asked (`all_said`) is what is asked for.
    """
    unread = [n for n in bm25 if n not in near]
    if not unread:
        return {}
    said = sorted((bm25[n], value) for n, value in near.items() if n in bm25)
    scores, values = [s for s, _ in said], [value for _, value in said]
    out: dict[int, float] = {}
    for number in unread:
        at = bisect_left(scores, bm25[number])
        alike = values[max(0, at - _ALIKE) : at + _ALIKE]
        mean = sum(alike) / len(alike) if alike else 0.0
        out[number] = max(mean, share * min(1.0, bm25[number] / all_said))
    return out


def coverage(
    bm25: Mapping[int, float], readings: Sequence[Mapping[str, int]], holding: Mapping[str, int], of: int
) -> float:
    """How much of the question the best row says, 0..1: its bm25 by that of a row of mean length with every word once.

    `readings` are the question's words with their counts, as several languages stem them; the one counts that the
    rows know best. `holding` says how many of the `of` rows hold a word.
    """
    ideals = [sum(n * _idf(holding.get(token, 0), of) for token, n in reading.items()) for reading in readings]
    ideal = min((i for i in ideals if i > 0), default=0.0)
    return min(1.0, max(bm25.values(), default=0.0) / ideal) if ideal else 1.0


def _idf(holding: int, of: int) -> float:
    """As FTS5 weighs a word."""
    return max(math.log((of - holding + 0.5) / (holding + 0.5)), 1e-6) if of > holding else 1e-6


def together(models: Sequence[Mapping[int, float]], weights: Sequence[float] = ()) -> dict[int, float]:
    """One likeness out of those of several models, each in its own units of spread, by their weights (equal if untold).

    A row that some model does not know (yet) has the mean of the others.
    """
    known = [(m, w) for m, w in zip(models, weights or [1.0] * len(models), strict=True) if m]
    if len(known) < 2:
        return dict(known[0][0]) if known else {}
    place = {number: at for at, number in enumerate(dict.fromkeys(n for m, _ in known for n in m))}
    total, weight = np.zeros(len(place)), np.zeros(len(place))
    for model, share in known:
        here = [place[n] for n in model]
        total[here] += share * _standard(np.fromiter(model.values(), np.float64, len(model)))
        weight[here] += share
    return dict(zip(place, (total / np.where(weight > 0, weight, 1.0)).tolist(), strict=True))


def lend(found: Sequence[Found], numbers: Sequence[int], vectors: F32) -> list[Found]:
    """`found` again, a part of each score being that of the row's nearest neighbours among the best.

    What is relevant to a question lies together (van Rijsbergen's cluster hypothesis), so passages like those that
    score well are raised and lone ones, near by chance, lowered (score regularization, Diaz 2005). `vectors` are
    those of `numbers`, rows of length one; a row without one is lent what those are that score as it does.
    """
    place = {number: at for at, number in enumerate(numbers)}
    pool = [f for f in found[:POOL] if f.number in place]
    if len(pool) < _NEIGHBOURS:
        return list(found)
    rows = np.ascontiguousarray(vectors[[place[f.number] for f in pool]], np.float32)
    near = np.array(numkong.cdist(rows, rows, "dot"))  # in this thread: BLAS would wait for busy cores
    np.fill_diagonal(near, -1.0)
    k = min(_NEIGHBOURS, len(pool) - 1)
    least = np.partition(near, -k, axis=1)[:, -k][:, None]
    weights = np.where(near >= least, np.maximum(near, 1e-6), 0.0)
    scores = np.asarray([f.score for f in pool])
    lent = (weights @ scores) / weights.sum(axis=1)
    by_number = {f.number: float(value) for f, value in zip(pool, lent, strict=True)}
    changed: list[Found] = []
    better = 0  # rows with a vector that come before
    for f in found[:POOL]:
        if f.number in by_number:
            part = by_number[f.number]
            better += 1
        else:
            part = float(lent[max(0, better - _ALIKE) : better + _ALIKE].mean())
        changed.append(_scored(f, (1 - _LENT) * f.score + _LENT * part))
    last = min(f.score for f in changed)
    rest = [_scored(f, min(f.score, last)) for f in found[POOL:]]
    return [*_ordered(changed), *rest]


def _scored(found: Found, score: float) -> Found:
    """`found` with another score; dataclasses.replace would take as long as all the rest."""
    ranks = (found.rank_words, found.rank_meaning)
    return Found(found.number, score, *ranks, found.score_words, found.score_meaning)


def _standard(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return (scores - scores.mean()) / (scores.std() or 1.0)


def _ordered(found: Sequence[Found]) -> list[Found]:
    return sorted(found, key=lambda f: (-f.score, f.number))


def _ranks(scores: Mapping[int, float]) -> dict[int, int]:
    order = sorted(scores, key=lambda n: (-scores[n], n))
    return {number: rank for rank, number in enumerate(order, 1)}
