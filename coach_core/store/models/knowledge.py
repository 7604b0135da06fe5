"""Tables of the knowledge: collections, documents, their versions, chunks and vectors.

Invariant: a chunk is visible when its version is the one its document names. A version is written in
many small transactions while no document names it; one tiny transaction then names it, raises the
collection's generation and notes the version that went (RemovalRow). A version that no document names
is garbage.

The full text index is not a table of SQLModel: a migration runs WORDS_INDEX[dialect] after it has
created `chunks` and NO_WORDS_INDEX[dialect] before it drops it; `create_all` does so by itself.
"""

# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DDL, BigInteger, Index, Integer, LargeBinary, Text, UniqueConstraint, event
from sqlmodel import Field, SQLModel

from coach_core.store.models.base import Json, big_field, id_field, json_field, key_time, maybe_time, ref, time_field
from coach_core.types import new_id

#: counts up by itself in both databases; in SQLite it is the row id that FTS5 points to
_Number = BigInteger().with_variant(Integer, "sqlite")


def _number_field() -> Any:
    return Field(default=None, primary_key=True, sa_type=_Number)


class CollectionRow(SQLModel, table=True):
    """`generation` rises in each transaction that changes what a search of the collection can find."""

    __tablename__ = "collections"

    id: UUID = id_field()
    name: str = Field(unique=True)
    description: str = ""
    licence: str = ""
    generation: int = 0
    created_at: datetime = time_field()


class DocumentRow(SQLModel, table=True):
    """`dated_at` is the date that the file gives itself, None where it gives none."""

    __tablename__ = "documents"
    __table_args__ = (UniqueConstraint("collection_id", "sha256"),)

    id: UUID = id_field()
    collection_id: UUID = Field(foreign_key="collections.id", index=True)
    version_id: UUID = Field(unique=True)
    name: str
    title: str
    media_type: str
    size: int = Field(sa_type=BigInteger)
    sha256: str = Field(max_length=64)
    pages: int | None = None
    chunks: int = 0
    language: str = ""
    added_by: str = ""
    file_id: UUID | None = None
    dated_at: datetime | None = maybe_time()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()


class DocumentVersionRow(SQLModel, table=True):
    """The text as extracted, and `marks`: [page or section or row, start, end] in the order of the text."""

    __tablename__ = "document_versions"

    id: UUID = id_field()
    document_id: UUID = Field(index=True)
    collection_id: UUID = Field(index=True)
    text: str = Field(sa_type=Text)
    marks: list[Any] = json_field(list)
    created_at: datetime = time_field()


class ChunkRow(SQLModel, table=True):
    """`text` is the version's text from `start_char` to `end_char`. `words` are its tokens (and its
    headings'), `scope` the tokens that name its collection and document; both feed the index."""

    __tablename__ = "chunks"
    __table_args__ = {"sqlite_autoincrement": True}  # a number is never given out twice

    number: int | None = _number_field()
    id: UUID = Field(default_factory=new_id, unique=True)
    version_id: UUID = Field(index=True)
    document_id: UUID
    collection_id: UUID = Field(index=True)
    position: int
    text: str = Field(sa_type=Text)
    section: str = Field(default="", sa_type=Text)
    page: int | None = None
    row: int | None = None
    start_char: int
    end_char: int
    tokens: int = 0
    words: str = Field(sa_type=Text)
    word_count: int = 0
    scope: str = ""


class VectorRow(SQLModel, table=True):
    """The float16 vector of a chunk by one model. `generation` is its collection's when it was written,
    so that a process that knows an older one loads only what is newer. How many vectors a version has is
    counted in an index alone: the rows are long."""

    __tablename__ = "vectors"
    __table_args__ = (
        Index("ix_vectors_fresh", "collection_id", "model", "generation"),
        Index("ix_vectors_of_version", "version_id", "model"),
    )

    chunk_number: int = Field(primary_key=True, sa_type=_Number, sa_column_kwargs={"autoincrement": False})
    model: str = Field(primary_key=True)
    version_id: UUID
    collection_id: UUID
    generation: int
    vector: bytes = Field(sa_type=LargeBinary)


