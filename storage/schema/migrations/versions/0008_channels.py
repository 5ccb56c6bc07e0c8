"""The state of each channel, and how often a receiver asked to wait with a notification."""

from alembic import op

from storage.schema.additions import add_missing
from storage.schema.tables import notification_channels, notification_events

revision = "0008"
down_revision = "0007"

_n = notification_events.c


def upgrade() -> None:
    connection = op.get_bind()
    notification_channels.create(connection, checkfirst=True)
    add_missing(connection, (_n.wait_count, _n.waiting_since))
    if connection.dialect.name == "sqlite":
        # Of two indexes that serve a query alike, SQLite's planner takes the one created last.
        (undelivered,) = (
            i for i in notification_events.indexes if i.name == "idx_notification_events_newest_undelivered"
        )
        undelivered.drop(connection, checkfirst=True)
        undelivered.create(connection)
