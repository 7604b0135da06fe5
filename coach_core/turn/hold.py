"""Whether an answer's sentences hold: each that bears [n] is held against the passage it cites.

Invariant: the same answer and passages give the same verdicts; nothing is asked of a model that writes. What
cannot be checked (a source without text, a sentence that states nothing) has no verdict, and is not counted.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from coach_core.search import support
from coach_core.search.support import Score, Support
from coach_core.turn.claims import Claim, claims, said
from coach_core.types import Citation

log = logging.getLogger(__name__)
DEADLINE = 0.3  # seconds; sentences that are not reached by then stay unchecked
BEYOND = "This sentence may go beyond what the passage says"
_CONTRIBUTES = 0.35  # support that one of several passages must lend to a sentence that they bear together
_MOST = 80  # sentences of one answer that are checked
Verify = Callable[[str, Sequence[Citation]], Sequence[Citation]]


@dataclass(frozen=True, slots=True)
class Mark:
    """One [number] at text[start:end]: how far the passage bears what is said there, and what it lacks of it."""

    start: int
    end: int
    number: int
    support: float
    holds: bool
    lacks: str = ""


def check(text: str, citations: Sequence[Citation], score: Score | None = None, given: str = "") -> list[Mark]:
    """Every mark of `text` that can be checked. `given` is what the person said, whose numbers need no source."""
    return [mark for marks in _by_claim(text, citations, score, given) for mark in marks]


def _by_claim(text: str, citations: Sequence[Citation], score: Score | None, given: str) -> Iterator[list[Mark]]:
    by_number = {c.number: c for c in citations}
    for claim in claims(text, by_number)[:_MOST]:
        yield _of_claim(claim, [by_number[n] for n in claim.numbers], score, given)


def checked(
    text: str,
    citations: Sequence[Citation],
    score: Score | None = None,
    given: str = "",
    deadline: float = DEADLINE,
) -> list[Citation]:
    """`citations` with their verdicts and checks; sentences that are not reached in `deadline` seconds have none."""
    done: list[list[Mark]] = []
    until = time.monotonic() + deadline

    def work() -> None:
        try:
            for marks in _by_claim(text, citations, score, given):
                done.append(marks)
                if time.monotonic() > until:
                    return
        except Exception:  # an answer is worth more than the check of it
            log.exception("citations could not be checked")

    worker = threading.Thread(target=work, name="citations", daemon=True)
    worker.start()
    worker.join(deadline)
    if worker.is_alive():
        log.info("checking citations took longer than %.1f s; the rest stay unchecked", deadline)
    found = [mark for marks in tuple(done) for mark in marks]
    return [_with_verdict(c, [m for m in found if m.number == c.number]) for c in citations]


def counts(citations: Sequence[Citation], since: int = 0) -> dict[str, int]:
    """What goes into the numbers of a turn: how many marks were checked, and how many do not hold.

    `since` is where an answer was gone on with: what stands before was counted with the turn that wrote it.
    """
    marks = [m for c in citations for m in c.checks or () if m[0] >= since]
    if not marks:
        return {}
    return {"citations_checked": len(marks), "citations_wrong": sum(not support.holds(m[2], m[3]) for m in marks)}


def doubted(text: str, citations: Sequence[Citation]) -> set[int]:
    """Where in `text` the marks [n] stand that do not hold."""
    out: set[int] = set()
    for citation in citations:
        mark = f"[{citation.number}]"
        for start, end, value, lacks in citation.checks or ():
            if not support.holds(value, lacks):
                out |= {m.start() for m in re.finditer(re.escape(mark), text[:end]) if m.start() >= start}
    return out


def doubts(text: str, citation: Citation) -> list[tuple[str, str]]:
    """Each sentence of the answer that goes beyond the passage it cites, and why that is thought, in words."""
    return [
        (said(text[start:end]), _why(lacks))
        for start, end, value, lacks in citation.checks or ()
        if not support.holds(value, lacks) and end <= len(text)
    ]


def _why(lacks: str) -> str:
    if lacks == support.OPPOSITE:
        return "the passage seems to say the opposite."
    return f"the passage does not mention {lacks}." if lacks else "little of it is found in the passage."


def _with_verdict(citation: Citation, marks: Sequence[Mark]) -> Citation:
    if not marks:
        return replace(citation, verdict="", checks=None)
    verdict = "holds" if all(m.holds for m in marks) else "fails"
    return replace(citation, verdict=verdict, checks=tuple((m.start, m.end, m.support, m.lacks) for m in marks))


def _of_claim(claim: Claim, cited: Sequence[Citation], score: Score | None, given: str) -> list[Mark]:
    told = [(c, _weighed(claim, [c], score, given)) for c in cited]
    known = [(c, w) for c, w in told if w is not None]
    if len(known) < 2:
        whole = None if len(cited) > len(known) else known[0][1]
    else:
        whole = _weighed(claim, [c for c, _ in known], score, given)
    return [_mark(claim, c, own, whole, alone=len(cited) == 1) for c, own in known]


def _mark(claim: Claim, citation: Citation, own: Support, whole: Support | None, *, alone: bool) -> Mark:
    """One of several marks holds when it lends something to a sentence that all of them together bear.

    Without `whole` (a source beside it has no text) the rest may stand there.
    """
    holds = own.holds or (not alone and own.value >= _CONTRIBUTES and (whole is None or whole.holds))
    value = own.value if holds == (own.value >= support.HOLDS) else support.HOLDS if holds else min(own.value, 0.1)
    lacks = "" if holds else (own.lacks if alone or whole is None or not whole.lacks else whole.lacks)
    return Mark(claim.start, claim.end, citation.number, round(value, 3), holds, lacks)


def _weighed(claim: Claim, cited: Sequence[Citation], score: Score | None, given: str) -> Support | None:
    text = "\n\n".join(c.text for c in cited)
    about = "\n".join(f"{c.title} {c.section} {c.page or ''} {c.row or ''}" for c in cited)
    return support.weigh(claim.text, text, score, about=about, given=given)
