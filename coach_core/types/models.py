"""What a live test of a model of search came to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EmbedderTrial:
    """`error` says why it did not work; else how quick it is, and what choosing it costs.

    `milliseconds` a question takes, `rate` passages it reads in a second, `waiting` of `total` passages it would
    have to read, `host` where they would be sent ("": they stay here).
    """

    spec: str
    name: str = ""
    dimensions: int = 0
    milliseconds: float = 0.0
    rate: float = 0.0
    waiting: int = 0
    total: int = 0
    host: str = ""
    error: str = ""

    @property
    def seconds(self) -> float:
        """How long reading what waits takes, about."""
        return self.waiting / self.rate if self.rate else 0.0
