"""What comes to mind for a question: approved memories, and old turns of the same person as evidence.

Invariant: everything on a shelf is of one `Whose` and may be read by the actor; nothing else is ever ranked, counted
or told. Without an embedder, or before vectors are there, words alone decide.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from coach_core import tokens
from coach_core.memory import rendering
from coach_core.search import dates_said, words
from coach_core.search.finder import Asked
from coach_core.search.recall import Entry, Hit, Shelf
from coach_core.store import Database, memories
from coach_core.store import recall as rows
from coach_core.types import Actor, Memory, OldTurn, Recalled, RecallKind, Recollection, Whose, now

F32 = NDArray[np.float32]
log = logging.getLogger(__name__)
#: puts a question to the models that are open within so many seconds
Ask = Callable[[str, float], Sequence[Asked]]
_SHELVES = 64
_TURNS_BEHIND = 4
_LOOK_AGAIN = 5.0  # seconds after which vectors that were missing are looked for again
_STALE = 300.0  # after which another process may have gone on with the thread
_LONGEST_QUESTION = 2000
_LONGEST_TIME = 400  # days: what is said of a longer time says nothing of when
_MEMORY_FIRST = 0.1  # a fact that a coach approved, before a remark
_RECENT = 0.05
_HALF_LIFE = 90.0
_LEAST_MEMORY = 0.45  # of the best score: below, it has nothing to do with the question
_LEAST_TURN = 0.65
_KIND_OF: dict[RecallKind, tuple[str, ...]] = {
    "goals": ("goal",),
    "challenges": ("challenge",),
    "progress": ("progress",),
}


@dataclass
class _Kept:
    """A shelf with what it was built from; `keys` are its entries in order."""

    built_of: object
    shelf: Shelf
    memories: dict[UUID, Memory]
    complete: bool
    looked: float
    head: UUID | None = None  # of the thread's own branch, as it was
    turns: int = 0  # that have ended in the thread since


class Recaller:
    """Made once by coach.py. `ask` is the embedders' side of a search."""

    def __init__(self, db: Database, ask: Ask, count: Callable[[str], int] = tokens.count) -> None:
        self._db = db
        self._ask = ask
        self._count = count
        self._gate = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="recall")
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()

    def recall(
        self,
        actor: Actor,
        subject: Whose,
        question: str,
        *,
        thread_id: UUID | None = None,
        kind: RecallKind = "relevant",
        k: int = 5,
        budget: int = 600,
        exclude: Collection[UUID] = (),
        name: str = "",
        moment: datetime | None = None,
        everything: bool = False,
    ) -> Recollection:
        """The best `k` within `budget` tokens. `exclude` are messages that are told anyway; `everything` leaves
        nothing out for having little to do with the question."""
        if k <= 0 or budget <= 0:
            return Recollection()
        if kind != "relevant":
            return self._of_kind(actor, subject, kind, k, budget, name)
        question = question[:_LONGEST_QUESTION].strip()
        readings = words.query_readings(question) if question else []
        if not any(readings):
            return Recollection()
        asked = self._ask(question, 0.0)
        with self._db.read() as connection:
            kept = self._shelf(connection, actor, subject, thread_id, [a.side.embedder.name for a in asked])
            times = [(t.start, t.end) for t in dates_said.find(question, moment or now()) if t.days <= _LONGEST_TIME]
            sides = [(a.side.embedder.name, a.vector, a.side.shared) for a in asked]
            exclude = {*exclude, *self._left_behind(connection, kept, thread_id)}
            hits = [h for h in kept.shelf.rank(readings, sides, times) if kept.shelf.entries[h.at].key not in exclude]
            if not everything:
                hits = _bearing(hits, kept)
            chosen = self._chosen(connection, hits, kept, k, budget, exclude)
        return self._told(chosen, name)

    def _of_kind(self, actor: Actor, subject: Whose, kind: RecallKind, k: int, budget: int, name: str) -> Recollection:
        """The newest memories of a kind, or of all."""
        with self._db.read() as connection:
            there = memories.approved(connection, actor, subject)
        wanted = _KIND_OF.get(kind)
        fit = [m for m in there if wanted is None or m.kind in wanted]
        fit.sort(key=lambda m: m.created_at if wanted else max(m.created_at, m.updated_at), reverse=True)
        out: list[Recalled] = []
        left = budget - rendering.cost_of_head()
        for memory in fit[:k]:
            item = Recalled(len(out) + 1, 1.0, "most recent", memory)
            left -= self._count(rendering.line(item)) + 1
            if left < 0 and out:
                break
            out.append(item)
        return self._told(out, name)

    def went_on(self, subject: Whose, thread_id: UUID) -> bool:
        """A turn has ended in a thread; whether what is kept for it is to be read anew now.

        A thread about nobody reaches back into itself alone, and what was just said there is told anyway: its shelf
        is read anew every few turns, for a long one takes a while."""
        if subject.client_id is not None:
            self.forget(subject)
            return True
        with self._gate:
            for key, kept in list(self._kept.items()):
                if subject in key and thread_id in key:
                    kept.turns += 1
                    if kept.turns < _TURNS_BEHIND:
                        return False
                    del self._kept[key]
        return True

    def ready(self, subject: Whose, thread_id: UUID) -> bool:
        """Whether a shelf for the thread is there."""
        with self._gate:
            return any(
                subject in key and (thread_id if subject.client_id is None else None) in key for key in self._kept
            )

    def forget(self, subject: Whose) -> None:
        """What is kept of a person in memory is read anew: something was said, or changed."""
        with self._gate:
            for key in [k for k in self._kept if subject in k]:
                del self._kept[key]

    # -- choosing -----------------------------------------------------------------------------------

    def _chosen(
        self, connection: Connection, hits: Sequence[Hit], kept: _Kept, k: int, budget: int, exclude: Collection[UUID]
    ) -> list[Recalled]:
        """The best first as they are; then what stands around old turns, as far as the budget goes."""
        entries, left = kept.shelf.entries, budget - rendering.cost_of_head()
        likely = [entries[h.at].key for h in hits[: 4 * k + 8]]
        around = [entries[o].key for h in hits[: 2 * k] for o in kept.shelf.beside(h.at)]
        turns = rows.turns(connection, [i for i in (*likely, *around) if i not in kept.memories])
        picked: list[tuple[Hit, list[int]]] = []
        covered: set[UUID] = set()
        for hit in hits:
            if len(picked) == k:
                break
            key = entries[hit.at].key
            if key in covered or (key not in kept.memories and key not in turns):
                continue
            cost = self._count(self._line(hit, [hit.at], kept, turns)) + 1
            if cost > left and picked:
                continue
            left -= cost
            picked.append((hit, [hit.at]))
            covered |= {key, *(kept.memories[key].message_ids if key in kept.memories else ())}
        for hit, places in picked:
            for other in kept.shelf.beside(hit.at):
                key = entries[other].key
                if key in covered or key in exclude or key not in turns or not turns[key].text.strip():
                    continue
                cost = self._count(rendering.remark(turns[key].speaker, turns[key].text)) + 2
                if cost <= left:
                    left -= cost
                    covered.add(key)
                    places.append(other)
        return [self._item(n, hit, sorted(at), kept, turns) for n, (hit, at) in enumerate(picked, 1)]

    def _line(self, hit: Hit, places: Sequence[int], kept: _Kept, turns: dict[UUID, OldTurn]) -> str:
        return rendering.line(self._item(0, hit, places, kept, turns))

    def _item(self, rank: int, hit: Hit, places: Sequence[int], kept: _Kept, turns: dict[UUID, OldTurn]) -> Recalled:
        entries = kept.shelf.entries
        memory = kept.memories.get(entries[hit.at].key)
        why = "in the time that was asked about" if hit.in_time else "by its words" if hit.words else "by its meaning"
        score = round(hit.score, 4)
        if memory is not None:
            return Recalled(rank, score, why, memory)
        said = [turns[entries[at].key] for at in places if entries[at].key in turns]
        text = " / ".join(rendering.remark(t.speaker, t.text) for t in said)
        first = turns[entries[hit.at].key]
        return Recalled(rank, score, why, turn=replace(first, text=text, message_ids=tuple(t.message_id for t in said)))

    def _told(self, items: Sequence[Recalled], name: str) -> Recollection:
        text = rendering.told(items, name)
        return Recollection(tuple(items), rendering.summary(items), text, self._count(text) if text else 0)

    # -- shelves ------------------------------------------------------------------------------------

    def _left_behind(self, connection: Connection, kept: _Kept, thread_id: UUID | None) -> Collection[UUID]:
        """What stands on the shelf of a branch that the thread has left since; it is read anew after the turn."""
        if thread_id is None:
            return ()
        own = [e.key for e in kept.shelf.entries if e.group == thread_id]
        gone = rows.left_behind(connection, thread_id, kept.head, own, 4 * _TURNS_BEHIND)
        if gone:
            kept.turns = _TURNS_BEHIND
        return gone

    def _shelf(
        self, connection: Connection, actor: Actor, subject: Whose, thread_id: UUID | None, models: Sequence[str]
    ) -> _Kept:
        """The shelf of one person as the actor may see it, kept while nothing on it has changed."""
        talks = rows.talks(connection, actor, subject, thread_id)
        there = memories.approved(connection, actor, subject)
        # what is said in the thread itself is told anyway; it comes onto the shelf when the turn is over
        others = tuple(t for t in talks if t.thread_id != thread_id)
        which = frozenset(t.thread_id for t in talks)  # one that was deleted is gone at once, the own one too
        built_of = (which, others, tuple((m.id, m.version, len(m.message_ids)) for m in there))
        key = (
            actor.user_id,
            actor.role,
            actor.client_id,
            subject,
            None if subject.client_id else thread_id,
            tuple(models),
        )
        with self._gate:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
        if kept is not None and kept.built_of == built_of:
            if time.monotonic() - kept.looked >= (_STALE if kept.complete else _LOOK_AGAIN):
                kept.looked = time.monotonic()  # one looks again, and nobody waits for it
                self._pool.submit(self._again, key, talks, there, models, built_of, thread_id)
            return kept
        return self._put(connection, key, talks, there, models, built_of, thread_id)

    def _again(self, key: tuple[object, ...], *of: Any) -> None:
        try:
            with self._db.read() as connection:
                self._put(connection, key, *of)
        except Exception as error:  # perhaps the app is shutting down; the next look comes
            log.info("a shelf was not read anew: %s", type(error).__name__)

    def _put(
        self,
        connection: Connection,
        key: tuple[object, ...],
        talks: Sequence[rows.Talk],
        there: Sequence[Memory],
        models: Sequence[str],
        built_of: object,
        thread_id: UUID | None,
    ) -> _Kept:
        made = self._built(connection, talks, there, models, built_of)
        made.head = next((t.head_id for t in talks if t.thread_id == thread_id), None)
        with self._gate:
            self._kept[key] = made
            while len(self._kept) > _SHELVES:
                self._kept.popitem(last=False)
        return made

    def _built(
        self,
        connection: Connection,
        talks: Sequence[rows.Talk],
        there: Sequence[Memory],
        models: Sequence[str],
        built_of: object,
    ) -> _Kept:
        told = [t for talk in talks for t in rows.told(connection, talk)]
        newest = max((*(t.at for t in told), *(m.created_at for m in there)), default=now())
        entries = [_of_memory(m, newest) for m in there]
        entries += [Entry(t.id, t.thread_id, t.at, tuple(t.words.split()), _recency(t.at, newest)) for t in told]
        ids, own = [t.id for t in told], [m.id for m in there]
        vectors: dict[str, F32] = {}
        complete = True
        for model in models:
            found = rows.vectors(connection, model, own, memories=True) | rows.vectors(connection, model, ids)
            complete = complete and len(found) >= len(entries)
            if found:
                vectors[model] = _matrix([e.key for e in entries], found)
        return _Kept(built_of, Shelf(entries, vectors), {m.id: m for m in there}, complete, time.monotonic())


