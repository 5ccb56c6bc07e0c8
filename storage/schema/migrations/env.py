"""Alembic's entry point: runs the revisions on the given connection, inside its transaction."""

from alembic import context

from storage.schema.migrations import VERSION_TABLE
from storage.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
context.run_migrations()
