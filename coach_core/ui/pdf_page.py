"""A PDF's page as it looks, a passage marked in it: leafed through, made larger, the same wherever it is shown.

Invariant: what cannot be drawn costs a sentence, never the page it stands on.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import streamlit as st

from coach_core.errors import CoachError, NotAllowed, NotFound, UnsupportedFile
from coach_core.knowledge.picture import Picture
from coach_core.ui import marks, shared

Draw = Callable[[int], Picture]
WIDTHS = {"Fit": "fit", "Larger": "larger", "Largest": "largest"}
_ALT = 300  # characters of the passage in the words for those who do not see the picture


def show(document_id: UUID, page: int | None, text: str = "", key: str = "") -> bool:
    """Page `page` of a PDF in the library with the words of `text` marked; whether there was one to show."""
    coach, actor = shared.coach(), shared.actor()
    return draw(lambda n: coach.document_page(actor, document_id, n, text), page or 1, text, key or str(document_id))


def button(document_id: UUID, page: int, text: str, title: str, key: str) -> None:
    """A small button that opens the page beside what is on show."""
    if st.button("Show on its page", key=f"pdf-open-{key}", icon=":material/find_in_page:", type="tertiary"):
        st.session_state.pop(state(key), None)

        @st.dialog(marks.plain(title), position="right", width="medium")
        def drawer() -> None:
            if not show(document_id, page, text, key):
                st.caption("This document has no pages that can be shown.")

        drawer()


def state(key: str) -> str:
    """Where in the session the page stands that is shown."""
    return f"pdf-page-{key}"


def draw(picture: Draw, first: int, text: str, key: str) -> bool:
    """The page that `picture` draws, beginning with `first`, with what leads to the others."""
    page = int(st.session_state.get(state(key), first))
    try:
        with st.spinner("Drawing the page"):
            drawn = picture(page)
    except (NotFound, NotAllowed, UnsupportedFile):
        return False
    except CoachError as error:
        st.caption(f":material/image_not_supported: The page cannot be shown. {marks.plain(error.sentence)}")
        return False
    size = _controls(drawn, state(key), key)
    with st.container(key=f"pdf-{WIDTHS[size]}-{key}", gap=None):
        st.image(drawn.data, width="stretch", alt=_alt(drawn, text))
    if text.strip() and not drawn.boxes:
        say = "The passage is not on this page." if drawn.page != first else "Its words could not be marked here."
        st.caption(say)
    return True


def _controls(drawn: Picture, at: str, key: str) -> str:
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"pdf-leaf-{key}"):
        _leaf(drawn, -1, at, "Previous page", ":material/chevron_left:")
        st.caption(f"Page {drawn.page} of {drawn.pages}", width="content")
        _leaf(drawn, 1, at, "Next page", ":material/chevron_right:")
        return st.segmented_control(
            "Size of the page", list(WIDTHS), default="Fit", required=True, key=f"pdf-size-{key}",
            label_visibility="collapsed",
        )  # fmt: skip


def _leaf(drawn: Picture, step: int, at: str, words: str, icon: str) -> None:
    to = drawn.page + step
    st.button(
        words,
        key=f"{at}-{'next' if step > 0 else 'before'}",
        icon=icon,
        help=words,
        type="tertiary",
        disabled=not 1 <= to <= drawn.pages,
        on_click=st.session_state.__setitem__,
        args=(at, to),
    )


def _alt(drawn: Picture, text: str) -> str:
    said = " ".join(text.split())
    said = said if len(said) <= _ALT else f"{said[:_ALT]}…"
    marked = f" Marked in it: {said}" if drawn.boxes and said else ""
    return f"Page {drawn.page} of {drawn.pages} as it looks.{marked}"
