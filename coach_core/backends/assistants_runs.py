"""What the events of one run add up to, on the Assistants wire.

Invariant: every text, call and citation is yielded once, whether it came in pieces, whole at a message's
end, or by asking for the run and its messages; `run` is the run as it was told last, and `ended` says that
nothing of it can follow. A status that is not known is one that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coach_core.backends import Endpoint
from coach_core.backends.assistants_marks import Cut, Sources
from coach_core.backends.openai_chat import usage_of
from coach_core.backends.sdk import fault_in
from coach_core.backends.sdk_errors import host_of, said
from coach_core.errors import BackendError, HostedSearchFailed, MalformedStream
from coach_core.types import Event, Usage

#: Statuses after which a run does nothing more by itself.
ENDED = frozenset({"completed", "requires_action", "failed", "incomplete", "expired", "cancelled"})
_SEARCHED = "The documents kept at the API {}. The app's own search can answer instead."
_PICTURE = "[image]"
Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the run waits for."""

    call_id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Gathered:
    """`must_find` is set where the API searches the documents itself: nothing found is a fault then."""

    endpoint: Endpoint
    must_find: bool = False
    run: Raw = field(default_factory=dict[str, Any])
    run_id: str = ""
    refused: bool = False
    filtered: bool = False
    spoken: bool = False
    sources: Sources = field(default_factory=Sources)
    _parts: dict[tuple[str, int], Cut] = field(default_factory=dict)
    _speaks: tuple[str, int] | None = None
    _shown: set[tuple[str, int]] = field(default_factory=set)
    _refusals: dict[tuple[str, int], str] = field(default_factory=dict)
    _code: dict[tuple[str, int], str] = field(default_factory=dict)
    _searched: set[str] = field(default_factory=set)

    @property
    def status(self) -> str:
        return str(self.run.get("status") or "")

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def calls(self) -> list[Call]:
        """What the run waits for; raises where it waits for nothing that can be done."""
        action = self.run.get("required_action") or {}
        told: Sequence[Raw] = (action.get("submit_tool_outputs") or {}).get("tool_calls") or ()
        functions = [(call, call.get("function") or {}) for call in told]
        calls = [
            Call(str(c.get("id") or ""), str(f.get("name") or ""), str(f.get("arguments") or "")) for c, f in functions
        ]
        if not calls or not all(call.call_id and call.name for call in calls):
            host = host_of(self.endpoint)
            raise MalformedStream(f"{host} waits for a tool that it does not name. What had arrived is kept.")
        return calls

    @property
    def usage(self) -> Usage | None:
        """Of the whole run, all its rounds together, as the API tells it when the run has ended."""
        told: Raw | None = self.run.get("usage")
        if not told:
            return None
        # The vendor's own server spelt it so for as long as it served this API.
        details = told.get("prompt_tokens_details") or told.get("prompt_token_details")
        return usage_of({**told, "prompt_tokens_details": details})

    def alive(self, frame: Raw) -> bool:
        """Whether a frame is a step towards the answer, not only word that the run began."""
        return not _about_run(_inner(frame))

    def take(self, frame: Raw) -> Iterator[Event]:
        """The events that one frame of the stream, or a whole run, brings."""
        raw = _inner(frame)
        if fault := self._fault(raw):
            raise fault
        delta: Any = raw.get("delta")
        if isinstance(delta, Mapping):
            if "step_details" in delta:
                yield from self._step(str(raw.get("id")), delta["step_details"], piece=True)
            else:
                yield from self._contents(str(raw.get("id")), delta.get("content") or (), whole=False)
        elif "step_details" in raw:
            yield from self.step(raw)
        elif "content" in raw:
            yield from self.message(raw)
        elif _about_run(raw):
            self.run = raw
            self.run_id = self.run_id or str(raw.get("id") or "")

    def message(self, raw: Raw) -> Iterator[Event]:
        """A message as a whole: begun, ended, or asked for."""
        if raw.get("role", "assistant") != "assistant":
            return
        details = raw.get("incomplete_details") or {}
        self.filtered = self.filtered or details.get("reason") == "content_filter"
        if raw.get("status") != "in_progress" or raw.get("type") == "thread.message.completed":
            yield from self._contents(str(raw.get("id")), raw.get("content") or (), whole=True)

    def step(self, raw: Raw) -> Iterator[Event]:
        """A step as a whole: begun, ended, or asked for."""
        details: Raw = raw.get("step_details") or {}
        status = raw.get("status")
        if status in {"failed", "expired"} and self.must_find and not self.spoken and _searches(details):
            raise HostedSearchFailed(_SEARCHED.format("could not be searched"))
        yield from self._step(str(raw.get("id")), details, piece=False, whole=status in {"completed", None})

    def flush(self) -> Iterator[Event]:
        """What is held back of a text whose end was not told."""
        if self._speaks in self._parts:
            yield from self._spaced(self._speaks, self._parts[self._speaks].flush())

    def must_have_found(self) -> None:
        """Raises where the API was to search and has found nothing, while nothing has been said."""
        if self.must_find and self._searched and self.sources.empty and not self.spoken:
            raise HostedSearchFailed(_SEARCHED.format("held nothing on this"))

    # -- messages -----------------------------------------------------------------------------------

    def _contents(self, message: str, contents: Sequence[Raw], *, whole: bool) -> Iterator[Event]:
        for number, content in enumerate(contents):
            index = content.get("index")
            place = (message, number if whole or not isinstance(index, int) else index)
            match content.get("type"):
                case "image_file" | "image_url":
                    yield from self._picture(place, content)
                case "refusal":
                    yield from self._refusal(place, str(content.get("refusal") or ""), whole=whole)
                case _:
                    yield from self._text(place, content.get("text"), whole=whole)

    def _text(self, place: tuple[str, int], text: Any, *, whole: bool) -> Iterator[Event]:
        told: Raw = text if isinstance(text, Mapping) else {"value": text}
        value, notes = told.get("value") or "", told.get("annotations") or ()
        if not value and not notes:
            return
        self.must_have_found()
        cut = self._parts.setdefault(place, Cut(self.sources))
        yield from self._spaced(place, cut.complete(value, notes) if whole else cut.feed(value, notes))

    def _refusal(self, place: tuple[str, int], text: str, *, whole: bool) -> Iterator[Event]:
        self.refused = True
        before = self._refusals.get(place, "")
        if whole:
            text = text[len(before) :] if text.startswith(before) else ""
        self._refusals[place] = before + text
        if text:
            yield from self._spaced(place, iter([Event("text", text=text)]))

    def _picture(self, place: tuple[str, int], content: Raw) -> Iterator[Event]:
        """A picture cannot be shown here: the text says where it was, a notice says so once."""
        if place in self._shown:
            return
        self._shown.add(place)
        name = (content.get("image_file") or {}).get("file_id") or "a picture"
        text = f"The assistant made a picture that cannot be shown here ({name}, kept at {host_of(self.endpoint)})."
        yield Event("notice", source="image", text=text)
        yield from self._spaced(place, iter([Event("text", text=_PICTURE)]))

    def _spaced(self, place: tuple[str, int], events: Iterator[Event]) -> Iterator[Event]:
        """`events` of one text, a blank line between it and the text before."""
        if place != self._speaks:
            yield from self.flush()
        for event in events:
            if event.kind == "text":
                if place != self._speaks:
                    if self.spoken:
                        yield Event("text", text="\n\n")
                    self._speaks = place
                self.spoken = True
            yield event

    # -- steps --------------------------------------------------------------------------------------

    def _step(self, step: str, details: Raw, *, piece: bool, whole: bool = False) -> Iterator[Event]:
        calls: Sequence[Raw] = details.get("tool_calls") or ()
        for number, call in enumerate(calls):
            index = call.get("index")
            place = (step, index if piece and isinstance(index, int) else number)
            match call.get("type"):
                case "code_interpreter":
                    yield from self._coded(place, call.get("code_interpreter") or {}, piece=piece)
                case "file_search" if whole:
                    self._found(str(call.get("id") or place), call.get("file_search") or {})
                case _:
                    pass

    def _coded(self, place: tuple[str, int], code: Raw, *, piece: bool) -> Iterator[Event]:
        """Code that the API ran, and what it printed: part of how the answer was thought out."""
        before = self._code.get(place, "")
        text = str(code.get("input") or "")
        logs = "".join(f"\n{o.get('logs')}" for o in code.get("outputs") or () if o.get("logs"))
        if not piece:  # told whole: what the pieces have missed
            text = text + logs
            text = text[len(before) :] if text.startswith(before) else ""
        elif logs:
            text += logs
        if text:
            between = "\n\n" if not before and self._code else ""
            self._code[place] = before + text
            yield Event("reasoning", text=between + text)

    def _found(self, call: str, search: Raw) -> None:
        results: Sequence[Raw] | None = search.get("results")
        if results is not None and call not in self._searched:
            self._searched.add(call)
            self.sources.add(results)

    # -- how it ends --------------------------------------------------------------------------------

    def _fault(self, raw: Raw) -> BackendError | None:
        if "object" in raw or "error" in raw:
            return fault_in(raw, self.endpoint)
        if "message" in raw and ("code" in raw or raw.get("type") == "error"):
            return said(f"{raw.get('code')} {raw.get('type')}", str(raw["message"] or ""), self.endpoint)
        return None


def _inner(frame: Raw) -> Raw:
    """The event itself: some servers put it under `data`, beside its name."""
    inner: Any = frame.get("data")
    return inner if isinstance(inner, Mapping) and "event" in frame else frame


def _searches(details: Raw) -> bool:
    calls: Sequence[Raw] = details.get("tool_calls") or ()
    return any(call.get("type") == "file_search" for call in calls)


def _about_run(raw: Raw) -> bool:
    if "object" in raw:
        return raw["object"] == "thread.run"
    return "status" in raw and "assistant_id" in raw and "content" not in raw and "step_details" not in raw
