"""The log of outcomes: one line for each, as soon as it is recorded.

It wraps the repository, because each outcome arrives there with everything that the line needs. Logging takes
a noticeable part of a delivery's time, so of thousands a second only some get a line.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from certctl_mcp.config.durations import format_duration
from certctl_mcp.delivery.queue import OutcomeQueue
from certctl_mcp.text.redaction import truncate
from storage.models import Claim
from storage.operations.channel_states import Report

logger = logging.getLogger(__name__)

LONGEST_ERROR = 500
"""The most bytes of an error in a line. The notification has the full text."""

SENT_A_SECOND = 50
"""The most lines about deliveries per second. Failures have no such limit."""

_WHICH = "%s, attempt %d over %s, "

# The log limits lines of one kind, so each outcome has its own text.
_SENT = _WHICH + "was delivered in %.3f s"
_SENT_AFTER_OTHERS = _SENT + ", and %d others before it"
_FAILED = _WHICH + "failed after %.3f s and is retried in %s: %s"
_PROBE = _WHICH + "failed after %.3f s and used up no retry, because the channel is held in an outage: %s"
_TOLD_TO_WAIT = _WHICH + "was told after %.3f s to wait for %s: %s"
_REFUSED = _WHICH + "was refused permanently after %.3f s and is a dead letter: %s"
_USED_UP = _WHICH + "failed after %.3f s, its last retry, and is a dead letter: %s"
_ABANDONED = _WHICH + "was interrupted after %.3f s and is due again: %s"
_CRASHED = _WHICH + "ended its process after %.3f s and is retried in %s: %s"


class LoggedOutcomes:
    """Records outcomes in `queue`, and logs those that were recorded at info level."""

    def __init__(self, queue: OutcomeQueue, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._second = 0
        self._lines = 0
        """The number of lines in the current second."""
        self._unlogged = 0

    async def record_sent(self, claim: Claim, duration: timedelta) -> bool:
        recorded = await self._queue.record_sent(claim, duration)
        if recorded and logger.isEnabledFor(logging.INFO):
            self._log_sent(claim, duration)
        return recorded

    def _log_sent(self, claim: Claim, duration: timedelta) -> None:
        second = int(self._clock())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= SENT_A_SECOND:
            self._unlogged += 1
            return
        self._lines += 1
        notification = claim.notification
        sent = (notification.id, claim.number, notification.channel, duration.total_seconds())
        if self._unlogged:
            logger.info(_SENT_AFTER_OTHERS, *sent, self._unlogged)
            self._unlogged = 0
        else:
            logger.info(_SENT, *sent)

    async def record_failed_attempt(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta, report: Report | None = None
    ) -> bool:
        recording = self._queue.record_failed_attempt(claim, duration, error, wait, report)
        return await _logged(recording, _FAILED, claim, duration, error, wait)

    async def record_failed_probe(
        self, claim: Claim, duration: timedelta, error: str, report: Report | None = None
    ) -> bool:
        recording = self._queue.record_failed_probe(claim, duration, error, report)
        return await _logged(recording, _PROBE, claim, duration, error)

    async def record_told_to_wait(
        self, claim: Claim, duration: timedelta, error: str, wait: timedelta, report: Report | None = None
    ) -> bool:
        recording = self._queue.record_told_to_wait(claim, duration, error, wait, report)
        return await _logged(recording, _TOLD_TO_WAIT, claim, duration, error, wait)

    async def mark_as_dead(
        self,
        claim: Claim,
        duration: timedelta,
        error: str,
        report: Report | None = None,
        *,
        permanent: bool = False,
    ) -> bool:
        recording = self._queue.mark_as_dead(claim, duration, error, report, permanent=permanent)
        return await _logged(recording, _REFUSED if permanent else _USED_UP, claim, duration, error)

    async def record_abandoned(self, claim: Claim, duration: timedelta, reason: str) -> bool:
        recording = self._queue.record_abandoned(claim, duration, reason)
        return await _logged(recording, _ABANDONED, claim, duration, reason)

    async def record_crash(self, claim: Claim, duration: timedelta, reason: str, wait: timedelta) -> bool:
        recording = self._queue.record_crash(claim, duration, reason, wait)
        return await _logged(recording, _CRASHED, claim, duration, reason, wait)


async def _logged(
    recording: Awaitable[bool],
    text: str,
    claim: Claim,
    duration: timedelta,
    error: str,
    wait: timedelta | None = None,
) -> bool:
    recorded = await recording
    if recorded and logger.isEnabledFor(logging.INFO):
        notification = claim.notification
        waits = () if wait is None else (format_duration(wait),)
        logger.info(
            text,
            notification.id,
            claim.number,
            notification.channel,
            duration.total_seconds(),
            *waits,
            truncate(error, LONGEST_ERROR),
        )
    return recorded
