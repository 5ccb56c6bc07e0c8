"""One attempt of one notification, and its outcome.

However a receiver misbehaves, the result is one of the outcomes that the queue defines.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from certctl_mcp.delivery.outcome_writer import OutcomeWriter, Write
from certctl_mcp.delivery.queue import OutcomeQueue
from certctl_mcp.delivery.retry_policy import Dead, Retry, RetryPolicy
from certctl_mcp.delivery.sender import Answer, Sender
from certctl_mcp.delivery.suspects import START_UP, is_suspect
from certctl_mcp.delivery.tracing import Tracing
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.text.redaction import redact_error
from storage.channel_state import UNLIMITED, ChannelEvent, ChannelRules, Failed, ToldToWait, Worked
from storage.clock import Clock, utc_now
from storage.models import AttemptOutcome, Claim, Notification
from storage.operations.channel_states import Report
from storage.operations.due import SUSPECT_AFTER
from storage.sql.text import storable

logger = logging.getLogger(__name__)

CLEAN_UP = timedelta(seconds=2)
"""How long a cancelled attempt may take to record its result."""

BROKEN_OFF = "interrupted before the receiver responded: the server was shutting down"


Send = Callable[[Notification], Awaitable[Answer]]
"""Sends a notification once; see `Sender.send`."""


class Delivery:
    """Attempts notifications through the notifiers and records the outcomes."""

    def __init__(
        self,
        queue: OutcomeQueue,
        find_notifier: Callable[[str], Awaitable[Notifier | None]],
        policy: RetryPolicy,
        *,
        send_timeout: timedelta,
        longer_timeouts: Mapping[str, timedelta] | None = None,
        send_isolated: Send | None = None,
        rules: Mapping[str, ChannelRules] | None = None,
        clock: Clock = utc_now,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tracing: Tracing | None = None,
    ) -> None:
        """`send_isolated` sends suspects, which may crash the process; without it they are sent like all
        others."""
        self._sender = Sender(find_notifier, send_timeout, longer_timeouts)
        self._send = self._sender.send
        self._send_isolated = send_isolated or self._send
        self._queue = queue
        self._policy = policy
        self._rules = rules or {}
        self._clock = clock
        self._chance = chance
        self._writer = OutcomeWriter(sleep)
        self._tracing = tracing

    def expected_duration(self, claim: Claim) -> timedelta:
        """The longest that the attempt of this claim may take, unless it `may_take_longer`."""
        timeout = self._sender.send_timeout
        return timeout + START_UP if is_suspect(claim) else timeout

    def may_take_longer(self, claim: Claim) -> bool:
        """Whether the channel's attempts may exceed the send timeout."""
        return self._sender.timeout(claim.notification.channel) > self._sender.send_timeout

    async def prepare(self, claim: Claim) -> None:
        """Do slow preparations before an attempt, so that they don't count towards its timeout."""
        if not is_suspect(claim):
            await self._sender.prepare(claim.notification.channel)

    async def attempt(self, claim: Claim) -> Answer:
        """Send the claimed notification once. Exceptions of a notifier are returned as failures."""
        send = self._send_isolated if is_suspect(claim) else self._send
        if self._tracing is None:
            return await send(claim.notification)
        with self._tracing.attempting(claim) as span:
            answer = await send(replace(claim.notification, traceparent=span.traceparent))
            span.ended(answer)
            return answer

    async def try_once(self, notification: Notification) -> Answer:
        """Send a notification that needn't be in the queue."""
        return await self._send(notification)

    @property
    def can_record(self) -> bool:
        """False while outcomes can't be written; see `OutcomeWriter.can_write`."""
        return self._writer.can_write

    async def record(self, claim: Claim, answer: Answer) -> AttemptOutcome | None:
        """Write the outcome as soon as the database can be written; None if the claim was lost."""
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
        """Record a cancelled attempt: its outcome if there is one, otherwise that it is due again at once."""
        outcome, write = self._abandoned(claim) if answer is None else self._outcome(claim, answer)
        await self._writer.write_last(claim, outcome, write, CLEAN_UP)

    def _abandoned(self, claim: Claim) -> tuple[AttemptOutcome, Write]:
        duration = self._clock() - claim.started_at
        return AttemptOutcome.ABANDONED, lambda: self._queue.record_abandoned(claim, duration, BROKEN_OFF)

    def _outcome(self, claim: Claim, answer: Answer) -> tuple[AttemptOutcome, Write]:
        """The transition that follows from the result, by the retry policy."""
        queue, failure = self._queue, answer.failure
        if failure is None:
            return AttemptOutcome.SENT, lambda: queue.record_sent(claim, answer.duration)
        error = error_text(failure)
        if answer.crashed:
            # The backoff grows with each crash, and no retry is used up.
            pause = self._policy.wait(claim.notification.abandoned_count - SUSPECT_AFTER)
            return AttemptOutcome.ABANDONED, lambda: queue.record_crash(claim, answer.duration, error, pause)
        duration, report = answer.duration, self._report(claim, failure, error)
        if failure.told_to_wait and (retry := self._after_wait(claim.notification, failure)) is not None:
            return AttemptOutcome.TOLD_TO_WAIT, lambda: queue.record_told_to_wait(
                claim, duration, error, retry.wait, report
            )
        if claim.probe and failure.of_channel and not failure.permanent:
            return AttemptOutcome.FAILED, lambda: queue.record_failed_probe(claim, duration, error, report)
        decision = self._policy.after_failure(
            claim.notification.retry_count, retry_after=failure.retry_after, random=self._chance()
        )
        if failure.permanent or isinstance(decision, Dead):
            return AttemptOutcome.DEAD, lambda: queue.mark_as_dead(
                claim, duration, error, report, permanent=failure.permanent
            )
        wait = decision.wait
        return AttemptOutcome.FAILED, lambda: queue.record_failed_attempt(
            claim, duration, error, wait, report
        )

    def _after_wait(self, notification: Notification, failure: DeliveryFailedError) -> Retry | None:
        now = self._clock()
        waited = now - (notification.waiting_since or now)
        return self._policy.after_wait(notification.wait_count, waited, retry_after=failure.retry_after)

    def _report(self, claim: Claim, failure: DeliveryFailedError, error: str) -> Report | None:
        """What the failure shows about the channel."""
        channel = claim.notification.channel
        rules = self._rules.get(channel, UNLIMITED)
        event: ChannelEvent
        if failure.told_to_wait:
            event = ToldToWait(failure.retry_after, error)
        elif failure.channel_works:
            event = Worked(claim.started_at)
        elif failure.of_channel and (claim.probe or rules.hold is not None):
            event = Failed(claim.notification.id, error, claim.probe)
        else:
            return None
        return Report(channel, event, rules)


def error_text(failure: DeliveryFailedError) -> str:
    """The error text to store and show: bounded, and without secrets."""
    # Made storable first, because replacing characters makes the text longer.
    return redact_error(storable(str(failure)))
