"""The heartbeats of this process, and the settling of notifications that no process can deliver.

Another process may have a channel that this one lacks. So a notification is settled only if no process has
served its channel for a long time, and only by a process that was alive all that time.
"""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Literal, Protocol

import anyio
import anyio.lowlevel

from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.models import AttemptOutcome, Claim, Room
from storage.operations.claim_request import ClaimRequest, Claims
from storage.operations.processes import HEARTBEAT_INTERVAL, Heartbeat

logger = logging.getLogger(__name__)

LEAVE_TIMEOUT = timedelta(seconds=2)
"""How long an exiting process tries to unregister. Otherwise it counts as alive for another minute."""

BATCH = 100
"""How many notifications are settled in one batch."""

LEASE = timedelta(seconds=30)
"""A lease that is far longer than it takes to settle a batch."""


class ProcessRegistry(Protocol):
    """The part of `NotificationRepository` used here. Each method raises `StorageError`."""

    async def heartbeat(self, process: Heartbeat) -> datetime: ...

    async def fold_counts(self) -> None: ...

    async def leave(self, process: str) -> None: ...

    async def undeliverable_channels(self, after: timedelta) -> frozenset[str]: ...

    async def claim(self, request: ClaimRequest) -> Claims: ...

    async def release(self, claim: Claim) -> bool: ...

    async def record_skipped(self, claim: Claim, reason: str) -> bool: ...

    async def mark_as_dead(self, claim: Claim, duration: timedelta, error: str) -> bool: ...


class Presence:
    """Keeps a process registered while `run` runs."""

    def __init__(
        self,
        registry: ProcessRegistry,
        process: Heartbeat,
        *,
        settles: bool = True,
        missing_after: timedelta,
        missing_notifier: Literal["sent", "dead"],
        meter: AttemptMeter,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """`settles`: whether this process settles undeliverable notifications, once no process has served the
        channel for `missing_after`.
        """
        self._registry = registry
        self._process = process
        self._settles = settles
        self._missing_after = missing_after
        self._missing_notifier = missing_notifier
        self._meter = meter
        self._clock = clock
        self._sleep = sleep
        self._alive_since: datetime | None = None

    async def run(self) -> None:
        """Register and send heartbeats until cancelled; then unregister."""
        # Settling is checked more often only if its time is shorter than a heartbeat interval.
        pause = min(HEARTBEAT_INTERVAL, max(self._missing_after / 2, timedelta(seconds=0.5)))
        since_heartbeat = HEARTBEAT_INTERVAL
        try:
            while True:
                try:
                    if since_heartbeat >= HEARTBEAT_INTERVAL:
                        self._alive_since = await self._registry.heartbeat(self._process)
                        since_heartbeat = timedelta(0)
                        await self._fold_counts()
                    await self.settle()
                except StorageError as failure:
                    logger.warning("the heartbeat of this process can't be written: %s", failure)
                except Exception:
                    # The supervised edge: without heartbeats the process would seem dead.
                    logger.exception("writing the heartbeat of this process failed")
                await self._sleep(pause.total_seconds())
                since_heartbeat += pause
        finally:
            await self._leave()

    async def _fold_counts(self) -> None:
        try:
            await self._registry.fold_counts()
        except StorageError as failure:
            # Until another process does it, the counts are only slower to read.
            logger.warning("the counts of notifications can't be folded: %s", failure)

    async def settle(self) -> int:
        """Settle notifications that no process has been able to deliver for long enough; returns their
        number."""
        if (
            not self._settles
            or self._alive_since is None
            or self._clock() - self._alive_since < self._missing_after
        ):
            return 0
        settled = 0
        # Queried again for each batch, because a process that has the channel may have started meanwhile.
        while channels := await self._registry.undeliverable_channels(self._missing_after):
            # If the machine was suspended meanwhile, live processes seem dead until their next heartbeat.
            self._alive_since = await self._registry.heartbeat(self._process)
            if self._clock() - self._alive_since < self._missing_after:
                break
            batch = 0
            for channel in sorted(channels):
                batch += await self._settle_batch(channel)
            if not batch:
                break
            settled += batch
            await anyio.lowlevel.checkpoint()
        return settled

    async def _settle_batch(self, channel: str) -> int:
        settled = 0
        reason = f"no notifier configured for channel {channel}; not delivered"
        accepted_before = self._clock() - self._missing_after
        for suspects in (False, True):
            request = ClaimRequest(
                self._process.name, LEASE, BATCH, Room(BATCH), frozenset({channel}), suspects
            )
            # Cancelling it halfway would leave leases behind.
            with anyio.CancelScope(shield=True):
                for claim in (await self._registry.claim(request)).claims:
                    if claim.notification.created_at > accepted_before:
                        await self._registry.release(claim)
                    else:
                        settled += 1
                        await self._record(claim, reason)
        if settled:
            logger.warning(
                "%d notifications were not delivered: no process has had the channel %r for %s",
                settled,
                channel,
                self._missing_after,
            )
        return settled

    async def _record(self, claim: Claim, reason: str) -> None:
        if self._missing_notifier == "dead":
            outcome = AttemptOutcome.DEAD
            recorded = await self._registry.mark_as_dead(claim, timedelta(0), reason)
        else:
            outcome = AttemptOutcome.SKIPPED
            recorded = await self._registry.record_skipped(claim, reason)
        self._meter.ended(
            claim.notification.channel, outcome if recorded else None, None, FailureKind.NO_NOTIFIER
        )

    async def _leave(self) -> None:
        with anyio.move_on_after(LEAVE_TIMEOUT.total_seconds(), shield=True):
            try:
                await self._registry.leave(self._process.name)
            except StorageError as failure:
                logger.warning("this process counts as alive for a minute more: %s", failure)
