"""Background work that a process repeats, and that must never end deliveries."""

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from storage.errors import StorageError

FIRST_RUN_AFTER = timedelta(minutes=1)


async def repeat(
    work: Callable[[], Awaitable[object]],
    *,
    interval: timedelta,
    sleep: Callable[[float], Awaitable[None]],
    logger: logging.Logger,
    prevented: str,
    failed: str,
) -> None:
    """Do the work a minute after the start and then in intervals, until cancelled.

    `prevented` is logged when the database doesn't allow it now, `failed` for any other error.
    """
    pause = FIRST_RUN_AFTER
    while True:
        await sleep(pause.total_seconds())
        pause = interval
        try:
            await work()
        except StorageError as failure:
            logger.warning("%s: %s", prevented, failure)
        except Exception:
            # The supervised edge: an error here must not end deliveries.
            logger.exception("%s", failed)
