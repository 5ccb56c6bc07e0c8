"""What does a worker ask for when it claims, and what is it given?"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from storage.models import Claim, Notification, Room


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker can start now."""

    worker: str
    lease: timedelta
    slots: int
    room: Room
    suspects: bool = False
    """Take only those abandoned so often that they may kill their worker."""
    heed_lapsed: bool = True
    """Take nothing while a lease has run out: what it held may be older than anything else."""

    def without(self, claims: Iterable[Claim]) -> "ClaimRequest":
        """What is left of it when it was given these."""
        taken = Counter(claim.notification.channel for claim in claims)
        return replace(self, slots=self.slots - taken.total(), room=self.room.without(taken))


@dataclass(frozen=True, slots=True)
class Claims:
    """What a worker was given."""

    at: datetime
    """What was due later than at this moment was not looked at."""
    claims: tuple[Claim, ...] = ()
    lapsed: bool = False
    """A lease had run out, so nothing was taken."""
    contended: bool = False
    """Others took what was seen to be due. They may have no room for the rest, and nobody is told of it."""


def claims_of(worker: str, leased: Iterable[Notification]) -> tuple[Claim, ...]:
    """Notifications just put under the worker's lease, as claims, what has been due for longest first."""
    return tuple(_claim(worker, notification) for notification in sorted(leased, key=_due_since))


def _claim(worker: str, leased: Notification) -> Claim:
    assert leased.claimed_at is not None
    assert leased.lease_expires_at is not None
    return Claim(
        notification=leased,
        worker=worker,
        number=leased.attempt_count,
        started_at=leased.claimed_at,
        expires_at=leased.lease_expires_at,
    )


def _due_since(notification: Notification) -> datetime:
    return notification.next_retry_at or notification.created_at
