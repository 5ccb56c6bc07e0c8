"""Rows read from the database, as the models that all layers use.

The contents were validated when they were written, so they are not validated again. A row with a status
that is not ours belongs to another program: it is shown and counted, and never changed.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from storage.models import OUR_STATUSES, Attempt, AttemptOutcome, Notification, NotificationStatus
from storage.schema.tables import notification_attempts, notification_events

# When a retry was scheduled matters only to a statement that compares it with the time.
NOTIFICATION = tuple(column for column in notification_events.columns if column.name != "scheduled_at")
ATTEMPT = tuple(column for column in notification_attempts.columns if column.name != "channel")

_NOTIFICATION_FIELDS = tuple(column.name for column in NOTIFICATION)
_ATTEMPT_FIELDS = tuple(column.name for column in ATTEMPT)

_STATUSES = {status.value: status for status in OUR_STATUSES}


def notification_of(row: Row[Any] | Sequence[Any]) -> Notification:
    """The row must have the columns of `NOTIFICATION`, in order."""
    fields = dict(zip(_NOTIFICATION_FIELDS, row, strict=True))
    stored: str = fields["status"]
    fields["status"] = status = status_of(stored)
    if status is NotificationStatus.OTHER:
        fields["foreign_status"] = stored
    return Notification(**fields)


def status_of(stored: str) -> NotificationStatus:
    """The status that is stored under this name."""
    return _STATUSES.get(stored, NotificationStatus.OTHER)


def attempt_of(row: Row[Any] | Sequence[Any]) -> Attempt:
    """The row must have the columns of `ATTEMPT`, in order."""
    fields = dict(zip(_ATTEMPT_FIELDS, row, strict=True))
    fields["outcome"] = AttemptOutcome(fields["outcome"])
    return Attempt(**fields)
