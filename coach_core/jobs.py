"""What happens by the clock and in the background: warming, embedding, clearing away, closing what was replaced.

Invariant: a job that fails is logged and tried again at its next time; none holds up a turn.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from coach_core import prices, tokens
from coach_core.errors import CoachError
from coach_core.knowledge import Knowledge
from coach_core.store import Database, metrics, turns
from coach_core.types import now

log = logging.getLogger(__name__)
LOOK_AGAIN = 5.0
_OPENING = 120.0  # seconds that loading the vectors waits for the models
KEEP_EVENTS = timedelta(days=1)


class Jobs:
    """A thread a job, from `start` to `close`."""

    def __init__(self, db: Database, knowledge: Knowledge) -> None:
        self._db = db
        self._knowledge = knowledge
        self._stop = threading.Event()
        self._work = threading.Event()
        self._threads: list[threading.Thread] = []
        self._hindered = ""
        self._clears: dict[str, Callable[[], int]] = {}
        self._loops: list[tuple[str, Callable[[], None]]] = [
            ("warm", self._warm),
            ("embedding", self._embed),
            ("hourly", self._hourly),
        ]

    def also(self, name: str, every: float, do: Callable[[Callable[[float], bool]], object]) -> None:
        """Before the start: do this too, every so many seconds. What it is given waits, and says whether to end."""

        def loop() -> None:
            while not self._stop.wait(every):
                self._guarded(name, lambda: do(self._stop.wait))

        self._loops.append((name, loop))

    def clears(self, name: str, do: Callable[[], int]) -> None:
        """Before the start: what else is dropped when it is past its time; `do` says how many."""
        self._clears[name] = do

    def start(self) -> None:
        for name, loop in self._loops:
            thread = threading.Thread(target=loop, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """There are new passages to embed."""
        self._work.set()

    def embed_all(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Embed all that waits and return when it is done."""
        self._knowledge.embed_pending(self._stop, progress)

    def clear_away(self) -> dict[str, int]:
        """Drop what is past its time; what was dropped and how many rows of it."""
        return {
            "events of ended turns": turns.drop_old_events(self._db, now() - KEEP_EVENTS),
            "old measures": metrics.prune(self._db, now()),
            **{name: do() for name, do in self._clears.items()},
        }

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, do)
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        self._stop.set()
        self._work.set()
        for thread in self._threads:
            thread.join(5.0)

    def _warm(self) -> None:
        """What is slow the first time must not be slow in somebody's first turn."""
        self._guarded("opening the embedder", self._knowledge.warm)
        self._guarded("loading the tokeniser", lambda: tokens.count("warm"))
        self._guarded("loading the prices", lambda: prices.known("warm"))
        self._guarded("loading the vectors", lambda: self._knowledge.load(_OPENING))

    def _embed(self) -> None:
        while not self._stop.is_set():
            self._work.clear()
            self._guarded("embedding", self._embed_some)
            self._work.wait(LOOK_AGAIN)  # also finds what other processes took in

    def _embed_some(self) -> None:
        """What hinders is told once, not every time it is tried."""
        try:
            self._knowledge.embed_pending(self._stop)
            self._hindered = ""
        except CoachError as error:
            if error.sentence != self._hindered and not self._stop.is_set():
                self._hindered = error.sentence
                log.warning("embedding waits: %s", error.sentence)

    def _hourly(self) -> None:
        due = time.monotonic() + 60
        while not self._stop.wait(1.0):
            if time.monotonic() >= due:
                due = time.monotonic() + 3600
                self._guarded("clearing away", self.clear_away)

    def _guarded(self, name: str, do: Callable[[], object]) -> None:
        try:
            do()
        except Exception:
            if not self._stop.is_set():
                log.exception("%s failed", name)
