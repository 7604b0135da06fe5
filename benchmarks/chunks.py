"""A collection of any size in minutes: made-up words in the frequencies of real text, made-up vectors.

Invariant: rows are written as the app's own ingestion writes them and searched by its own search; only what they
say is made up, because extracting and embedding a million passages takes a day. Vectors lie as those of real models
do: in a narrow cone around a common direction, in clusters, and near to their cluster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from coach_core.coach import Coach
from coach_core.search import words
from coach_core.search.index import packed
from coach_core.store import Database, chunks, documents
from coach_core.types import Actor, new_id

F32 = NDArray[np.float32]
WORDS, PASSAGE, PART = 30_000, 80, 2_000
_syllables = ["ba", "ri", "to", "men", "sa", "lu", "ker", "in", "do", "vel", "pa", "ni", "qu", "os", "tra", "fel"]


class Spoken:
    """A language of made-up words, the frequent ones as frequent as those of real text without its stop words."""

    def __init__(self, seed: int = 7) -> None:
        self.rng = np.random.default_rng(seed)
        made: dict[str, None] = {}
        while len(made) < WORDS:
            made["".join(self.rng.choice(_syllables, self.rng.integers(2, 6)))] = None
        self.words = np.array(list(made))
        self.tokens = np.array([words.tokenise(w, "en") or w for w in made])
        share = 1 / (np.arange(WORDS) + 30.0)
        self._upto = np.cumsum(share / share.sum())

    def passages(self, count: int) -> tuple[list[str], list[str]]:
        """(texts, tokens) of `count` passages."""
        ranks = np.minimum(np.searchsorted(self._upto, self.rng.random((count, PASSAGE))), WORDS - 1)
        return [" ".join(row) + "." for row in self.words[ranks]], [" ".join(row) for row in self.tokens[ranks]]

    def question(self, number: int) -> str:
        """Eight words, as in a question of twelve without its stop words: two common ones, three seldom ones."""
        rng = np.random.default_rng(number)
        ranks = [*rng.integers(0, 100, 2), *rng.integers(100, 1_000, 3), *rng.integers(1_000, 20_000, 3)]
        return " ".join(str(w) for w in self.words[ranks])


class Vectors:
    """Made-up vectors of one model."""

    def __init__(self, name: str, dim: int) -> None:
        self.rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big"))
        self.name, self.dim = name, dim
        self._common = _unit(self.rng.standard_normal((1, dim)))
        self._middles = _unit(self.rng.standard_normal((1_000, dim)))

    def some(self, count: int) -> F32:
        mine = self._middles[self.rng.integers(0, len(self._middles), count)]
        own = _unit(self.rng.standard_normal((count, self.dim), np.float32))
        return _unit(0.9 * self._common + 0.3 * mine + 0.35 * own)


def question(number: int) -> str:
    return _spoken().question(number)


def fill(coach: Coach, actor: Actor, count: int, say: Callable[[int], None] = lambda _: None) -> UUID:
    """A collection of `count` passages, all with vectors of every model; the models are open when it returns."""
    collection = coach.create_collection(actor, f"Measured {count}")
    coach.knowledge.warm(120.0)
    models = [Vectors(side.embedder.name, side.embedder.dim) for side in coach.knowledge.embedding.sides.values()]
    write(coach._db, collection.id, count, models, say)
    coach.search(actor, question(0), collections=[collection.id])  # the matrices are loaded before anybody measures
    return collection.id


def write(db: Database, collection_id: UUID, count: int, models: Sequence[Vectors], say: Callable[[int], None]) -> None:
    """`count` passages in documents of PART, with their vectors."""
    spoken = _spoken()
    for at in range(0, count, PART):
        size = min(PART, count - at)
        texts, tokens = spoken.passages(size)
        version = _document(db, collection_id, at // PART, texts, tokens)
        with db.read() as connection:
            numbers = chunks.numbers_of(connection, version)
        for model in models:
            blobs = packed(model.some(size))
            rows = [(n, version, collection_id, blob) for n, blob in zip(numbers, blobs, strict=True)]
            db.write(lambda c, name=model.name, rows=rows: chunks.add_vectors(c, name, rows)).result()
        say(at + size)


def _document(db: Database, collection_id: UUID, number: int, texts: list[str], tokens: list[str]) -> UUID:
    document_id, version_id = new_id(), new_id()
    documents.hide(db, version_id, document_id, collection_id, "\n\n".join(texts), [])
    start, rows = 0, []
    for position, (text, said) in enumerate(zip(texts, tokens, strict=True)):
        rows.append(
            {
                "id": new_id(), "version_id": version_id, "document_id": document_id, "collection_id": collection_id,
                "position": position, "text": text, "section": "", "page": None, "row": None, "start_char": start,
                "end_char": start + len(text), "tokens": PASSAGE * 2, "words": said, "word_count": PASSAGE,
                "scope": chunks.scope(collection_id, document_id),
            }
        )  # fmt: skip
        start += len(text) + 2
    db.write(lambda c: chunks.add(c, version_id, rows)).result()
    values = {
        "collection_id": collection_id, "name": f"part-{number}.txt", "title": f"Part {number}",
        "media_type": "text/plain", "size": start, "sha256": hashlib.sha256(version_id.bytes).hexdigest(),
        "pages": None, "chunks": len(texts), "language": "en", "added_by": "",
    }  # fmt: skip
    documents.show(db, document_id, version_id, values, new=True)
    return version_id


def _unit(rows: NDArray[np.floating]) -> F32:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


_made: list[Spoken] = []


def _spoken() -> Spoken:
    if not _made:
        _made.append(Spoken())
    return _made[0]
