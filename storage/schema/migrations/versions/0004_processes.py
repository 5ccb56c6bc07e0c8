"""The processes that deliver, and the undelivered in the order of lists."""

from alembic import op

from storage.schema.tables import notification_events, notification_processes

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    connection = op.get_bind()
    notification_processes.create(connection, checkfirst=True)
    for index in notification_processes.indexes:
        index.create(connection, checkfirst=True)
    (newest,) = (
        i for i in notification_events.indexes if i.name == "idx_notification_events_newest_undelivered"
    )
    newest.create(connection, checkfirst=True)
    op.execute("DROP INDEX IF EXISTS idx_notification_events_undelivered")
