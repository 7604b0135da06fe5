"""The two drawers of the chat page: a cited passage inside its page, and how a turn went.

Invariant: a drawer only reads. The snapshot stored with the answer is what is shown; the document around
it only while it is the same document still, and only to those who may read it.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import streamlit as st

from coach_core.errors import CoachError, NotFound
from coach_core.turn import hold
from coach_core.types import Citation, Message, StoredFile, Summary, TurnRecord
from coach_core.ui import markdown, marks, pdf_page, remembered, shared, widgets
from coach_core.ui.shared import escape

#: characters shown of the page before and after a passage: little before, so that the mark is in sight
BEFORE, AFTER = 160, 700
_AS_PAGE, _AS_TEXT = "Page", "Text"
_VIEWS = [_AS_PAGE, _AS_TEXT]
_SHOWN = "_cite_shown"
_PARTS = {
    "prepare": "Preparing",
    "context": "Gathering",
    "upstream": "Sent to the model",
    "first_token": "First words",
    "total": "Whole answer",
}


def passage(citation: Citation, answer: Message, on_close: Callable[[], None]) -> None:
    """The passage behind [n] of an answer, marked on its page or in its section; a page of the web by its address."""
    title = f"{citation.number}  {escape(name_of(citation))}"
    key = f"{answer.id}-{citation.number}"
    if st.session_state.get(_SHOWN) != key:  # opened anew: at the passage's own page
        st.session_state[_SHOWN] = key
        st.session_state.pop(pdf_page.state(key), None)

    def close() -> None:
        st.session_state.pop(_SHOWN, None)
        on_close()

    @st.dialog(title, position="right", width="medium", on_dismiss=close)
    def drawer() -> None:
        _doubts(citation, answer.text)
        if citation.url or citation.document_id is None:
            _elsewhere(citation)
            return
        place = st.empty()
        before, after, note = _around(citation)
        paged = _on_its_page(citation, answer, key)
        if not paged:
            _marked(before, citation, after)
        where = [citation.within] if citation.within else []
        where += [f"page {citation.page}"] if citation.page is not None and not paged else []
        where += [f"row {citation.row}"] if citation.row is not None else []
        if where:
            place.caption(escape(", ".join(where)))
        if note:
            st.caption(note)
        st.subheader("Why this passage", anchor=False)
        st.markdown(why(citation))
        _open_document(citation)

    drawer()


def _doubts(citation: Citation, text: str) -> None:
    """What of the answer may go beyond the passage, and why."""
    for said, because in hold.doubts(text, citation):
        st.warning(f"{hold.BEYOND}: {escape(because)}\n\n_{escape(said)}_", icon=":material/help:")


def _on_its_page(citation: Citation, answer: Message, key: str) -> bool:
    """Show the passage on its page of the PDF, where it is one and nobody asks for the text; whether that was done."""
    if citation.page is None:
        return False
    view = f"passage-view-{key}"
    if st.session_state.get(view) == _AS_TEXT:
        st.segmented_control("Shown as", _VIEWS, default=_AS_PAGE, key=view, label_visibility="collapsed")
        return False
    place = st.empty()
    coach, actor = shared.coach(), shared.actor()
    shown = pdf_page.draw(
        lambda n: coach.cited_page(actor, answer.id, citation.number, n), citation.page, citation.text, key
    )
    if shown:
        place.segmented_control("Shown as", _VIEWS, default=_AS_PAGE, key=view, label_visibility="collapsed")
    return shown


def name_of(citation: Citation) -> str:
    """What a source is called: its title, else where it is."""
    return " ".join(citation.title.split()) or markdown.web_host(citation.url) or "Source"


def _elsewhere(citation: Citation) -> None:
    """A source that is not a document of ours: a page of the web, or a file that the API keeps."""
    host = markdown.web_host(citation.url)
    if citation.url:
        st.caption("A page of the web that the model's API cites.")
        address = citation.url if len(citation.url) <= 300 else f"{citation.url[:299]}…"
        st.markdown(f":gray[{marks.plain(address)}]")
    elif citation.external_id:
        st.caption("From a file kept at the model's API, which is not in the library here.")
    if citation.text.strip():
        _marked("", citation, "")
    else:
        st.caption("Which words of it the answer rests on was not told.")
    if host:
        st.link_button(f"Open {escape(host)}", citation.url, icon=":material/open_in_new:")


def why(citation: Citation) -> str:
    """The score in words, and how each side of the search ranked the passage."""
    if not citation.score and not citation.rank_words and not citation.rank_meaning:
        return "The model's API searched its copy of this document and cites it."
    ranks = [
        f"{_ordinal(citation.rank_words)} by its words" if citation.rank_words else "not found by its words",
        f"{_ordinal(citation.rank_meaning)} by its meaning" if citation.rank_meaning else "not found by its meaning",
    ]
    return f"{closeness(citation.score)}: {ranks[0]}, {ranks[1]}."


def closeness(score: float) -> str:
    """A fused score in words. It tells passages of one search apart (1 is the best of them), no more."""
    for least, words in ((0.9, "Among the closest found"), (0.6, "Close to the best found"), (0.3, "Further off")):
        if score >= least:
            return words
    return "The furthest off of those shown"


def _ordinal(n: int) -> str:
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _around(citation: Citation) -> tuple[str, str, str]:
    """What stands before and after the passage on its page, and a note when that cannot be shown."""
    if citation.document_id is None:
        return "", "", ""
    coach, actor = shared.coach(), shared.actor()
    try:
        if coach.document(actor, citation.document_id).sha256 != citation.document_hash:
            return "", "", "The document has been replaced since; this is the passage as it was."
        text, marks = coach.document_text(actor, citation.document_id)
    except NotFound:
        if _attached(citation.document_id):
            return "", "", "From a file attached in this thread."
        return "", "", "The document is no longer in the library; this is the passage as it was."
    except CoachError:
        return "", "", ""
    start, end = citation.start, citation.end
    if text[start:end].strip() != citation.text.strip():
        return "", "", ""
    page = next(((s, e) for _, s, e in marks if s <= start < e), (0, len(text)))
    low, high = max(page[0], start - BEFORE), min(max(page[1], end), end + AFTER)
    before, after = text[low:start], text[end:high]
    return ("…" if low > page[0] else "") + before, after + ("…" if high < page[1] else ""), ""


def _attached(file_id: UUID) -> StoredFile | None:
    """The person's own file of that id, for a passage out of an attachment."""
    try:
        return shared.coach().file(shared.actor(), file_id)[0]
    except CoachError:
        return None


