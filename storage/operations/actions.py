"""What an operator may do to a notification, by its status. SQL, previews and refusals are derived from one
table.

It imports no database code, so that programs that only describe the actions start fast.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from storage.models import OUR_STATUSES, AuditAction, NotificationStatus


@dataclass(frozen=True, slots=True)
class Eligible:
    """The notifications that an action applies to, as long as no attempt is in flight."""

    done: str
    """The action's past participle."""
    statuses: tuple[NotificationStatus, ...]
    undelivered: bool = False
    """Whether it also applies to notifications that count as sent although nothing was delivered."""
    done_already: NotificationStatus | None = None
    """The status in which the action succeeds without changing anything."""

    @property
    def possible_statuses(self) -> tuple[NotificationStatus, ...]:
        """Every status with notifications that the action may apply to."""
        return (*self.statuses, NotificationStatus.SENT) if self.undelivered else self.statuses

    @property
    def refusal(self) -> str:
        """Why another notification is refused."""
        names = [status.value for status in self.statuses]
        if self.undelivered:
            names.append("undelivered")
        *names, last = names
        return f"only {', '.join(names)} and {last} notifications can be {self.done}"

    def includes(self, status: NotificationStatus, *, undelivered: bool) -> bool:
        """`undelivered`: it counts as sent although nothing was delivered."""
        return status in self.statuses or (self.undelivered and undelivered)


ELIGIBLE: Mapping[AuditAction, Eligible] = {
    AuditAction.REQUEUE: Eligible(
        "requeued", (NotificationStatus.DEAD, NotificationStatus.FAILED), undelivered=True
    ),
    AuditAction.MARK_READ: Eligible(
        "marked as read",
        tuple(status for status in OUR_STATUSES if status is not NotificationStatus.READ),
        done_already=NotificationStatus.READ,
    ),
    AuditAction.PURGE: Eligible(
        "purged", (NotificationStatus.SENT, NotificationStatus.READ, NotificationStatus.DEAD)
    ),
}
