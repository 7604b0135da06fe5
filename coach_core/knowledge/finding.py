"""The passages that go with a question.

Invariant: a search sees the collections it is given and no other, and never fails because there is no
embedder (yet): words alone answer then. No two passages of an answer say the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

from coach_core.knowledge.portion import portion
from coach_core.search import finder, fuse, highlight, words
from coach_core.search import gloss as glosses
from coach_core.search.gloss import Gloss
from coach_core.store import Database, chunks, documents, matching
from coach_core.types import Filter, Passage, clean_text

Ask = Callable[[str, float, Gloss | None], list[finder.Asked]]
Rerank = Callable[[str, Sequence[Passage]], list[Passage]]
_LONGEST_QUESTION = 4000
_LANGUAGES = 4  # of the documents, in which the words of a question are looked for
_SAME = 0.85  # of their words in common: two passages that say the same
_LONG_WORD = 30  # characters: no word, but a script without spaces

_pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="asking")  # words are looked for meanwhile


class Finding:
    """`ask` puts a question to the models that are open within so many seconds; `rerank` reads the best once more."""

    def __init__(self, db: Database, ask: Ask, rerank: Rerank | None = None) -> None:
        self._db = db
        self._ask = ask
        self._rerank = rerank
        self._known: matching.Census | None = None

    def find(
        self,
        text: str,
        collections: Sequence[UUID],
        *,
        k: int = 8,
        fits: Filter = Filter(),  # noqa: B008 - it is frozen
        wait: float = 0.0,
    ) -> list[Passage]:
        """The best `k` passages of `collections` that fit the filter, best first.

        `wait` is how many seconds to wait for the embedder while it is being opened.
        """
        found = self._ranked(text, collections, k, fits=fits, wait=wait)
        if self._rerank is not None:
            found = self._rerank(text, found)
        return _distinct(found, k)

    def portion(self, text: str, collections: Sequence[UUID], *, k: int, budget: int) -> list[Passage]:
        """What goes with a question: the best passages, neighbours made one, of `budget` tokens together."""
        return portion(self.find(text, collections, k=2 * k), k, budget, self._between)

    def fitting(self, collections: Sequence[UUID], fits: Filter) -> int:
        """How many documents of `collections` fit."""
        with self._db.read() as connection:
            return len(matching.narrowed(connection, list(collections), fits).documents)

    def why(self, text: str, passages: Sequence[Passage]) -> list[list[highlight.Span]]:
        """Where in each passage the words of the question stand, as the search by words sees them.

        In English ones those of its gloss too: the search looked for them.
        """
        wanted = highlight.asked(clean_text(text)[:_LONGEST_QUESTION], dict.fromkeys(p.language for p in passages))
        gloss = self._gloss(text, passages)
        abroad = wanted | set(gloss.tokens) if gloss is not None else wanted
        return [highlight.spans(p.text, abroad if p.language == glosses.INTO else wanted, p.language) for p in passages]

    def glossed(self, text: str, passages: Sequence[Passage]) -> list[str]:
        """The question's words in English, where English passages were found by them; else none."""
        gloss = self._gloss(text, passages)
        return gloss.said if gloss is not None else []

    def _gloss(self, text: str, passages: Sequence[Passage]) -> Gloss | None:
        return glosses.of(clean_text(text)[:_LONGEST_QUESTION].strip(), {p.language for p in passages})

    def ranked(self, text: str, collections: Sequence[UUID], by: finder.By = "both") -> list[Passage]:
        """All candidates of a search by words, by meaning or both, alike ones too; to measure it by."""
        return self._ranked(text, collections, 4 * finder.CANDIDATES, wait=60.0, by=by)

    def passage(self, chunk_id: UUID) -> Passage | None:
        """A passage by its id, or None when its document was deleted or replaced."""
        with self._db.read() as connection:
            row = chunks.row_of(connection, chunk_id)
        return _passage(row) if row is not None else None

    def _between(self, passage: Passage, start: int, end: int) -> str | None:
        with self._db.read() as connection:
            return documents.text_between(connection, passage.document_id, passage.document_hash, start, end)

    def _ranked(
        self,
        text: str,
        collections: Sequence[UUID],
        k: int,
        *,
        fits: Filter = Filter(),  # noqa: B008 - it is frozen
        wait: float = 0.0,
        by: finder.By = "both",
    ) -> list[Passage]:
        within = [c for c in dict.fromkeys(collections) if not fits.collections or c in fits.collections]
        text = clean_text(text)[:_LONGEST_QUESTION].strip()
        if not text or not within or k <= 0:
            return []
        with self._db.read() as connection:
            known = self._known = matching.census(connection, self._known)
            languages = known.languages(within)
            gloss = glosses.of(text, languages)
            asking = _pool.submit(self._ask, text, wait, gloss) if by != "words" else None
            # no document is in the question's own words: only those of its gloss can be found
            foreign = gloss is not None and words.language_of(text) not in languages
            readings = [] if foreign else words.query_readings(text, languages[:_LANGUAGES])
            ask = asking.result if asking is not None else list
            found = finder.find(connection, readings, ask, within, fits, by, known, gloss)[: 4 * k + 20]
            rows = chunks.rows_of(connection, [f.number for f in found], within)
        return [_passage(rows[f.number], f) for f in found if f.number in rows]


def _passage(row: Any, found: fuse.Found | None = None) -> Passage:
    return Passage(
        row.id,
        row.document_id,
        row.collection_id,
        row.sha256,
        row.title,
        row.text,
        row.section,
        row.page,
        row.row,
        row.start_char,
        row.end_char,
        row.language,
        found.score if found else 0.0,
        found.rank_words if found else None,
        found.rank_meaning if found else None,
        found.score_words if found else None,
        found.score_meaning if found else None,
    )


def _distinct(passages: Sequence[Passage], k: int) -> list[Passage]:
    """The first `k` that do not say the same as one before; each names the other documents that say so too."""
    kept: list[Passage] = []
    told: list[set[str]] = []
    for seen, passage in enumerate(passages):
        if len(kept) == k and seen >= 2 * k:
            break
        these = _said(passage.text)
        same = next((n for n, those in enumerate(told) if len(these & those) >= _SAME * len(these | those)), None)
        if same is not None:
            if passage.document_id != kept[same].document_id and passage.title not in kept[same].also:
                kept[same] = replace(kept[same], also=(*kept[same].also, passage.title))
        elif len(kept) < k:
            kept.append(passage)
            told.append(these)
    return kept


def _said(text: str) -> set[str]:
    """What a text says, whatever its case and marks: its words, or pairs of characters where there are no spaces."""
    said = re.findall(r"\w+", text.casefold())
    return {piece for word in said for piece in (_pieces(word) if len(word) > _LONG_WORD else [word])}


def _pieces(word: str) -> list[str]:
    return [word[at : at + 2] for at in range(len(word) - 1)]
