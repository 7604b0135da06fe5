"""What of the facts just said is new, what is known already, and what has changed.

Invariant: pure. A fact that adds nothing to one that is known, was told to the model or rejected by the coach gives
no new one; what takes the place of another names it, and never one that is about something else.
"""

# ruff: noqa: E501 - patterns are read more easily whole
from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from coach_core.search import words
from coach_core.store.memories import Change
from coach_core.types import Candidate, Memory

F32 = NDArray[np.float32]
_REPEATS = 0.8  # of the words of a fact: it says no more than the other
_SAME = 0.7  # of all their words in common
_NEAR = 0.34
_NEAR_MEANING = 0.93  # by e5, whose cosines lie between .77 and 1
_PARAPHRASE = 0.955
#: kinds in which two things cannot both hold now; what has happened stays
_CHANGEABLE = frozenset({"goal", "fact", "preference", "challenge"})
_INSTEAD = re.compile(
    r"\binstead\b|\bno longer\b|\bnot? (?:any ?more|any longer)\b|\brather than\b|\bchanged my mind\b|\bgave up on\b|\bnot .{1,40} but\b"
    r"|\ben (?:vez|lugar) de\b|\bya no\b|\bcambié de\b|\bstatt\b|\banstatt\b|\bnicht mehr\b|\bsondern\b|不再|而不是|改成|改为|改主意"
    r"|بدلا من|بدلًا من|لم أعد|عوضا عن",
    re.I,
)
_NOT = re.compile(
    r"\b(?:not|n't|no|never|hate|dislike|can't stand|don't|doesn't)\b|n't\b|\b(?:no|nunca|odio|detesto)\b|\b(?:nicht|kein\w*|nie|hasse)\b|不|讨厌|没"
    r"|(?<!\w)(?:لا|لم|لن|أكره|ليس)(?!\w)",
    re.I,
)
#: facts of which there is one at a time
_SLOTS: Mapping[str, re.Pattern[str]] = {
    "home": re.compile(
        r"\b(?:live|lives|living|moved|moving)\b.{0,12}\b(?:in|to)\b\s+(?P<v>.+)|\b(?:vivo|vive|mudé|mudado) (?:en|a)\b\s+(?P<v2>.+)"
        r"|\b(?:wohne|wohnt|lebe|lebt)\b.{0,12}\bin\b\s+(?P<v3>.+)|\bnach (?P<v4>\w+) (?:um)?gezogen|(?:住在|搬到|搬去)(?P<v5>[^，。,.]+)"
        r"|(?:أعيش|أسكن|يعيش|تعيش) في (?P<v6>.+)|انتقلت إلى (?P<v7>.+)",
        re.I,
    ),
    "work": re.compile(
        r"\bworks? as (?P<v>.+)|\btrabaj(?:o|a) (?:como|de) (?P<v2>.+)|\barbeitet? als (?P<v3>.+)|(?:أعمل|يعمل|تعمل) (?P<v5>.+)",
        re.I,
    ),
    "employer": re.compile(
        r"\bworks? (?:for|at) (?P<v>.+)|\btrabaj(?:o|a) (?:en|para) (?P<v2>.+)|\barbeitet? (?:bei|in) (?P<v3>.+)|在(?P<v4>.{1,12})(?:工作|上班)",
        re.I,
    ),
    "name": re.compile(
        r"\b(?:my name is|call me) (?P<v>\w+)|\bme llamo (?P<v2>\w+)|\bich heiße (?P<v3>\w+)|我叫(?P<v4>\w+)|اسمي (?P<v5>\w+)",
        re.I,
    ),
    "age": re.compile(
        r"\b(?:i'm|i am|is) (?P<v>\d\d)\b|\btengo (?P<v2>\d\d) años|\bbin (?P<v3>\d\d)\b|(?P<v4>\d\d)岁|عمري (?P<v5>\d\d)",
        re.I,
    ),
    "partner": re.compile(
        r"\b(?P<v>married|single|divorced|engaged|widowed)\b|\b(?P<v2>casad|divorciad|solter)[oa]\b|\b(?P<v3>verheiratet|geschieden|ledig)\b"
        r"|(?P<v4>结婚|离婚|单身)|(?P<v5>متزوج|مطلق|أعزب)",
        re.I,
    ),
}
#: "my sister lives in": nothing of which there is one
_OF_OTHERS = re.compile(
    r"\b(?:my|mi|meine?|her|his) (?!name|nombre)\w+ .*\b(?:lives?|works?|moved|vive|trabaja|wohnt|arbeitet|is|ist|es|está)\b|我的|(?:ي|تي) (?:يعيش|تعيش|يعمل|تعمل)",
    re.I,
)
_WEAK = frozenset(
    words.tokenise(
        "want wants wanted like love hope plan plans aim goal dream decided trying would really now still just also try get got "
        "feel feeling struggle struggling hard difficult finally managed started have has been enjoy prefer hate going go make"
    ).split()
    + words.tokenise("quiero quisiera gusta gustaría espero objetivo meta ahora", "es").split()
    + words.tokenise("will möchte würde gerne plane hoffe ziel jetzt", "de").split()
    + ["想要", "希望", "打算", "计划", "喜欢"]
)


