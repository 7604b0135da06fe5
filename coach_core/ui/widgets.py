"""Small things that several pages show alike: counts and sizes in words, faces, empty states, links.

Invariant: nothing here changes anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import streamlit as st

from coach_core.types import Actor, Collection
from coach_core.ui import marks, shared

if TYPE_CHECKING:
    from coach_core.coach import Coach

_ADDRESS = 8  # digits of an id that tell collections apart
WIDE = 1180  # px: more than a table needs is only a longer way for the eye


def count(number: int, noun: str) -> str:
    """`1 thread`, `1,204 threads`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def size(number: int) -> str:
    """Bytes as a person reads them."""
    for unit, of in (("MB", 1_000_000), ("KB", 1_000)):
        if number >= of:
            return f"{number / of:.1f} {unit}"
    return f"{number} bytes"


def ago(moment: Any) -> str:
    """`shared.when`, escaped for Markdown."""
    return marks.plain(shared.when(moment))


def page(name: str) -> Any:
    """The page `name` of this session's navigation."""
    return st.session_state["_pages"][name]


def link(**params: str) -> dict[str, str]:
    """Query parameters of a link within the app; whose profile it is goes along."""
    profile = st.query_params.get("profile", "")
    return params | ({"profile": profile} if profile else {})


def go(**params: str) -> None:
    """Make `params` the whole query of this page."""
    st.query_params.from_dict(link(**params))


@contextmanager
def empty(icon: str, title: str, say: str) -> Generator[None]:
    """Nothing here yet: what this is for, and within the block what to do first."""
    with st.container(
        border=True, horizontal_alignment="center", vertical_alignment="center", height=240, gap="xsmall"
    ):
        st.markdown(f"### {icon}", width="content", anchors=False)
        st.markdown(f"**{title}**", width="content")
        st.markdown(f":gray[{marks.plain(say)}]", width="content", text_alignment="center")
        yield


def address(collection: Collection) -> str:
    """How a link names a collection: its name as it is now, for the eye, and a part of its id, which stays."""
    plain = unicodedata.normalize("NFKD", collection.name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:40].rstrip("-")
    return "-".join(part for part in (words, collection.id.hex[-_ADDRESS:]) if part)


def addressed(collections: Sequence[Collection], address: str) -> Collection | None:
    """The collection that a link names, by its address, its whole id or its name, as older links have it."""
    last = address.rpartition("-")[2].lower()
    by_id = (c for c in collections if c.id.hex[-_ADDRESS:] == last or str(c.id) == address.lower())
    by_name = (c for c in collections if address in (c.name, shared.escape(c.name)))
    return next(by_id, None) or next(by_name, None)


def face(picture: bytes | None, icon: str, width: int) -> None:
    """A persona's picture, else its icon."""
    with st.container(width=width, height="content", horizontal_alignment="center"):
        if picture is not None:
            st.image(picture, width=width, alt="")
        else:
            st.markdown(f"## :blue[{glyph(icon)}]", anchors=False, width="content")


def glyph(icon: str) -> str:
    """A material symbol as Markdown, for icons kept with or without the directive around them."""
    return f":material/{icon.removeprefix(':material/').removesuffix(':') or 'psychology'}:"


def backend_labels(coach: Coach, actor: Actor) -> dict[str, str]:
    """backend -> what a person calls it."""
    return {b.name: b.label for b in coach.backends(actor)}
