"""certctl's severity tiers of alerts, and the threshold for which an alert was sent."""

import re
from enum import StrEnum

from storage.models import Notification, NotificationType

THRESHOLD = "[threshold:"
"""Precedes the threshold in days in the messages of certctl's warnings."""

_THRESHOLD = re.compile(r"(-?[0-9]{1,4})\]", re.ASCII)


class AlertTier(StrEnum):
    """certctl's tiers."""

    INFORMATIONAL = "informational"
    WARNING = "warning"
    CRITICAL = "critical"


def threshold_of(notification: Notification) -> int | None:
    """The days before expiry for which certctl sent this warning; None for anything else."""
    if notification.type != NotificationType.EXPIRATION_WARNING:
        return None
    begin = notification.message.rfind(THRESHOLD)
    found = None if begin < 0 else _THRESHOLD.match(notification.message, begin + len(THRESHOLD))
    return None if found is None else int(found[1])
