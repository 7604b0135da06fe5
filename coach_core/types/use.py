"""What becomes of the documents: how they are used, what they did not answer, what was deleted of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class DocumentUse:
    """How many answers were given passages of a document, and how many cited it; when last."""

    document_id: UUID
    found: int = 0
    cited: int = 0
    last_at: datetime | None = None


UnansweredVerdict = Literal["nothing", "no_answer", "uncited"]
UnansweredStatus = Literal["open", "answered", "dismissed"]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question that the documents did not hold; never who asked.

    `verdict`: a search found "nothing", what it found gives "no_answer", or the answer "uncited" what it was
    given. `document_id` answers it now.
    """

    id: UUID
    text: str
    language: str
    persona_id: UUID | None
    collections: tuple[UUID, ...]
    verdict: UnansweredVerdict
    status: UnansweredStatus
    times: int
    created_at: datetime
    last_at: datetime
    document_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Deleted:
    """A document or a collection in the trash; a collection's `documents` went with it, `chunks` with both."""

    id: UUID
    kind: Literal["document", "collection"]
    collection_id: UUID
    name: str
    by: str
    chunks: int
    deleted_at: datetime
    documents: int = 0
