"""The one thread that writes: callers hand in a piece of work and wait for its future.

Invariant: a future resolves only after the transaction that holds its work is committed. What waits
together is committed together (group commit); each piece runs in its own savepoint, so that one that
fails takes nothing else with it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from coach_core.errors import DatabaseBusy, StoreError
from coach_core.store.faults import map_fault

MOST_TOGETHER = 128
T = TypeVar("T")
_Job = tuple[Callable[[Connection], Any], "Future[Any]"]


class Writer:
    """Owns one connection of `engine` (whose transactions begin IMMEDIATE on SQLite)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Connection], T]) -> Future[T]:
        """Queue `work(connection)`; its future holds its result once it is on disk."""
        future: Future[T] = Future()
        with self._gate:
            if self._closed:
                raise StoreError("The app is shutting down; nothing more is written. Start it again.")
            self._jobs.put((work, future))
        return future

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, then end the thread."""
        with self._gate:
            if self._closed:
                return
            self._closed = True
            self._jobs.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch: list[_Job] = []
            job = self._jobs.get()
            while True:
                if job is None:
                    open_ = False
                    break
                batch.append(job)
                if len(batch) >= MOST_TOGETHER:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._engine.connect() as connection, connection.begin():
                for work, future in batch:
                    outcomes.append((future, *_attempt(connection, work)))
        except Exception as fault:  # the transaction itself: nothing of the batch is stored
            error = map_fault(fault)
            if isinstance(error, DatabaseBusy) or len(batch) == 1:
                for _, future in batch:
                    future.set_exception(error)
                return
            for job in batch:  # find the one that breaks it; the others are written
                self._commit([job])
            return
        for future, value, error in outcomes:
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


def _attempt(connection: Connection, work: Callable[[Connection], Any]) -> tuple[Any, BaseException | None]:
    try:
        with connection.begin_nested():
            return work(connection), None
    except DBAPIError as fault:
        if fault.connection_invalidated:
            raise
        return None, map_fault(fault)
    except Exception as fault:
        return None, map_fault(fault)
