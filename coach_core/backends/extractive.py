"""Answers without a model: quotes the sentences of the passages that answer, and says when none does.

Invariant: every sentence of a document is quoted word for word with its [n] behind it, and the same
request gives the same answer. A quotation appears only when words and meaning together say that it fits
the question better than unrelated text would (`fit.py`); otherwise no passage is cited.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from coach_core.backends import Endpoint, Request
from coach_core.backends.fit import Fit, judge
from coach_core.backends.phrases import GREETINGS, connect, phrases
from coach_core.backends.sentences import split
from coach_core.search import words
from coach_core.types import Check, Event, Passage, Usage

Score = Callable[[str, Sequence[str]], Sequence[float]]
_MOST = 4  # quotations in an answer
_EACH = 2  # of one passage
_RANK = 0.1  # what the search's first passage has over its last
_LONGEST = 600  # characters of one quotation
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


@dataclass(frozen=True, slots=True)
class _Sentence:
    text: str
    passage: int
    place: int


class Extractive:
    """Quotes; `score` gives the likeness in meaning of one text to several, or is None."""

    name = "extractive"
    model = ""

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
        question, language = _question(request)
        say = phrases(language)
        if _asks_nothing(request.question.text):
            body = say.hello
        else:
            quotes = self._quotes(question, request.passages)
            body = "\n\n".join([say.lead, *quotes]) if quotes else say.nothing
        return body if request.history else f"{body}\n\n{connect(language)}"

    def _quotes(self, question: str, passages: Sequence[Passage]) -> list[str]:
        sentences = [
            _Sentence(text, number, place)
            for number, passage in enumerate(passages, 1)
            for place, text in enumerate(split(passage.text))
        ]
        fits = judge(question, [s.text for s in sentences], self._score)
        if not sentences or not fits.enough:
            return []
        chosen = _choose(sentences, fits, len(passages))
        return [_quotation(number, picked, sentences) for number, picked in chosen.items()]


def build(endpoint: Endpoint, *, score: Score | None = None, **_: object) -> Extractive:
    """`score`: cosines between a question and sentences; without it words alone decide."""
    return Extractive(score)


def _question(request: Request) -> tuple[str, str]:
    """What to look for, and the language to speak. A follow-up is read with the question before it."""
    asked = request.question.text.strip()
    before = [m.text for m in request.history if m.speaker == "user" and m.text.strip()]
    language = words.language_of("\n".join([*before[-2:], asked]))
    leans = len(words.query_words(asked)) <= 2 or (len(asked) < 60 and _FOLLOWS.match(asked))
    return (f"{before[-1]}\n{asked}" if before and leans else asked), language


def _asks_nothing(text: str) -> bool:
    said = re.findall(r"\w+", text.lower())
    return not said or (len(said) <= 4 and all(word in GREETINGS for word in said))


def _choose(sentences: Sequence[_Sentence], fits: Fit, passages: int) -> dict[int, list[_Sentence]]:
    """The sentences to quote by passage, the best passage first; what says the same is said once."""
    rated = [(score - _RANK * s.passage / passages, s) for score, s in zip(fits.scores, sentences, strict=True)]
    rated.sort(key=lambda pair: -pair[0])
    chosen: dict[int, list[_Sentence]] = {}
    told: list[set[str]] = []
    for score, sentence in rated:
        if score < rated[0][0] - fits.near or len(told) == _MOST:
            break
        these = set(words.tokenise(sentence.text).split())
        if any(len(these & those) > 0.7 * min(len(these), len(those)) for those in told):
            continue
        if len(chosen.setdefault(sentence.passage, [])) < _EACH:
            told.append(these)
            chosen[sentence.passage].append(sentence)
    return chosen


def _quotation(number: int, picked: Sequence[_Sentence], sentences: Sequence[_Sentence]) -> str:
    """One blockquote: the picked sentences in reading order, a leaning one with the sentence it leans on."""
    own = [s for s in sentences if s.passage == number]
    places = {s.place for s in picked}
    for s in picked:
        before = own[s.place - 1] if s.place else None
        if before and _LEANS.match(s.text) and len(before.text) + len(s.text) <= _LONGEST:
            places.add(s.place - 1)
    runs: list[list[str]] = []
    last = -2
    for place in sorted(places):
        if place != last + 1:
            runs.append([])
        runs[-1].append(_escape(own[place].text))
        last = place
    return "> " + " … ".join(" ".join(run) for run in runs) + f" [{number}]"


def _escape(text: str) -> str:
    """`text` so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_#<>|~$]|\[(?=\d))", r"\\\1", text)


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
