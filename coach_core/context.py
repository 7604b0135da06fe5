"""What goes with a question: named sources gathered side by side, history cut to a budget, passages numbered.

Invariant: a source that fails or is late costs a notice, never the turn; the last exchange is always
kept, and a tool call is never parted from its result.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field, replace
from typing import Any

from coach_core import tokens
from coach_core.errors import CoachError
from coach_core.types import Message, Passage

log = logging.getLogger(__name__)
_MARK = re.compile(r"\s?\[\d{1,2}\](?!\()")
_UNSEARCHED = re.compile(r"The knowledge (?:did not answer within|was left out|failed)\b")
_pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="context")


def _nothing() -> None:
    return None


@dataclass(frozen=True, slots=True)
class Told:
    """What a source tells the model, with what the person is told of it; `used` is called when it goes along."""

    text: str
    notice: str = ""
    used: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Gathered:
    """`values` of the sources that answered in time, `notices` (source, sentence) for the others,
    `milliseconds` each took."""

    values: Mapping[str, Any] = field(default_factory=dict)
    notices: tuple[tuple[str, str], ...] = ()
    milliseconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Noted:
    """What a source gives with something to say of it: (source, sentence)."""

    value: Any
    notice: tuple[str, str]


class Gathering:
    """Sources that run side by side, each in a thread of its own, from the moment this is made."""

    def __init__(self, sources: Mapping[str, Callable[[], Any]]) -> None:
        self._began = time.perf_counter()
        self._took: dict[str, float] = {}
        self._running: dict[str, Future[Any]] = {n: _pool.submit(self._timed, n, fetch) for n, fetch in sources.items()}

    def wait(self, deadline: float, names: Sequence[str] | None = None) -> Gathered:
        """What comes of `names` (else of all) within `deadline` seconds from now."""
        until = time.perf_counter() + deadline
        values: dict[str, Any] = {}
        notices: list[tuple[str, str]] = []
        for name in self._running if names is None else names:
            try:
                value = self._running[name].result(max(0.0, until - time.perf_counter()))
                if isinstance(value, Noted):
                    notices.append(value.notice)
                    value = value.value
                values[name] = value
            except Late:
                self._running[name].cancel()
                waited = f"{deadline * 1000:.0f} ms" if deadline < 1 else f"{deadline:.0f} s"
                notices.append((name, f"The {name} did not answer within {waited}; it was left out."))
            except CoachError as error:
                notices.append((name, f"The {name} was left out: {error.sentence}"))
            except Exception:
                log.exception("context source %s failed", name)
                notices.append((name, f"The {name} failed and was left out."))
        return Gathered(values, tuple(notices), dict(self._took))

    def _timed(self, name: str, fetch: Callable[[], Any]) -> Any:
        try:
            return fetch()
        finally:
            self._took[name] = (time.perf_counter() - self._began) * 1000


def gather(sources: Mapping[str, Callable[[], Any]], deadline: float) -> Gathered:
    """Run every source and wait at most `deadline` seconds for them together."""
    return Gathering(sources).wait(deadline)


def unsearched(notice: str) -> bool:
    """Whether a turn's notice says that the documents were to be searched, and that nothing came of it."""
    return _UNSEARCHED.match(notice) is not None


def fit_history(
    messages: Sequence[Message],
    *,
    most_messages: int,
    most_tokens: int,
    count: Callable[[str], int] = tokens.count,
) -> tuple[tuple[Message, ...], int]:
    """The newest messages within the budget, oldest first, and how many were left out.

    Messages are taken by exchange (a question and all that answers it), so tool calls stay with their
    results; the newest exchange is kept whatever it costs. Citation marks of old answers are taken
    out, because their numbers mean nothing beside new passages.
    """
    kept: list[list[Message]] = []
    used_tokens = used_messages = 0
    for exchange in reversed(_exchanges(messages)):
        cost = sum(count(_words(m)) for m in exchange)
        over = used_tokens + cost > most_tokens or used_messages + len(exchange) > most_messages
        if kept and over:
            break
        kept.append(exchange)
        used_tokens += cost
        used_messages += len(exchange)
    chosen = tuple(_unmarked(m) for exchange in reversed(kept) for m in exchange)
    return chosen, len(messages) - len(chosen)


