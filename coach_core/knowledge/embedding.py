"""The models by which passages are found by their meaning, and the embedding of what waits for it.

Invariant: what is asked here never fails because there is no model (yet): nothing is found by meaning then. When
another model is chosen, the one before it finds passages until the new one has read all that it had read; the row of
store/serving says so to all processes. While a model that serves does not answer, one that was left and is here stands
in, and who asks is told. One process embeds at a time, and what it did is stored batch by batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from coach_core.errors import BadSetting, CoachError
from coach_core.knowledge import chunk, handover
from coach_core.knowledge.choice import Choice, Factory
from coach_core.knowledge.standin import StandIn
from coach_core.search import e5, english, finder, hubs, meaning, words
from coach_core.search import gloss as glosses
from coach_core.search.gloss import Gloss
from coach_core.search.index import packed
from coach_core.search.remote import Refused
from coach_core.store import Database, chunks, collections, leases, serving
from coach_core.types import Check, EmbeddingProgress, now

log = logging.getLogger(__name__)
_EMBED_AT_ONCE = 64
_OPENING = 30.0  # seconds that embedding waits for the model before
_LOOK_EVERY = 20  # batches, whether the new model may serve already
_REMEMBERED = 2000
_HEARD = 20.0  # seconds for which it holds that a model behind an address answers, or does not
_GLOSSED = 2.0  # what a model that reads the gloss counts beside one that reads the question, where all words are known
#: passages of documents that are read first, and of those that wait for them: a table of 200,000 rows holds up nobody
_SIZES = ((0, 2000), (2000, 2**31 - 1))
_Places = dict[tuple[int, int], int]  # the last passage read, by the size of its document
Open = Callable[[str], meaning.Embedder]
Progress = Callable[[int, int], None]


class Embedding:
    """`opener` opens what a spec names (search/meaning without one); `choose` says which is wanted now."""

    def __init__(
        self,
        db: Database,
        home: Path,
        spec: str = "",
        factory: Factory | None = None,
        english_: Factory | None = None,
        *,
        opener: Open | None = None,
        choose: Callable[[], str] | None = None,
        patience: float = 0.25,
    ) -> None:
        self._db = db
        self._home = home
        self._opener = opener or (partial(_only, _plain(spec), factory) if factory else partial(_open, home))
        self._english = english_
        self._own = factory is not None
        self._choose = choose or (lambda: spec)
        self._patience = patience  # seconds that a question waits for a model behind an address
        self._gate = threading.RLock()
        self._chosen = self._choice(_plain(self._choose()))
        self._before: Choice | None = None  # what serves until the chosen one may
        self._stand_in = StandIn(db, self._choice)
        self._looked = False
        self._done: tuple[Any, ...] = ()  # for what there was nothing left to do
        self._rate = 0.0  # passages a second, lately
        self._counted: tuple[tuple[str, int], tuple[int, int]] | None = None
        self._kept_up: _Places = {}  # the newest passage when the models changed: newer ones both read
        self._vectors: dict[str, Any] = {}  # of sentences that were scored lately
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="ask-embedder")

    @property
    def sides(self) -> dict[str, finder.Side]:
        others = [c.sides for c in (self._stand_in.choice, self._before) if c is not None]
        return {name: side for sides in (*others, self._chosen.sides) for name, side in sides.items()}

    def warm(self, wait: float = 0.0) -> bool:
        """Begin to open the models; whether the first that may answer is there within `wait` seconds."""
        self._look()
        before = self._before
        there = before.warm(wait) if before is not None else False
        there = self._chosen.warm(0.0 if there else wait) or there
        return there or (bool(self._answering().why) and self._stand_in.called(wait) is not None)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for choice in (self._chosen, self._before):
            if choice is not None:
                choice.close()
        self._stand_in.close()

    # which models

    def refresh(self) -> None:
        """Take up what is wanted and what serves now, whoever decided it."""
        spec, state = _plain(self._choose()), serving.get(self._db)
        with self._gate:
            self._looked = True
            if spec != self._chosen.spec:
                self._change(spec)
            if state is None or self._is(self._chosen, state) or state.spec == self._chosen.spec:
                self._retire(None)
            elif self._before is None or self._before.spec != state.spec:
                self._retire(self._choice(state.spec))
                self._kept_up = dict.fromkeys(_SIZES, self._newest())

    def _change(self, spec: str) -> None:
        left, back = self._chosen, self._before
        if back is not None and back.spec == spec:
            self._chosen, self._before = back, None
            left.close()
        else:
            self._chosen = self._choice(spec)
            if back is None:  # it may be what serves: no need to open it again
                self._before = left
            else:
                left.close()
        self._rate = 0.0
        self._done = ()
        self._kept_up = dict.fromkeys(_SIZES, self._newest())

    def _retire(self, instead: Choice | None) -> None:
        before, self._before = self._before, instead
        if before is not None:
            if instead is None and self._chosen.first.opened:
                self._load(self._chosen)  # so that the first question after the change is as quick as any
            threading.Thread(target=before.close, name="close-embedder", daemon=True).start()

    def _newest(self) -> int:
        with self._db.read() as connection:
            return serving.last_number(connection)

    def _load(self, choice: Choice) -> None:
        with self._db.read() as connection:
            ids = [c.id for c in collections.list_collections(self._db)]
            for side in list(choice.sides.values()):
                side.index.refresh(connection, ids)

    def _is(self, choice: Choice, state: serving.Serving) -> bool:
        return choice.name == state.models[0] if choice.name else choice.spec == state.spec

    def _choice(self, spec: str) -> Choice:
        parts: list[tuple[Factory, Sequence[str]]] = [(partial(self._opener, spec), ())]
        beside = self._english
        if beside is None and not self._own and spec == "bundled" and english.there():
            beside = english.open_english
        if beside is not None and spec == "bundled":
            parts.append((beside, english.LANGUAGES))
        return Choice(spec, parts)

    def _look(self) -> None:
        if not self._looked:
            self.refresh()

    def _answering(self) -> Choice:
        """Whose vectors decide: those of the models before, as long as those can be opened."""
        before = self._before
        if before is None or (before.first.trouble and before.first.ready() is None):
            return self._chosen
        return before

    def _in_turn(self, wait: float) -> Iterator[Choice]:
        """Whom to ask, each when those before it did not answer."""
        first = self._answering()
        yield first
        if first is not self._chosen and self._chosen.first.opened and not self._chosen.why:
            yield self._chosen
        stand_in = self._stand_in.called(wait) if first.why else self._stand_in.choice
        if stand_in is not None:
            yield stand_in

    # asking

    def asked(self, text: str, wait: float = 0.0, gloss: Gloss | None = None) -> list[finder.Asked]:
        """The question to each model that is open and speaks its language; those behind an address in time or not.

        A model that does not is asked by the question's `gloss`.
        """
        self._look()
        return next((asked for c in self._in_turn(wait) if (asked := self._asked(c, text, wait, gloss))), [])

    def _asked(self, choice: Choice, text: str, wait: float, gloss: Gloss | None) -> list[finder.Asked]:
        language = words.language_of(text)
        sides = choice.open_sides([language, *([glosses.INTO] if gloss else [])], wait)
        abroad = [side for side in sides if not side.speaks(language)]
        sides = [side for side in sides if side.speaks(language)]
        patience = max(wait, self._patience)
        # one after the other: two small models side by side on two cores, beside the search by words, won nothing
        asked = [(side, self._ask(side, text)) for side in sides]
        vectors = [(side, _in_time(future, side, patience)) for side, future in asked]
        asked_of = [finder.Asked(side, vector) for side, vector in vectors if vector is not None]
        for side in abroad:
            if gloss is not None and (vector := _glossed(side.embedder, gloss)) is not None:
                asked_of.append(finder.Asked(side, vector, _GLOSSED * gloss.known))
        return asked_of

    def _ask(self, side: finder.Side, text: str) -> Future[Any]:
        if getattr(side.embedder, "remote", False):
            return self._pool.submit(_query, side.embedder, text)
        return _here(side, text)

    def score(self, question: str, texts: Sequence[str]) -> list[float]:
        """How near each of `texts` is to `question` (cosines); [] where there is no embedder."""
        self._look()
        # while the first is being made, words alone must do
        for embedder in (choice.first.ready(1.0) for choice in self._in_turn(1.0)):
            if embedder is not None and (scores := self._scores(embedder, question, texts)) is not None:
                return scores
        return []

    def _scores(self, embedder: meaning.Embedder, question: str, texts: Sequence[str]) -> list[float] | None:
        vector = _query(embedder, question)
        if vector is None:
            return None
        with self._gate:
            known = {t: self._vectors[k] for t in texts if (k := f"{embedder.name}\0{t}") in self._vectors}
        missing = [t for t in dict.fromkeys(texts) if t not in known]
        try:
            known |= dict(zip(missing, embedder.passages(missing), strict=True)) if missing else {}
        except CoachError as error:
            log.warning("sentences could not be embedded: %s", error.sentence)
            return None
        with self._gate:
            self._vectors |= {f"{embedder.name}\0{t}": known[t] for t in missing}
            self._vectors = dict(list(self._vectors.items())[-_REMEMBERED:])
        return [float(known[t] @ vector) for t in texts]

    # how far

    def model(self) -> str:
        """The name beside the vectors that count; of another embedder it is known once that is open."""
        self._look()
        choice = self._answering()
        if choice.first.ready() is not None:
            return choice.name
        state = serving.get(self._db)
        if state is not None and state.spec == choice.spec:
            return state.models[0]
        return e5.NAME if choice.spec == "bundled" and not self._own else ""

    def pending(self) -> tuple[int, int]:
        """(passages that meaning finds, all passages)."""
        with self._db.read() as connection:
            return chunks.vector_counts(connection, self.model())

    def progress(self) -> EmbeddingProgress:
        """How far the chosen model is, and who finds passages until it is there."""
        self._look()
        before, chosen = self._before, self._chosen
        changing = before is not None and self._answering() is before
        name = (chosen.name if changing else "") or ("" if changing else self.model())
        done, total = self._counts(name)
        trouble = chosen.first.trouble if chosen.first.opened is None else ""
        if not trouble and before is not None and not changing:
            trouble = f"The model before cannot be opened: {before.first.trouble}"
        seconds = (total - done) / self._rate if self._rate and done < total else None
        serving_ = before.name if before and changing else ""
        self._pool.submit(self._answering().listen, _HEARD)  # the next look knows
        why, instead = self._standing_in()
        state = EmbeddingProgress(done, total, name, serving_, seconds, trouble or why, instead)
        return replace(state, alone=bool(why) and not instead)

    def _standing_in(self, wait: float = 0.0) -> tuple[str, str]:
        """(why the model that should answer does not, the one that does so instead); "" each."""
        turn = self._in_turn(wait)
        why = next(turn).why
        return why, next((c.name for c in turn if c.name), "") if why else ""

    def _counts(self, name: str) -> tuple[int, int]:
        """(passages with a vector of `name`, all passages); counted anew only when something has changed."""
        with self._db.read() as connection:
            state = (name, collections.total_generation(connection))
            if self._counted is None or self._counted[0] != state:
                self._counted = (state, chunks.vector_counts(connection, name))
            return self._counted[1]

    def check(self) -> Check:
        """Whether passages are found by meaning, for `doctor`."""
        self._look()
        try:
            embedder = self._chosen.first.get()
        except CoachError as error:
            mend = "Search goes by words alone until then. Run `make setup`, or set COACH_EMBEDDER."
            if self._before is not None and self._answering() is self._before:
                mend = f"{self._before.name or 'The model before'} finds passages until then."
            elif instead := self._standing_in(_OPENING)[1]:
                mend = f"{instead} finds passages until then."
            return Check("embeddings", "warn", error.sentence, mend)
        self._answering().listen()
        why, instead = self._standing_in(_OPENING)
        if why:
            mend = f"{instead} finds passages until it answers." if instead else "Words alone find until then."
            return Check("embeddings", "warn", why, mend)
        state = self.progress()
        rate = self._rate or meaning.speed(embedder)
        names = [f"{lazy.opened.name} for {', '.join(ls)}" for lazy, ls in self._chosen.parts[1:] if lazy.opened]
        beside = f", beside it {' and '.join(names)}" if names else ""
        detail = f"{embedder.name}{beside}, {embedder.dim} numbers a passage, {rate:,.0f} passages/s"
        if state.done < state.total:
            detail += f", {state.done:,} of {state.total:,} read"
        if state.serving:
            detail += f"; {state.serving} finds passages until then"
        kept = handover.kept(self._db)
        if kept:
            detail += f"; kept for going back: {kept}"
        return Check("embeddings", "warn" if state.trouble else "ok", detail, state.trouble)

    # embedding

    def embed_pending(self, stop: threading.Event, progress: Progress | None = None) -> None:
        """Embed what waits until nothing does or `stop` is set."""
        self.refresh()
        with self._db.read() as connection:
            if not chunks.anything(connection):
                return
            there = collections.total_generation(connection)
        if (self._standing(), there) == self._done:
            return
        choice, before = self._chosen, self._before
        try:
            choice.first.get()
        except CoachError:
            with self._alone() as alone:
                if alone and before is not None:
                    self._keep_up(before, stop)
            raise
        with self._alone() as alone:
            if not alone:
                log.debug("another process is embedding")
                return
            handover.begin(self._db, choice)
            self._settle(choice)
            for lazy, languages in choice.parts:
                # again where passages came to light meanwhile that stand before those that were read last
                while not stop.is_set() and self._chosen is choice and self._waits(lazy.get(), languages):
                    try:
                        self._embed(choice, lazy.get(), languages, stop, progress)
                    except Refused as error:
                        if error.other_size:  # the endpoint serves another model under the name: it is another one
                            lazy.forget()
                        raise
            if stop.is_set() or self._chosen is not choice:
                return
            self._settle(choice)
            if not choice.why:  # else what was left may have to stand in
                handover.clear(self._db, choice, stop)
        with self._db.read() as connection:
            self._done = (self._standing(), collections.total_generation(connection))

    def _standing(self) -> tuple[Any, ...]:
        """As long as this and the collections are the same, what was done is done."""
        return self._chosen.spec, self._chosen.names(), self._before is None, now().date()

    def _settle(self, choice: Choice) -> None:
        if handover.settle(self._db, choice):
            self.refresh()

    def _waits(self, embedder: meaning.Embedder, languages: Sequence[str]) -> bool:
        with self._db.read() as connection:
            return bool(chunks.unembedded(connection, embedder.name, 1, languages=languages))

    def _embed(
        self,
        choice: Choice,
        embedder: meaning.Embedder,
        languages: Sequence[str],
        stop: threading.Event,
        progress: Progress | None,
    ) -> None:
        last: _Places = {}
        batches = 0
        first = embedder is choice.first.opened
        with self._db.read() as connection:
            done, total = chunks.vector_counts(connection, embedder.name)
        while not stop.is_set() and self._chosen is choice:
            if self._before is not None:
                self._keep_up(self._before, stop)
            began = time.perf_counter()
            some = self._batch(embedder, languages, last)
            if not some:
                return
            done += some
            if first:
                self._measure(some / max(time.perf_counter() - began, 1e-6))
                if progress is not None:
                    progress(min(done, total), total)
            batches += 1
            if batches % _LOOK_EVERY == 0 and self._before is not None:
                self._settle(choice)

    def _batch(self, embedder: meaning.Embedder, languages: Sequence[str], after: _Places) -> int:
        """Embed the next passages beyond those places, of large documents when no other waits: how many."""
        most = getattr(embedder, "at_once", _EMBED_AT_ONCE)
        rows: Sequence[Any] = ()
        with self._db.read() as connection:
            for sizes in _SIZES:
                rows = chunks.unembedded(connection, embedder.name, most, after.get(sizes, 0), languages, sizes)
                after[sizes] = rows[-1].number if rows else serving.last_number(connection)
                if rows:
                    break
        if not rows:
            return 0
        vectors = packed(embedder.passages([chunk.in_context(r.title, r.section, r.row, r.text) for r in rows]))
        stored = [(r.number, r.version_id, r.collection_id, v) for r, v in zip(rows, vectors, strict=True)]
        self._db.write(lambda c: chunks.add_vectors(c, embedder.name, stored)).result()
        return len(rows)

    def _keep_up(self, before: Choice, stop: threading.Event) -> None:
        """Passages that came after the change are read by the old model too, where that costs no request."""
        embedder = before.first.ready(_OPENING)
        if embedder is None or getattr(embedder, "remote", False):
            return
        while not stop.is_set() and self._batch(embedder, (), self._kept_up):
            pass

    def _measure(self, rate: float) -> None:
        self._rate = 0.8 * self._rate + 0.2 * rate if self._rate else rate

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether no other process embeds, here or at another replica, until the block ends."""
        try:
            with FileLock(self._home / "embedding.lock", timeout=0):
                if self._db.sqlite:
                    yield True
                    return
                with leases.held(self._db, "embedding") as mine:
                    yield mine
        except Timeout:
            yield False


