"""What the documents of a collection are used for: the most cited, and those that no answer needed.

Invariant: it counts answers, not people; a document that was not used stays in the list, for that is news.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from coach_core.types import Actor, Collection, Document, DocumentUse
from coach_core.ui import widgets
from pages import _knowledge_documents

if TYPE_CHECKING:
    from coach_core.coach import Coach

SPANS = {"30 days": 30, "90 days": 90, "Ever": None}
ALL, UNCITED, UNFOUND = SHOW = ("All", "Never cited", "Never found")
Row = tuple[Document, DocumentUse | None]


def draw(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    documents = coach.documents(actor, collection.id)
    if not documents:
        with widgets.empty(":material/monitoring:", "No documents yet", "Their use is counted from the first answer."):
            pass
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        span = st.segmented_control(
            "In the last", list(SPANS), default="90 days", required=True, key="span", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
        uses = coach.document_uses(actor, collection.id, days=SPANS[span])
        rows: list[Row] = [(d, uses.get(d.id)) for d in documents]
        some = {ALL: rows, UNCITED: [r for r in rows if not _cited(r)], UNFOUND: [r for r in rows if not _found(r)]}
        show = st.segmented_control(
            "Show", SHOW, default=ALL, required=True, key="used", bind="query-params", label_visibility="collapsed"
        )
    st.caption(_said(rows, span))
    chosen = sorted(some[show], key=lambda r: (-_cited(r), -_found(r), (r[0].title or r[0].name).casefold()))
    if not chosen:
        with widgets.empty(":material/check_circle:", "None", "Every document was needed by some answer."):
            pass
        return
    bar = st.container(horizontal=True, vertical_alignment="center")
    picked = _table(chosen)
    with bar:
        _knowledge_documents.actions(picked, writes, widgets.count(len(chosen), "document"), "use")


def _said(rows: Sequence[Row], span: str) -> str:
    when = "so far" if SPANS[span] is None else f"in the last {span}"
    cited, found = sum(map(_cited, rows)), sum(map(_found, rows))
    if not found:
        return f"No answer was given a passage of this collection {when}."
    say = f"Cited {widgets.count(cited, 'time')} and given to answers {widgets.count(found, 'time')} {when}."
    unused, uncited = sum(not _found(r) for r in rows), sum(not _cited(r) for r in rows)
    if not uncited:
        return f"{say} Every document was cited."
    never = f"{widgets.count(unused, 'document')} never came up, {uncited:,} never cited"
    return f"{say} {never}: improve or remove what nobody needs."


def _table(rows: Sequence[Row]) -> list[Document]:
    frame = pd.DataFrame(
        [
            {
                "Document": d.title or d.name,
                "Cited": u.cited if u else 0,
                "Found": u.found if u else 0,
                "Last used": u.last_at if u else None,
                "Passages": d.chunks,
                "Added": d.created_at,
                "Language": d.language,
            }
            for d, u in rows
        ]
    )
    frame["Last used"] = pd.to_datetime(frame["Last used"], utc=True)
    return _knowledge_documents.pick(frame, [d for d, _ in rows], "used_documents")


def _cited(row: Row) -> int:
    return row[1].cited if row[1] else 0


def _found(row: Row) -> int:
    return row[1].found if row[1] else 0
