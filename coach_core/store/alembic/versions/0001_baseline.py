"""The first schema: every table of store/models as it was then, and the full-text indexes."""

from alembic import op

from coach_core.store.alembic import baseline

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    baseline.metadata.create_all(connection, checkfirst=False)
    for statement in baseline.FULL_TEXT[connection.dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in baseline.NO_FULL_TEXT[connection.dialect.name]:
        op.execute(statement)
    baseline.metadata.drop_all(connection, checkfirst=False)
