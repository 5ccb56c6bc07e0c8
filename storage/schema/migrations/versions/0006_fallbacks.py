"""Notifications that take the place of a dead one, and details in the audit log."""

from alembic import op
from sqlalchemy import inspect
from sqlalchemy.schema import CreateColumn

from storage.schema.tables import notification_audit, notification_events

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    connection = op.get_bind()
    n = notification_events.c
    for column in (n.origin_id, n.tried_channels, notification_audit.c.detail):
        present = {found["name"] for found in inspect(connection).get_columns(column.table.name)}
        if column.name not in present:
            definition = CreateColumn(column).compile(dialect=connection.dialect)
            op.execute(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")
    (origin,) = (i for i in notification_events.indexes if i.name == "idx_notification_events_origin")
    origin.create(connection, checkfirst=True)
