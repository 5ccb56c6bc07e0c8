"""What a notification became a dead letter of, as far as its row shows."""

from enum import Enum, auto

from certctl_mcp.notifiers.failure_kinds import FailureKind
from certctl_mcp.services.diagnosis.classification import classify
from storage.models import Notification, NotificationStatus


class CauseOfDeath(Enum):
    """What ended the attempts."""

    SPENT = auto()
    """The last attempt that it had failed."""
    REFUSED = auto()
    """An answer spoke of this very alert."""
    ABANDONED = auto()
    """Its attempts were never answered."""
    NO_NOTIFIER = auto()
    """No process had its channel."""


# Each may also be final at the first attempt.
_FINAL = (FailureKind.GONE, FailureKind.DEFECT, FailureKind.UNKNOWN)


def failed_attempts(notification: Notification) -> int:
    """Those since acceptance or the newest requeue. The stored count leaves out the one it died of."""
    return notification.retry_count + (notification.status is NotificationStatus.DEAD)


def cause_of_death(dead: Notification, max_attempts: int) -> CauseOfDeath:
    """`max_attempts` is this process's. Another may have had fewer when the notification died, or more."""
    kind = classify(dead.last_error, abandoned=dead.abandoned_count > 0)
    if kind is FailureKind.NO_NOTIFIER:
        return CauseOfDeath.NO_NOTIFIER
    if kind is FailureKind.ABANDONED:
        return CauseOfDeath.ABANDONED
    if kind.is_permanent or (kind in _FINAL and failed_attempts(dead) < max_attempts):
        return CauseOfDeath.REFUSED
    return CauseOfDeath.SPENT


def may_be_refused(dead: Notification) -> bool:
    """Whether it was refused if it had attempts left."""
    return cause_of_death(dead, failed_attempts(dead) + 1) is CauseOfDeath.REFUSED
