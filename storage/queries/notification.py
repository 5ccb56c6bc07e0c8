"""One notification: its row, its attempts, and the notification accepted in its place."""

from sqlalchemy import Connection, func, select

from storage.errors import NotificationNotFoundError
from storage.models import Attempt, Notification
from storage.schema.rows import ATTEMPT, NOTIFICATION, attempt_of, notification_of
from storage.schema.tables import notification_attempts, notification_events

_n = notification_events.c
_a = notification_attempts.c


def get(connection: Connection, notification_id: str) -> Notification:
    """Raises: NotificationNotFoundError."""
    query = select(*NOTIFICATION).where(_n.id == notification_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotificationNotFoundError(notification_id)
    return notification_of(row)


def replacement(connection: Connection, notification_id: str) -> Notification | None:
    query = select(*NOTIFICATION).where(_n.origin_id == notification_id)
    row = connection.execute(query.limit(1)).one_or_none()
    return None if row is None else notification_of(row)


def attempts(connection: Connection, notification_id: str, limit: int | None) -> tuple[Attempt, ...]:
    """The attempts, oldest first; if there are more than `limit`, the newest."""
    query = select(*ATTEMPT).where(_a.notification_id == notification_id)
    rows = connection.execute(query.order_by(_a.number.desc()).limit(limit))
    return tuple(attempt_of(row) for row in rows)[::-1]


def count_attempts(connection: Connection, notification_id: str) -> int:
    query = select(func.count()).where(_a.notification_id == notification_id)
    found: int = connection.execute(query).scalar_one()
    return found
