"""Notifications taken over from certctl, and the processes that do so."""

from alembic import op

from storage.schema.additions import add_missing
from storage.schema.inspection import missing
from storage.schema.tables import notification_events, notification_processes

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    connection = op.get_bind()
    add_missing(connection, (notification_events.c.rescue_at, notification_processes.c.rescues))
    for index in missing(connection).indexes:
        if index.name == "idx_notification_events_rescue":
            index.create(connection)
