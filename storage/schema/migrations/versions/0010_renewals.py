"""An index that finds the renewals of a certificate."""

from alembic import op

from storage.schema.tables import DIALECT, notification_events

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    connection = op.get_bind()
    (renewals,) = (
        index
        for index in notification_events.indexes
        if index.name == "idx_notification_events_renewals" and index.info[DIALECT] == connection.dialect.name
    )
    renewals.create(connection, checkfirst=True)
