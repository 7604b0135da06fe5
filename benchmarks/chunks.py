"""A collection of any size in a minute: made-up words in the frequencies of real text, random vectors.

Invariant: documents go in by the app's own ingestion and are searched by its own search; only their words
and vectors are made up, the latter because embedding 100,000 passages takes an hour.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from coach_core.coach import Coach
from coach_core.knowledge import Knowledge
from coach_core.types import Actor

WORDS = 30_000
_rng = np.random.default_rng(7)
_syllables = ["ba", "ri", "to", "men", "sa", "lu", "ker", "in", "do", "vel", "pa", "ni", "qu", "os", "tra", "fel"]
_vocabulary = ["".join(_rng.choice(_syllables, _rng.integers(2, 5))) for _ in range(WORDS)]


class _Borrowed:
    """Random vectors under the name of the real embedder."""

    def __init__(self, name: str, dim: int) -> None:
        self.name, self.dim = name, dim

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = _rng.standard_normal((len(texts), self.dim)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def query(self, text: str) -> NDArray[np.float32]:
        return self.passages([text])[0]


def question(number: int) -> str:
    """Three words that stand in the made-up documents, one of them common."""
    ranks = np.random.default_rng(number).integers([20, 500, 5_000], [200, 3_000, 20_000])
    return " ".join(_vocabulary[rank] for rank in ranks)


def fill(coach: Coach, actor: Actor, count: int) -> UUID:
    """A collection of about `count` passages, all with vectors; the embedder is open when it returns."""
    collection = coach.create_collection(actor, f"Measured {count}")
    knowledge = coach.knowledge
    made = number = 0
    while made < count:
        made += knowledge.add(collection.id, f"part-{number}.txt", _text(min(count - made, 2_000))).chunks
        number += 1
    knowledge.warm(120.0)
    opened = knowledge._embedder.get()
    Knowledge(coach._db, embedder_factory=lambda: _Borrowed(opened.name, opened.dim)).embed_pending(threading.Event())
    coach.search(actor, question(0), collections=[collection.id])  # the matrix is loaded before anybody measures
    return collection.id


def _text(passages: int) -> bytes:
    """Paragraphs of about a passage each, their words drawn as in Zipf's law."""
    paragraphs = []
    for _ in range(passages):
        ranks = np.minimum(_rng.zipf(1.3, 80), WORDS) - 1
        words = [_vocabulary[rank] for rank in ranks]
        paragraphs.append(". ".join(" ".join(words[at : at + 16]).capitalize() for at in range(0, 80, 16)) + ".")
    return "\n\n".join(paragraphs).encode()
