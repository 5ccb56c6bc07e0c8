"""Statistics of a period's deliveries: attempts by outcome, times to delivery, and a series over time."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from storage.models import AttemptOutcome, Deliveries, DeliveryFigures
from storage.operations.leases import MAX_ABANDONED
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, TOOK, WAIT, Queue, SettableClock
from tests.storage.raw_sql import run

DAY = timedelta(days=1)


async def last_day(queue: Queue) -> Deliveries:
    """The day up to and including this moment."""
    now = queue.clock()
    return await queue.repository.delivery_figures(now - DAY, now + timedelta(microseconds=1))


async def delivered_after(queue: Queue, clock: SettableClock, wait: timedelta, **contents: str) -> None:
    notification = await queue.pending(**contents)
    clock.advance(wait)
    await queue.repository.record_sent(await queue.claim(notification.id), TOOK)


async def test_a_period_without_attempts_has_no_figures(queue: Queue) -> None:
    await queue.pending()
    nothing = DeliveryFigures(
        attempts=0,
        delivered=0,
        failed=0,
        told_to_wait=0,
        died=0,
        skipped=0,
        abandoned=0,
        retries=0,
        median=None,
        p95=None,
    )
    assert await last_day(queue) == Deliveries(overall=nothing, by_channel={})


async def test_each_attempt_counts_by_its_outcome(queue: Queue) -> None:
    await queue.sent()
    await queue.sent()
    await queue.failed()
    await queue.dead()
    await queue.skipped()
    figures = (await last_day(queue)).overall
    assert (figures.attempts, figures.delivered, figures.failed) == (5, 2, 1)
    assert (figures.died, figures.skipped, figures.abandoned) == (1, 1, 0)


async def test_a_skipped_notification_is_not_counted_as_delivered(queue: Queue) -> None:
    await queue.skipped()
    figures = (await last_day(queue)).overall
    assert (figures.delivered, figures.skipped, figures.median) == (0, 1, None)


async def test_there_are_figures_for_each_channel_and_overall(queue: Queue) -> None:
    await queue.dead(channel="Teams")
    await queue.sent(channel="Slack")
    await queue.sent(channel="Slack")
    report = await last_day(queue)
    assert list(report.by_channel) == ["Slack", "Teams"]
    assert (report.by_channel["Slack"].delivered, report.by_channel["Slack"].died) == (2, 0)
    assert (report.by_channel["Teams"].delivered, report.by_channel["Teams"].died) == (0, 1)
    assert (report.overall.delivered, report.overall.died) == (2, 1)


async def test_a_period_includes_its_beginning_and_excludes_its_end(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.sent()
    repository = queue.repository
    assert (await repository.delivery_figures(NOON, NOON + WAIT)).overall.attempts == 1
    assert (await repository.delivery_figures(NOON - WAIT, NOON)).overall.attempts == 0


async def test_every_attempt_after_the_first_is_a_retry(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed(wait=WAIT)
    clock.advance(WAIT)
    await queue.repository.record_sent(await queue.claim(failed.id), TOOK)
    await queue.sent(channel="Slack")
    report = await last_day(queue)
    assert report.overall.retries == report.by_channel["Webhook"].retries == 1
    assert report.by_channel["Slack"].retries == 0


async def test_a_first_attempt_after_a_released_claim_is_not_a_retry(queue: Queue) -> None:
    claim = await queue.claimed()
    await queue.repository.release(claim)
    await queue.repository.record_sent(await queue.claim(claim.notification.id), TOOK)
    assert (await last_day(queue)).overall.retries == 0


async def test_a_retry_counts_even_if_the_first_attempt_was_before_the_period(
    queue: Queue, clock: SettableClock
) -> None:
    failed = await queue.failed(wait=WAIT)
    clock.advance(2 * DAY)
    await queue.repository.record_sent(await queue.claim(failed.id), TOOK)
    figures = (await last_day(queue)).overall
    assert (figures.attempts, figures.retries) == (1, 1)


async def test_the_time_to_delivery_runs_from_acceptance_across_retries(
    queue: Queue, clock: SettableClock
) -> None:
    failed = await queue.failed(wait=WAIT)
    clock.advance(timedelta(seconds=93))
    await queue.repository.record_sent(await queue.claim(failed.id), timedelta(seconds=2))
    figures = (await last_day(queue)).overall
    assert figures.median == figures.p95 == timedelta(seconds=95)


@pytest.mark.parametrize("milliseconds", [0, 7, 19, 33, 49, 97, 104, 105, 61_490, 98_765_432, 10**13])
async def test_times_are_rounded_by_at_most_five_percent(queue: Queue, milliseconds: int) -> None:
    claim = await queue.claimed()
    took = timedelta(milliseconds=milliseconds)
    await queue.repository.record_sent(claim, took)
    median = (await last_day(queue)).overall.median
    assert median is not None
    assert abs(median - took) <= took * 0.05 or took > median > timedelta(days=10_000)


async def test_sending_it_again_does_not_change_how_long_it_took(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    sent = await queue.sent()
    run(database_url, "UPDATE notification_events SET status = 'pending', sent_at = NULL")
    clock.advance(timedelta(hours=1))
    await queue.repository.record_sent(await queue.claim(sent.id), TOOK)
    figures = (await last_day(queue)).overall
    assert (figures.median, figures.p95) == (timedelta(seconds=0.26), timedelta(seconds=3600))


async def test_percentiles_are_nearest_ranks_for_each_channel_and_overall(
    queue: Queue, clock: SettableClock
) -> None:
    for seconds in range(1, 21):
        await delivered_after(queue, clock, timedelta(seconds=seconds), channel="Slack")
    await delivered_after(queue, clock, timedelta(seconds=100), channel="Teams")
    await delivered_after(queue, clock, timedelta(seconds=200), channel="Teams")
    report = await last_day(queue)
    slack, teams = report.by_channel["Slack"], report.by_channel["Teams"]
    assert (slack.median, slack.p95) == (timedelta(seconds=10), timedelta(seconds=19))
    assert (teams.median, teams.p95) == (timedelta(seconds=100), timedelta(seconds=200))
    # Of 22 in all, the 11th and the 21st.
    assert (report.overall.median, report.overall.p95) == (timedelta(seconds=11), timedelta(seconds=100))


async def test_equal_times_are_each_counted(queue: Queue, clock: SettableClock) -> None:
    for seconds in (1, 1, 1, 9):
        await delivered_after(queue, clock, timedelta(seconds=seconds))
    figures = (await last_day(queue)).overall
    assert (figures.median, figures.p95) == (timedelta(seconds=1.3), timedelta(seconds=9.5))


async def test_clock_skew_makes_no_time_negative(queue: Queue, clock: SettableClock) -> None:
    await delivered_after(queue, clock, timedelta(seconds=-5))
    assert (await last_day(queue)).overall.median == timedelta(0)


async def test_an_attempt_without_an_outcome_is_abandoned(queue: Queue) -> None:
    await queue.abandoned(times=2)
    figures = (await last_day(queue)).overall
    assert (figures.attempts, figures.abandoned, figures.retries, figures.died) == (2, 2, 1, 0)


async def test_death_by_abandoned_attempts_is_counted(queue: Queue) -> None:
    await queue.abandoned(times=MAX_ABANDONED)
    report = await last_day(queue)
    assert (report.overall.abandoned, report.overall.died) == (MAX_ABANDONED, 1)
    assert report.by_channel["Webhook"].died == 1


async def test_an_attempt_with_a_late_outcome_counts_as_abandoned(queue: Queue, clock: SettableClock) -> None:
    await queue.sent()
    late = await queue.claimed()
    clock.advance(LEASE)
    second = await queue.claim(late.notification.id, worker="worker-2")
    assert not await queue.repository.record_sent(late, LEASE)
    assert await queue.repository.record_sent(second, TOOK)
    figures = (await last_day(queue)).overall
    assert (figures.attempts, figures.delivered, figures.abandoned) == (3, 2, 1)
    assert (figures.median, figures.p95) == (timedelta(seconds=0.26), timedelta(seconds=46))


async def test_a_late_failure_or_death_is_not_counted(queue: Queue, clock: SettableClock) -> None:
    claim = await queue.claimed()
    clock.advance(LEASE)
    await queue.claim(claim.notification.id, worker="worker-2")
    await queue.repository.mark_as_dead(claim, TOOK, "HTTP 410")
    figures = (await last_day(queue)).overall
    assert (figures.attempts, figures.died, figures.abandoned) == (1, 0, 1)


async def test_a_requeued_dead_letter_still_counts_as_died(queue: Queue) -> None:
    dead = await queue.dead()
    await queue.repository.requeue(dead.id)
    assert (await last_day(queue)).overall.died == 1


async def over_time(
    repository: NotificationRepository, since: datetime, until: datetime
) -> list[dict[AttemptOutcome, int]]:
    steps = await repository.deliveries_over_time(since, until, beginning=NOON, step=timedelta(hours=1))
    assert steps[0].begins_at == NOON
    assert all(after.begins_at - before.begins_at == timedelta(hours=1) for before, after in pairwise(steps))
    return [step.outcomes for step in steps]


async def test_the_series_has_no_gaps(queue: Queue, clock: SettableClock) -> None:
    await queue.sent()
    clock.advance(timedelta(hours=3) - timedelta(milliseconds=1))
    await queue.dead()
    assert await over_time(queue.repository, NOON, NOON + timedelta(hours=3)) == [
        {AttemptOutcome.SENT: 1},
        {},
        {AttemptOutcome.DEAD: 1},
    ]


async def test_the_series_excludes_attempts_outside_the_period(queue: Queue, clock: SettableClock) -> None:
    for minutes in (0, 10, 80, 10):
        clock.advance(timedelta(minutes=minutes))
        await queue.sent()
    since, until = NOON + timedelta(minutes=5), NOON + timedelta(minutes=95)
    assert await over_time(queue.repository, since, until) == [
        {AttemptOutcome.SENT: 1},
        {AttemptOutcome.SENT: 1},
    ]


async def test_the_last_moment_before_the_end_is_in_the_last_step(queue: Queue, clock: SettableClock) -> None:
    clock.advance(timedelta(hours=2) - timedelta(microseconds=1))
    await queue.sent()
    assert await over_time(queue.repository, NOON, NOON + timedelta(hours=2)) == [
        {},
        {AttemptOutcome.SENT: 1},
    ]


async def test_a_late_outcome_is_an_abandoned_attempt_in_its_step(queue: Queue, clock: SettableClock) -> None:
    claim = await queue.claimed()
    clock.advance(LEASE)
    await queue.claim(claim.notification.id, worker="worker-2")
    await queue.repository.record_sent(claim, LEASE)
    assert await over_time(queue.repository, NOON, NOON + timedelta(hours=1)) == [
        {AttemptOutcome.ABANDONED: 1}
    ]
