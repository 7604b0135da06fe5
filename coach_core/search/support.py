"""Whether a passage says what a sentence says: by its words, its numbers, names and negations, and by meaning.

Invariant: a pure function of sentence, passage and `score`; the same give the same. What the sentence states and
the passage lacks is told in words (`lacks`), so that a person can see it for himself. Doubt counts for the
sentence: a mark on what is right costs more trust than one that is missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean

from coach_core.search import figures_said, negation, words
from coach_core.search.fit import UNRELATED

Score = Callable[[str, Sequence[str]], Sequence[float]]

HOLDS = 0.5
OPPOSITE = "the opposite"  # in `lacks`, where the passage denies what the sentence affirms
_ENOUGH, _FOREIGN = 0.65, 0.39  # nearness and words together, in one language and across two
_WORDS = 0.5  # what the share of words adds to nearness
_COVERED = 0.17  # share of the words that must be there where no model can say more
_STEEP = 8.0
_FIRST = 3  # places, those that share most words, where meaning is looked for before it is everywhere
_UNTOLD = 0.5  # the value of a sentence of which nothing is known but what lacks
_FEWEST = 3  # content words below which nothing is stated that could be checked
_MOST_WINDOWS = 24
_LONGEST = 400  # characters of a window: a sentence, or what of it a model would read
_PLAIN = 0.55  # share of the words in one place of the passage from which meaning is not asked
_VERBATIM = 12  # letters that a quote has at least
_QUOTED = re.compile(r"[“„«\"]([^“”„«»\"]{12,})[”“»\"]")
_NOT_LETTERS = re.compile(r"[\W_]+")
_SENTENCE = re.compile(r"(?<=[.!?;:。！？；؟।])(?:[\"”’»)\]]*)\s+|(?<=[。！？；])|\n+")
_NAME = re.compile(r"\b[A-ZÀ-ÖØ-Þ][\w'’]*[a-zß-ÿ0-9]\b|\b[A-Z]{2,6}\b")
_SAYING = re.compile(
    r"\s+(?:says?|said|writes?|wrote|argues?|argued|notes?|noted|claims?|found|finds|believes?|teaches|taught|recommends?|"
    r"dice|escribe|afirma|sagt|schreibt|meint|dit|écrit|affirme)\b"
)
_TITLES = frozenset(
    """mr mrs ms dr prof sir lady monday tuesday wednesday thursday friday saturday sunday january february march april
    may june july august september october november december english i i'm i've i'll i'd ok tv""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Support:
    """How far the passage bears the sentence (0..1), and what of the sentence it does not have ("" if nothing told)."""

    value: float
    lacks: str = ""

    @property
    def holds(self) -> bool:
        return holds(self.value, self.lacks)


def holds(value: float, lacks: str) -> bool:
    return value >= HOLDS and not lacks


def weigh(
    sentence: str, passage: str, score: Score | None = None, *, about: str = "", given: str = ""
) -> Support | None:
    """How `passage` bears `sentence`. `about` is what stands above the passage (title, section), which counts with
    it; numbers and names that were `given` (by who asks) need not stand there.

    None where there is nothing to check: no statement, no text, or another language and no model.
    """
    if len(_content(sentence)) < _FEWEST or len(_letters(passage)) < _VERBATIM:
        return None
    if _verbatim(sentence, passage):
        return Support(1.0)
    return decide(measure(sentence, passage, score, about, given))


@dataclass(frozen=True, slots=True)
class Features:
    """What speaks for and against: shares of the sentence's words in the passage, and in one place of it; how near
    the nearest place is in meaning (0 unrelated, 1 the same; None where it was not asked); what the passage lacks."""

    covered: float
    together: float
    near: float | None
    foreign: bool
    lacks: str


def measure(sentence: str, passage: str, score: Score | None, about: str = "", given: str = "") -> Features:
    of_sentence, of_passage = words.language_of(sentence), words.language_of(passage)
    foreign = _foreign(sentence, passage, of_sentence, of_passage)
    places = windows(passage)
    title = _tokens(about, of_sentence) | _tokens(about, of_passage)
    known = frozenset(title.union(*(_tokens(passage, code) for code in {of_sentence, of_passage})))
    stated = _tokens(sentence, of_sentence)
    shares = {place: _share(stated, title | _tokens(place, of_sentence)) for place in places}
    covered, together = _share(stated, known), max(shares.values(), default=0.0)
    there = f"{passage}\n{about}\n{given}"
    lacks = (
        figures_said.lacking(sentence, there, alike=not foreign)
        or _lacking_name(sentence, there, of_sentence)
        or (OPPOSITE if not foreign and negation.flipped(sentence, places, of_sentence) else "")
    )
    found = Features(covered, together, None, foreign, lacks)
    if score is None or (together >= _PLAIN and not foreign):
        return found
    likely = sorted(places, key=lambda p: -shares[p])
    some = len(likely) if foreign else _FIRST
    found = replace(found, near=nearness(sentence, likely[:some], score))
    if some < len(likely) and found.near is not None and (decide(found) or Support(1.0)).value < HOLDS:
        found = replace(found, near=nearness(sentence, likely, score))
    return found


def decide(f: Features) -> Support | None:
    """The limits are measured: docs/citations.md."""
    if f.near is not None:
        value = _logistic(_STEEP * (f.near + _WORDS * f.together - (_FOREIGN if f.foreign else _ENOUGH)))
    elif f.foreign:
        return Support(_UNTOLD, f.lacks) if f.lacks else None
    elif f.together >= _PLAIN:
        value = f.together
    else:
        value = _logistic(_STEEP * (f.covered - _COVERED))
    return Support(round(value, 3), f.lacks)


