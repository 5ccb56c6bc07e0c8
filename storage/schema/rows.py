"""Rows read from the database, as the models that all layers use.

The contents were validated when they were written, so they are not validated again. A row with a status
that is not ours belongs to another program: it is not shown, counted or changed.
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
"""The status is one of ours. Rows for `notification_of` must be selected with this condition."""


def notification_of(row: Row[Any] | Sequence[Any]) -> Notification:
    """The row must have the columns of `NOTIFICATION`, in order."""
    fields = dict(zip(_NOTIFICATION_FIELDS, row, strict=True))
    fields["status"] = NotificationStatus(fields["status"])
    return Notification(**fields)


def attempt_of(row: Row[Any] | Sequence[Any]) -> Attempt:
    """The row must have the columns of `ATTEMPT`, in order."""
    fields = dict(zip(_ATTEMPT_FIELDS, row, strict=True))
    fields["outcome"] = AttemptOutcome(fields["outcome"])
    return Attempt(**fields)