def _plain(spec: str) -> str:
    return spec.strip() or "bundled"


def _open(home: Path, spec: str) -> meaning.Embedder:
    return meaning.open_embedder(home, spec)


def _only(spec: str, factory: Factory, wanted: str) -> meaning.Embedder:
    if wanted != spec:
        raise BadSetting(f"The embedding model {wanted!r} cannot be opened here.")
    return factory()


def _query(embedder: meaning.Embedder, text: str) -> Any:
    """The question's vector; None where the embedder fails (an endpoint may)."""
    try:
        return embedder.query(text)
    except CoachError as error:
        log.warning("the question could not be embedded: %s", error.sentence)
        return None


def _glossed(embedder: meaning.Embedder, gloss: Gloss) -> Any:
    """One vector of all wordings of the gloss."""
    vectors = [v for wording in gloss.wordings if (v := _query(embedder, wording)) is not None]
    return hubs.unit(np.sum(vectors, axis=0)[None])[0] if vectors else None


def _here(side: finder.Side, text: str) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(_query(side.embedder, text))
    return future


def _in_time(future: Future[Any], side: finder.Side, patience: float) -> Any:
    """The vector; None where a model behind an address is late: words answer, and the next time it is known."""
    if not getattr(side.embedder, "remote", False):
        return future.result()
    try:
        return future.result(patience)
    except Late:
        log.warning("%s did not embed the question in time", side.embedder.name)
        return None
