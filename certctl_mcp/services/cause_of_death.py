"""Why a notification became a dead letter, as far as its row shows."""

from enum import Enum, auto

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classification import classify
from storage.models import Notification, NotificationStatus


class CauseOfDeath(Enum):
    """What ended the attempts."""

    SPENT = auto()
    """The last of its attempts failed."""
    REFUSED = auto()
    """The receiver refused this alert permanently."""
    ABANDONED = auto()
    """Its attempts never finished."""
    NO_NOTIFIER = auto()
    """No running process had its channel."""


# Receivers and notifiers use these for permanent and for temporary failures.
_FINAL = (FailureKind.GONE, FailureKind.DEFECT, FailureKind.UNKNOWN)


def failed_attempts(notification: Notification) -> int:
    """The failed attempts since acceptance or the newest requeue. The stored count doesn't include the one
    that made it a dead letter."""
    return notification.retry_count + (notification.status is NotificationStatus.DEAD)


def cause_of_death(dead: Notification, max_attempts: int) -> CauseOfDeath:
    """`max_attempts` is the limit of this process; the one that made the last attempt may differ."""
    kind = classify(dead.last_error, abandoned=dead.abandoned_count > 0)
    if kind is FailureKind.NO_NOTIFIER:
        return CauseOfDeath.NO_NOTIFIER
    if kind is FailureKind.ABANDONED:
        return CauseOfDeath.ABANDONED
    if kind.is_permanent or (kind in _FINAL and failed_attempts(dead) < max_attempts):
        return CauseOfDeath.REFUSED
    return CauseOfDeath.SPENT


def may_be_refused(dead: Notification) -> bool:
    """Whether it was refused permanently, provided that it had attempts left."""
    return cause_of_death(dead, failed_attempts(dead) + 1) is CauseOfDeath.REFUSED
