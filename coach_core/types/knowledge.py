"""Documents, the passages found in them, and the citations that outlive them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from coach_core.types.base import within_title, without_empty

#: start, end, support (0..1), what the passage lacks ("" when nothing is told)
Checked = tuple[int, int, float, str]
DocumentStatus = Literal["queued", "reading", "chunking", "embedding", "ready", "failed"]
UploadStage = DocumentStatus | Literal["paused"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document that a search returned.

    `start` and `end` are character offsets into the document's extracted text. `score` is the fused
    one (0..1); `rank_words` and `rank_meaning` count from 1 and are None when that side did not
    find it; `score_words` is bm25 (higher is better), `score_meaning` a cosine. `rank_reranker` is
    the place that a reranker gave it, None where none did. `also` are the titles of other documents that
    say the same.
    """

    chunk_id: UUID
    document_id: UUID
    collection_id: UUID
    document_hash: str
    title: str
    text: str
    section: str = ""
    page: int | None = None
    row: int | None = None
    start: int = 0
    end: int = 0
    language: str = ""
    score: float = 0.0
    rank_words: int | None = None
    rank_meaning: int | None = None
    score_words: float | None = None
    score_meaning: float | None = None
    rank_reranker: int | None = None
    also: tuple[str, ...] = ()

    @property
    def within(self) -> str:
        """The section as it reads beside the title: without the title at its head."""
        return within_title(self.title, self.section)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search is kept to, on top of the collections that the asker may see; what is empty keeps nothing out.

    A document's date is the one it gives itself, else the day it came in (UTC); both ends are included.
    """

    collections: tuple[UUID, ...] = ()
    documents: tuple[UUID, ...] = ()
    languages: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None

    def __bool__(self) -> bool:
        return self != Filter()


@dataclass(frozen=True, slots=True)
class Citation:
    """A snapshot of the passage behind [number] in one answer; it outlives the document.

    `url` is where a citation of the web leads; `external_id` is the file's id at an API that searched
    documents of its own. A backend that cites by itself leaves `number` 0: the turn numbers it. `checks` are the
    sentences that cite it, each (start, end, support, what the passage lacks) in the answer's text; `verdict` says
    "holds" when all of them do, "fails" when one does not, "" where none was checked.
    """

    number: int
    title: str = ""
    text: str = ""
    document_id: UUID | None = None
    chunk_id: UUID | None = None
    document_hash: str = ""
    section: str = ""
    page: int | None = None
    row: int | None = None
    start: int = 0
    end: int = 0
    quote: str = ""
    score: float = 0.0
    rank_words: int | None = None
    rank_meaning: int | None = None
    url: str = ""
    external_id: str = ""
    verdict: str = ""
    checks: tuple[Checked, ...] | None = None

    def __post_init__(self) -> None:
        if self.checks is not None:  # as JSON has it, from a row or an event
            object.__setattr__(self, "checks", tuple(_checked(c) for c in self.checks))

    @property
    def within(self) -> str:
        """The section as it reads beside the title: without the title at its head."""
        return within_title(self.title, self.section)

    def to_dict(self) -> dict[str, Any]:
        return without_empty(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Citation:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {k: v for k, v in data.items() if k in known}
        for key in ("document_id", "chunk_id"):
            if values.get(key):
                values[key] = UUID(str(values[key]))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Collection:
    id: UUID
    name: str
    description: str
    generation: int
    created_at: datetime
    documents: int = 0
    chunks: int = 0
    licence: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One uploaded document. `embedded` of `chunks` have a vector; words find it before that."""

    id: UUID
    collection_id: UUID
    name: str
    title: str
    media_type: str
    size: int
    sha256: str
    status: DocumentStatus
    created_at: datetime
    pages: int | None = None
    chunks: int = 0
    embedded: int = 0
    language: str = ""
    added_by: str = ""
    error: str = ""
    file_id: UUID | None = None
    dated_at: datetime | None = None  # as the file says of itself


@dataclass(frozen=True, slots=True)
class EmbeddingProgress:
    """How far the chosen model `model` has read: `done` of `total` passages, `seconds` left where that is known.

    `serving` is the model that finds passages until then, "" when there is none but the chosen one. `trouble` says
    why a model cannot be opened or does not answer: another finds passages `instead`, or words do so `alone`.
    """

    done: int = 0
    total: int = 0
    model: str = ""
    serving: str = ""
    seconds: float | None = None
    trouble: str = ""
    instead: str = ""
    alone: bool = False


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """Where one file stands: `done` of `total` in units of its stage (pages, passages)."""

    document_id: UUID | None
    name: str
    stage: UploadStage
    done: int = 0
    total: int = 0
    error: str = ""
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class UploadCounts:
    """Where uploads stand together. `share` is how much is done (0..1), `seconds` what is left, where one can tell.

    `ready` counts the `duplicates` too; `waiting` none that is paused.
    """

    total: int = 0
    ready: int = 0
    failed: int = 0
    waiting: int = 0
    paused: int = 0
    working: int = 0
    duplicates: int = 0
    share: float = 0.0
    seconds: float | None = None

    @property
    def moving(self) -> bool:
        """Whether the next look may show something else."""
        return bool(self.waiting or self.working)


def _checked(value: Sequence[Any]) -> Checked:
    start, end, support, *lacks = value
    return int(start), int(end), float(support), str(lacks[0]) if lacks else ""
