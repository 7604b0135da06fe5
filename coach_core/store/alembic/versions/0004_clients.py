"""What a memory was said in, how sure it is and what it would replace; the meaning of messages."""

import sqlalchemy as sa
from alembic import op

from coach_core.store.alembic.baseline.columns import blob, json, text, uuid

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for column in (
        sa.Column("quote", sa.String(), nullable=False, server_default=""),
        sa.Column("importance", sa.Float(), nullable=False, server_default="0.5"),
        sa.Column("origin", sa.String(), nullable=False, server_default=""),
        json("message_ids", null=True),
        uuid("supersedes", null=True),
    ):
        op.add_column("memories", column)
    op.create_table(
        "message_vectors",
        uuid("message_id", key=True, of="messages.id", gone="CASCADE"),
        text("model", key=True),
        blob("vector"),
    )


def downgrade() -> None:
    op.drop_table("message_vectors")
    for name in ("supersedes", "message_ids", "origin", "importance", "quote"):
        op.drop_column("memories", name)
