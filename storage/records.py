"""A row read from the database as the record that every layer speaks.

What the database holds was checked when it was written, so a record is filled and not validated anew.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from storage.models import Attempt, AttemptOutcome, Notification, NotificationStatus
from storage.tables import notification_attempts, notification_events

NOTIFICATION = tuple(notification_events.columns)
ATTEMPT = tuple(column for column in notification_attempts.columns if column.name != "channel")

_NOTIFICATION_FIELDS = tuple(column.name for column in NOTIFICATION)
_ATTEMPT_FIELDS = tuple(column.name for column in ATTEMPT)


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
