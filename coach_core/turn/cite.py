"""Citations of a stream: numbered by first mention, each yielded before the text that names it.

Invariant: a number stands for one source in one answer, whether the model wrote [n] for a passage of its
prompt or the backend said itself what a place in the text rests on; a source cited twice keeps its number.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from coach_core.types import Citation, Event, Passage

log = logging.getLogger(__name__)
Resolve = Callable[[Citation], Citation]
#: What may be the beginning of a mark or of a fence; whitespace at a paragraph's end, before which a mark belongs.
_HOLD = re.compile(r"(?:\s*\[[\d,;\s]{0,12}|(?<!`)`{1,2})$")
_TAIL = re.compile(r"\s*\n\s*$")
_MARKS = re.compile(r"\[(\d{1,2}(?:\s*[,;]\s*\d{1,2})*)\](?!\()")
_SPACED = re.compile(r"( ?)" + _MARKS.pattern)
_FENCE = "```"


class Citer:
    """Takes an answer's text in pieces and gives it back with its citations.

    [n] in the text counts the passages of the prompt; numbers out of that range and anything in code stay
    as they are. `cite` puts a mark where the backend itself cites; `resolve` says what it knows of such a
    source. A text that is gone on with (`so_far`, which has `cited`) keeps the numbers it has. With
    `verbatim` (an answer that is data) not a letter is changed.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        so_far: str = "",
        cited: Sequence[Citation] = (),
        *,
        resolve: Resolve | None = None,
        verbatim: bool = False,
    ) -> None:
        self._passages = passages
        self._resolve = resolve
        self._verbatim = verbatim
        self._known = {_key(c): c.number for c in cited}
        keys = [("chunk", p.chunk_id) for p in passages]
        self._numbers = {n: self._known[key] for n, key in enumerate(keys, 1) if key in self._known}
        self._next = 1 + max(self._known.values(), default=0)
        self._fences = so_far.count(_FENCE)
        self._waiting: list[Citation] = []
        self._last = so_far[-3:]
        self._held = self._tail = ""
        self._mark = 0  # the number of the mark that was written last, while nothing has come after it

    def as_prompted(self, text: str) -> str:
        """`text` as the model may read it: its numbers are those of the prompt, marks of other sources are gone."""
        if self._verbatim:
            return text
        back = {shown: n for n, shown in self._numbers.items()}
        shown = set(self._known.values())

        def number(match: re.Match[str]) -> str:
            wanted = [int(n) for n in re.findall(r"\d+", match[2])]
            kept = "".join(f"[{back.get(n, n)}]" for n in wanted if n in back or n not in shown)
            return match[1] + kept if kept else ""

        return _SPACED.sub(number, text)

    def feed(self, text: str) -> Iterator[Event]:
        if self._verbatim:
            yield Event("text", text=text)
            return
        text = self._held + text
        held = _HOLD.search(text) if "[" in text[-16:] or text.endswith("`") else None
        self._held = text[held.start() :] if held else ""
        yield from self._out(text[: held.start()] if held else text)

    def flush(self) -> Iterator[Event]:
        yield from self._let_go()
        if self._waiting:  # a fence that was never closed
            self._fences = 0
            yield from self._catch_up()
        if tail := self._tail:
            self._tail = ""
            yield self._said(tail)

    def paragraph(self) -> Iterator[Event]:
        """Begin a new paragraph: what comes after a tool is said anew."""
        yield from self.flush()
        if self._last.strip() and not self._verbatim:
            yield self._said("\n\n"[self._last.endswith("\n") :])

    def cite(self, citation: Citation) -> Iterator[Event]:
        """A source that the backend itself names for what it has just said."""
        yield from self._let_go()
        self._waiting.append(citation)
        if self._fences % 2 == 0:
            yield from self._catch_up()

    def _let_go(self) -> Iterator[Event]:
        text, self._held = self._held, ""
        yield from self._out(text)

    def _catch_up(self) -> Iterator[Event]:
        waiting, self._waiting = self._waiting, []
        for citation in waiting:
            found = self._found(citation)
            number, fresh = self._number(_key(found))
            if fresh:
                yield Event("citation", citation=replace(found, number=number))
            if number != self._mark and not self._verbatim:
                yield self._said(f"{'' if self._mark else self._gap()}[{number}]")
                self._mark = number

    def _out(self, text: str) -> Iterator[Event]:
        if not text:
            return
        cited: list[Citation] = []

        def number(match: re.Match[str]) -> str:
            if (self._fences + text.count(_FENCE, 0, match.start())) % 2:
                return match.group()
            wanted = [int(n) for n in re.findall(r"\d+", match[1])]
            if not all(1 <= n <= len(self._passages) for n in wanted):
                return match.group()
            for n in wanted:
                if n not in self._numbers:
                    passage = self._passages[n - 1]
                    self._numbers[n], fresh = self._number(("chunk", passage.chunk_id))
                    if fresh:
                        cited.append(citation_of(passage, self._numbers[n]))
            return "".join(f"[{self._numbers[n]}]" for n in wanted)

        shown = self._tail + self._apart(_MARKS.sub(number, text))
        self._fences += text.count(_FENCE)
        tail = _TAIL.search(shown)
        self._tail = shown[tail.start() :] if tail else ""
        for citation in cited:
            yield Event("citation", citation=citation)
        if shown := shown[: tail.start()] if tail else shown:
            yield self._said(shown)
        if self._waiting and self._fences % 2 == 0:
            yield from self._catch_up()

    def _apart(self, text: str) -> str:
        """`text`, with one space between it and the mark of the backend's that it follows."""
        if not self._mark or self._tail:
            return text
        return f" {text}" if text[0].isalnum() or text[0] in "([\u201c\u2018\u00ab\u00bf\u00a1" else text

    def _gap(self) -> str:
        """What stands between the text so far and a mark: on the line that closes a fence nothing else may stand."""
        if self._last == _FENCE:
            return "\n\n"
        return "" if not self._last or self._last[-1].isspace() or self._last[-1] in "([" else " "

    def _said(self, text: str) -> Event:
        self._last, self._mark = text[-3:], 0
        return Event("text", text=text)

    def _number(self, key: object) -> tuple[int, bool]:
        """The number of a source, and whether it is new."""
        if key in self._known:
            return self._known[key], False
        self._known[key], self._next = self._next, self._next + 1
        return self._known[key], True

    def _found(self, citation: Citation) -> Citation:
        if self._resolve is None:
            return citation
        try:
            return self._resolve(citation)
        except Exception:  # a source that cannot be looked up is still a source
            log.exception("a citation could not be resolved")
            return citation


def citation_of(passage: Passage, number: int) -> Citation:
    """The snapshot of `passage` that is stored with an answer."""
    return Citation(
        number=number,
        title=passage.title,
        text=passage.text,
        document_id=passage.document_id,
        chunk_id=passage.chunk_id,
        document_hash=passage.document_hash,
        section=passage.section,
        page=passage.page,
        row=passage.row,
        start=passage.start,
        end=passage.end,
        score=passage.score,
        rank_words=passage.rank_words,
        rank_meaning=passage.rank_meaning,
    )


def _key(citation: Citation) -> object:
    """What makes two citations the same source."""
    if citation.chunk_id:
        return "chunk", citation.chunk_id
    if citation.url:
        return "url", citation.url
    if citation.document_id:
        return "document", citation.document_id, citation.start, citation.text
    return "elsewhere", citation.external_id, "" if citation.text else citation.title, citation.text
