"""A worker's request for a claim, and the result."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from storage.channel_state import UNLIMITED, ChannelRules
from storage.models import Claim, Notification, Room


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker can start now."""

    worker: str
    lease: timedelta
    slots: int
    """The most notifications to claim."""
    room: Room
    """The most of each channel."""
    channels: frozenset[str]
    """The channels that the worker serves; no others are claimed."""
    suspects: bool = False
    """Claim only notifications abandoned so often that they may crash their worker. Otherwise claim none."""
    held: tuple[Claim, ...] = ()
    """Claims that the worker still works on. If their leases have expired, they are renewed."""
    rescue_after: timedelta | None = None
    """On a database on which certctl's server delivers: take over what it has left undelivered for longer
    than this, and claim nothing else."""
    stop_at_expired_lease: bool = True
    """Claim nothing while there is an expired lease: its notification may be older than any other."""
    rules: Mapping[str, ChannelRules] | None = None
    """The worker's settings for its channels. None: nothing will be attempted, so the state of the channels
    doesn't matter."""

    @property
    def limited(self) -> frozenset[str]:
        """The channels whose attempts are counted."""
        return frozenset(name for name, rules in (self.rules or {}).items() if rules.limited)

    def rules_of(self, channel: str) -> ChannelRules:
        return (self.rules or {}).get(channel, UNLIMITED)

    @property
    def rescue(self) -> bool:
        return self.rescue_after is not None

    def without(self, claims: Iterable[Claim]) -> "ClaimRequest":
        """The rest of the request after these claims."""
        taken = Counter(claim.notification.channel for claim in claims)
        return replace(self, slots=self.slots - taken.total(), room=self.room.without(taken))


@dataclass(frozen=True, slots=True)
class Claims:
    """The result of a claim."""

    as_of: datetime
    """Notifications that become due after this moment were not considered."""
    claims: tuple[Claim, ...] = ()
    lease_expired: bool = False
    """Nothing was claimed, because a lease had expired."""
    contended: bool = False
    """Other workers claimed some of the due notifications. They may have no room for the rest, and no worker
    is woken for it."""
    guarded: frozenset[str] = frozenset()
    """Channels whose state determines how much may be claimed, if they may be open and have a backlog."""
    opens_at: datetime | None = None
    """When the first channel that may have a backlog opens."""
    more_when_ended: bool = False
    """Something may be left that can be claimed when an attempt ends, including one of another worker."""


def claims_of(request: ClaimRequest, leased: Iterable[Notification]) -> tuple[Claim, ...]:
    """The claims on notifications that the worker has just leased, starting with the one that has been due
    the longest."""
    return tuple(_claim(request, notification) for notification in sorted(leased, key=_due_since))


def _claim(request: ClaimRequest, leased: Notification) -> Claim:
    assert leased.claimed_at is not None
    assert leased.lease_expires_at is not None
    return Claim(
        notification=leased,
        worker=request.worker,
        number=leased.attempt_count,
        started_at=leased.claimed_at,
        expires_at=leased.lease_expires_at,
        rescue=request.rescue,
    )


def _due_since(notification: Notification) -> datetime:
    if notification.wait_count:
        return notification.created_at
    return notification.next_attempt_at or notification.created_at
