"""When a retry was scheduled, which reveals a wrong clock."""

from alembic import op

from storage.schema.additions import add_missing
from storage.schema.tables import notification_events

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    add_missing(op.get_bind(), (notification_events.c.scheduled_at,))
