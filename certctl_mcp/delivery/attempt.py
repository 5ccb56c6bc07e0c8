"""One attempt of one notification, and its outcome.

A receiver can misbehave in any way; here each way becomes an outcome of the contract.
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

from certctl_mcp.delivery.outcome_writer import OutcomeWriter, Write
from certctl_mcp.delivery.queue import DeliveryQueue
from certctl_mcp.delivery.retry_policy import Dead, RetryPolicy
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.text.redaction import redact, truncate
from storage.clock import Clock, utc_now
from storage.models import AttemptOutcome, Claim, Notification
from storage.sql.text import storable

logger = logging.getLogger(__name__)

CLEAN_UP = timedelta(seconds=2)
"""How long a cancelled attempt may take to record what is known of it."""

BROKEN_OFF = "broken off before it was answered: the server was told to stop"


@dataclass(frozen=True, slots=True)
class Answer:
    """How an attempt ended, before anything is written."""

    duration: timedelta
    failure: DeliveryFailedError | None
    skipped: bool = False


class Delivery:
    """Attempts notifications through the notifiers and records the outcomes."""

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
        self._writer = OutcomeWriter(sleep)

    async def attempt(self, claim: Claim) -> Answer:
        """Send the claimed notification once, within the send timeout. Nothing a notifier does raises."""
        return await self.try_once(claim.notification)

    async def try_once(self, notification: Notification) -> Answer:
        """Like `attempt`, for a notification that need not be in the queue."""
        try:
            # Outside the send timeout: importing the first notifier of a kind must not shorten its send.
            notifier = await self._find_notifier(notification.channel)
        except Exception as error:  # noqa: BLE001 - recorded as the failure
            return Answer(timedelta(0), _defect(notification.channel, error))
        if notifier is None:
            reason = f"no notifier configured for channel {notification.channel}; not delivered"
            return Answer(timedelta(0), DeliveryFailedError(reason, permanent=True), skipped=True)
        begun = time.monotonic()
        failure = await self._send(notifier, notification)
        return Answer(timedelta(seconds=time.monotonic() - begun), failure)

    @property
    def can_record(self) -> bool:
        """False while outcomes can't be written; see `OutcomeWriter.can_write`."""
        return self._writer.can_write

    async def record(self, claim: Claim, answer: Answer) -> AttemptOutcome | None:
        """Write the outcome, as soon as the database can be written; None if the claim was lost."""
        outcome, write = self._outcome(claim, answer)
        if await self._writer.write(claim, outcome, write):
            return outcome
        logger.warning(
            "the outcome of %s, attempt %d, came after its lease was lost and is refused: %s",
            claim.notification.id,
            claim.number,
            outcome.value,
        )
        return None

    async def record_cancelled(self, claim: Claim, answer: Answer | None) -> None:
        """Write what is known of a cancelled attempt: its outcome, or that it is due again at once."""
        outcome, write = self._abandoned(claim) if answer is None else self._outcome(claim, answer)
        await self._writer.write_last(claim, outcome, write, CLEAN_UP)

    def _abandoned(self, claim: Claim) -> tuple[AttemptOutcome, Write]:
        duration = self._clock() - claim.started_at
        return AttemptOutcome.ABANDONED, lambda: self._queue.record_abandoned(claim, duration, BROKEN_OFF)

    async def _send(self, notifier: Notifier, notification: Notification) -> DeliveryFailedError | None:
        """Returns why it was not delivered; None if it was."""
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
        except (Exception, SystemExit) as error:  # noqa: BLE001 - recorded as the failure
            return _defect(notification.channel, error)
        return None

    def _outcome(self, claim: Claim, answer: Answer) -> tuple[AttemptOutcome, Write]:
        """The transition that follows from the answer: the retry rule of the contract."""
        queue, failure = self._queue, answer.failure
        if failure is None:
            return AttemptOutcome.SENT, lambda: queue.record_sent(claim, answer.duration)
        error = error_text(failure)
        if answer.skipped and self._missing_notifier == "sent":
            return AttemptOutcome.SKIPPED, lambda: queue.record_skipped(claim, error)
        fate = self._policy.after_failure(
            claim.notification.retry_count, retry_after=failure.retry_after, random=self._chance()
        )
        if failure.permanent or isinstance(fate, Dead):
            return AttemptOutcome.DEAD, lambda: queue.mark_as_dead(claim, answer.duration, error)
        wait = fate.wait
        return AttemptOutcome.FAILED, lambda: queue.record_failed_attempt(claim, answer.duration, error, wait)


def error_text(failure: DeliveryFailedError) -> str:
    """The error text to store and show: bounded, and without secrets."""
    # Made storable first: replacing what can't be stored makes the text longer.
    return truncate(redact(storable(str(failure))))


def _defect(channel: str, error: BaseException) -> DeliveryFailedError:
    """For what a notifier should not raise: a defect in one must not stop the others."""
    # The traceback may show secrets.
    logger.error("the notifier of channel %r raised %s", channel, type(error).__name__)
    logger.debug("the notifier of channel %r", channel, exc_info=error)
    description = "".join(traceback.format_exception_only(error)).strip()
    return DeliveryFailedError(f"the notifier failed: {description}")


def _is_being_cancelled() -> bool:
    """If not, a notifier cancelled a task of its own and let the cancellation escape."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
