"""What of a message is the person's own: typed now, neither quoted, pasted nor said before by the app.

Invariant: what is handed out are pieces of the message, verbatim.
"""

# ruff: noqa: E501 - patterns are read more easily whole
from __future__ import annotations

import re
from collections.abc import Iterator

_FENCE = re.compile(r"(?:```|~~~).*?(?:```|~~~|\Z)", re.S)
_QUOTED_LINE = re.compile(r"^[ \t]*(?:>|\|).*$", re.M)
#: a mail or a log that was pasted below
_PASTED_BELOW = re.compile(
    r"^[ \t]*(?:-{3,}|_{3,}|={3,}|(?:from|to|subject|sent|von|an|betreff|de|para|asunto|发件人|主题|من|إلى)[ \t]*[:：]\s.*)$",
    re.I | re.M,
)
#: "here is the article:" and then a long text, which is somebody else's
_INTRODUCED = re.compile(
    r"(?:here(?:'s| is| are)|below is|this is (?:the|an?)|pasted?|article|document|transcript|e-?mail|notes?|text|hier ist"
    r"|hier sind|artikel|aquí (?:está|tienes)|artículo|documento|以下是|文章|下面是|إليك|المقال|النص)[^\n]{0,80}[:：][ \t]*\n",
    re.I,
)
_PASTE_FROM = 300  # characters behind such a line
_QUOTES = re.compile(r"“[^”]{12,}”|„[^“”]{12,}[“”]|«[^»]{12,}»|「[^」]{6,}」|\"[^\"\n]{12,}\"")
_END = re.compile(
    r"(?<=[.!?…])(?<!\b\d\.)(?<!\b\d\d\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bz\.B\.)(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)"
    r"[\"'”’)\]]*\s+|(?<=[。！？；])|(?<=؟)\s*|\n+"
)
#: two things said in one sentence
_CLAUSE = re.compile(
    r"(?:[,;]\s*(?:but|and|so|because)|\s+but|\s+and(?=\s+(?:i|i'm|i’m|my|she|he)\b)|;|,?\s+pero|,?\s+y(?=\s+(?:me|mi|he|no me"
    r"|quiero|tengo)\b)|,\s*aber|,?\s+und(?=\s+(?:ich|mein)\b)|[，,]\s*(?:但是?|而且|不过)|،\s*(?:لكن|ولكن))\s*",
    re.I,
)
_LONGEST = 4000  # characters of a message that are read: who types more has pasted it


def own_words(text: str) -> str:
    """The message with all that is not the person's own blanked out, place for place."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    own = _FENCE.sub(blank, text)
    own = _QUOTED_LINE.sub(blank, own)
    own = _QUOTES.sub(blank, own)
    for opening in (_PASTED_BELOW, _INTRODUCED):
        match = opening.search(own)
        if match and (opening is _PASTED_BELOW or len(own) - match.end() > _PASTE_FROM):
            own = own[: match.start()] + " " * (len(own) - match.start())
    return own[:_LONGEST]


def sentences(own: str) -> Iterator[tuple[int, int]]:
    """(begin, end) of each sentence."""
    at = 0
    for match in _END.finditer(own):
        yield from _trimmed(own, at, match.start())
        at = match.end()
    yield from _trimmed(own, at, len(own))


def clauses(own: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a sentence that say something of their own."""
    at = begin
    for match in _CLAUSE.finditer(own, begin, end):
        if match.start() - at >= 8 and end - match.end() >= 8:
            yield from _trimmed(own, at, match.start())
            at = match.end()
    yield from _trimmed(own, at, end)


def _trimmed(own: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    piece = own[begin:end]
    begin += len(piece) - len(piece.lstrip())
    end -= len(piece) - len(piece.rstrip())
    if end > begin:
        yield begin, end
