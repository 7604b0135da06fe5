"""Uploads that outlive the app, what documents are used for, and what an answer's citations are worth."""

import sqlalchemy as sa
from alembic import op

from coach_core.store.alembic.baseline.columns import big, flag, index, integer, json, text, time, uuid

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "uploads",
        uuid("id", key=True),
        uuid("collection_id", of="collections.id", gone="CASCADE"),
        uuid("replaces", null=True),
        uuid("user_id"),
        text("by"),
        text("name"),
        text("path"),
        big("size"),
        text("stage"),
        integer("done"),
        integer("total"),
        uuid("document_id", null=True),
        flag("duplicate"),
        text("error"),
        integer("attempts"),
        time("created_at"),
        time("started_at", null=True),
        time("ended_at", null=True),
        index("ix_uploads_stage", "stage"),
        index("ix_uploads_collection_id", "collection_id"),
    )
    op.create_table(
        "document_uses",
        uuid("document_id", key=True),
        time("day", key=True),
        integer("found"),
        integer("cited"),
        time("last_at"),
    )
    op.create_table(
        "trash",
        uuid("id", key=True),
        text("kind"),
        uuid("collection_id"),
        uuid("version_id", null=True),
        uuid("file_id", null=True),
        uuid("with_id", null=True),
        text("name"),
        text("by"),
        integer("chunks"),
        json("row"),
        time("deleted_at"),
        *(index(f"ix_trash_{c}", c) for c in ("collection_id", "version_id", "file_id", "with_id", "deleted_at")),
    )
    op.add_column("citations", json("checks", null=True))
    op.add_column("documents", time("dated_at", null=True))
    for column in (
        sa.Column("key", sa.String(), nullable=False, server_default=""),
        sa.Column("times", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("verdict", sa.String(), nullable=False, server_default=""),
        sa.Column("status", sa.String(), nullable=False, server_default="open"),
        json("collections", null=True),
        uuid("document_id", null=True),
        time("last_at", null=True),
    ):
        op.add_column("unanswered", column)
    op.create_index("ix_unanswered_key", "unanswered", ["key"])
    op.drop_index("ix_vectors_version_id", "vectors")
    op.create_index("ix_vectors_of_version", "vectors", ["version_id", "model"])


def downgrade() -> None:
    op.drop_index("ix_vectors_of_version", "vectors")
    op.create_index("ix_vectors_version_id", "vectors", ["version_id"])
    op.drop_index("ix_unanswered_key", "unanswered")
    for name in ("last_at", "document_id", "collections", "status", "verdict", "times", "key"):
        op.drop_column("unanswered", name)
    op.drop_column("documents", "dated_at")
    op.drop_column("citations", "checks")
    op.drop_table("trash")
    op.drop_table("document_uses")
    op.drop_table("uploads")
