"""Notifications that replace a dead letter on the fallback channel, and details in the audit log."""

from alembic import op

from storage.schema.additions import add_missing
from storage.schema.tables import notification_audit, notification_events

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    connection = op.get_bind()
    n = notification_events.c
    add_missing(connection, (n.origin_id, n.tried_channels, notification_audit.c.detail))
    (origin,) = (i for i in notification_events.indexes if i.name == "idx_notification_events_origin")
    origin.create(connection, checkfirst=True)
