"""Keeps figures of past hours and days in the background, so that a report on a long period is fast.

Any number of processes can do so on one database. After each day it pauses for as long as that took, so
that outcomes can be written meanwhile.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from certctl_mcp.delivery.periodic import repeat
from storage.clock import Clock, utc_now
from storage.operations.keep_figures import FigurePeriod

logger = logging.getLogger(__name__)

INTERVAL = timedelta(minutes=10)

SETTLED_AFTER = timedelta(minutes=10)
"""By then nearly every attempt that began in an hour has an outcome, so its figures last."""

KEPT_FOR = timedelta(days=2 * 366)
"""The longest period of a report, and the same period before it. Attempts begun earlier are not counted."""


class FigureStore(Protocol):
    """The part of `NotificationRepository` that keeps figures. It raises `StorageError`."""

    async def days_to_keep(self, since: datetime, until: datetime) -> Sequence[FigurePeriod]: ...

    async def hours_to_keep(self, day: FigurePeriod, until: datetime) -> Sequence[FigurePeriod]: ...

    async def keep_figures(self, periods: Sequence[FigurePeriod]) -> int: ...


class KeptFigures:
    """Counts the attempts of past hours and days that have no figures, such as those in which something has
    changed."""

    def __init__(
        self,
        store: FigureStore,
        *,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._store = store
        self._clock = clock
        self._sleep = sleep

    async def run(self) -> None:
        """Keep what is missing, now and then, until cancelled. Otherwise reports read the attempts."""
        await repeat(
            self.keep,
            interval=INTERVAL,
            sleep=self._sleep,
            logger=logger,
            prevented="figures of past hours can't be kept now",
            failed="keeping figures of past hours failed",
        )

    async def keep(self) -> int:
        """Keep everything that is missing, newest first, until something is in the way; returns the number of
        hours and days.

        Raises: StorageError.
        """
        now = self._clock()
        until = now - SETTLED_AFTER
        kept = 0
        for day in await self._store.days_to_keep(now - KEPT_FOR, until):
            # A day is the sum of its hours.
            begun = time.monotonic()
            hours = await self._store.hours_to_keep(day, until)
            for periods in filter(None, (hours, [day] if day.ends_at <= until else [])):
                number = await self._store.keep_figures(periods)
                if not number:
                    # Transactions run for long, or another process is counting.
                    return kept
                kept += number
            await self._sleep(time.monotonic() - begun)
        return kept
