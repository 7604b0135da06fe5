"""Long threads: a piece of one to look at, and the running summary that its older part is told as.

Invariant: a summary is made after a turn, in the background and of what the thread's own branch holds; it delays no
answer and fails none. A model may write it instead of the rules, within the same bounds, or the rules' own stays.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from coach_core import access, context, tokens
from coach_core.backends import Backend, Request
from coach_core.coach.base import Base
from coach_core.coach.options import Limits
from coach_core.errors import CoachError
from coach_core.memory import summarising
from coach_core.store import Database, messages, summaries, threads
from coach_core.types import Actor, Message, Part, Summary, Thread, TurnRecord, Window, new_id, now

log = logging.getLogger(__name__)
_AT_ONCE = 200  # messages summed up in one step
_AFTER_DRAWING = 1.0  # seconds
_FOR_A_MODEL = 40  # of which a model is told so many, the newest


class Backends(Protocol):
    def get(self, name: str) -> Backend: ...


class Summaries:
    """Built once by coach.py. `ways` gives (the longest summary in tokens, whether a model writes it)."""

    def __init__(
        self,
        db: Database,
        limits: Callable[[], Limits],
        ways: Callable[[], tuple[int, bool]],
        backends: Backends,
    ) -> None:
        self._db = db
        self._limits = limits
        self._ways = ways
        self._backends = backends

    def told(self, actor: Actor, thread: Thread, before: Sequence[Message], left_out: int) -> str:
        """What stands for the older messages of a branch, of which the first `left_out` are not told; "" for none."""
        if not left_out or not self._ways()[0]:
            return ""
        try:
            found = summaries.nearest(self._db, actor, thread.id, before[-1].id)
        except CoachError as error:
            log.warning("the summary was left out: %s", error.kind)
            return ""
        return found.text if found is not None else ""

    def after(self, actor: Actor, thread: Thread, record: TurnRecord) -> Summary | None:
        """A turn has ended: sum up what the next one will not be told. It reaches some way into what is told still,
        so that it stays the same for some turns, and a prompt's cache holds."""
        most, by_model = self._ways()
        if not most:
            return None
        limits = self._limits()
        last = 2 * limits.history_messages + 9
        branch = messages.branch(self._db, actor, thread.id, record.answer_id, last=last)
        said = [m for m in branch if m.text or any(p.kind != "text" for p in m.parts)]
        kept, left = context.fit_history(said, most_messages=limits.history_messages, most_tokens=limits.history_tokens)
        if not left:
            return None
        before = summaries.nearest(self._db, actor, thread.id, record.answer_id)
        if before is not None and before.message_id in {m.id for m in said[left - 1 :]}:
            return None
        newer = context.newer_half(kept)
        upto = said[len(said) - len(newer) - 1] if newer else said[left - 1]
        text = self._summed(actor, thread, upto.id, before, record.backend if by_model else "", most)
        return summaries.add(self._db, thread.id, upto.id, text[0], tokens.count(text[0]), text[1]) if text[0] else None

    def _summed(
        self, actor: Actor, thread: Thread, upto: UUID, before: Summary | None, backend: str, most: int
    ) -> tuple[str, str]:
        """The summary of all up to a message, and which model wrote it ("" for the rules)."""
        text, at, by = before.text if before else "", before.message_id if before else None, ""
        while said := summaries.since(self._db, actor, thread.id, upto, at, _AT_ONCE):
            at = said[-1].id
            last = at == upto
            aside = said[-_FOR_A_MODEL:] if backend and last else []
            text = summarising.updated(text, said[: len(said) - len(aside)], most) if len(said) > len(aside) else text
            if aside:
                written, by = self._by_model(backend, text, aside, most)
                text = written or summarising.updated(text, aside, most)
            if last:
                break
        return text, by

    def _by_model(self, backend: str, old: str, said: Sequence[Message], most: int) -> tuple[str, str]:
        """What the thread's model makes of it; nothing where it cannot, or says what cannot be kept."""
        text = summarising.asked(old, said)
        question = Message(new_id(), said[0].thread_id, None, "user", (Part("text", text),), text, "complete", now())
        request = Request(
            question,
            instructions=f"{summarising.INSTRUCTIONS} At most {most * 2 // 3} words.",
            parameters={"temperature": 0.0, "max_output_tokens": most + 200, "state": "stateless"},
            trial=True,
        )
        try:
            chosen = self._backends.get(backend)
            events = list(chosen.stream(request, threading.Event()))
        except CoachError as error:
            log.info("the summary by the model was left out: %s", error.kind)
            return "", ""
        answer = "".join(e.text for e in events if e.kind == "text")
        whole = any(e.kind == "done" and e.status == "completed" for e in events)
        kept = summarising.checked(answer, said, old, most) if whole else None
        return (kept, chosen.model or backend) if kept else ("", "")


class LongThreads(Base):
    """The part of the facade that shows a thread piece by piece, and what its older part is told as."""

    def window(self, actor: Actor, thread_id: UUID, last: int, *, around: UUID | None = None, after: int = 0) -> Window:
        """The last so many messages of the branch on show; with `around`, from `last` before that message to `after`
        behind it. Raises MessageNotFound where it is not on the branch."""
        access.require(actor, "threads")
        return messages.window(self._db, actor, thread_id, max(1, last), around=around, after=max(0, after))

    def opened(self, actor: Actor, thread_id: UUID) -> None:
        """The thread is on show: soon, in the background, what its next turn needs is made ready."""
        access.require(actor, "threads")
        thread = threads.get(self._db, actor, thread_id)

        def warm() -> None:
            try:
                self._remembering.warm(actor, thread)
            except Exception as error:  # perhaps the app is shutting down
                log.info("a thread was not made ready: %s", type(error).__name__)

        self.jobs.later(_AFTER_DRAWING, warm)

    def message(self, actor: Actor, message_id: UUID) -> Message:
        """One message of a thread of the actor's, wherever in its tree it stands."""
        access.require(actor, "threads")
        return messages.get(self._db, actor, message_id)

    def summary(self, actor: Actor, thread_id: UUID, message_id: UUID | None = None) -> Summary | None:
        """What the older part is told as to who answers after `message_id` (else at the end of the branch on show)."""
        access.require(actor, "threads")
        return summaries.nearest(self._db, actor, thread_id, message_id)
