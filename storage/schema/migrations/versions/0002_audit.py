"""The audit log: who changed which notification."""

from alembic import op

from storage.schema.tables import notification_audit

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    notification_audit.create(op.get_bind(), checkfirst=True)
    for index in notification_audit.indexes:
        index.create(op.get_bind(), checkfirst=True)
