"""One claimed notification, one attempt, one outcome, written down.

The attempt can end in every way a remote end can misbehave; here each becomes an outcome of the contract.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.redaction import bounded, redact
from certctl_mcp.retry_policy import Dead, RetryPolicy
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.models import AttemptOutcome, Claim
from storage.notifications import NotificationRepository

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
        repository: NotificationRepository,
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
        self._repository = repository
        self._find_notifier = find_notifier
        self._policy = policy
        self._missing_notifier = missing_notifier
        self._clock = clock
        self._chance = chance
        self._sleep = sleep

    async def attempt(self, claim: Claim) -> Answer:
        """Send once, within the send timeout. Never raises for what a notifier does."""
        notification = claim.notification
        notifier = await self._find_notifier(notification.channel)
        if notifier is None:
            reason = f"no notifier configured for channel {notification.channel}; not delivered"
            return Answer(timedelta(0), DeliveryFailedError(reason, permanent=True), skipped=True)
        begun = time.monotonic()
        failure: DeliveryFailedError | None = None
        try:
            async with asyncio.timeout(self.send_timeout.total_seconds()):
                await notifier.send(notification)
        except DeliveryFailedError as failed:
            failure = failed
        except TimeoutError:
            seconds = self.send_timeout.total_seconds()
            failure = DeliveryFailedError(f"no answer within the send timeout of {seconds:g} s")
        except Exception as error:
            # A defect of one notifier must not stop the others. The trace may show what is secret.
            logger.error("the notifier of channel %r raised %s", notification.channel, type(error).__name__)
            logger.debug("the notifier of channel %r", notification.channel, exc_info=error)
            failure = DeliveryFailedError(f"the notifier failed: {type(error).__name__}: {error}")
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
                await self._repository.record_abandoned(claim, self._clock() - claim.started_at, BROKEN_OFF)
        except StorageError as error:
            logger.warning("%s is attempted again when its lease ends: %s", claim.notification.id, error)

    def _outcome(self, claim: Claim, answer: Answer) -> tuple[AttemptOutcome, Callable[[], Awaitable[bool]]]:
        """The transition that follows from the answer: the retry rule of the contract."""
        repository, failure = self._repository, answer.failure
        if failure is None:
            return AttemptOutcome.SENT, lambda: repository.record_sent(claim, answer.duration)
        error = bounded(redact(str(failure)))
        if answer.skipped and self._missing_notifier == "sent":
            return AttemptOutcome.SKIPPED, lambda: repository.record_skipped(claim, error)
        fate = self._policy.after_failure(
            claim.notification.retry_count, retry_after=failure.retry_after, random=self._chance()
        )
        if failure.permanent or isinstance(fate, Dead):
            return AttemptOutcome.DEAD, lambda: repository.mark_as_dead(claim, answer.duration, error)
        wait = fate.wait
        return AttemptOutcome.FAILED, lambda: repository.record_failed_attempt(
            claim, answer.duration, error, wait
        )
