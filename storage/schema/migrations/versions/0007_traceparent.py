"""The trace in which a notification was accepted."""

from alembic import op
from sqlalchemy import inspect
from sqlalchemy.schema import CreateColumn

from storage.schema.tables import notification_events

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    connection = op.get_bind()
    column = notification_events.c.traceparent
    if column.name not in {found["name"] for found in inspect(connection).get_columns(column.table.name)}:
        definition = CreateColumn(column).compile(dialect=connection.dialect)
        op.execute(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")
