"""Converts rows of the database to the models that all layers use.

The contents were validated when they were written, so they are not validated again. A row with a status
that is not ours belongs to another program: it is shown and counted, and never changed.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Row

from storage.models import OUR_STATUSES, Attempt, AttemptOutcome, Notification, NotificationStatus
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.types import UtcDateTime, moment_of

*_stored, _foreign_status = fields(Notification)
NOTIFICATION = tuple(notification_events.columns[field.name] for field in _stored)
"""The columns in the order of the model's fields; only the last field has no column."""
ATTEMPT = tuple(column for column in notification_attempts.columns if column.name != "channel")

_TIMES = [place for place, column in enumerate(NOTIFICATION) if isinstance(column.type, UtcDateTime)]
_STATUS = next(place for place, column in enumerate(NOTIFICATION) if column.name == "status")
_ATTEMPT_FIELDS = tuple(column.name for column in ATTEMPT)

_STATUSES = {status.value: status for status in OUR_STATUSES}


def notification_of(row: Row[Any] | Sequence[Any]) -> Notification:
    """The row must have the columns of `NOTIFICATION`, in order."""
    values = list(row)
    stored: str = values[_STATUS]
    values[_STATUS] = status = status_of(stored)
    values.append(stored if status is NotificationStatus.OTHER else None)
    return Notification(*values)


def notification_stored(row: Sequence[Any]) -> Notification:
    """The same for a row of a driver's own values."""
    values = list(row)
    for place in _TIMES:
        if values[place] is not None:
            values[place] = moment_of(values[place])
    return notification_of(values)


def status_of(stored: str) -> NotificationStatus:
    """The status that is stored under this name."""
    return _STATUSES.get(stored, NotificationStatus.OTHER)


def attempt_of(row: Row[Any] | Sequence[Any]) -> Attempt:
    """The row must have the columns of `ATTEMPT`, in order."""
    values = dict(zip(_ATTEMPT_FIELDS, row, strict=True))
    values["outcome"] = AttemptOutcome(values["outcome"])
    return Attempt(**values)
