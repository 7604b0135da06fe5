"""Full text over messages: what is indexed, what is asked for, and the snippet that shows why.

Invariant: the same tokens go into both databases' indexes; a message is found when, for each word of
the question, it holds one of that word's stems.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import TSQUERY

from coach_core.search.words import language_of, query_words, tokenise
from coach_core.store.models.base import AnySelect, table_of
from coach_core.store.models.conversations import MessageWordsRow

WORDS = table_of(MessageWordsRow)
_INDEX = sa.table("message_index", sa.column("rowid"))
LONGEST_TOKEN = 100  # PostgreSQL refuses lexemes beyond 2 kB
MOST_WORDS = 32  # of one question
AROUND = 80
#: a word of a question is too short to tell its language, so it is asked for as each of these stems it
_LANGUAGES = ("es", "de", "fr", "it", "pt", "nl")
_WORD = re.compile(r"\w+")

Groups = Sequence[frozenset[str]]


def index(connection: Connection, thread_id: UUID, message_id: UUID | None, content: str) -> None:
    """Make `content` what is found of this message, or of the thread's title when `message_id` is None."""
    words = " ".join(token[:LONGEST_TOKEN] for token in tokenise(content).split())
    same = WORDS.c.message_id == message_id if message_id else WORDS.c.message_id.is_(None)
    connection.execute(sa.delete(WORDS).where(WORDS.c.thread_id == thread_id, same))
    if words:
        connection.execute(sa.insert(WORDS).values(thread_id=thread_id, message_id=message_id, words=words))


def wanted(question: str) -> Groups:
    """For each word of the question the stems that would do; words that say nothing are left out."""
    whole = set(query_words(question, _LANGUAGES))
    groups = (frozenset(query_words(word, _LANGUAGES)) & whole for word in question.split())
    cut = (frozenset(token[:LONGEST_TOKEN] for token in group) for group in groups if group)
    return list(dict.fromkeys(cut))[:MOST_WORDS]


def found_threads(groups: Groups, sqlite: bool) -> AnySelect:
    """Threads that hold a message with all of `groups`: thread_id, and the number of its newest such words."""
    newest = sa.func.max(sa.case((WORDS.c.message_id.is_not(None), WORDS.c.number)))
    query = sa.select(WORDS.c.thread_id, newest.label("number")).group_by(WORDS.c.thread_id)
    if sqlite:
        question = " AND ".join("(" + " OR ".join(f'"{t}"' for t in sorted(g)) + ")" for g in groups)
        joined = WORDS.join(_INDEX, _INDEX.c.rowid == WORDS.c.number)
        match = sa.text("message_index MATCH :question").bindparams(question=question)
        return query.select_from(joined).where(match)
    question = " & ".join("(" + " | ".join(f"'{t}'" for t in sorted(g)) + ")" for g in groups)
    vector = sa.func.array_to_tsvector(sa.func.string_to_array(WORDS.c.words, sa.literal_column("' '")))
    return query.where(vector.bool_op("@@")(sa.cast(question, TSQUERY)))


def snippet(content: str, groups: Groups) -> str:
    """A piece of `content` around the first found word, each found word as **word**."""
    flat = " ".join(content.replace("*", " ").split())
    stems = frozenset().union(*groups)
    language = language_of(flat)
    spans: list[tuple[int, int]] = []
    for word in _WORD.finditer(flat):
        if spans and word.start() > spans[0][0] + 2 * AROUND:
            break
        spans += _found(word.group(), word.start(), stems, language)
    if not spans:
        return flat[: 2 * AROUND] + ("…" if len(flat) > 2 * AROUND else "")
    start = max(0, spans[0][0] - AROUND)
    end = min(len(flat), spans[0][0] + 2 * AROUND)
    if start:
        start = flat.find(" ", start, spans[0][0]) + 1 or start
    out, at = ["…" if start else ""], start
    for first, last in spans:
        out += [flat[at:first], "**", flat[first:last], "**"]
        at = last
    end = max(end, at)
    out += [flat[at:end], "…" if end < len(flat) else ""]
    return "".join(out)


def _found(word: str, at: int, stems: frozenset[str], language: str) -> list[tuple[int, int]]:
    tokens = _tokens(word, language)
    if len(tokens) == 1:
        return [(at, at + len(word))] if tokens[0] in stems else []
    folded = word.casefold()
    marks = sorted({i for t in tokens if t in stems for i in _places(folded, t)})
    spans: list[tuple[int, int]] = []
    for i in marks:
        if spans and spans[-1][1] == at + i:
            spans[-1] = (spans[-1][0], at + i + 1)
        else:
            spans.append((at + i, at + i + 1))
    return spans


def _places(word: str, token: str) -> list[int]:
    """Which characters of `word` belong to an occurrence of `token`."""
    starts = (i for i in range(len(word)) if word.startswith(token, i))
    return [i for start in starts for i in range(start, start + len(token))]


@lru_cache(maxsize=65536)
def _tokens(word: str, language: str) -> tuple[str, ...]:
    return tuple(tokenise(word, language).split())
