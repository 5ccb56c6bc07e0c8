"""Builders of notifications for tests, in memory or in the database, in any state, in one line each."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from certctl_mcp.delivery.retry_policy import RetryPolicy
from storage.channel_state import ChannelRules
from storage.models import Claim, NewNotification, Notification, NotificationStatus, Room
from storage.operations.claim_request import ClaimRequest
from storage.repository import NotificationRepository

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(seconds=45)
TOOK = timedelta(milliseconds=250)
WAIT = timedelta(minutes=1)
TIMES_TO_BE_SUSPECT = 3

RETRY_POLICY = RetryPolicy(max_attempts=5, backoff_base=timedelta(minutes=1), backoff_cap=timedelta(hours=1))
"""The contract's default policy."""


@dataclass
class SettableClock:
    """Stands still until it is set."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, duration: timedelta) -> None:
        self.now += duration


def new_notification(**overrides: Any) -> NewNotification:
    """An alert that has not been accepted yet."""
    contents: dict[str, Any] = {
        "type": "ExpirationWarning",
        "channel": "Webhook",
        "recipient": "on-call",
        "message": "api.example.com expires in 7 days",
    }
    return NewNotification(**contents | overrides)


def notification(**overrides: Any) -> Notification:
    """A pending notification as read from the database."""
    contents: dict[str, Any] = {
        "id": "notif-0001",
        "certificate_id": None,
        "idempotency_key": None,
        "status": NotificationStatus.PENDING,
        "sent_at": None,
        "error": None,
        "retry_count": 0,
        "next_retry_at": None,
        "last_error": None,
        "created_at": NOON,
        "read_at": None,
        "lease_owner": None,
        "lease_expires_at": None,
        "claimed_at": None,
        "attempt_count": 0,
        "abandoned_count": 0,
        "wait_count": 0,
        "waiting_since": None,
    }
    return Notification(**new_notification().model_dump() | contents | overrides)


UNLIMITED = Room(1000)
CHANNELS = frozenset({"Email", "OpsGenie", "PagerDuty", "Slack", "Teams", "Webhook"})


def request(
    worker: str = "worker-1",
    lease: timedelta = LEASE,
    slots: int = 1000,
    room: Room = UNLIMITED,
    *,
    suspects: bool = False,
    channels: Collection[str] = CHANNELS,
    rules: Mapping[str, ChannelRules] | None = None,
) -> ClaimRequest:
    """A worker's request for a claim."""
    return ClaimRequest(worker, lease, slots, room, frozenset(channels), suspects, rules=rules)


async def next_due_at(repository: NotificationRepository, after: datetime | None = None) -> datetime | None:
    """When something in the usual channels is due next; without `after`, anything already due counts too."""
    beginning = datetime.min.replace(tzinfo=UTC)
    return await repository.next_due_at(after=after or beginning, channels=CHANNELS)


@dataclass
class Queue:
    """A repository with a method for each state, which creates a notification in that state."""

    repository: NotificationRepository
    clock: SettableClock
    worker: str = "worker-1"

    async def pending(self, **contents: Any) -> Notification:
        accepted = await self.repository.accept(new_notification(**contents))
        return accepted.notification

    async def claimed(self, lease: timedelta = LEASE, **contents: Any) -> Claim:
        notification = await self.pending(**contents)
        return await self.claim(notification.id, lease=lease)

    async def failed(self, error: str = "HTTP 503", wait: timedelta = WAIT, **contents: Any) -> Notification:
        claim = await self.claimed(**contents)
        await self.repository.record_failed_attempt(claim, TOOK, error, wait)
        return await self.repository.get(claim.notification.id)

    async def dead(self, error: str = "HTTP 410", **contents: Any) -> Notification:
        claim = await self.claimed(**contents)
        await self.repository.mark_as_dead(claim, TOOK, error)
        return await self.repository.get(claim.notification.id)

    async def sent(self, **contents: Any) -> Notification:
        claim = await self.claimed(**contents)
        await self.repository.record_sent(claim, TOOK)
        return await self.repository.get(claim.notification.id)

    async def skipped(self, reason: str = "no notifier configured", **contents: Any) -> Notification:
        claim = await self.claimed(**contents)
        await self.repository.record_skipped(claim, reason)
        return await self.repository.get(claim.notification.id)

    async def read(self, **contents: Any) -> Notification:
        notification = await self.pending(**contents)
        return await self.repository.mark_read(notification.id)

    async def abandoned(self, times: int = 1, **contents: Any) -> Notification:
        """Its workers never recorded an outcome; the last lease has just expired and been ended."""
        notification = await self.pending(**contents)
        for earlier in range(times):
            await self.claim(notification.id, suspects=earlier >= TIMES_TO_BE_SUSPECT)
            self.clock.advance(LEASE)
        await self.repository.claim(request("sweeper", slots=0))
        return await self.repository.get(notification.id)

    async def claim(
        self, notification_id: str, *, lease: timedelta = LEASE, suspects: bool = False, worker: str = ""
    ) -> Claim:
        """Claim this one, and release others that were due."""
        claims = await self.claim_due(lease=lease, suspects=suspects, worker=worker)
        for claim in claims:
            if claim.notification.id != notification_id:
                await self.repository.release(claim)
        (wanted,) = (claim for claim in claims if claim.notification.id == notification_id)
        return wanted

    async def claim_due(
        self,
        *,
        slots: int = 1000,
        room: Room = UNLIMITED,
        lease: timedelta = LEASE,
        suspects: bool = False,
        worker: str = "",
        channels: Collection[str] | None = None,
        rules: Mapping[str, ChannelRules] | None = None,
    ) -> tuple[Claim, ...]:
        """Without `channels`, the worker serves every channel in use. Without `rules`, the state of the
        channels doesn't matter."""
        if channels is None:
            channels = await self.repository.channels_in_use()
        wanted = request(
            worker or self.worker, lease, slots, room, suspects=suspects, channels=channels, rules=rules
        )
        return (await self.repository.claim(wanted)).claims
