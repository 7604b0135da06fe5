"""The only place that turns an Event into widgets: a growing answer, its status line, its sources.

Invariant: what is finished is drawn once and never sent again, so the bytes of an answer grow with its
length; a finished answer is drawn with the same elements that painted it, so nothing jumps at its end.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from textwrap import shorten
from typing import Any
from uuid import UUID, uuid4

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from coach_core import context
from coach_core.turn import hold
from coach_core.types import Citation, Event, Message, Part
from coach_core.ui import drawers, markdown
from coach_core.ui.shared import escape

_DOUBTED = "Open the passage: a sentence of the answer may go beyond it"
RATE = 12  # paints a second at most
GROWTH = 0.04  # a long paragraph is painted again only when it has grown by this share


class Painter:
    """Paints one answer as its events come. `began` is what an answer that is gone on with starts from."""

    def __init__(self, place: DeltaGenerator, status: DeltaGenerator, anchor: str, began: str = "") -> None:
        self._above = place.container()  # where help lines stand, before the first word
        self._place, self._status, self._anchor = place, status, anchor
        self._drawn: list[DeltaGenerator] = []
        self._live: DeltaGenerator | None = None
        self._pending = self._began = began
        self._shown = ""
        self._cited: set[int] = set()
        self._painted = 0.0
        self._line, self._who = "", "The coach"
        if began:
            self.paint()

    def take(self, event: Event) -> None:
        """Take one event in; painted when its time has come."""
        if event.kind == "text":
            self._pending += event.text
            self.say(f"{self._who} is writing")
            if time.monotonic() - self._painted >= 1 / RATE:
                self.paint()
        elif event.kind == "citation" and event.citation:
            self._cited.add(event.citation.number)
        elif event.kind == "retract":
            self._start_over()
        elif event.kind == "notice" and event.source == "care" and event.arguments:
            with self._above:
                referral(event.arguments["care"])
        elif event.kind == "notice" and event.source == "fallback":
            self._who = "The backup"
            self.say(escape(event.text))
        elif line := status_line(event):
            self.say(line)

    def say(self, line: str) -> None:
        if line != self._line:
            self._line = line
            self._status.caption(line)

    def paint(self, *, whole: bool = False) -> None:
        """Freeze the blocks that are complete and paint the growing one, unless too little has changed."""
        self._painted = time.monotonic()
        cut = len(self._pending) if whole else markdown.finished(self._pending)
        for block in markdown.blocks(self._pending[:cut]):
            self._draw(block)
            self._live, self._shown = None, ""
        self._pending = self._pending[cut:]
        grown = len(self._pending) - len(self._shown)
        if self._pending.strip() and grown > GROWTH * len(self._shown):
            self._shown = self._pending
            self._draw(self._pending)

    def _draw(self, block: str) -> None:
        if self._live is None:
            self._live = self._place.empty()
            self._drawn.append(self._live)
        self._live.markdown(markdown.safe(block, self._cited, self._anchor), anchors=False)

    def _start_over(self) -> None:
        for block in self._drawn:
            block.empty()
        self._drawn.clear()
        self._live, self._pending, self._shown = None, self._began, ""
        self._cited.clear()


def follow(
    place: DeltaGenerator,
    status: DeltaGenerator,
    events: Iterable[Event | None],
    anchor: str,
    partial: str,
) -> Event | None:
    """Paint a running turn to its end; returns the terminal event. `partial` was read before `events`."""
    stream = iter(events)
    before, began = _catch_up(stream, partial)
    painter = Painter(place, status, anchor, began)
    painter.say("Gathering what is known")
    last: Event | None = None
    for event in chain(before, stream):
        if event is None:
            _ = st.session_state.get("_beat")  # where Streamlit may take over for a click
            painter.paint()
            continue
        painter.take(event)
        last = event
    painter.paint(whole=True)
    return last if last is not None and last.terminal else None


def _catch_up(stream: Iterable[Event | None], partial: str) -> tuple[list[Event], str]:
    """The events up to where `partial` was read, and what the text began with before the first of them."""
    seen: list[Event] = []
    text, began = "", partial
    if not partial:
        return seen, ""
    for event in stream:
        if event is None:
            break
        seen.append(event)
        text = "" if event.kind == "retract" else text + (event.text if event.kind == "text" else "")
        if partial.endswith(text):
            began = partial[: len(partial) - len(text)]
        if len(text) >= len(partial) or event.terminal:
            break
    return seen, began


def status_line(event: Event) -> str:
    """What is being waited for, in words; "" where an event says nothing about it."""
    match event.kind:
        case "start":
            return f"Asking {escape(event.model or event.backend)}"
        case "notice":
            return escape(event.text)
        case "reasoning":
            return "Thinking"
        case "tool_call":
            return f"Using {escape(event.name.replace('_', ' '))}"
        case "tool_result":
            return f"Read the answer of {escape(event.name.replace('_', ' '))}"
        case _:
            return ""


# -- what is finished ----------------------------------------------------------------------------------


def answer(place: DeltaGenerator, text: str, citations: Sequence[Citation], anchor: str) -> None:
    """A whole answer, in the elements that painted it; marks that do not hold look so."""
    numbers, doubted = {c.number for c in citations}, hold.doubted(text, citations)
    for start, block in markdown.placed(text):
        within = {at - start for at in doubted}
        place.markdown(markdown.safe(block, numbers, anchor, within), anchors=False)


def referral(told: Mapping[str, Any]) -> None:
    """Help lines beside an answer: calm, and not to be missed."""
    rtl = str(told["locale"]).startswith("ar")
    with st.container(key=f"care{'-rtl' if rtl else ''}-{uuid4().hex[:8]}", border=True, gap="small"):
        st.markdown(f":material/favorite: **{escape(told['title'])}**", anchors=False)
        st.markdown(escape(told["text"]), anchors=False)
        st.markdown(f"**{escape(told['emergency'])}**", anchors=False)
        st.markdown("\n".join(_help_line(line) for line in told["lines"]), anchors=False)


def _help_line(line: Mapping[str, str]) -> str:
    """One line as an item: its number can be tapped on a phone."""
    number, url = line.get("number", ""), line.get("url", "")
    dial = re.sub(r"[^\d*+#]", "", number)
    call = f" [{escape(number)}](tel:{dial})" if dial else ""
    hours = f", {escape(line['hours'])}" if line.get("hours") else ""
    where = f"{escape(line['country'])} " if line.get("country") else ""
    site = f" · [{escape(markdown.web_host(url) or url)}]({url})" if url.startswith("https://") else ""
    return f"- {where}{escape(line['name'])}{call}{hours}{site}"


def question(message: Message) -> None:
    """What a person wrote, literally, line by line; then the names of what was attached."""
    if message.text:
        st.markdown("  \n".join(escape(line) for line in message.text.splitlines()), anchors=False)
    attached(message.parts)


def attached(parts: Sequence[Part]) -> None:
    names = [p.name for p in parts if p.kind in {"file", "image"}]
    if names:
        st.caption(" ".join(f":material/attach_file: {escape(name)}" for name in names))


def tools(parts: Sequence[Part]) -> None:
    """Which tools an answer used, small; what they returned one click away."""
    calls = [p for p in parts if p.kind == "tool_call"]
    if not calls:
        return
    results = {p.call_id: p for p in parts if p.kind == "tool_result"}
    names = ", ".join(dict.fromkeys(escape(p.name.replace("_", " ")) for p in calls))
    with st.expander(f"Used {names}", icon=":material/build:"):
        for call in calls:
            result = results.get(call.call_id)
            st.caption(escape(f"{call.name}({', '.join(f'{k}={v!r}' for k, v in (call.arguments or {}).items())})"))
            if result is not None and result.error:
                st.warning(escape(result.error), icon=":material/warning:")
            elif result is not None:
                st.code(result.text[:4000], language=None, wrap_lines=True)


def sources(citations: Sequence[Citation], message_id: UUID, open_: Callable[[str], None]) -> None:
    """A small button for each citation under the answer."""
    with st.container(key=f"sources-{message_id}", horizontal=True, gap="xsmall"):
        for c in sorted(citations, key=lambda c: c.number):
            st.button(
                f"{c.number}  {escape(place_of(c))}",
                key=f"cite-{message_id}-{c.number}",
                type="tertiary",
                icon=":material/help:" if c.verdict == "fails" else None,
                help=_DOUBTED if c.verdict == "fails" else "What stands there" if c.url else "Open the passage",
                on_click=open_,
                args=(f"{message_id}-{c.number}",),
            )


def unsearched(notices: Sequence[str], message_id: UUID, busy: bool, again: Callable[[UUID], None]) -> None:
    """One quiet line under an answer that was given without the documents, and a way to have them searched."""
    if not any(context.unsearched(notice) for notice in notices):
        return
    with st.container(key=f"unsearched-{message_id}", horizontal=True, vertical_alignment="center", gap="xsmall"):
        st.caption(":material/search_off: The documents were not searched for this answer.", width="content")
        key = f"search-again-{message_id}"
        st.button("Ask again", key=key, type="tertiary", disabled=busy, on_click=again, args=(message_id,))


def _short(text: str, most: int) -> str:
    """At most `most` characters, cut between words where there are any."""
    line = shorten(text, most, placeholder="…")
    return line if line != "…" else f"{text[: most - 1]}…"


def place_of(citation: Citation) -> str:
    """Title, and page, section or host: "Session skills, p. 41"."""
    title = _short(drawers.name_of(citation), 48)
    host = markdown.web_host(citation.url)
    if host and host != title:
        return f"{title}, {_short(host, 44)}"
    if citation.page is not None:
        return f"{title}, p. {citation.page}"
    if citation.row is not None:
        return f"{title}, row {citation.row}"
    section = citation.within.split(" > ")[-1]
    return f"{title}, {_short(section, 44)}" if section and section != citation.title else title