def _bearing(hits: Sequence[Hit], kept: _Kept) -> list[Hit]:
    """Those that have to do with the question: near the best, and an old turn only where words or time agree too."""
    best = max((h.score for h in hits), default=0.0)
    out: list[Hit] = []
    for hit in hits:
        memory = kept.shelf.entries[hit.at].key in kept.memories
        least = _LEAST_MEMORY if memory else _LEAST_TURN
        if hit.score >= least * best and (memory or hit.words > 0 or hit.in_time):
            out.append(hit)
    return out


def _of_memory(memory: Memory, newest: datetime) -> Entry:
    said = tuple(
        words.tokenise(f"{memory.text} {memory.quote}" if memory.quote not in memory.text else memory.text).split()
    )
    weight = _MEMORY_FIRST * (0.5 + memory.importance) + _recency(memory.created_at, newest)
    return Entry(memory.id, None, memory.happened_at or memory.created_at, said, weight)


def _recency(at: datetime, newest: datetime) -> float:
    days = max(0.0, (newest - at).total_seconds() / 86400)
    return _RECENT * math.exp(-math.log(2) * days / _HALF_LIFE)


def _matrix(keys: Sequence[UUID], found: dict[UUID, bytes]) -> F32:
    """Rows in the order of `keys`; NaN where there is none."""
    dim = len(next(iter(found.values()))) // 2
    out = np.full((len(keys), dim), np.nan, np.float32)
    for at, key in enumerate(keys):
        blob = found.get(key)
        if blob is not None and len(blob) == 2 * dim:
            out[at] = np.frombuffer(blob, np.float16)
    return out
