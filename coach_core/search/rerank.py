"""An optional second reading of the best passages by a model behind /v1/rerank.

Invariant: it changes the order of passages and nothing else, and costs a question no more than its deadline: late,
failing or answering nonsense, it leaves the order as it was, is counted and told once; one that is down is left alone.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field, replace
from typing import Any

from coach_core.errors import CoachError
from coach_core.search.breaker import Breaker
from coach_core.search.remote import Line, Refused, Server, Spec
from coach_core.types import Check, Passage

log = logging.getLogger(__name__)
CANDIDATES = 30
DEADLINE = 0.3
_LONGEST = 4000  # characters of a passage that are sent
_SERVER = 10.0  # seconds after which a request that nobody waits for any more is given up
_UNKNOWN_SHAPE = frozenset({400, 404, 405, 415, 422})


class Reranker:
    """A model behind an address that speaks as Jina, Cohere, vLLM and llama.cpp do, or as text-embeddings-inference."""

    def __init__(self, server: Server, spec: Spec) -> None:
        self.name = f"{spec.model}@{server.place}"
        self._model = spec.model
        self._line = Line(server)
        self._texts = False  # whether it wants `texts` in place of `documents`

    def scores(self, question: str, texts: Sequence[str], timeout: float = _SERVER) -> dict[int, float]:
        """How well each of `texts` answers, by its place; those that the server leaves out are not there."""
        texts = [t[:_LONGEST] for t in texts]
        try:
            answer = self._line.ask(self._body(question, texts), timeout)
        except Refused as error:
            if error.status not in _UNKNOWN_SHAPE:
                raise
            self._texts = not self._texts
            try:
                answer = self._line.ask(self._body(question, texts), timeout)
            except Refused:
                self._texts = not self._texts
                raise error from None
        return self._read(answer, len(texts))

    def close(self) -> None:
        self._line.close()

    def _body(self, question: str, texts: list[str]) -> dict[str, Any]:
        if self._texts:
            return {"query": question, "texts": texts, "truncate": True}
        return {"model": self._model, "query": question, "documents": texts, "top_n": len(texts)}

    def _read(self, answer: Any, count: int) -> dict[int, float]:
        try:
            items = answer if isinstance(answer, list) else answer.get("results") or answer["data"]
            found: list[tuple[int, float]] = []
            for item in items:
                score = item["relevance_score"] if "relevance_score" in item else item["score"]
                found.append((int(item["index"]), float(score)))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._wrong() from None
        scores = dict(found)
        if not scores or len(scores) != len(found):
            raise self._wrong()
        if not all(0 <= place < count and math.isfinite(score) for place, score in found):
            raise self._wrong()
        return scores

    def _wrong(self) -> Refused:
        return Refused(f"The {self._line.server.what} at {self._line.server.place} does not answer like /v1/rerank.", 1)


@dataclass
class _Counts:
    asked: int = 0
    late: int = 0
    failed: int = 0
    left_alone: int = 0
    milliseconds: deque[float] = field(default_factory=lambda: deque[float](maxlen=500))


@dataclass(frozen=True, slots=True)
class Rules:
    """The model (a spec), of how many passages, within how many seconds."""

    spec: str = ""
    candidates: int = CANDIDATES
    deadline: float = DEADLINE


class Reranking:
    """`rules` say what holds now, `opener` makes the reranker of a spec; each question asks anew."""

    def __init__(self, rules: Callable[[], Rules] = Rules, opener: Callable[[str], Reranker] | None = None) -> None:
        self._rules = rules
        self._opener = opener
        self._gate = threading.Lock()
        self._spec = ""
        self._reranker: Reranker | None = None
        self._breaker = Breaker()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="rerank")
        self.counts = _Counts()
        self._told = False
        self._note = ""

    def __call__(self, question: str, passages: Sequence[Passage]) -> list[Passage]:
        """`passages` with the best of them in the reranker's order; as they came when it does not answer in time."""
        rules = self._rules()
        passages = list(passages)
        if not rules.spec or len(passages) < 2:
            return passages
        if not self._breaker.allows():
            self.counts.left_alone += 1
            return passages
        first = passages[: rules.candidates]
        began = time.perf_counter()
        self.counts.asked += 1
        try:
            future = self._pool.submit(self._scores, rules.spec, question, [_read_as(p) for p in first])
            scores = future.result(rules.deadline)
        except Late:
            self.counts.late += 1
            self._fail(f"The reranker did not answer within {rules.deadline * 1000:.0f} ms")
            return passages
        except CoachError as error:
            self.counts.failed += 1
            self._fail(error.sentence.rstrip("."))
            return passages
        except RuntimeError:  # the app is closing
            return passages
        self.counts.milliseconds.append((time.perf_counter() - began) * 1000)
        self._breaker.worked()
        self._told = False
        return _in_order(first, scores) + passages[rules.candidates :]

    def note(self) -> str:
        """What a person should hear of the last failure, once; "" when there is nothing (more) to say."""
        with self._gate:
            note, self._note = self._note, ""
            return note

    def check(self) -> Check | None:
        """A small live question, for `doctor`; None where there is no reranker."""
        rules = self._rules()
        if not rules.spec:
            return None
        began = time.perf_counter()
        try:
            self._scores(rules.spec, "When is it open?", ["It opens at nine.", "The river is cold."])
        except CoachError as error:
            return Check("reranker", "warn", error.sentence, "Passages keep the order of the search until then.")
        took = (time.perf_counter() - began) * 1000
        c = self.counts
        detail = f"{rules.spec}, the best {rules.candidates} within {rules.deadline * 1000:.0f} ms"
        if c.asked:
            detail += f"; asked {c.asked:,} times, {c.late:,} late, {c.failed:,} failed, {c.left_alone:,} not asked"
        return Check("reranker", "ok", detail, "", round(took, 1))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._gate:
            if self._reranker is not None:
                self._reranker.close()

    def _scores(self, spec: str, question: str, texts: Sequence[str]) -> dict[int, float]:
        return self._open(spec).scores(question, texts)

    def _open(self, spec: str) -> Reranker:
        with self._gate:
            if self._reranker is None or self._spec != spec:
                if self._opener is None:
                    raise Refused("There is nothing that opens a reranker here.", 1)
                before, self._reranker = self._reranker, self._opener(spec)
                self._spec = spec
                if before is not None:
                    self._breaker = Breaker()
                    before.close()
            return self._reranker

    def _fail(self, what: str) -> None:
        self._breaker.failed()
        with self._gate:
            if not self._told:
                self._told = True
                self._note = f"{what}; the passages keep the order of the search."
                log.warning("%s", self._note)


def _read_as(passage: Passage) -> str:
    heading = f"{passage.title}, {passage.within}" if passage.within else passage.title
    return f"{heading}\n{passage.text}" if heading else passage.text


def _in_order(passages: list[Passage], scores: dict[int, float]) -> list[Passage]:
    """The best first, then those without a score; the search's scores go to the places, so that they fall as before."""
    order = sorted(scores, key=lambda place: -scores[place])
    order += [place for place in range(len(passages)) if place not in scores]
    fits = sorted((p.score for p in passages), reverse=True)
    return [
        replace(passages[place], score=fit, rank_reranker=rank if place in scores else None)
        for rank, (place, fit) in enumerate(zip(order, fits, strict=True), 1)
    ]
