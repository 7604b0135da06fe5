"""What keeps a server that is down from costing every question its deadline.

Invariant: after a few failures in a row it is left alone for a while, then tried by one question at a time; one
answer makes all well.
"""

from __future__ import annotations

import threading
import time


class Breaker:
    def __init__(self, failures: int = 3, rest: float = 30.0) -> None:
        self._most = failures
        self._rest = rest
        self._gate = threading.Lock()
        self._failed = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether the server is being left alone."""
        return self._failed >= self._most and time.monotonic() < self._until

    def allows(self) -> bool:
        """Whether to ask now; who is allowed while it rests tries for all."""
        with self._gate:
            if self._failed < self._most:
                return True
            if time.monotonic() < self._until:
                return False
            self._until = time.monotonic() + self._rest
            return True

    def failed(self) -> None:
        with self._gate:
            self._failed += 1
            self._until = time.monotonic() + self._rest

    def worked(self) -> None:
        with self._gate:
            self._failed = 0
