"""Deletes rows in the background after their retention period.

Any number of processes can do so on one database: each skips what another is deleting. After each batch it
pauses for as long as the batch took, so that outcomes can be written meanwhile.
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.delivery.periodic import repeat
from storage.clock import Clock, utc_now
from storage.models import Retained
from storage.operations.retention import Expired, Expiry, RetentionRun

logger = logging.getLogger(__name__)

INTERVAL = timedelta(hours=1)


class RetentionStore(Protocol):
    """The part of `NotificationRepository` that deletes. It raises `StorageError`."""

    async def delete_expired(self, batch: Expiry) -> Expired: ...


class Retention:
    """Deletes what is older than the given periods.

    For the metrics, `deleted` counts the deletions, and `completed_at` is when everything that was due had
    last been deleted; None before the first time.
    """

    def __init__(
        self,
        store: RetentionStore,
        settings: RetentionSettings,
        *,
        actor: str,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """`actor` is recorded in the audit log."""
        self._store = store
        self._periods = periods(settings)
        self._actor = actor
        self._clock = clock
        self._sleep = sleep
        self.deleted: Counter[Retained] = Counter(dict.fromkeys(self._periods, 0))
        self.completed_at: datetime | None = None

    async def run(self) -> None:
        """Delete what is due every hour, until cancelled."""
        if self._periods:
            await repeat(
                self.delete_expired,
                interval=INTERVAL,
                sleep=self._sleep,
                logger=logger,
                prevented="expired rows can't be deleted now",
                failed="deleting expired rows failed",
            )

    async def delete_expired(self) -> Mapping[Retained, int]:
        """Delete everything that is due now, and return how much of each kind.

        Cancellation takes effect between two batches.

        Raises:
            StorageError: the database can't be written; earlier batches have been deleted.
        """
        run, now = RetentionRun(self._actor), self._clock()
        for kind, period in self._periods.items():
            run = await self._delete(Expiry(kind, now - period, run))
        self.completed_at = now
        if run.deleted:
            logger.info("deleted expired rows: %s", run.counts)
        return run.deleted

    async def _delete(self, batch: Expiry) -> RetentionRun:
        before = batch.run.deleted.get(batch.kind, 0)
        while True:
            begun = time.monotonic()
            with anyio.CancelScope(shield=True):
                expired = await self._store.delete_expired(batch)
            total = expired.run.deleted.get(batch.kind, 0)
            self.deleted[batch.kind] += total - before
            if expired.after is None:
                return expired.run
            before = total
            batch = Expiry(batch.kind, batch.before, expired.run, expired.after)
            await self._sleep(time.monotonic() - begun)


def periods(settings: RetentionSettings) -> Mapping[Retained, timedelta]:
    """The retention periods of the kinds that aren't kept forever."""
    kept = {
        Retained.SENT: settings.sent,
        Retained.READ: settings.read,
        Retained.DEAD: settings.dead,
        Retained.UNDELIVERED: settings.dead,
        Retained.AUDIT: settings.audit,
    }
    return {kind: period for kind, period in kept.items() if period is not None}
