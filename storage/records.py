"""A row read from the database as the model that every layer speaks."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from storage.models import Attempt, Notification
from storage.tables import notification_attempts, notification_events

NOTIFICATION = tuple(notification_events.columns)
ATTEMPT = tuple(column for column in notification_attempts.columns if column.name != "channel")

_NOTIFICATION_FIELDS = tuple(column.name for column in NOTIFICATION)
_ATTEMPT_FIELDS = tuple(column.name for column in ATTEMPT)


def notification_of(row: Row[Any] | Sequence[Any]) -> Notification:
    """The row must hold the columns of `NOTIFICATION` in their order."""
    return Notification.model_validate(dict(zip(_NOTIFICATION_FIELDS, row, strict=True)))


def attempt_of(row: Row[Any] | Sequence[Any]) -> Attempt:
    """The row must hold the columns of `ATTEMPT` in their order."""
    return Attempt.model_validate(dict(zip(_ATTEMPT_FIELDS, row, strict=True)))
