"""The rows to which an action applies, as an SQL condition."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, false, literal_column, or_

from storage.models import AuditAction, NotificationStatus
from storage.operations.actions import ELIGIBLE
from storage.schema.tables import notification_events
from storage.sql.dialects import unindexed

_n = notification_events.c


def has_status(
    statuses: Collection[NotificationStatus], status: ColumnElement[str] = _n.status
) -> ColumnElement[bool]:
    """The row has one of the statuses. `status` is the column, or the column kept from using an index."""
    values: list[ColumnElement[str]] = [literal_column(f"'{value}'") for value in statuses]
    # With a list of one, SQLite would not read the index in the order of the rows.
    return status == values[0] if len(values) == 1 else status.in_(values)


def undelivered(status: ColumnElement[str] = _n.status) -> ColumnElement[bool]:
    """The row counts as sent although nothing was delivered."""
    # Literal, because SQLite uses a partial index only for a query that repeats its predicate.
    return and_(status == literal_column("'sent'"), _n.sent_at.is_(None))


def eligible(
    action: AuditAction,
    among: Collection[NotificationStatus] = tuple(NotificationStatus),
    status: ColumnElement[str] = _n.status,
) -> ColumnElement[bool]:
    """The action applies to the row, whose status is one of `among`."""
    rule = ELIGIBLE[action]
    conditions: list[ColumnElement[bool]] = []
    if statuses := [each for each in rule.statuses if each in among]:
        conditions.append(has_status(statuses, status))
    if rule.undelivered and NotificationStatus.SENT in among:
        conditions.append(undelivered(status))
    return or_(*conditions) if conditions else false()


def eligible_by_id(action: AuditAction) -> ColumnElement[bool]:
    """The action applies to the row, which is found by its id."""
    # SQLite would otherwise read every row with the status instead of looking up the ids.
    return eligible(action, status=unindexed(_n.status))
