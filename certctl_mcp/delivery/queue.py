"""The queue as a worker uses it: claims, outcomes, and the time of the next due notification."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from storage.models import Claim
from storage.operations.channel_states import Report
from storage.operations.claim_request import ClaimRequest, Claims


class OutcomeQueue(Protocol):
    """Records the outcomes of attempts; each method returns False if the claim was lost. They raise
    `StorageError`."""

    async def record_sent(self, claim: Claim, duration: timedelta) -> bool: ...

    async def record_failed_attempt(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta, report: Report | None = None
    ) -> bool: ...

    async def record_failed_probe(
        self, claim: Claim, duration: timedelta, error: str, report: Report | None = None
    ) -> bool: ...

    async def record_told_to_wait(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta, report: Report | None = None
    ) -> bool: ...

    async def mark_as_dead(
        self,
        claim: Claim,
        duration: timedelta,
        error: str,
        report: Report | None = None,
        *,
        permanent: bool = False,
    ) -> bool: ...

    async def record_abandoned(self, claim: Claim, duration: timedelta, reason: str) -> bool: ...

    async def record_crash(self, claim: Claim, duration: timedelta, reason: str, wait: timedelta) -> bool: ...


class DeliveryQueue(OutcomeQueue, Protocol):
    """The part of `NotificationRepository` that attempts use. Each method raises `StorageError`."""

    async def claim(self, request: ClaimRequest) -> Claims: ...

    async def renew(self, claim: Claim, lease: timedelta) -> datetime | None: ...

    async def release(self, claim: Claim) -> bool: ...

    async def next_due_at(self, *, after: datetime, channels: Collection[str]) -> datetime | None: ...
