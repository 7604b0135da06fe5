"""Keeps turns running off the page: start, tail, cancel; what has come is saved as it comes.

Invariant: a turn's events are numbered once and seen by every viewer in that order; partial text is on
its way to disk at most `SAVE_EVERY` seconds after it came; the terminal event is shown only when the
answer is committed. A turn whose owner died is marked interrupted when its lease ends, by any process.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from coach_core.errors import CoachError, StoreError, TurnNotFound
from coach_core.store import Database, turns
from coach_core.turn.hold import Verify, counts
from coach_core.types import (
    Citation,
    Event,
    Message,
    MessageStatus,
    Part,
    TurnRecord,
    TurnStatus,
    Usage,
    new_id,
    now,
)

log = logging.getLogger(__name__)
SAVE_EVERY = 0.2
RENEW_EVERY = 1.0  # also how soon a Stop in another process is noticed
LEASE_SECONDS = 10.0
POLL_OTHER = 0.15

Produce = Callable[[threading.Event, "dict[str, float]"], Iterator[Event]]
Price = Callable[[str, str, Usage], int]
Ended = Callable[[Event, Sequence[Citation]], None]


@dataclass
class Live:
    """A turn running in this process. `changed` guards events and text."""

    record: TurnRecord
    began: str = ""
    before: tuple[Part, ...] = ()
    cancel: threading.Event = field(default_factory=threading.Event)
    changed: threading.Condition = field(default_factory=threading.Condition)
    events: list[Event] = field(default_factory=list)
    saved: int = 0
    pieces: list[str] = field(default_factory=list)
    last_save: float = field(default_factory=time.monotonic)
    saving: Future[Any] | None = None
    ended: bool = False
    lost: bool = False

    @property
    def text(self) -> str:
        return self.began + "".join(self.pieces)


class Runner:
    """Runs turns in threads of this process. `price(backend, model, usage)` gives micro-dollars."""

    def __init__(self, db: Database, price: Price) -> None:
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{new_id().hex[-8:]}"
        self.lease_seconds = LEASE_SECONDS
        self._db = db
        self._price = price
        self._live: dict[UUID, Live] = {}
        self._gate = threading.Lock()
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="turn-keeper", daemon=True)
        self._keeper.start()

    def start(
        self,
        record: TurnRecord,
        produce: Produce,
        *,
        resumed: Message | None = None,
        cited: Sequence[Citation] = (),
        state_of: Callable[[Event], Mapping[str, str] | None] | None = None,
        endpoint_of: Callable[[str], str] | None = None,
        ended: Ended | None = None,
        verify: Verify | None = None,
    ) -> None:
        """Run `produce(cancel, timing)` for the turn `record`, whose lease this runner's owner holds.

        `resumed` is an answer that is gone on with, `cited` what it cites; `endpoint_of` gives what the
        state of a backend is kept under, for another may answer than was asked first. `ended` is told of
        the end, with the citations, when everybody else has been; `verify` holds the whole answer against
        what it cites, once its text is out."""
        live = Live(record, began=resumed.text, before=resumed.parts) if resumed else Live(record)
        with self._gate:
            self._live[record.id] = live
        args = (live, produce, tuple(cited), state_of, endpoint_of, ended, verify)
        threading.Thread(target=self._run, args=args, name=f"turn-{record.id.hex[-6:]}", daemon=True).start()

    def cancel(self, turn_id: UUID) -> None:
        """Stop the turn if it runs here; turns.request_cancel reaches one that runs elsewhere."""
        with self._gate:
            live = self._live.get(turn_id)
        if live is not None:
            live.cancel.set()

    def tail(self, turn_id: UUID, after: int = 0, poll: float = 0.2) -> Iterator[Event | None]:
        """Every event after seq `after`, up to and with the terminal one; None each `poll` seconds of
        silence, so that a viewer can look after other things. Works for turns of other processes."""
        with self._gate:
            live = self._live.get(turn_id)
        if live is not None:
            yield from self._tail_here(live, after, poll)
        else:
            yield from self._tail_stored(turn_id, after, poll)

    def running(self) -> frozenset[UUID]:
        """The turns that run in this process now."""
        with self._gate:
            return frozenset(self._live)

    def partial(self, turn_id: UUID) -> str | None:
        """The text so far of a turn that runs here."""
        with self._gate:
            live = self._live.get(turn_id)
        if live is None:
            return None
        with live.changed:
            return live.text

    def close(self, timeout: float = 5.0) -> None:
        """Stop every turn; what has come stays, marked interrupted."""
        self._stop.set()
        with self._gate:
            running = list(self._live.values())
        for live in running:
            live.cancel.set()
        until = time.monotonic() + timeout
        for live in running:
            with live.changed:
                live.changed.wait_for(lambda live=live: live.ended, max(0.0, until - time.monotonic()))
        self._keeper.join(1.0)

    # -- one turn -----------------------------------------------------------------------------------

    def _run(
        self,
        live: Live,
        produce: Produce,
        cited: tuple[Citation, ...],
        state_of: Callable[[Event], Mapping[str, str] | None] | None,
        endpoint_of: Callable[[str], str] | None,
        ended: Ended | None,
        verify: Verify | None,
    ) -> None:
        timing: dict[str, float] = {}
        began = time.perf_counter()
        end: Event | None = None
        fault = CoachError()
        try:
            for event in produce(live.cancel, timing):
                if event.terminal:
                    end = event
                    break
                self._take(live, event)
        except CoachError as error:
            log.info("turn %s could not be played: %s", live.record.id, error.kind)
            fault = error
        except Exception:
            log.exception("turn %s failed", live.record.id)
        timing["total"] = (time.perf_counter() - began) * 1000
        if end is None:
            end = Event("error", live.record.id, len(live.events) + 1, error=fault.kind, text=fault.sentence)
        try:
            sources = _sources(live, cited)
            if verify is not None and sources:
                sources = tuple(verify(live.text, sources))
                end = _with_verdicts(end, sources)
            self._finish(live, end, sources, timing, state_of, endpoint_of)
        except Exception as fault:
            log.exception("turn %s could not be stored", live.record.id)
            sentence = fault.sentence if isinstance(fault, CoachError) else StoreError().sentence
            end = Event("error", live.record.id, end.seq, error="store_error", text=sentence)
        with live.changed:
            live.events.append(end)
            live.ended = True
            live.changed.notify_all()
        with self._gate:
            self._live.pop(live.record.id, None)
        if ended is not None and not self._stop.is_set():
            try:
                ended(end, [e.citation for e in live.events if e.citation])
            except Exception:
                if not self._stop.is_set():  # else it is the shutting down that broke in
                    log.exception("turn %s was not looked back at", live.record.id)

    def _take(self, live: Live, event: Event) -> None:
        with live.changed:
            live.events.append(event)
            if event.kind == "text":
                live.pieces.append(event.text)
            elif event.kind == "retract":
                live.pieces.clear()
            live.changed.notify_all()
        if event.kind != "text" or time.monotonic() - live.last_save >= SAVE_EVERY:
            self._save(live)

    def _save(self, live: Live) -> None:
        """Hand what is new to the writer; the one before must have been written, or this waits its turn."""
        with live.changed:
            if live.lost or live.saved == len(live.events) or (live.saving and not live.saving.done()):
                return
            fresh, text = live.events[live.saved :], live.text
            live.saved, live.last_save = len(live.events), time.monotonic()
            record = live.record
            live.saving = turns.append(self._db, record, self.owner, record.attempt, fresh, text)
        live.saving.add_done_callback(lambda future: self._saved(live, future))

    def _saved(self, live: Live, future: Future[Any]) -> None:
        fault = future.exception()
        if isinstance(fault, turns.LeaseLost):
            live.lost = True
            live.cancel.set()
        elif fault is not None:
            log.warning("partial text of turn %s was not saved: %s", live.record.id, type(fault).__name__)

    def _finish(
        self,
        live: Live,
        end: Event,
        cited: tuple[Citation, ...],
        timing: dict[str, float],
        state_of: Callable[[Event], Mapping[str, str] | None] | None,
        endpoint_of: Callable[[str], str] | None,
    ) -> None:
        record, usage = live.record, end.usage or Usage()
        backend = next((e.backend for e in reversed(live.events) if e.kind == "start"), record.backend)
        model = next((e.model for e in reversed(live.events) if e.kind == "start"), record.model)
        status, message_status = _outcome(end, stopping=self._stop.is_set())
        cost = self._price(backend, model, usage)
        with live.changed:  # the keeper saves too: each event goes one way
            unsaved, live.saved = live.events[live.saved :], len(live.events)
        turns.finish(
            self._db,
            record.id,
            self.owner,
            record.attempt,
            status=status,
            message_status=message_status,
            parts=turns.parts_of(live.events, live.before),
            text=live.text,
            events=[*unsaved, end],
            citations=cited,
            counts=counts(cited, len(live.began)) | _told_counts(live.events),
            usage=usage,
            cost=cost,
            timing={k: round(v, 3) for k, v in timing.items()},
            error=end.error,
            error_text=end.text if end.kind == "error" else "",
            finish_reason=end.finish_reason,
            attempts=end.attempts,
            notices=tuple(e.text for e in live.events if e.kind == "notice"),
            provider_state=state_of(end) if state_of else None,
            backend=backend,
            model=model,
            endpoint=endpoint_of(backend) if endpoint_of and backend != record.backend else None,
        ).result()

    # -- looking after ------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Save what waits, renew leases, notice cancels from other processes, bury the dead."""
        renewed = recovered = 0.0
        while not self._stop.wait(SAVE_EVERY / 4):
            clock = time.monotonic()
            with self._gate:
                running = [live for live in self._live.values() if not live.ended]
            for live in running:
                if clock - live.last_save >= SAVE_EVERY:
                    self._save(live)
            try:
                if running and clock - renewed >= RENEW_EVERY:
                    renewed = clock
                    self._renew(running)
                if clock - recovered >= 1.0:
                    recovered = clock
                    turns.recover(self._db, now())
            except Exception as fault:
                log.warning("looking after the turns failed: %s", type(fault).__name__)

    def _renew(self, running: Sequence[Live]) -> None:
        for live in running:
            lease = turns.renew(self._db, live.record.id, self.owner, live.record.attempt, self.lease_seconds)
            if lease.cancel or not lease.held:
                live.lost = live.lost or not lease.held
                live.cancel.set()

    # -- viewers ------------------------------------------------------------------------------------

    def _tail_here(self, live: Live, after: int, poll: float) -> Iterator[Event | None]:
        at = 0
        while True:
            with live.changed:
                if at == len(live.events) and not live.ended:
                    live.changed.wait(poll)
                fresh = live.events[at:]
                at += len(fresh)
                over = live.ended and at == len(live.events)
            for event in fresh:
                if event.seq > after:
                    yield event
            if over:
                return
            if not fresh:
                yield None

    def _tail_stored(self, turn_id: UUID, after: int, poll: float) -> Iterator[Event | None]:
        waited = 0.0
        while True:
            status = turns.status(self._db, turn_id)  # read before the events: nothing can come between
            if status is None:
                raise TurnNotFound()
            fresh = turns.events(self._db, turn_id, after)
            for event in fresh:
                yield event
                after = event.seq
                if event.terminal:
                    return
            if status != "running":
                yield _closing(turn_id, after + 1, status)
                return
            time.sleep(POLL_OTHER)
            waited += POLL_OTHER
            if fresh or waited >= poll:
                waited = 0.0
                yield None


