"""Answers without a model: quotes the sentences of the passages that answer, and says when none does.

Invariant: what a document says is quoted word for word with its [n] behind it, and the same request gives
the same answer. Words and meaning together say whether the passages answer, come near or have nothing to do
with the question (`search/fit.py`): near ones are called that, and the last are not quoted.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence

from coach_core.backends import Endpoint, Request
from coach_core.backends.phrases import GREETINGS, Phrases, asks_of_medicine, connect, phrases
from coach_core.backends.sentences import Unit, units
from coach_core.search import words
from coach_core.search.fit import judge
from coach_core.types import Check, Event, Passage, Usage

Score = Callable[[str, Sequence[str]], Sequence[float]]
_MOST = 3  # quotations in an answer
_RANK = 0.1  # what the search's first passage has over its last
_FADES = 0.04  # what a heading lends less to each sentence below it
_LONGEST, _SHORTER = 520, 320  # characters of the first quotation and of those after it
_FOLLOWS = re.compile(
    r"\s*(?:and|or|but|so|then|what about|how about|why|y|o|pero|entonces|por qué|und|oder|aber|warum|wieso|"
    r"et|ou|mais|pourquoi|e|ma|mas|也|那|那么|为什么|还有|و|ماذا عن|لماذا)\b",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"[\"“«]?(?:this|that|these|those|it|they|he|she|such|instead|however|but|and|so|also|then|therefore)\b",
    re.IGNORECASE,
)
_MARKER = re.compile(r"\[\d+\]")
_PIECE = re.compile(r"\s*\S{1,12}")


class Extractive:
    """Quotes; `score` gives the likeness in meaning of one text to several, or is None."""

    name = "extractive"
    model = ""
    patience = 10.0

    def __init__(self, score: Score | None = None) -> None:
        self._score = score

    def stream(self, request: Request, cancel: threading.Event) -> Iterator[Event]:
        text = _go_on(self._answer(request), request.resume_from)
        for piece in _pieces(text):
            if cancel.is_set():
                break
            yield Event("text", text=piece)
        usage = Usage()
        if cancel.is_set():
            yield Event("done", status="cancelled", usage=usage)
        else:
            yield Event("done", status="completed", usage=usage, finish_reason="stop")

    def check(self) -> Check:
        how = "by meaning and words" if self._score else "by words"
        return Check("extractive", "ok", f"quotes the documents, {how}; no model connected", milliseconds=0.0)

    def close(self) -> None:
        pass

    def _answer(self, request: Request) -> str:
        if request.referral:  # no quotation has a place beside this
            return request.referral
        question, language = _question(request)
        say = phrases(language)
        if _asks_nothing(request.question.text):
            body = say.hello
        else:
            body = say.unsearched if request.unsearched else self._answer_from(question, request.passages, say)
            if asks_of_medicine(request.question.text):
                body = f"{say.medicine}\n\n{body}"
        if any(part.kind == "image" for part in request.question.parts):
            body = f"{say.picture}\n\n{body}"
        return body if request.history else f"{body}\n\n{connect(language)}"

    def _answer_from(self, question: str, passages: Sequence[Passage], say: Phrases) -> str:
        """Excerpts with their [n], or that there are none; the nearest ones where none answers."""
        cut = [units(p.text, [p.title, *p.section.split(" > ")]) for p in passages]
        flat = [(number, unit) for number, own in enumerate(cut) for unit in own]
        fits = judge(question, [unit.text for _, unit in flat], self._score)
        if not flat or fits.verdict == "nothing":
            return say.nothing
        scores = iter(fits.scores)
        rated = [[next(scores) for _ in own] for own in cut]
        excerpts = _excerpts(cut, rated, fits.near)
        if not excerpts:
            return say.nothing
        answers = fits.verdict == "answers"
        quotes = [_quotation(number + 1, cut[number], span) for number, span in excerpts[: _MOST if answers else 1]]
        return "\n\n".join([say.lead if answers else say.nearest, *quotes])


def build(endpoint: Endpoint, *, score: Score | None = None, **_: object) -> Extractive:
    """`score`: cosines between a question and sentences; without it words alone decide."""
    return Extractive(score)


def _question(request: Request) -> tuple[str, str]:
    """What to look for, and the language to speak. A follow-up is read with the question before it."""
    asked = request.question.text.strip()
    before = [m.text for m in request.history if m.speaker == "user" and m.text.strip()]
    language = words.language_of(asked) or words.language_of("\n".join(before[-2:]))
    leans = len(words.query_words(asked)) <= 2 or (len(asked) < 60 and _FOLLOWS.match(asked))
    return (f"{before[-1]}\n{asked}" if before and leans else asked), language


def _asks_nothing(text: str) -> bool:
    said = re.findall(r"\w+", text.lower())
    return not said or (len(said) <= 4 and all(word in GREETINGS for word in said))


def _excerpts(cut: Sequence[Sequence[Unit]], rated: Sequence[Sequence[float]], near: float) -> list[tuple[int, range]]:
    """(passage, units to quote), the best first; what says the same is said once."""
    best: list[tuple[float, int, int]] = []
    for number, own in enumerate(cut):
        scores = _under_headings(own, rated[number])
        if scores:
            at = max(scores, key=lambda place: (scores[place], -place))
            best.append((scores[at] - _RANK * number / len(cut), number, at))
    best.sort(key=lambda found: (-found[0], found[1]))
    chosen: list[tuple[int, range]] = []
    told: list[set[str]] = []
    for score, number, at in best:
        if score < best[0][0] - near:
            break
        span = _span(cut[number], at, _LONGEST if not chosen else _SHORTER)
        these = set(words.tokenise(" ".join(cut[number][i].text for i in span)).split())
        if not any(len(these & those) > 0.7 * min(len(these), len(those)) for those in told):
            told.append(these)
            chosen.append((number, span))
    return chosen


def _under_headings(own: Sequence[Unit], rated: Sequence[float]) -> dict[int, float]:
    """place -> score of what can be quoted. A heading or a question that is asked alike lends its score to
    what follows it, less with each sentence: there the answer stands."""
    scores: dict[int, float] = {}
    lent = 0.0
    for place, (unit, score) in enumerate(zip(own, rated, strict=True)):
        if unit.kind in {"heading", "question"}:
            lent = max(score, lent - _FADES) if unit.kind == "question" else score
            continue
        lent -= _FADES
        scores[place] = max(score, lent)
    return scores


def _span(own: Sequence[Unit], at: int, most: int) -> range:
    """The units around `at` that read as one: a list with its items, a sentence with what it leans on and
    what goes on from it, up to `most` characters."""
    first = last = at
    size = len(own[at].text)
    if _LEANS.match(own[at].text) and at and own[at - 1].kind != "heading":
        first, size = at - 1, size + len(own[at - 1].text)
    if own[at].kind == "item":
        while first and own[first - 1].kind == "item" and size + len(own[first - 1].text) <= most:
            first, size = first - 1, size + len(own[first - 1].text)
        if first and own[first - 1].text.endswith(":") and size + len(own[first - 1].text) <= most:
            first, size = first - 1, size + len(own[first - 1].text)
    while last + 1 < len(own) and own[last + 1].kind not in {"heading", "question"}:
        size += len(own[last + 1].text)
        if size > most:
            break
        last += 1
    if last > at and own[last].text.endswith((":", "：")):
        last -= 1  # what it announces did not fit
    return range(first, last + 1)


def _quotation(number: int, own: Sequence[Unit], span: range) -> str:
    """One blockquote with [n] at its end: paragraphs and lists as they stand in the document."""
    lines: list[str] = []
    for place in span:
        unit = own[place]
        text = _escape(unit.written)
        joins = bool(lines) and unit.block == own[place - 1].block
        if joins:
            lines[-1] += f" {text}"
        elif unit.kind == "item":
            lines += (
                [f"> - {text}"]
                if lines and lines[-1].startswith("> - ")
                else [*([">"] if lines else []), f"> - {text}"]
            )
        else:
            lines += [">", f"> {text}"] if lines else [f"> {text}"]
    return "\n".join(lines) + f" [{number}]"


def _escape(text: str) -> str:
    """`text` so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_#<>|~$\[]|&(?=#?\w+;))", r"\\\1", text)


def _go_on(text: str, so_far: str) -> str:
    """What is still to be said after `so_far`; the turn may have renumbered its citations."""
    if not so_far:
        return text
    whole, said = _MARKER.sub("\0", text), _MARKER.sub("\0", so_far)
    if not whole.startswith(said):
        return f"\n\n{text}"
    markers = iter(_MARKER.findall(text)[said.count("\0") :])
    return re.sub("\0", lambda _: next(markers), whole[len(said) :])


def _pieces(text: str) -> list[str]:
    pieces = _PIECE.findall(text)
    return [*pieces, rest] if (rest := text[sum(map(len, pieces)) :]) else pieces