class RemovalRow(SQLModel, table=True):
    """A version that left its collection at `generation`; tells other processes to forget its vectors."""

    __tablename__ = "removals"
    __table_args__ = (Index("ix_removals_fresh", "collection_id", "generation"),)

    number: int | None = _number_field()
    collection_id: UUID
    generation: int
    version_id: UUID


class UploadRow(SQLModel, table=True):
    """A file on its way in; its bytes lie under `path` in the folder of uploads until it is in."""

    __tablename__ = "uploads"

    id: UUID = id_field()
    collection_id: UUID = ref("collections.id")
    replaces: UUID | None = None
    user_id: UUID
    by: str = ""
    name: str
    path: str
    size: int = big_field()
    stage: str = Field(index=True)
    done: int = 0
    total: int = 0
    document_id: UUID | None = None
    duplicate: bool = False
    error: str = ""
    attempts: int = 0
    created_at: datetime = time_field()
    started_at: datetime | None = maybe_time()
    ended_at: datetime | None = maybe_time()


class DocumentUseRow(SQLModel, table=True):
    """How many answers were given passages of a document, and how many cited it, on one day."""

    __tablename__ = "document_uses"

    document_id: UUID = Field(primary_key=True)
    day: datetime = key_time()
    found: int = 0
    cited: int = 0
    last_at: datetime = time_field()


class TrashRow(SQLModel, table=True):
    """A document or a collection that was deleted, kept for a while so that it can come back.

    `row` is its row as it was, `version_id` the version of a document, `with_id` the collection that a
    document was deleted with. A version named here is no garbage, and is found by nobody.
    """

    __tablename__ = "trash"

    id: UUID = id_field()
    kind: str
    collection_id: UUID = Field(index=True)
    version_id: UUID | None = Field(default=None, index=True)
    file_id: UUID | None = Field(default=None, index=True)
    with_id: UUID | None = Field(default=None, index=True)
    name: str
    by: str = ""
    chunks: int = 0
    row: dict[str, Any] = json_field()
    deleted_at: datetime = time_field(index=True)


class UnansweredRow(SQLModel, table=True):
    """A question that the documents did not hold, so that an admin knows what to write next; never who asked.

    `key` joins a question asked again, `verdict` says why it is here, `document_id` what answers it now.
    """

    __tablename__ = "unanswered"

    id: UUID = id_field()
    key: str = Field(default="", index=True)
    text: str = Field(sa_type=Text)
    language: str = ""
    persona_id: UUID | None = None
    collections: list[str] | None = Field(default=None, sa_type=Json, nullable=True)
    verdict: str = ""
    status: str = "open"
    times: int = 1
    document_id: UUID | None = None
    created_at: datetime = time_field(index=True)
    last_at: datetime | None = maybe_time()


class HostedStoreRow(SQLModel, table=True):
    """A vector store at an API that was filled from a collection."""

    __tablename__ = "hosted_stores"

    id: UUID = id_field()
    collection_id: UUID = Field(foreign_key="collections.id", index=True)
    endpoint: str
    external_id: str
    generation: int = 0
    details: dict[str, Any] = json_field()
    expires_at: datetime | None = maybe_time()
    created_at: datetime = time_field()


WORDS_INDEX = {
    "sqlite": "CREATE VIRTUAL TABLE chunk_words USING fts5(scope, words, content='chunks', "
    "content_rowid='number', tokenize=\"unicode61 remove_diacritics 0 categories 'L* N* Co Mn Mc'\")",
    "postgresql": "CREATE INDEX ix_chunks_words ON chunks USING gin (to_tsvector('simple', words))",
}
NO_WORDS_INDEX = {
    "sqlite": "DROP TABLE IF EXISTS chunk_words",
    "postgresql": "DROP INDEX IF EXISTS ix_chunks_words",
}
_chunks = SQLModel.metadata.tables["chunks"]
for _dialect in WORDS_INDEX:
    event.listen(_chunks, "after_create", DDL(WORDS_INDEX[_dialect]).execute_if(dialect=_dialect))
    event.listen(_chunks, "before_drop", DDL(NO_WORDS_INDEX[_dialect]).execute_if(dialect=_dialect))
