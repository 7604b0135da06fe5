"""Citations of the web and of documents that an API keeps: where they lead."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name in ("url", "external_id"):
        op.add_column("citations", sa.Column(name, sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    for name in ("external_id", "url"):
        op.drop_column("citations", name)
