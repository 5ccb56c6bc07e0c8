"""The counts by channel and status, and the triggers that keep them."""

from alembic import op

from storage.schema.counting import begin_counting
from storage.schema.tables import notification_counts

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    connection = op.get_bind()
    notification_counts.create(connection, checkfirst=True)
    begin_counting(connection)