def newer_half(messages: Sequence[Message]) -> tuple[Message, ...]:
    """`messages` without the older half of the exchanges; of a single one nothing stays."""
    exchanges = _exchanges(messages)
    return tuple(m for exchange in exchanges[(len(exchanges) + 1) // 2 :] for m in exchange)


def best_few(passages: Sequence[Passage], most: int) -> tuple[Passage, ...]:
    """The `most` passages that fit best, in their order; fewer when there are no more than that."""
    count = most if len(passages) > most else len(passages) // 2
    best = sorted(range(len(passages)), key=lambda i: -passages[i].score)[:count]
    return tuple(passages[i] for i in sorted(best))


def render_passages(passages: Sequence[Passage]) -> str:
    """The numbered passages as they are told to a model; empty without passages."""
    if not passages:
        return ""
    blocks = [f"[{n}] {_heading(p)}\n{p.text.strip()}" for n, p in enumerate(passages, 1)]
    return "Passages from the documents:\n\n" + "\n\n".join(blocks)


def search_text(question: str, history: Sequence[Message]) -> str:
    """What to search for: the question, with the one before it when it is too short to stand alone."""
    if len(re.findall(r"\w{3,}", question)) >= 5 or len(question) >= 60:
        return question
    before = next((m.text for m in reversed(history) if m.speaker == "user"), "")
    return f"{before[:500]}\n{question}" if before and _leans_on_before(question) else question


def _leans_on_before(question: str) -> bool:
    """Whether a short question points back (and, why, it ...) or is hardly a question of its own."""
    words = re.findall(r"\w+", question.lower())
    pointing = {
        "and",
        "why",
        "how",
        "it",
        "that",
        "this",
        "they",
        "them",
        "more",
        "else",
        "also",
        "then",
        "so",
    }
    pointing |= {"y", "eso", "porque", "und", "warum", "das", "et", "pourquoi", "mehr", "más", "plus"}
    return len(words) <= 3 or bool(pointing & set(words[:2]))


def _exchanges(messages: Sequence[Message]) -> list[list[Message]]:
    """A question with all that answers it; what shares a tool's call and its result stays together."""
    out: list[list[Message]] = []
    for message in messages:
        if message.speaker == "user" or not out:
            out.append([])
        out[-1].append(message)
    joined: list[list[Message]] = []
    held = dict(_held_together(out))
    last = -1  # up to which exchange the one at hand reaches
    for at, exchange in enumerate(out):
        if at <= last:
            joined[-1] += exchange
        else:
            joined.append(exchange)
        last = max(last, held.get(at, at))
    return joined


def _held_together(exchanges: Sequence[Sequence[Message]]) -> Iterator[tuple[int, int]]:
    """(first, last) exchange that hold a call and its result apart, as a broken record may."""
    waiting: dict[tuple[str, str], list[int]] = {}
    reach: dict[int, int] = {}
    for at, exchange in enumerate(exchanges):
        for part in (p for m in exchange for p in m.parts if p.call_id):
            other = "tool_result" if part.kind == "tool_call" else "tool_call"
            if found := waiting.get((other, part.call_id)):
                first = found.pop()
                reach[first] = max(at, reach.get(first, at))
            elif part.kind in {"tool_call", "tool_result"}:
                waiting.setdefault((part.kind, part.call_id), []).append(at)
    yield from reach.items()


def _words(message: Message) -> str:
    return " ".join(
        [message.text, *(f"{p.name} {p.arguments or ''} {p.text}" for p in message.parts if p.kind != "text")]
    )


def _unmarked(message: Message) -> Message:
    if message.speaker != "assistant" or "[" not in message.text:
        return message
    parts = tuple(replace(p, text=_MARK.sub("", p.text)) if p.kind == "text" else p for p in message.parts)
    return replace(message, text=_MARK.sub("", message.text), parts=parts)


def _heading(passage: Passage) -> str:
    place = passage.within
    if passage.page is not None:
        place = f"{place}, p. {passage.page}" if place else f"p. {passage.page}"
    return f"{passage.title} - {place}" if place else passage.title
