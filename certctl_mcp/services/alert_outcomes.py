"""The outcomes of the alerts accepted in a period, which say more than the number of attempts."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certctl_mcp.services.periods import Period
from storage.models import NotificationFilter, NotificationStatus

if TYPE_CHECKING:
    from storage.reader import NotificationReader


@dataclass(frozen=True, slots=True)
class AlertOutcomes:
    """Numbers of alerts by their present state."""

    delivered: int = 0
    trying: int = 0
    """Not attempted yet, or to be retried."""
    dead: int = 0
    undelivered: int = 0
    """Counted as sent without being delivered, because their channel had no notifier."""
    settled: int = 0
    """Marked as read, delivered or not."""


async def alert_outcomes(repository: "NotificationReader", period: Period) -> AlertOutcomes:
    """The outcomes of the alerts accepted in `period`."""
    wanted = NotificationFilter(created_from=period.since, created_until=period.until)
    counts: Counter[str] = Counter()
    for share in await repository.breakdown(wanted):
        outcome = "undelivered" if share.undelivered else _OUTCOMES.get(share.status)
        if outcome is not None:
            counts[outcome] += share.count
    return AlertOutcomes(**counts)


_OUTCOMES = {
    NotificationStatus.SENT: "delivered",
    NotificationStatus.PENDING: "trying",
    NotificationStatus.FAILED: "trying",
    NotificationStatus.DEAD: "dead",
    NotificationStatus.READ: "settled",
}
"""The outcomes; notifications with another program's status are left out."""
