"""One claimed notification, one attempt, one outcome, written down.

The attempt can end in every way a remote end can misbehave; here each becomes an outcome of the contract.
"""

import asyncio
import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from certctl_mcp.delivery.queue import DeliveryQueue
from certctl_mcp.delivery.retry_policy import Dead, RetryPolicy
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.text.redaction import redact, truncate
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.models import AttemptOutcome, Claim, Notification
from storage.sql.text import storable

logger = logging.getLogger(__name__)

RECORD_AGAIN_AFTER = timedelta(milliseconds=500)

BROKEN_OFF = "broken off before it was answered: the server was told to stop"


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt went, before anything is written."""

    duration: timedelta
    failure: DeliveryFailedError | None
    skipped: bool = False


class Delivery:
    """Attempts claims through the notifiers and records what came of it."""

    def __init__(
        self,
        queue: DeliveryQueue,
        find_notifier: Callable[[str], Awaitable[Notifier | None]],
        policy: RetryPolicy,
        *,
        send_timeout: timedelta,
        missing_notifier: Literal["sent", "dead"] = "sent",
        clock: Clock = utc_now,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.send_timeout = send_timeout
        self._queue = queue
        self._find_notifier = find_notifier
        self._policy = policy
        self._missing_notifier = missing_notifier
        self._clock = clock
        self._chance = chance
        self._sleep = sleep

    async def attempt(self, claim: Claim) -> Answer:
        """Send what is claimed once, within the send timeout. Never raises for what a notifier does."""
        return await self.try_once(claim.notification)

    async def try_once(self, notification: Notification) -> Answer:
        """As `attempt`, for a notification that need not be in the queue."""
        try:
            # Not within the send timeout: the first of a kind is imported, which costs no receiver's time.
            notifier = await self._find_notifier(notification.channel)
        except Exception as error:  # noqa: BLE001 - told to the operator as its failure
            return Answer(timedelta(0), _defect(notification.channel, error))
        if notifier is None:
            reason = f"no notifier configured for channel {notification.channel}; not delivered"
            return Answer(timedelta(0), DeliveryFailedError(reason, permanent=True), skipped=True)
        begun = time.monotonic()
        failure = await self._send(notifier, notification)
        return Answer(timedelta(seconds=time.monotonic() - begun), failure)

    async def record(self, claim: Claim, answer: Answer) -> AttemptOutcome | None:
        """Write the outcome; None if it was refused or could not be written.

        While the database can't be written it tries again until the lease ends. After that another
        worker attempts the notification anew, as it must: nobody knows then that it was answered.
        """
        outcome, write = self._outcome(claim, answer)
        while True:
            try:
                on_time = await write()
            except StorageError as error:
                if self._clock() >= claim.expires_at:
                    logger.error("the outcome of %s can't be recorded: %s", claim.notification.id, error)
                    return None
                await self._sleep(RECORD_AGAIN_AFTER.total_seconds())
            else:
                if not on_time:
                    logger.warning(
                        "the outcome of %s, attempt %d, came after its lease was lost and is refused: %s",
                        claim.notification.id,
                        claim.number,
                        outcome.value,
                    )
                return outcome if on_time else None

    async def record_cancelled(self, claim: Claim, answer: Answer | None) -> None:
        """Write what is known of an attempt that was cancelled: its answer, or else that it is due again."""
        try:
            if answer is not None:
                await self._outcome(claim, answer)[1]()
            else:
                await self._queue.record_abandoned(claim, self._clock() - claim.started_at, BROKEN_OFF)
        except StorageError as error:
            logger.warning("%s is attempted again when its lease ends: %s", claim.notification.id, error)

    async def _send(self, notifier: Notifier, notification: Notification) -> DeliveryFailedError | None:
        """Why it was not delivered; None if it was."""
        seconds = self.send_timeout.total_seconds()
        try:
            async with asyncio.timeout(seconds) as limit:
                await notifier.send(notification)
        except DeliveryFailedError as failure:
            return failure
        except TimeoutError as error:
            if limit.expired():
                return DeliveryFailedError(f"no answer within the send timeout of {seconds:g} s")
            return _defect(notification.channel, error)
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            return _defect(notification.channel, error)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told to the operator as its failure
            return _defect(notification.channel, error)
        return None

    def _outcome(self, claim: Claim, answer: Answer) -> tuple[AttemptOutcome, Callable[[], Awaitable[bool]]]:
        """The transition that follows from the answer: the retry rule of the contract."""
        queue, failure = self._queue, answer.failure
        if failure is None:
            return AttemptOutcome.SENT, lambda: queue.record_sent(claim, answer.duration)
        error = failure_told(failure)
        if answer.skipped and self._missing_notifier == "sent":
            return AttemptOutcome.SKIPPED, lambda: queue.record_skipped(claim, error)
        fate = self._policy.after_failure(
            claim.notification.retry_count, retry_after=failure.retry_after, random=self._chance()
        )
        if failure.permanent or isinstance(fate, Dead):
            return AttemptOutcome.DEAD, lambda: queue.mark_as_dead(claim, answer.duration, error)
        wait = fate.wait
        return AttemptOutcome.FAILED, lambda: queue.record_failed_attempt(claim, answer.duration, error, wait)


def failure_told(failure: DeliveryFailedError) -> str:
    """The failure as it is stored and shown: bounded, and without secrets."""
    # Made storable first: what can't be stored is replaced by something longer.
    return truncate(redact(storable(str(failure))))


def _defect(channel: str, error: BaseException) -> DeliveryFailedError:
    """What a notifier should not raise: a defect of one must not stop the others."""
    # The trace may show what is secret.
    logger.error("the notifier of channel %r raised %s", channel, type(error).__name__)
    logger.debug("the notifier of channel %r", channel, exc_info=error)
    told = "".join(traceback.format_exception_only(error)).strip()
    return DeliveryFailedError(f"the notifier failed: {told}")


def _is_being_cancelled() -> bool:
    """Else the cancellation is one that a notifier made for a task of its own and let escape."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
