"""Warns if certctl's server delivers when it must not, because alerts are then sent twice."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

import anyio

from storage.clock import Clock, utc_now
from storage.errors import StorageError

logger = logging.getLogger(__name__)

CHECK_INTERVAL = timedelta(minutes=1)

RECENT = timedelta(hours=1)
"""Notifications that certctl settled longer ago don't count."""


class CertctlActivity(Protocol):
    """The part of `NotificationReader` that shows what certctl's server did."""

    async def settled_by_certctl(self, since: datetime) -> int: ...


async def warn_if_certctl_delivers(
    activity: CertctlActivity, clock: Clock = utc_now, sleep: Callable[[float], Awaitable[None]] = anyio.sleep
) -> None:
    """Log a warning whenever certctl's server has settled more since this began, until cancelled."""
    began, warned_of = clock(), 0
    while True:
        await sleep(CHECK_INTERVAL.total_seconds())
        try:
            count = await activity.settled_by_certctl(max(began, clock() - RECENT))
        except StorageError:
            continue
        if count > warned_of:
            logger.warning(
                "certctl's server has settled %d notifications itself: it is running, so alerts are sent "
                "twice; stop it, or set CERTCTL_NOTIFICATION_DELIVER=rescue",
                count,
            )
        warned_of = count
