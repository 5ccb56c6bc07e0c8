"""On PostgreSQL, triggers that announce the changes of other programs."""

from alembic import op

from storage.sql.notify import FUNCTION, TRIGGERS

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(FUNCTION)
    for name, trigger in TRIGGERS.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON notification_events")
        op.execute(f"CREATE TRIGGER {name} {trigger}")
