"""Runs migrations on the connection that store/schema.py hands over, within its transaction."""

from alembic import context

from coach_core.store.models import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True, render_as_batch=True)
context.run_migrations()
