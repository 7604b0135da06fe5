"""What a turn that has ended tells the admin: which documents were used, and which questions they did not hold.

Invariant: it comes after the answer and beside it; nothing here delays a turn, fails one, or keeps who asked.
A question is kept only when the persona has documents, they were searched in time, and the answer cites none.
"""

from __future__ import annotations

import logging
import queue
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from coach_core.backends import sentences
from coach_core.backends.phrases import GREETINGS
from coach_core.coach.masked import key_of, masked
from coach_core.errors import PersonaNotFound
from coach_core.knowledge import Knowledge
from coach_core.search import fit, words
from coach_core.store import Database, leases, personas, unanswered, uses
from coach_core.types import Citation, Passage, Persona, Unanswered, UnansweredVerdict, now

log = logging.getLogger(__name__)
EVERY = 2.0
_MOST_WAITING = 500
_AT_CLOSE = 5
_MOST_TRIED = 300
_FEWEST_WORDS = 2  # of meaning: greetings and thanks are no questions
_PASSAGES = 8


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that was answered. `searched`: by the app, or at the API in `stores`; `again`: asked once more by
    the same person, of the same message."""

    persona: Persona
    question: str
    passages: Sequence[Passage]
    stores: Sequence[str]
    citations: Sequence[Citation]
    searched: bool
    again: bool = False
    own_files: bool = False


@dataclass(frozen=True, slots=True)
class Tried:
    """What the documents give for a question now; `document_id` answers it, where one does."""

    passages: tuple[Passage, ...]
    verdict: fit.Verdict
    document_id: UUID | None = None


class LookingBack:
    """Built once by coach.py. `keeps()` says for how many days questions are kept; 0: not at all."""

    def __init__(self, db: Database, knowledge: Knowledge, keeps: Callable[[], int]) -> None:
        self._db = db
        self._knowledge = knowledge
        self._keeps = keeps
        self._waiting: queue.Queue[Ended] = queue.Queue(_MOST_WAITING)
        self._tried: tuple[datetime | None, bool] | None = None

    # when a turn has ended

    def after(self, ended: Ended) -> None:
        """Count what was used, and have the question looked at when there is time."""
        cited = {c.document_id for c in ended.citations if c.document_id}
        uses.record(self._db, now(), {p.document_id for p in ended.passages}, cited).add_done_callback(_told)
        if self._worth_a_look(ended, bool(cited)):
            try:
                self._waiting.put_nowait(ended)
            except queue.Full:
                log.warning("too many questions wait to be looked at; one was left out")

    def _worth_a_look(self, ended: Ended, cited: bool) -> bool:
        plain = ended.searched and not (ended.again or ended.own_files or cited or ended.citations)
        said = [w for w in re.findall(r"\w+", ended.question.lower()) if w not in GREETINGS]
        return plain and self._keeps() > 0 and len(words.query_words(" ".join(said))) >= _FEWEST_WORDS

    def run(self, pause: Callable[[float], bool]) -> None:
        """Look at the questions that wait; try open ones again where documents have come."""
        while not pause(0) and self._one():
            pass
        if not pause(0):
            self._try_open(pause)

    def close(self) -> None:
        """Look at the last few that wait; a process that ends at once after an answer keeps them too."""
        for _ in range(_AT_CLOSE):
            if not self._one():
                return

    def _one(self) -> bool:
        try:
            ended = self._waiting.get_nowait()
        except queue.Empty:
            return False
        try:
            verdict = self._verdict(ended)
            if verdict is not None:
                text = masked(ended.question)
                unanswered.record(
                    self._db,
                    now(),
                    key=key_of(text),
                    text=text,
                    language=words.language_of(ended.question),
                    persona_id=ended.persona.id,
                    collections=ended.persona.draft.collections,
                    verdict=verdict,
                )
        except Exception:
            log.exception("a question could not be looked at")
        return True

    def _verdict(self, ended: Ended) -> UnansweredVerdict | None:
        if ended.stores:
            return "uncited"
        passages = ended.passages
        late = not passages  # meaning may not have been there yet when it was asked
        if late:
            passages = self._knowledge.find(ended.question, ended.persona.draft.collections, k=_PASSAGES)
        if not passages:
            return "nothing"
        if self._judged(ended.question, passages).verdict == "nothing":
            return "no_answer"
        return None if late else "uncited"

    # whether they are answered now

    def try_again(self, question: Unanswered, wait: float = 0.0) -> Tried:
        """Search for it now, as its persona would; marked as answered when it is."""
        where = self._where(question)
        found = self._knowledge.find(question.text, where, k=_PASSAGES, wait=wait) if where else []
        tried = self._judged(question.text, found)
        if tried.document_id is not None:
            unanswered.change(self._db, question.id, "answered", tried.document_id)
        return tried

    def forget_old(self, days: int, moment: datetime) -> int:
        """Take questions away that nobody asked for so long."""
        return unanswered.erase(self._db, before=moment - timedelta(days=days))

    def _try_open(self, pause: Callable[[float], bool]) -> None:
        """When documents have come, or their meaning has caught up: try the open questions with them."""
        done, total = self._knowledge.pending()
        state = (unanswered.newest_change(self._db), done >= total)
        if state == self._tried:
            return
        with leases.held(self._db, "unanswered") as mine:
            if not mine:
                return
            for question in unanswered.list_questions(self._db, ["open"], limit=_MOST_TRIED):
                if pause(0.01):
                    return
                where = self._where(question)
                found = self._knowledge.find(question.text, where, k=_PASSAGES) if where else []
                ids = [p.document_id for p in found]
                if fresh := unanswered.changed_since(self._db, ids, question.last_at) if ids else set():
                    answer = self._judged(question.text, found).document_id
                    if answer in fresh:
                        unanswered.change(self._db, question.id, "answered", answer)
        self._tried = state

    def _where(self, question: Unanswered) -> Sequence[UUID]:
        """The collections that the persona reads now; those it read then when it is gone."""
        try:
            persona = personas.get(self._db, question.persona_id) if question.persona_id else None
        except PersonaNotFound:
            persona = None
        return persona.draft.collections if persona and persona.deleted_at is None else question.collections

    def _judged(self, question: str, passages: Sequence[Passage]) -> Tried:
        cut = [(p, text) for p in passages for text in sentences.split(p.text) or [p.text]]
        fits = fit.judge(question, [text for _, text in cut], self._knowledge.score)
        if fits.verdict != "answers":
            return Tried(tuple(passages), fits.verdict)
        best = max(range(len(cut)), key=lambda i: fits.scores[i])
        return Tried(tuple(passages), fits.verdict, cut[best][0].document_id)


def _told(future: Future[Any]) -> None:
    if (fault := future.exception()) is not None:
        log.warning("the use of documents was not counted: %s", type(fault).__name__)
