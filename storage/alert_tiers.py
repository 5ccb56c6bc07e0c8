"""certctl's words for how severe an alert is, and the threshold that an alert was sent for."""

import re
from enum import StrEnum

from storage.models import Notification, NotificationType

THRESHOLD = "[threshold:"
"""In a message of certctl's, before the threshold in days that it was sent for."""

_THRESHOLD = re.compile(r"(-?[0-9]{1,4})\]", re.ASCII)


class AlertTier(StrEnum):
    """certctl's tiers."""

    INFORMATIONAL = "informational"
    WARNING = "warning"
    CRITICAL = "critical"


def threshold_of(notification: Notification) -> int | None:
    """The days before the expiry that a warning of certctl's was sent for; None for anything else."""
    if notification.type != NotificationType.EXPIRATION_WARNING:
        return None
    begin = notification.message.rfind(THRESHOLD)
    found = None if begin < 0 else _THRESHOLD.match(notification.message, begin + len(THRESHOLD))
    return None if found is None else int(found[1])