def _marked(before: str, citation: Citation, after: str) -> None:
    with st.container(key="passage", border=True):
        if before.strip("… \n"):
            st.markdown(_paragraphs(before, ":gray[{}]"))
        st.markdown(_paragraphs(citation.text, ":blue-background[{}]"))
        if after.strip("… \n"):
            st.markdown(_paragraphs(after, ":gray[{}]"))


def _paragraphs(text: str, form: str) -> str:
    joined = (" ".join(part.split()) for part in text.replace("\r", "").split("\n\n"))
    return "\n\n".join(form.format(escape(part)) for part in joined if part)


def _open_document(citation: Citation) -> None:
    if citation.document_id is None:
        return
    coach, actor, document_id = shared.coach(), shared.actor(), citation.document_id
    try:
        document = coach.document(actor, document_id)
        groups = [c for c in coach.collections(actor) if c.id == document.collection_id]
    except CoachError:
        if file := _attached(document_id):
            data = coach.file(actor, file.id)[1]
            st.download_button(
                "Open file", data, file.name, file.media_type, icon=":material/open_in_new:", on_click="ignore"
            )
        return
    with st.container(horizontal=True):
        st.download_button(
            "Open document",
            data=lambda: coach.document_file(actor, document_id)[1],
            file_name=document.name,
            mime=document.media_type,
            icon=":material/open_in_new:",
            on_click="ignore",
        )
        library = st.session_state.get("_pages", {}).get("knowledge")
        if library is not None:
            st.page_link(
                library,
                label="Show in Knowledge",
                icon=":material/local_library:",
                query_params=widgets.link(**({"in": widgets.address(groups[0])} if groups else {})),
            )


def turn(record: TurnRecord, cited: int, on_close: Callable[[], None]) -> None:
    """How one answer came about: backend, parts of the time, tokens, cost, notices."""

    @st.dialog("How this answer came about", position="right", width="small", on_dismiss=on_close)
    def drawer() -> None:
        backend = next(
            (b.label for b in shared.coach().backends(shared.actor()) if b.name == record.backend), record.backend
        )
        st.markdown(f"**{escape(backend)}**" + (f"  \n{escape(record.model)}" if record.model else ""))
        st.caption(f"{shared.exact(record.created_at)}, {record.status}")
        with st.container(horizontal=True):
            st.metric("Time", shared.seconds(record.timing["total"]) if "total" in record.timing else "—")
            st.metric("Tokens", f"{record.usage.input_tokens + record.usage.output_tokens:,}")
            st.metric("Cost", shared.money(record.cost))
        remembered.draw(record)
        _rows(record, cited)
        for notice in record.notices:
            st.caption(f":material/info: {escape(notice)}")
        _summed_up(record)
        if record.error_text:
            st.error(escape(record.error_text), icon=":material/error:")
        st.caption(f"Turn {record.id}")

    drawer()


def _summed_up(record: TurnRecord) -> None:
    """The summary that stood for older messages, where the answer was told one."""
    if not any("told as a summary" in notice for notice in record.notices):
        return
    summary = shared.coach().summary(shared.actor(), record.thread_id, record.question_id)
    if summary is not None:
        with st.expander("The summary", icon=":material/short_text:"):
            st.markdown(summed_up(summary))


def summed_up(summary: Summary) -> str:
    """Its lines, escaped: headings in bold, the rest as a list."""
    out: list[str] = []
    for row in summary.text.split("\n"):
        if row.startswith("- "):
            out.append(f"- {escape(row[2:])}")
        elif row.strip():
            out.append(f"\n**{escape(row.strip())}**\n")
    return "\n".join(out)


def _rows(record: TurnRecord, cited: int) -> None:
    usage = record.usage
    estimated = " (counted here)" if usage.estimated else ""
    rows = [(words, shared.seconds(record.timing[name])) for name, words in _PARTS.items() if name in record.timing]
    rows += [
        ("Tokens in", f"{usage.input_tokens:,}{estimated}"),
        ("of these cached", f"{usage.cached_tokens:,}"),
        ("Tokens out", f"{usage.output_tokens:,}{estimated}"),
        ("of these reasoning", f"{usage.reasoning_tokens:,}"),
        ("Attempts", str(record.attempts or 1)),
        ("Passages cited", str(cited)),
    ]
    if record.endpoint:
        rows.insert(0, ("Asked", record.endpoint.replace("@", " at ")))
    if record.finish_reason:
        rows.append(("Ended by", record.finish_reason))
    st.markdown("| | |\n|:--|--:|\n" + "\n".join(f"| {escape(a)} | {escape(b)} |" for a, b in rows))


def parse_cite(value: str) -> tuple[UUID, int] | None:
    """MESSAGE-n, as links and addresses carry it."""
    head, _, number = value.rpartition("-")
    try:
        return UUID(head), int(number)
    except ValueError:
        return None
