"""What is taken over from certctl, and which processes do so."""

from alembic import op
from sqlalchemy import Column, inspect
from sqlalchemy.schema import CreateColumn

from storage.schema.inspection import missing
from storage.schema.tables import notification_events, notification_processes

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for column in (notification_events.c.rescue_at, notification_processes.c.rescues):
        _add(column)
    for index in missing(op.get_bind()).indexes:
        if index.name == "idx_notification_events_rescue":
            index.create(op.get_bind())


def _add(column: Column[object]) -> None:
    if column.name not in {each["name"] for each in inspect(op.get_bind()).get_columns(column.table.name)}:
        definition = CreateColumn(column).compile(dialect=op.get_bind().dialect)
        op.execute(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")
