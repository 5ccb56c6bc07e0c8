"""A row read from the database as the record that every layer speaks.

What the database holds was checked when it was written, so a record is filled and not validated anew.
A row that another program put in a status of its own is that program's: here it is neither shown, counted
nor changed.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, literal_column

from storage.models import Attempt, AttemptOutcome, Notification, NotificationStatus
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import unindexed

NOTIFICATION = tuple(notification_events.columns)
ATTEMPT = tuple(column for column in notification_attempts.columns if column.name != "channel")

_NOTIFICATION_FIELDS = tuple(column.name for column in NOTIFICATION)
_ATTEMPT_FIELDS = tuple(column.name for column in ATTEMPT)

READABLE = unindexed(notification_events.c.status).in_(
    [literal_column(f"'{status.value}'") for status in NotificationStatus]
)
"""The status is one of the contract's. What `notification_of` is given must have been asked for with this."""


def notification_of(row: Row[Any] | Sequence[Any]) -> Notification:
    """The row must hold the columns of `NOTIFICATION` in their order."""
    fields = dict(zip(_NOTIFICATION_FIELDS, row, strict=True))
    fields["status"] = NotificationStatus(fields["status"])
    return Notification(**fields)


def attempt_of(row: Row[Any] | Sequence[Any]) -> Attempt:
    """The row must hold the columns of `ATTEMPT` in their order."""
    fields = dict(zip(_ATTEMPT_FIELDS, row, strict=True))
    fields["outcome"] = AttemptOutcome(fields["outcome"])
    return Attempt(**fields)
