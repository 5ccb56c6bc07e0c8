"""Notifications and their attempts.

A database may already have certctl's `notification_events`, with any of the columns and indexes.
"""

from datetime import UTC, datetime

from alembic import op
from sqlalchemy import Index
from sqlalchemy.schema import CreateTable

from storage.schema.additions import add_column, missing_columns
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.types import UtcDateTime, sortable

revision = "0001"
down_revision = None

_n = notification_events.c


def upgrade() -> None:
    for table in (notification_events, notification_attempts):
        op.execute(CreateTable(table, if_not_exists=True))
    missing = missing_columns(op.get_bind(), notification_events.columns)
    for column in missing:
        # For existing rows, and for rows of programs that don't set the column.
        default = f"'{sortable(datetime.now(UTC))}'" if column is _n.created_at else None
        add_column(op.get_bind(), column, default)
    if op.get_bind().dialect.name == "sqlite":
        _write_times_as_text_that_sorts()
    if _n.created_at.name in {column.name for column in missing}:
        op.execute(notification_events.update().where(_n.sent_at.is_not(None)).values(created_at=_n.sent_at))
    for index in sorted(notification_events.indexes | notification_attempts.indexes, key=_partial_last):
        index.create(op.get_bind(), checkfirst=True)


def _partial_last(index: Index) -> tuple[bool, str]:
    """Of two indexes that seem equally good to SQLite, it uses the newer one."""
    return index.dialect_options["sqlite"]["where"] is not None, str(index.name)


def _write_times_as_text_that_sorts() -> None:
    for column in notification_events.columns:
        if isinstance(column.type, UtcDateTime):
            ours = f"strftime('%Y-%m-%dT%H:%M:%f000+00:00', {column.name})"
            op.execute(
                f"UPDATE {notification_events.name} SET {column.name} = {ours} WHERE {ours} IS NOT NULL "
                f"AND {column.name} NOT LIKE '____-__-__T__:__:__.______+00:00'"
            )
