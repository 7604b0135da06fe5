"""A collection as one leafs through it: counted, and a page of its documents at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from coach_core.types.knowledge import Document
from coach_core.types.use import DocumentUse

DocumentSort = Literal["newest", "oldest", "name", "most_cited", "least_cited", "last_used"]
DocumentShow = Literal["all", "uncited", "unfound"]


@dataclass(frozen=True, slots=True)
class Figures:
    """What a collection holds: `embedded` of its `chunks` have a vector of `model`; true at `generation`."""

    documents: int = 0
    chunks: int = 0
    embedded: int = 0
    model: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some documents of those that fit, each with its use, and how many fit in all."""

    rows: tuple[tuple[Document, DocumentUse | None], ...] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class CollectionUse:
    """How often the documents of a collection were found and cited together, and how many never were."""

    documents: int = 0
    found: int = 0
    cited: int = 0
    never_found: int = 0
    never_cited: int = 0


@dataclass(frozen=True, slots=True)
class DocumentName:
    """A document as it is called in a list of choices."""

    id: UUID
    name: str
    title: str
    language: str = ""
