"""One send through a notifier, within the send timeout. However it ends, the result is an `Answer`."""

import asyncio
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier, limits_itself
from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.models import Notification
from storage.structs import struct

logger = logging.getLogger(__name__)


@struct
class Answer:
    """How an attempt ended, before anything is written."""

    duration: timedelta
    failure: DeliveryFailedError | None
    crashed: bool = False
    """The process that made the attempt died."""


class Sender:
    """Sends notifications through their channels' notifiers."""

    def __init__(
        self,
        find_notifier: Callable[[str], Awaitable[Notifier | None]],
        send_timeout: timedelta,
        longer: Mapping[str, timedelta] | None = None,
    ) -> None:
        """`longer`: the channels with a different send timeout, and that timeout."""
        self._find_notifier = find_notifier
        self.send_timeout = send_timeout
        self._longer = longer or {}
        self._prepared: set[str] = set()

    def timeout(self, channel: str) -> timedelta:
        """The send timeout of the channel."""
        return self._longer.get(channel, self.send_timeout)

    async def prepare(self, channel: str) -> None:
        """Build the channel's notifier. The first notifier of a kind must be imported, which can take a
        while."""
        if channel in self._prepared:
            return
        # Any error is returned by `send`.
        with suppress(Exception):
            await self._find_notifier(channel)
            self._prepared.add(channel)

    async def send(self, notification: Notification) -> Answer:
        """Send once. A notifier's exceptions are returned as failures."""
        try:
            notifier = await self._find_notifier(notification.channel)
        except Exception as error:  # noqa: BLE001 - recorded as the failure
            return Answer(timedelta(0), _defect(notification.channel, error))
        if notifier is None:
            return no_notifier(notification.channel)
        begun = time.monotonic()
        failure = await self._send(notifier, notification)
        return Answer(timedelta(seconds=time.monotonic() - begun), failure)

    async def _send(self, notifier: Notifier, notification: Notification) -> DeliveryFailedError | None:
        """Returns the failure; None if it was delivered."""
        try:
            if limits_itself(notifier):
                await notifier.send(notification)
            else:
                await self._send_within_timeout(notifier, notification)
        except DeliveryFailedError as failure:
            return failure
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            return _defect(notification.channel, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - recorded as the failure
            return _defect(notification.channel, error)
        return None

    async def _send_within_timeout(self, notifier: Notifier, notification: Notification) -> None:
        timeout = self.timeout(notification.channel)
        try:
            async with asyncio.timeout(timeout.total_seconds()) as limit:
                await notifier.send(notification)
        except TimeoutError:
            if limit.expired():
                raise timed_out(timeout) from None
            raise


def no_notifier(channel: str) -> Answer:
    """The result for a channel without a notifier. Only channels that have one are claimed."""
    reason = f"this process has no notifier for channel {channel}"
    return Answer(timedelta(0), DeliveryFailedError(reason, kind=FailureKind.NO_NOTIFIER))


def timed_out(send_timeout: timedelta) -> DeliveryFailedError:
    return DeliveryFailedError(
        f"no answer within the send timeout of {send_timeout.total_seconds():g} s", kind=FailureKind.TIMEOUT
    )


def _defect(channel: str, error: BaseException) -> DeliveryFailedError:
    """The failure for an unexpected exception of a notifier, which must not stop the others."""
    # The traceback may contain secrets.
    logger.error("the notifier of channel %r raised %s", channel, type(error).__name__)
    logger.debug("the notifier of channel %r", channel, exc_info=error)
    description = "".join(traceback.format_exception_only(error)).strip()
    return DeliveryFailedError(f"the notifier failed: {description}", kind=FailureKind.DEFECT)


def _is_being_cancelled() -> bool:
    """If not, a notifier cancelled one of its own tasks and let the cancellation escape."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
