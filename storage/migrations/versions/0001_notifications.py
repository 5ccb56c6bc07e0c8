"""Notifications and their attempts.

A database may already hold certctl's `notification_events`, with any part of the columns and indexes.
"""

from alembic import op
from sqlalchemy import Table, inspect
from sqlalchemy.schema import CreateColumn

from storage.tables import notification_attempts, notification_events

revision = "0001"
down_revision = None


def upgrade() -> None:
    for table in (notification_events, notification_attempts):
        table.create(op.get_bind(), checkfirst=True)
        _add_missing_columns(table)
        for index in table.indexes:
            index.create(op.get_bind(), checkfirst=True)


def _add_missing_columns(table: Table) -> None:
    present = {column["name"] for column in inspect(op.get_bind()).get_columns(table.name)}
    for column in table.columns:
        if column.name not in present:
            definition = CreateColumn(column).compile(dialect=op.get_bind().dialect)
            op.execute(f"ALTER TABLE {table.name} ADD COLUMN {definition}")
