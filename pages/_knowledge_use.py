"""What the documents of a collection are used for: the most cited, and those that no answer needed.

Invariant: it counts answers, not people; a document that was not used stays in the list, for that is news.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from coach_core.types import Actor, Collection, CollectionUse, Document, DocumentShow, DocumentUse
from coach_core.ui import widgets
from pages._knowledge_documents import actions, first_page, paged, table
from pages._ticks import Ticks

if TYPE_CHECKING:
    from coach_core.coach import Coach

SPANS = {"30 days": 30, "90 days": 90, "Ever": None}
SHOW: dict[str, DocumentShow] = {"All": "all", "Never cited": "uncited", "Never found": "unfound"}
Use = DocumentUse | None


def draw(coach: Coach, actor: Actor, collection: Collection, writes: bool) -> None:
    if not collection.documents:
        with widgets.empty(":material/monitoring:", "No documents yet", "Their use is counted from the first answer."):
            pass
        return
    leaf = partial(first_page, "use_page")
    with st.container(horizontal=True, vertical_alignment="center"):
        span = st.segmented_control(
            "In the last", list(SPANS), default="90 days", required=True, key="span", bind="query-params",
            label_visibility="collapsed", on_change=leaf,
        )  # fmt: skip
        show = st.segmented_control(
            "Show", list(SHOW), default="All", required=True, key="used", bind="query-params",
            label_visibility="collapsed", on_change=leaf,
        )  # fmt: skip
    st.caption(_said(coach.collection_use(actor, collection.id, days=SPANS[span]), span))
    bar = st.container(horizontal=True, vertical_alignment="center")
    ticks = Ticks("used_documents", collection.id)
    how = {"show": SHOW[show], "days": SPANS[span]}
    get = partial(coach.documents_page, actor, collection.id, sort="most_cited", **how)
    shown = paged(get, "use_page", lambda rows: ticks.table(rows[0], partial(_table, *rows)))
    if not shown.total:
        with widgets.empty(":material/check_circle:", "None", "Every document was needed by some answer."):
            pass
        return
    with bar:
        every = partial(coach.document_ids, actor, collection.id, **how)
        actions(ticks, writes, widgets.count(shown.total, "document"), shown, every, "use")


def _said(use: CollectionUse, span: str) -> str:
    when = "so far" if SPANS[span] is None else f"in the last {span}"
    if not use.found:
        return f"No answer was given a passage of this collection {when}."
    say = f"Cited {widgets.count(use.cited, 'time')} and given to answers {widgets.count(use.found, 'time')} {when}."
    if not use.never_cited:
        return f"{say} Every document was cited."
    never = f"{widgets.count(use.never_found, 'document')} never came up, {use.never_cited:,} never cited"
    return f"{say} {never}: improve or remove what nobody needs."


def _table(documents: Sequence[Document], uses: Sequence[Use], **ticks: Any) -> Any:
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
            for d, u in zip(documents, uses, strict=True)
        ]
    )
    frame["Last used"] = pd.to_datetime(frame["Last used"], utc=True)
    return table(frame, documents, "used_documents", **ticks)