def nearness(sentence: str, places: Sequence[str], score: Score) -> float | None:
    """How near the nearest of `places` is to `sentence`: 0 as unrelated text, 1 as itself; None without a model."""
    cosines = [float(c) for c in score(sentence, [sentence, *UNRELATED, *places])]
    if not cosines or not places:
        return None
    nothing = fmean(cosines[1 : len(UNRELATED) + 1])
    return (max(cosines[len(UNRELATED) + 1 :]) - nothing) / max(cosines[0] - nothing, 1e-6)


@lru_cache(maxsize=256)
def windows(passage: str) -> tuple[str, ...]:
    """The passage's sentences, each with the one after it where that is short."""
    pieces = [" ".join(p.split()) for p in _SENTENCE.split(passage) if p and p.strip()]
    joined: list[str] = []
    for piece in pieces:
        if joined and (len(joined[-1]) < 40 or len(piece) < 25) and len(joined[-1]) + len(piece) < _LONGEST:
            joined[-1] = f"{joined[-1]} {piece}"
        else:
            joined.append(piece)
    return tuple(p[:_LONGEST] for p in joined[:_MOST_WINDOWS])


# -- words -----------------------------------------------------------------------------------------------------


def _content(sentence: str) -> frozenset[str]:
    return _tokens(sentence, words.language_of(sentence))


@lru_cache(maxsize=2048)
def _tokens(text: str, language: str) -> frozenset[str]:
    return frozenset(words.tokenise(text, language).split())


def _share(stated: frozenset[str], known: set[str] | frozenset[str]) -> float:
    """The share of `stated` in `known`, long words counting more; a word's beginning counts for half."""
    if not stated:
        return 0.0
    starts = {k[:5] for k in known if len(k) >= 5}
    total = got = 0.0
    for token in stated:
        weight = 1.0 + 0.15 * min(len(token), 8)
        total += weight
        if token in known:
            got += weight
        elif len(token) >= 5 and token[:5] in starts:
            got += 0.6 * weight
    return got / total


def _foreign(sentence: str, passage: str, of_sentence: str, of_passage: str) -> bool:
    """Whether the two are in different languages; of two written alike only what is long enough to tell counts."""
    if not of_sentence or not of_passage or of_sentence == of_passage:
        return False
    ours, theirs = _content(sentence), _tokens(passage, of_passage)
    return _share(ours, theirs) < 0.5


@lru_cache(maxsize=1024)
def _letters(text: str) -> str:
    return _NOT_LETTERS.sub("", text.casefold())


def _verbatim(sentence: str, passage: str) -> bool:
    """Whether the sentence, or all it quotes, stands so in the passage, and no negation before it was cut off."""
    there = _letters(passage)
    whole = _letters(sentence)
    if len(whole) >= _VERBATIM and whole in there:
        return not _cut_off(whole, passage)
    quoted = [_letters(q) for q in _QUOTED.findall(sentence)]
    return bool(quoted) and all(q in there for q in quoted) and sum(map(len, quoted)) > 0.6 * len(whole)


def _cut_off(whole: str, passage: str) -> bool:
    place = next((p for p in windows(passage) if whole in _letters(p)), "")
    head = _letters(place).partition(whole)[0]
    return bool(head) and negation.ends_in(head)


# -- names -----------------------------------------------------------------------------------------------------


def _lacking_name(sentence: str, passage: str, language: str) -> str:
    """A name in the sentence that the passage does not have, spelled alike or nearly so."""
    there = passage.casefold()
    known = set(re.findall(r"\w+", there))
    for name in _names(sentence, language):
        folded = name.casefold()
        if folded in there or any(_alike(folded, w) for w in known) or _abbreviates(name, passage):
            continue
        return name
    return ""


def _names(sentence: str, language: str) -> list[str]:
    out: list[str] = []
    for match in _NAME.finditer(sentence):
        word, before, after = match.group(), sentence[: match.start()], sentence[match.end() :]
        before = re.sub(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St)\.\s*$", "x ", before)
        first = not re.search(r"\w", before) or re.search(r"[.!?:;•\-–—(\[\"“‘„«¿¡*|]\s*$", before) is not None
        if word.casefold().removesuffix("'s").removesuffix("’s") in _TITLES:
            continue
        if language == "de" and not word.isupper() and not (first and _SAYING.match(after)):
            continue  # German writes every noun like a name
        if re.search(r",\s*$", before) and re.match(r"\s*[,.!?:;]|\s*$", after):
            continue  # who is spoken to
        if first and not word.isupper() and not _SAYING.match(after):
            continue
        out.append(re.sub(r"['’]s$", "", word))
    return out


def _alike(a: str, b: str) -> bool:
    """Whether two words may be one name in two spellings: Marcus and Marco, Aurelius and Aurel."""
    if min(len(a), len(b)) < 4:
        return False
    shared = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return shared >= max(4, 0.6 * min(len(a), len(b)))


def _abbreviates(name: str, passage: str) -> bool:
    """Whether capitals are the first letters of words that follow each other in the passage."""
    if not name.isupper() or len(name) > 6:
        return False
    initials = "".join(w[0] for w in re.findall(r"\w+", passage.casefold()))
    return name.casefold() in initials


def _logistic(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))
