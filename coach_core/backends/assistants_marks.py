"""Citation markers of the Assistants wire: cut out of the text, each citation put in its place.

Invariant: what comes out joined is the text without its markers, whatever pieces it came in; a marker that
no annotation explains is cut too. Text is held back only from where a marker may begin, at most LONGEST
characters, and one piece longer where the annotation of a whole marker may still follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coach_core.backends.openai_chat import citation_of
from coach_core.types import Citation, Event

LONGEST = 100
Raw = Mapping[str, Any]
_MARK = re.compile(
    rf"[ \t]*【(?P<mark>[^【】\n]{{0,{LONGEST}}})】"  # 【4:0†source】
    r"|\[(?P<label>[^\[\]\n]{1,100})\]\((?P<link>sandbox:[^\s()]{1,200})\)"  # a file that was made, as a link
    r"|(?P<path>sandbox:/[\w./-]*\w)"
)
#: The tail of a text that may be the beginning of a mark.
_OPEN = re.compile(
    rf"(?:[ \t]*【[^【】\n]{{0,{LONGEST}}}"
    r"|[ \t]+"
    r"|\[[^\[\]\n]{0,100}(?:\](?:\((?:s(?:a(?:n(?:d(?:b(?:o(?:x(?::[^\s()]{0,200})?)?)?)?)?)?)?)?)?)?"
    r"|\bsand(?:b(?:o(?:x(?::(?:/[\w./-]*)?)?)?)?)?)\Z"
)
_PLACE = re.compile(r"\d+:(\d+)")
#: What a marker says; 【】 is also how people set off words in Chinese and Japanese.
_CITES = re.compile(r"\d+:\d+|[^†]*†")


@dataclass(slots=True)
class Sources:
    """What searches at the API have found: the last search last."""

    searches: list[Sequence[Raw]] = field(default_factory=list)

    def add(self, results: Sequence[Raw]) -> None:
        self.searches.append(results)

    @property
    def empty(self) -> bool:
        return not any(self.searches)

    def told(self, cited: Citation, mark: str) -> Citation:
        """`cited` with the title and the words that its file was found by, as far as they are known."""
        found = self._result(cited.external_id, mark)
        name = str(found.get("file_name") or found.get("filename") or "")
        label = mark.rpartition("†")[2].strip() if "†" in mark else ""
        title = cited.title or name or ("" if label == "source" else label)
        text = cited.text or _words(found)
        return replace(cited, title=title, text=text, quote=cited.quote or text)

    def _result(self, file_id: str, mark: str) -> Raw:
        """The result that a mark such as 4:0†source names, or the best one of the file."""
        place = _PLACE.match(mark)
        number = int(place[1]) if place else -1
        for results in reversed(self.searches):
            if 0 <= number < len(results) and results[number].get("file_id") == file_id:
                return results[number]
        for results in reversed(self.searches):
            for result in results:
                if result.get("file_id") == file_id:
                    return result
        return {}


@dataclass(slots=True)
class Cut:
    """One text as it comes, in pieces or whole, with its annotations: those that name their marker's text,
    those that give places in the text alone, and those that come late."""

    sources: Sources
    _pieces: list[str] = field(default_factory=list)
    _length: int = 0
    _held: str = ""
    _notes: dict[str, Raw] = field(default_factory=dict)  # marker's text -> its annotation
    _points: list[tuple[int, Raw]] = field(default_factory=list)
    _placeless: list[Raw] = field(default_factory=list)
    _bare: set[str] = field(default_factory=set)  # markers that were cut before anything explained them
    _known: set[tuple[Any, ...]] = field(default_factory=set)

    def feed(self, text: str, notes: Sequence[Raw] = ()) -> Iterator[Event]:
        self._pieces.append(text)
        self._length += len(text)
        self._held += text
        yield from self._learn(notes)
        yield from self._out(final=False)

    def complete(self, whole: str, notes: Sequence[Raw] = ()) -> Iterator[Event]:
        """The text as it is told at its end: what the pieces have missed is said now."""
        so_far = "".join(self._pieces)
        rest = whole[len(so_far) :] if whole.startswith(so_far) else ""
        yield from self.feed(rest, notes)
        yield from self.flush()

    def flush(self) -> Iterator[Event]:
        yield from self._out(final=True)
        notes = [*(note for _, note in self._points), *self._placeless]
        self._points, self._placeless = [], []
        for note in notes:
            yield from self._cite(note, "")

    def _learn(self, notes: Sequence[Raw]) -> Iterator[Event]:
        for note in notes:
            mark, end = str(note.get("text") or ""), note.get("end_index")
            key = (mark, note.get("start_index"), end, note.get("type"))
            if key in self._known or citation_of(note) is None:
                continue
            self._known.add(key)
            mark = mark or self._slice(note)
            if mark in self._bare:
                self._bare.discard(mark)
                self._notes[mark] = note
                yield from self._cite(note, mark)
            elif mark:
                self._notes.setdefault(mark, note)
            elif isinstance(end, int):
                self._points = sorted([*self._points, (end, note)], key=lambda p: p[0])
            else:
                self._placeless.append(note)

    def _slice(self, note: Raw) -> str:
        """The marker at the places that an annotation gives, if there is one."""
        start, end = note.get("start_index"), note.get("end_index")
        if not isinstance(start, int) or not isinstance(end, int) or end > self._length:
            return ""
        text = "".join(self._pieces)[start:end]
        return text if _MARK.fullmatch(text) else ""

    def _out(self, *, final: bool) -> Iterator[Event]:
        while found := _MARK.search(self._held):
            tail = None if final else _OPEN.search(self._held)
            if tail and tail.start() <= found.start():
                break  # a link or a path that goes on
            note = self._note(found)
            if not final and note is None and found["mark"] is not None and found.end() == len(self._held):
                break  # what explains it may come with the next piece
            yield from self._say(self._held[: found.start()])
            yield from self._say(_shown(found, note), len(found[0]))
            if note is not None:
                yield from self._cite(note, found["mark"] or "")
            elif found["mark"] is not None and _CITES.match(found["mark"]):
                self._bare.add(found[0].strip())
        starts = [m.start() for m in (found, None if final else _OPEN.search(self._held)) if m]
        yield from self._say(self._held[: min(starts, default=len(self._held))])

    def _note(self, found: re.Match[str]) -> Raw | None:
        note = self._notes.get(found["link"] or found["path"] or found[0].strip())
        if note is None and self._placeless and _CITES.match(found["mark"] or ""):
            return self._placeless.pop(0)
        return note

    def _say(self, text: str, taken: int | None = None) -> Iterator[Event]:
        """`text`, which stands for the first `taken` characters that are held, with what is cited by place."""
        at = self._length - len(self._held)
        taken = len(text) if taken is None else taken
        self._held = self._held[taken:]
        while self._points and self._points[0][0] <= at + taken:
            place, note = self._points.pop(0)
            upto = min(max(place - at, 0), len(text))
            if text[:upto]:
                yield Event("text", text=text[:upto])
            at, text, taken = at + upto, text[upto:], taken - upto
            yield from self._cite(note, "")
        if text:
            yield Event("text", text=text)

    def _cite(self, note: Raw, mark: str) -> Iterator[Event]:
        if cited := citation_of(note):
            if note.get("type") == "file_path":
                cited = replace(cited, title=cited.title or str(note.get("text") or "").rpartition("/")[2])
            yield Event("citation", citation=self.sources.told(cited, mark.strip(" \t【】")))


def _shown(found: re.Match[str], note: Raw | None) -> str:
    """What stands in the text for a mark: nothing, or the name of a file that was made."""
    if found["mark"] is None:
        return found["label"] or found["path"].rpartition("/")[2]
    return "" if note is not None or _CITES.match(found["mark"]) else found[0]


def _words(result: Raw) -> str:
    content: Any = result.get("content") or result.get("text") or ""
    if isinstance(content, str):
        return content
    return "\n\n".join(str(c.get("text") or "") for c in content if isinstance(c, Mapping)).strip()
