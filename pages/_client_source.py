"""Where something was said: the quote, the day and the thread, which opens at the message."""

from __future__ import annotations

import streamlit as st

from coach_core.types import Source
from coach_core.ui import marks, shared, widgets

LONGEST = 280


def draw(source: Source | None, quote: str = "", *, instead_of: str = "", title: bool = True) -> None:
    """The words behind something, and a link to them. `quote` is the piece of the message that counts; where it is
    what stands above it anyway (`instead_of`), the link is enough."""
    words = " ".join((quote or (source.text if source else "")).split())
    if words and not _same(words, instead_of):
        st.markdown(f"> {marks.plain(words if len(words) <= LONGEST else words[:LONGEST].rsplit(' ', 1)[0] + '…')}")
    if source is not None:
        link(source, title=title)


def link(source: Source, *, title: bool = True) -> None:
    where = f" in {_short(source.thread_title or 'Untitled')}" if title else ""
    st.page_link(
        widgets.page("chat"),
        label=f":small[Said {marks.plain(shared.day(source.said_at))}{marks.plain(where)}]",
        icon=":material/format_quote:",
        help=f"Open the thread at this message, {shared.exact(source.said_at)}",
        query_params=widgets.link(thread=str(source.thread_id), message=str(source.message_id)),
    )


def _same(words: str, other: str) -> bool:
    other = " ".join(other.split()).strip(".!?").casefold()
    return bool(other) and other in words.casefold() and len(words) <= len(other) + 24


def _short(title: str) -> str:
    return title if len(title) <= 48 else f"{title[:47].rstrip()}…"
