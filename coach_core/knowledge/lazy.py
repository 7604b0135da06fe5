"""The embedder, opened in the background the first time it is wanted.

Invariant: `ready` never raises and never waits longer than it is told; a failure is remembered with its
sentence and tried again after a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from coach_core.errors import CoachError, MissingPart
from coach_core.search.meaning import Embedder

_log = logging.getLogger(__name__)
_TRY_AGAIN = 60.0


class Lazy:
    """Opens by `factory` in a thread of its own, once, whoever asks first."""

    def __init__(self, factory: Callable[[], Embedder]) -> None:
        self._factory = factory
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._done = threading.Event()
        self._opening = False
        self._embedder: Embedder | None = None
        self._error: CoachError | None = None
        self._failed_at = 0.0

    @property
    def opened(self) -> Embedder | None:
        return self._embedder

    @property
    def trouble(self) -> str:
        """Why the last opening failed; "" when none did."""
        return self._error.sentence if self._error is not None else ""

    def ready(self, wait: float = 0.0) -> Embedder | None:
        """The embedder if it is there within `wait` seconds; else None, and it goes on being opened."""
        if self._embedder is None:
            self._start()
            self._done.wait(wait)
        return self._embedder

    def forget(self) -> None:
        """Open it anew when it is wanted next."""
        with self._gate:
            self._embedder = None

    def get(self) -> Embedder:
        """The embedder; waits as long as it takes and raises what hinders."""
        self._start()
        self._done.wait()
        if self._embedder is None:
            raise self._error or MissingPart()
        return self._embedder

    def close(self, wait: float = 60.0) -> None:
        """Let an opening that has begun come to its end: a process that leaves in the midst of it aborts."""
        thread = self._thread
        if thread is not None:
            thread.join(wait)

    def _start(self) -> None:
        with self._gate:
            lately = self._error is not None and time.monotonic() - self._failed_at < _TRY_AGAIN
            if self._opening or self._embedder is not None or lately:
                return
            self._opening = True
            self._done.clear()
            self._thread = threading.Thread(target=self._open, name="open-embedder", daemon=True)
            self._thread.start()

    def _open(self) -> None:
        try:
            self._embedder, self._error = self._factory(), None
        except CoachError as error:
            self._error = error
        except Exception:
            _log.exception("opening the embedder failed")
            self._error = MissingPart("The embedding model cannot be used here. Run `make setup` and start again.")
        if self._error is not None:
            _log.warning("search goes by words alone: %s", self._error.sentence)
            self._failed_at = time.monotonic()
        with self._gate:
            self._opening = False
        self._done.set()
