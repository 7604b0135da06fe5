"""The models of one choice of embedder, each opened when it is first wanted.

Invariant: `sides` hold what is open, the first for all languages; a model that cannot be opened is told by `trouble`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coach_core.knowledge.lazy import Lazy
from coach_core.search import finder, hubs, meaning
from coach_core.search.remote import RemoteEmbedder

Factory = Callable[[], meaning.Embedder]


class Choice:
    """`parts`: how to open each model, and the languages that it reads (all without)."""

    def __init__(self, spec: str, parts: Sequence[tuple[Factory, Sequence[str]]]) -> None:
        self.spec = spec
        self.sides: dict[str, finder.Side] = {}  # by the models' names
        self.parts = [(Lazy(lambda f=f, ls=ls: self._opened(f(), ls)), ls) for f, ls in parts]

    @property
    def first(self) -> Lazy:
        return self.parts[0][0]

    @property
    def name(self) -> str:
        """What stands beside the first model's vectors; "" until it is open."""
        return self.first.opened.name if self.first.opened else ""

    @property
    def why(self) -> str:
        """Why the first model does not answer; "" when it does, or nobody knows yet."""
        opened = self.first.opened
        return self.first.trouble if opened is None else str(getattr(opened, "trouble", ""))

    def listen(self, older: float = 0.0) -> None:
        """Let one behind an address say whether it answers, unless it was heard of in the last `older` seconds."""
        if isinstance(opened := self.first.opened, RemoteEmbedder):
            opened.listen(older)

    def names(self) -> tuple[str, ...]:
        return tuple(lazy.opened.name for lazy, _ in self.parts if lazy.opened)

    def warm(self, wait: float = 0.0) -> bool:
        """Begin to open; whether the first is there within `wait` seconds."""
        there = self.first.ready(wait) is not None
        for lazy, _ in self.parts[1:]:
            lazy.ready(wait if there else 0.0)
        return there

    def open_sides(self, languages: Sequence[str], wait: float) -> list[finder.Side]:
        """Of the models that are open and speak one of `languages`."""
        out: list[finder.Side] = []
        for lazy, _ in self.parts:
            embedder = lazy.ready(wait)
            side = self.sides.get(embedder.name) if embedder is not None else None
            if side is not None and any(side.speaks(language) for language in languages):
                out.append(side)
        return out

    def close(self) -> None:
        for lazy, _ in self.parts:
            lazy.close()
            close = getattr(lazy.opened, "close", None)
            if close is not None:
                close()
        self.sides = {}

    def _opened(self, embedder: meaning.Embedder, languages: Sequence[str]) -> meaning.Embedder:
        if isinstance(embedder, RemoteEmbedder):
            embedder.remember(hubs.QUESTIONS)  # which the side asks one by one
        self.sides[embedder.name] = finder.Side(embedder, languages)
        return embedder