def _sources(live: Live, cited: Sequence[Citation]) -> tuple[Citation, ...]:
    """What the whole answer cites: what it is gone on with, and what is new."""
    since = max((i for i, e in enumerate(live.events) if e.kind == "retract"), default=0)
    by_number = {e.citation.number: e.citation for e in live.events[since:] if e.citation}
    return tuple((by_number | {c.number: c for c in cited}).values())


def _told_counts(events: Sequence[Event]) -> dict[str, int]:
    """What the turn's notices say is to be counted."""
    told = [e.arguments["counts"] for e in events if e.kind == "notice" and e.arguments and "counts" in e.arguments]
    return {name: sum(c.get(name, 0) for c in told) for c in told for name in c}


def _with_verdicts(end: Event, cited: Sequence[Citation]) -> Event:
    verdicts = {str(c.number): c.verdict for c in cited if c.verdict}
    return replace(end, verdicts=verdicts) if verdicts and end.kind == "done" else end


def _outcome(end: Event, *, stopping: bool) -> tuple[TurnStatus, MessageStatus]:
    if end.kind == "error":
        return "failed", "failed"
    if end.status == "cancelled":
        return ("interrupted", "interrupted") if stopping else ("cancelled", "cancelled")
    return ("completed", "complete") if end.status == "completed" else ("incomplete", "interrupted")


def _closing(turn_id: UUID, seq: int, status: str) -> Event:
    """The terminal event of a turn that ended without one on disk."""
    if status in {"completed", "incomplete", "cancelled"}:
        return Event("done", turn_id, seq, status=status)  # type: ignore[arg-type]
    sentence = "The answer was interrupted. What had arrived is kept; press Continue."
    return Event("error", turn_id, seq, error="interrupted", text=sentence)
