"""Metrics of a process's attempts, with one series for each configured channel."""

from datetime import timedelta

import pytest

from certctl_mcp.delivery.metrics import ATTEMPT_SECONDS, OTHER, AttemptMeter, Durations
from certctl_mcp.notifiers.base import DeliveryFailedError
from storage.database import Database
from storage.models import AttemptOutcome
from tests.builders import Queue, SettableClock
from tests.certctl_mcp.fake_notifiers import CallbackNotifier, FailingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop


def attempts(meter: AttemptMeter, channel: str) -> int:
    *_, (_, everything) = meter.durations[channel].cumulative()
    return everything


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, AttemptOutcome.SENT),
        (DeliveryFailedError("HTTP 503"), AttemptOutcome.FAILED),
        (DeliveryFailedError("HTTP 410", permanent=True), AttemptOutcome.DEAD),
    ],
)
async def test_attempts_are_counted_by_channel_and_outcome(
    database: Database,
    queue: Queue,
    clock: SettableClock,
    error: DeliveryFailedError | None,
    outcome: AttemptOutcome,
) -> None:
    await queue.pending()
    notifier = WorkingNotifier() if error is None else FailingNotifier(clock, error)
    meter = AttemptMeter(["Webhook", "Slack"])
    async with retry_loop(database, {"Webhook": notifier}, meter=meter) as loop:
        await loop.sweep()
    assert {other for other in AttemptOutcome if meter.count("Webhook", other)} == {outcome}
    assert (meter.count("Webhook", outcome), meter.total(outcome)) == (1, 1)
    assert (attempts(meter, "Webhook"), attempts(meter, "Slack")) == (1, 0)


def test_unconfigured_channels_share_a_series() -> None:
    meter = AttemptMeter(["Webhook"])
    for number in range(3):
        meter.ended(f"channel {number}", AttemptOutcome.SKIPPED, None)
    assert (meter.count(OTHER, AttemptOutcome.SKIPPED), set(meter.durations)) == (3, {"Webhook", OTHER})
    assert attempts(meter, OTHER) == 0


async def test_a_late_outcome_counts_as_unrecorded(
    database: Database, queue: Queue, clock: SettableClock
) -> None:
    async def outlive_the_lease(_: object) -> None:
        # Each time the loop claims, it renews its leases.
        while not await queue.claim_due(slots=1, worker="worker-2"):
            clock.advance(timedelta(hours=1))

    await queue.pending()
    meter = AttemptMeter(["Webhook"])
    async with retry_loop(database, {"Webhook": CallbackNotifier(outlive_the_lease)}, meter=meter) as loop:
        await loop.sweep()
    assert (meter.count("Webhook", None), attempts(meter, "Webhook")) == (1, 1)
    assert not any(meter.total(outcome) for outcome in AttemptOutcome)


def test_a_duration_counts_in_every_bucket_that_it_does_not_exceed() -> None:
    durations = Durations((1, 5))
    for seconds in (0.5, 1, 5.1):
        durations.add(seconds)
    assert list(durations.cumulative()) == [(1, 2), (5, 2), (float("inf"), 3)]
    assert durations.total_seconds == pytest.approx(6.6)


def test_the_buckets_separate_fast_slow_and_timed_out_attempts() -> None:
    assert ATTEMPT_SECONDS[0] == 0.05
    assert ATTEMPT_SECONDS[-1] > 30
