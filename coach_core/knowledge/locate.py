"""Where in a document a text stands that somebody else read out of it: an API that has its own copy.

Invariant: what `span` gives is a place in our own text; words, not marks or blanks, decide, because two
readers of one PDF agree on little else. No place is better than a wrong one.
"""

from __future__ import annotations

from uuid import UUID

from coach_core.errors import DocumentNotFound
from coach_core.knowledge.span import span
from coach_core.store import Database, chunks, documents
from coach_core.types import Passage

__all__ = ["locate", "span"]


def locate(db: Database, document_id: UUID, quote: str) -> Passage | None:
    """The place of `quote` in the document: its text as we have it, and the passage that holds most of it.

    None when it does not stand there. Raises DocumentNotFound.
    """
    text, _ = documents.text_of(db, document_id)
    place = span(text, quote)
    if place is None:
        return None
    start, end = place
    with db.read() as connection:
        rows = chunks.of_document(connection, document_id)
    if not rows:
        raise DocumentNotFound()
    row = max(rows, key=lambda r: min(r.end_char, end) - max(r.start_char, start))
    first = next((r for r in rows if r.start_char <= start < r.end_char), row)
    return Passage(
        row.id,
        document_id,
        row.collection_id,
        row.sha256,
        row.title,
        text[start:end],
        first.section,
        first.page,
        first.row,
        start,
        end,
        row.language,
    )
