"""Baseline tables as store/models/knowledge.py had them. Frozen: a later migration changes them, not this file."""

from __future__ import annotations

from coach_core.store.alembic.baseline.columns import (
    big,
    blob,
    counted,
    index,
    integer,
    json,
    long_text,
    table,
    text,
    time,
    unique,
    uuid,
)

table(
    "collections",
    uuid("id", key=True),
    text("name"),
    text("description"),
    text("licence"),
    integer("generation"),
    time("created_at"),
    unique("name"),
)

table(
    "documents",
    uuid("id", key=True),
    uuid("collection_id", of="collections.id"),
    uuid("version_id"),
    text("name"),
    text("title"),
    text("media_type"),
    big("size"),
    text("sha256", 64),
    integer("pages", null=True),
    integer("chunks"),
    text("language"),
    text("added_by"),
    uuid("file_id", null=True),
    time("created_at"),
    time("updated_at"),
    unique("collection_id", "sha256"),
    unique("version_id"),
    index("ix_documents_collection_id", "collection_id"),
)

table(
    "document_versions",
    uuid("id", key=True),
    uuid("document_id"),
    uuid("collection_id"),
    long_text("text"),
    json("marks"),
    time("created_at"),
    index("ix_document_versions_collection_id", "collection_id"),
    index("ix_document_versions_document_id", "document_id"),
)

table(
    "chunks",
    counted("number", key=True),
    uuid("id"),
    uuid("version_id"),
    uuid("document_id"),
    uuid("collection_id"),
    integer("position"),
    long_text("text"),
    long_text("section"),
    integer("page", null=True),
    integer("row", null=True),
    integer("start_char"),
    integer("end_char"),
    integer("tokens"),
    long_text("words"),
    integer("word_count"),
    text("scope"),
    unique("id"),
    index("ix_chunks_collection_id", "collection_id"),
    index("ix_chunks_version_id", "version_id"),
)

table(
    "vectors",
    counted("chunk_number", key=True, auto=False),
    text("model", key=True),
    uuid("version_id"),
    uuid("collection_id"),
    integer("generation"),
    blob("vector"),
    index("ix_vectors_fresh", "collection_id", "model", "generation"),
    index("ix_vectors_version_id", "version_id"),
)

table(
    "removals",
    counted("number", key=True),
    uuid("collection_id"),
    integer("generation"),
    uuid("version_id"),
    index("ix_removals_fresh", "collection_id", "generation"),
)

table(
    "unanswered",
    uuid("id", key=True),
    long_text("text"),
    text("language"),
    uuid("persona_id", null=True),
    time("created_at"),
    index("ix_unanswered_created_at", "created_at"),
)

table(
    "hosted_stores",
    uuid("id", key=True),
    uuid("collection_id", of="collections.id"),
    text("endpoint"),
    text("external_id"),
    integer("generation"),
    json("details"),
    time("expires_at", null=True),
    time("created_at"),
    index("ix_hosted_stores_collection_id", "collection_id"),
)