def decide(
    candidates: Sequence[Candidate],
    there: Sequence[Memory],
    *,
    told: Sequence[UUID] = (),
    said_before: Sequence[str] = (),
    vectors: Mapping[str, F32] | None = None,
) -> list[Change]:
    """What to do with each of `candidates`, given the memories there are.

    `told` are the memories that the model was told in this thread, `said_before` the sentences that it said;
    `vectors` are those of texts, by text.
    """
    out: list[Change] = []
    heard = [_content(s) for s in said_before]
    injected = [_content(m.text) for m in there if m.id in set(told)]
    taken: list[Candidate] = []
    for candidate in candidates:
        own = _content(candidate.text)
        changes = bool(_INSTEAD.search(candidate.text))
        repeats = any(_held(own, other) >= _REPEATS for other in (*heard, *injected)) and not changes
        twice = any(_content(t.text) == own and t.kind == candidate.kind for t in taken)
        if not own or repeats or twice:
            out.append(Change(candidate, drop=True))
            continue
        taken.append(candidate)
        out.append(_against(candidate, there, vectors or {}))
    return out


def _against(candidate: Candidate, there: Sequence[Memory], vectors: Mapping[str, F32]) -> Change:
    best: tuple[float, Memory] | None = None
    slot = slot_of(candidate.text)
    alike = [m for m in there if m.status in ("approved", "pending") and slot and _slot(m) == slot[0]]
    if alike:
        agreeing = [m for m in alike if _agree(slot, slot_of(m.text))]
        return Change(candidate, join=agreeing[0].id) if agreeing else _instead(candidate, alike[-1])
    for memory in there:
        if memory.status == "superseded":
            continue
        if memory.kind != candidate.kind and _content(memory.text) != _content(candidate.text):
            continue
        likeness = _likeness(candidate.text, memory.text, vectors)
        if likeness >= _NEAR and (best is None or likeness > best[0]):
            best = (likeness, memory)
    if best is None:
        return _named_instead(candidate, there)
    likeness, memory = best
    differs = _differs(candidate.text, memory.text)
    if memory.status == "rejected":
        return Change(candidate, drop=True) if likeness >= _SAME and not differs else Change(candidate)
    changes = bool(_INSTEAD.search(candidate.text)) and _content(candidate.text) != _content(memory.text)
    if not differs and not changes and likeness >= _SAME:
        return Change(candidate, join=memory.id)
    if candidate.kind in _CHANGEABLE and (differs or changes):
        return _instead(candidate, memory)
    return Change(candidate)


def _named_instead(candidate: Candidate, there: Sequence[Memory]) -> Change:
    """ "A half marathon instead of 10 km": what is named behind the word is what it takes the place of."""
    match = _INSTEAD.search(candidate.text)
    if match is None or candidate.kind not in _CHANGEABLE:
        return Change(candidate)
    own = _content(candidate.text)
    for memory in sorted(there, key=lambda m: m.created_at, reverse=True):
        if memory.status in ("approved", "pending") and memory.kind == candidate.kind:
            other = _content(memory.text)
            if other and len(own & other) >= max(1, round(0.34 * len(other))):
                return _instead(candidate, memory)
    return Change(candidate)


def _instead(candidate: Candidate, memory: Memory) -> Change:
    return Change(candidate, supersede=memory.id)


def _likeness(one: str, other: str, vectors: Mapping[str, F32]) -> float:
    """0..1: how much of their words two texts share, or 1 where one paraphrases the other."""
    a, b = _content(one), _content(other)
    if not a or not b:
        return float(a == b)
    shared = len(a & b)
    share = max(shared / len(a | b), 0.9 * shared / min(len(a), len(b)) if min(len(a), len(b)) > 1 else 0.0)
    if one in vectors and other in vectors:
        cosine = float(vectors[one] @ vectors[other])
        if cosine >= _PARAPHRASE or (cosine >= _NEAR_MEANING and shared):
            return max(share, _SAME)
    return share


def _differs(one: str, other: str) -> bool:
    """Whether they name other numbers, or one denies what the other says."""
    if bool(_NOT.search(one)) != bool(_NOT.search(other)) and not _INSTEAD.search(one):
        return True
    mine, theirs = _numbers(one), _numbers(other)
    return bool(mine and theirs and mine != theirs)


def slot_of(text: str) -> tuple[str, frozenset[str]] | None:
    """Which of the facts that there is one of at a time a text states, and what it says of it."""
    if _OF_OTHERS.search(text):
        return None
    for slot, pattern in _SLOTS.items():
        match = pattern.search(text.replace("’", "'"))
        if match is not None:
            value = next((v for v in match.groupdict().values() if v), "")
            return slot, frozenset(words.tokenise(value).split())
    return None


def _slot(memory: Memory) -> str:
    found = slot_of(memory.text)
    return found[0] if found else ""


def _agree(one: tuple[str, frozenset[str]] | None, other: tuple[str, frozenset[str]] | None) -> bool:
    return one is not None and other is not None and bool(one[1] & other[1] or one[1] == other[1])


def _held(own: frozenset[str], other: frozenset[str]) -> float:
    """How much of `own` stands in `other`."""
    return len(own & other) / len(own) if own else 1.0


def _content(text: str) -> frozenset[str]:
    tokens = frozenset(words.tokenise(text).split())
    return (tokens - _WEAK) or tokens


def _numbers(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\d+(?:[.,]\d+)?", text))


def content_of(text: str) -> frozenset[str]:
    """The words by which two facts are held against each other."""
    return _content(text)
