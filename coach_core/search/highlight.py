"""Which words of a question stand in a text, and where: to show why a passage was found.

Invariant: a word is marked exactly where the full text search would find it: stemmed, without diacritics, and in
scripts without spaces by pairs of characters. Places are those of the text as given.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from coach_core.search import words

_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0dff"
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
_PAIRED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af]"
)
Span = tuple[int, int]


def asked(question: str, languages: Iterable[str] = ()) -> set[str]:
    """The tokens that a question asks for in documents of these languages."""
    return set(words.query_words(question, languages))


def spans(text: str, wanted: set[str], language: str = "") -> list[Span]:
    """Where `wanted` tokens stand in `text`, in order, those that touch each other made one."""
    language = language or words.language_of(text)
    out: list[Span] = []
    for start, end in _places(text, wanted, language):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _places(text: str, wanted: set[str], language: str) -> Iterator[Span]:
    for match in _WORD.finditer(text):
        word = match[0]
        if _PAIRED.search(word):
            yield from _pairs(word, match.start(), wanted, language)
        elif not wanted.isdisjoint(words.tokenise(word, language).split()):
            yield match.span()


def _pairs(word: str, at: int, wanted: set[str], language: str) -> Iterator[Span]:
    """Pairs of characters that are asked for; a word of another script between them as a whole."""
    for run in re.finditer(rf"(?:{_PAIRED.pattern})+|(?:(?!{_PAIRED.pattern}).)+", word):
        folded = unicodedata.normalize("NFKC", run[0]).casefold()
        if not _PAIRED.match(run[0]) or len(folded) != len(run[0]):
            if not wanted.isdisjoint(words.tokenise(run[0], language).split()):
                yield at + run.start(), at + run.end()
            continue
        for n in range(len(folded)):
            for size in (2, 1):
                if folded[n : n + size] in wanted and n + size <= len(folded):
                    yield at + run.start() + n, at + run.start() + n + size
                    break
