"""What the events of one response add up to, on the Responses wire.

Invariant: every text, call and citation is yielded once, whether it came in pieces, only in a closing event
or in a whole response; an event that came before is passed over; `response` is set by the end alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from coach_core.backends import Endpoint
from coach_core.backends.items import arguments_of
from coach_core.backends.openai_chat import citation_of
from coach_core.backends.sdk_errors import said
from coach_core.errors import HostedSearchFailed
from coach_core.types import Citation, Event, Usage

#: Events that say that it began or goes on, not that something of the answer has come.
STARTED = frozenset({"response.created", "response.queued", "response.in_progress", "keepalive", "ping"})
ENDED = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"})
#: Statuses of a whole response, as the event that would end it.
_STATUS = {s: f"response.{s}" for s in ("completed", "incomplete", "failed", "cancelled")}
#: A citation that llama-stack leaves in the text of a stream, and what may yet become one.
_MARK = re.compile(r"[ \t]*<\|(file-[\w-]+)\|>")
_HELD = re.compile(r"[ \t]*(?:<(?:\|[\w-]{0,80}\|?)?)?$")
_SEARCHED = "The documents kept at the API {}. The app's own search can answer instead."


@dataclass(slots=True)
class Gathered:
    """`must_find` is set where the API searches the documents itself: nothing found is a fault then."""

    endpoint: Endpoint
    must_find: bool = False
    response: Mapping[str, Any] | None = None
    reason: str = ""
    calls: list[str] = field(default_factory=list)
    _texts: dict[Any, list[str]] = field(default_factory=dict)
    _spoke: Any = None
    _thought: Any = None
    _refused: bool = False
    _cited: set[tuple[Any, ...]] = field(default_factory=set)
    _found: dict[str, Citation] = field(default_factory=dict)
    _hosted: bool = False  # the API has searched documents of its own
    _held: str = ""
    _last: int = -1
    _rising: bool = False

    @property
    def finish(self) -> str:
        return "tool_calls" if self.calls else "refusal" if self._refused else "stop"

    @property
    def spoken(self) -> bool:
        return bool(self._texts)

    def take(self, event: Any) -> Iterator[Event]:
        """The events that one frame of the stream, or a whole response, brings."""
        kind: str | None = event.get("type")
        if kind is None and "output" in event:
            kind, event = _ended(event), {"response": event}
        elif kind is None and event.get("error"):
            kind = "error"
        if self._before(kind, event.get("sequence_number")):
            return
        match kind:
            case "response.output_text.delta":
                yield from self._text(_place(event), event.get("delta") or "")
            case "response.refusal.delta":
                self._refused = True
                yield from self._text(_place(event), event.get("delta") or "")
            case "response.output_text.done" | "response.refusal.done":
                self._refused = self._refused or kind == "response.refusal.done"
                yield from self._rest(_place(event), event.get("text") or event.get("refusal") or "")
            case "response.output_text.annotation.added":
                yield from self._cite(_place(event), event.get("annotation") or {})
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                yield from self._reasoning(event)
            case "response.output_item.done":
                item = event.get("item") or {}
                yield from self._message(event.get("output_index"), item)
                yield from self._item(item)
            case "response.completed" | "response.incomplete":
                self.response = response = event.get("response") or {}
                if kind == "response.incomplete":
                    self.reason = _reason(response)
                yield from self._missed(response.get("output") or ())
                if self._held:
                    yield Event("text", text=self._held)
            case "response.failed" | "response.cancelled" | "error":
                raise self._fault(event)
            case _:
                pass

    def _before(self, kind: str | None, number: int | None) -> bool:
        """Whether the event came already, by its number; some servers number all of them alike."""
        if number is None:
            return False
        if kind == "response.created":
            self._last = number
            return False
        if self._rising and number <= self._last:
            return True
        self._rising = self._rising or number > self._last >= 0
        self._last = max(self._last, number)
        return False

    def _text(self, place: Any, text: str) -> Iterator[Event]:
        if text:
            between = "" if self._spoke in {None, place[0]} else "\n\n"
            self._spoke = place[0]
            self._texts.setdefault(place, []).append(text)
            if self._hosted:
                yield from self._unmarked(between + text)
            else:
                yield Event("text", text=between + text)

    def _unmarked(self, text: str) -> Iterator[Event]:
        """The text without the server's own marks, each a citation where it stood; half a mark is held back."""
        text, at = self._held + text, 0
        for mark in _MARK.finditer(text):
            if mark.start() > at:
                yield Event("text", text=text[at : mark.start()])
            yield Event("citation", citation=self._found.get(mark[1]) or Citation(0, "", "", external_id=mark[1]))
            at = mark.end()
        held = _HELD.search(text, at)
        until = held.start() if held else len(text)
        self._held = text[until:]
        if until > at:
            yield Event("text", text=text[at:until])

    def _rest(self, place: Any, whole: str) -> Iterator[Event]:
        """What the pieces have missed of a text that is told whole at its end."""
        so_far = "".join(self._texts.get(place, ()))
        if len(whole) > len(so_far) and whole.startswith(so_far):
            yield from self._text(place, whole[len(so_far) :])

    def _reasoning(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if delta := event.get("delta"):
            place = (event.get("output_index"), event.get("summary_index", event.get("content_index")))
            between = "" if self._thought in {None, place} else "\n\n"
            self._thought = place
            yield Event("reasoning", text=between + delta)

    def _cite(self, place: Any, note: Mapping[str, Any]) -> Iterator[Event]:
        key = (place[0], note.get("type"), note.get("url"), note.get("file_id"), *_span(note))
        cited = citation_of(note)
        if cited is None or key in self._cited:
            return
        self._cited.add(key)
        found = self._found.get(cited.external_id)
        if found and not cited.text:
            cited = replace(cited, title=cited.title or found.title, text=found.text, quote=found.text)
        yield Event("citation", citation=cited)

    def _item(self, item: Mapping[str, Any]) -> Iterator[Event]:
        match item.get("type"):
            case "function_call" | "custom_tool_call":
                yield from self._call(item)
            case "file_search_call":
                self._searched(item)
            case _:
                pass

    def _call(self, item: Mapping[str, Any]) -> Iterator[Event]:
        call_id = item.get("call_id") or item.get("id") or ""
        if not call_id or call_id in self.calls or item.get("status") == "incomplete":
            return
        self.calls.append(call_id)
        told = item.get("input") if item.get("type") == "custom_tool_call" else None
        arguments = arguments_of(item.get("arguments") or "") if told is None else {"input": told}
        yield Event("tool_call", call_id=call_id, name=item.get("name") or "", arguments=arguments)

    def _searched(self, item: Mapping[str, Any]) -> None:
        self._hosted = True
        results: Sequence[Mapping[str, Any]] | None = item.get("results")
        for result in results or ():
            if (file_id := result.get("file_id")) and file_id not in self._found:
                text, named = result.get("text") or "", result.get("attributes") or {}
                title = str(named.get("filename") or result.get("filename") or "")
                self._found[file_id] = Citation(0, title, text, quote=text, external_id=file_id)
        if not self.must_find or self.spoken:
            return
        if item.get("status") in {"failed", "incomplete"}:
            raise HostedSearchFailed(_SEARCHED.format("could not be searched"))
        if results is not None and not results:
            raise HostedSearchFailed(_SEARCHED.format("held nothing on this"))

    def _missed(self, output: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
        """What a server that sends few events, or none, tells only at the end."""
        told_before = self.spoken
        for index, item in enumerate(output):
            if not told_before:
                yield from self._message(index, item)
            yield from self._item(item)

    def _message(self, index: Any, item: Mapping[str, Any]) -> Iterator[Event]:
        """A message told whole, unless its pieces have come."""
        told = any(place[0] == index or None in (place[0], index) for place in self._texts)
        if item.get("type") == "message" and not told:
            for number, content in enumerate(item.get("content") or ()):
                yield from self._content((index, number), content)

    def _content(self, place: Any, content: Mapping[str, Any]) -> Iterator[Event]:
        if refusal := content.get("refusal"):
            self._refused = True
            yield from self._text(place, refusal)
            return
        text, at = content.get("text") or "", 0
        notes = sorted(content.get("annotations") or (), key=lambda n: _span(n)[1])
        for note in notes:
            until = min(max(_span(note)[1], at), len(text))
            yield from self._text(place, text[at:until])
            yield from self._cite(place, note)
            at = until
        yield from self._text(place, text[at:])

    def _fault(self, event: Mapping[str, Any]) -> Exception:
        fault = event.get("error") or (event.get("response") or {}).get("error") or event
        codes = f"{fault.get('code')} {fault.get('type')}"
        return said(codes, str(fault.get("message") or ""), self.endpoint)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    told, answered = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return Usage(
        input_tokens=usage.get("input_tokens") or 0,
        output_tokens=usage.get("output_tokens") or 0,
        cached_tokens=told.get("cached_tokens") or 0,
        reasoning_tokens=answered.get("reasoning_tokens") or 0,
    )


def _ended(response: Mapping[str, Any]) -> str:
    """The event that would end a whole response; a status of the server's own making says nothing against it."""
    fallback = "failed" if response.get("error") else "completed"
    return _STATUS.get(str(response.get("status")), _STATUS[fallback])


def _place(event: Mapping[str, Any]) -> tuple[Any, Any]:
    """Which text an event belongs to; servers that number nothing have one."""
    return event.get("output_index"), event.get("content_index")


def _span(note: Mapping[str, Any]) -> tuple[int, int]:
    end = note.get("end_index", note.get("index"))
    return note.get("start_index") or 0, end if isinstance(end, int) else 0


def _reason(response: Mapping[str, Any]) -> str:
    reason = (response.get("incomplete_details") or {}).get("reason") or "incomplete"
    return "length" if reason in {"max_output_tokens", "max_tokens"} else reason
