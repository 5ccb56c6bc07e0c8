"""The trace in which a notification was accepted."""

from alembic import op

from storage.schema.additions import add_missing
from storage.schema.tables import notification_events

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    add_missing(op.get_bind(), (notification_events.c.traceparent,))
