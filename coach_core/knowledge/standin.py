"""The model that answers while the serving one cannot be reached: the last that was left, if it is here.

Invariant: it is opened only when it is called, without a request to anyone, and it answers by the vectors that are
kept of it; whoever calls never waits longer than it says.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from coach_core.errors import CoachError
from coach_core.knowledge import handover
from coach_core.knowledge.choice import Choice
from coach_core.store import Database

log = logging.getLogger(__name__)


class StandIn:
    """`make` gives the models that a spec names, not yet opened."""

    def __init__(self, db: Database, make: Callable[[str], Choice]) -> None:
        self._db = db
        self._make = make
        self._gate = threading.Lock()
        self._choice: Choice | None = None
        self._thread: threading.Thread | None = None
        self._loaded = False

    @property
    def choice(self) -> Choice | None:
        """What stands in, if it is open."""
        return self._choice if self._loaded else None

    def called(self, wait: float = 0.0) -> Choice | None:
        """What stands in if it is there within `wait` seconds; else None, and it goes on being opened."""
        spec, names = handover.left_here(self._db)
        gone = None
        with self._gate:
            if self._choice is not None and self._choice.spec != spec:
                gone, self._choice, self._thread, self._loaded = self._choice, None, None, False
            if spec and not self._loaded and (self._thread is None or not self._thread.is_alive()):
                choice = self._choice = self._choice or self._make(spec)
                self._thread = threading.Thread(
                    target=self._open, args=(choice, names), name="open-stand-in", daemon=True
                )
                self._thread.start()
            thread = self._thread
        if gone is not None:
            gone.close()
        if thread is not None and not self._loaded:
            thread.join(wait)
        return self.choice

    def close(self) -> None:
        thread = self._thread
        if thread is not None:
            thread.join(60.0)  # a process that leaves in the midst of it aborts
        if self._choice is not None:
            self._choice.close()

    def _open(self, choice: Choice, names: frozenset[str]) -> None:
        try:
            embedder = choice.first.get()
        except CoachError as error:
            log.debug("no model stands in: %s", error.sentence)
            return
        if embedder.name not in names or getattr(embedder, "remote", False):
            return  # another model is in its place now
        for side in list(choice.sides.values()):
            side.index.warm(self._db)
        with self._gate:
            self._loaded = choice is self._choice
