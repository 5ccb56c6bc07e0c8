from datetime import timedelta

from storage.models import OUR_STATUSES, AttemptOutcome, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, TOOK, WAIT, Queue, SettableClock, next_due_at, request


async def test_every_status_has_a_count_even_if_it_is_zero(
    repository: NotificationRepository,
) -> None:
    assert await repository.count_by_status() == dict.fromkeys(OUR_STATUSES, 0)


async def test_counts_each_status(queue: Queue) -> None:
    for make in (queue.dead, queue.dead, queue.sent, queue.skipped, queue.failed, queue.read, queue.pending):
        await make()
    assert await queue.repository.count_by_status() == {
        NotificationStatus.PENDING: 1,
        NotificationStatus.SENT: 2,
        NotificationStatus.FAILED: 1,
        NotificationStatus.DEAD: 2,
        NotificationStatus.READ: 1,
    }


async def test_the_summary_separates_undelivered_from_sent(queue: Queue) -> None:
    await queue.sent()
    await queue.skipped()
    counts = await queue.repository.queue_counts()
    assert (counts.by_status[NotificationStatus.SENT], counts.undelivered) == (2, 1)


async def test_the_summary_contains_the_age_of_the_oldest_dead_letter(
    queue: Queue, clock: SettableClock
) -> None:
    assert (await queue.repository.queue_counts()).oldest_dead_at is None
    await queue.dead()
    clock.advance(timedelta(hours=1))
    await queue.dead()
    assert (await queue.repository.queue_counts()).oldest_dead_at == NOON


async def test_the_summary_contains_the_time_of_the_next_retry(queue: Queue, clock: SettableClock) -> None:
    await queue.failed(wait=timedelta(minutes=8))
    await queue.failed(wait=timedelta(minutes=2))
    assert (await queue.repository.queue_counts()).next_retry_at == NOON + timedelta(minutes=2)


async def test_nothing_becomes_due_in_an_idle_queue(queue: Queue) -> None:
    await queue.sent()
    await queue.pending()
    assert await next_due_at(queue.repository, NOON) is None


async def test_the_earliest_retry_becomes_due_next(queue: Queue) -> None:
    await queue.failed(wait=timedelta(minutes=8))
    await queue.failed(wait=timedelta(minutes=2))
    assert await next_due_at(queue.repository, NOON) == NOON + timedelta(minutes=2)


async def test_due_notifications_have_no_next_due_time(queue: Queue, clock: SettableClock) -> None:
    await queue.failed(wait=timedelta(minutes=2))
    await queue.failed(wait=timedelta(minutes=8))
    clock.advance(timedelta(minutes=2))
    as_of = (await queue.repository.claim(request(slots=0))).as_of
    assert await next_due_at(queue.repository, as_of) == NOON + timedelta(minutes=8)


async def test_a_notification_due_since_the_last_claim_is_not_missed(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.failed(wait=timedelta(minutes=2))
    clock.advance(timedelta(minutes=2, microseconds=-1))
    found = await queue.repository.claim(request())
    assert found.claims == ()
    clock.advance(timedelta(milliseconds=1))
    assert await next_due_at(queue.repository, found.as_of) == NOON + timedelta(minutes=2)


async def test_only_retries_of_the_requested_channels_count(queue: Queue) -> None:
    await queue.failed(wait=timedelta(minutes=2), channel="Slack")
    await queue.failed(wait=timedelta(minutes=8), channel="Email")
    find = queue.repository.next_due_at
    assert await find(after=NOON, channels=["Email"]) == NOON + timedelta(minutes=8)
    assert await find(after=NOON, channels=["Slack", "Email"]) == NOON + timedelta(minutes=2)
    assert await find(after=NOON, channels=["Teams"]) is None


async def test_a_claim_becomes_due_when_its_lease_ends(queue: Queue) -> None:
    await queue.failed(wait=timedelta(minutes=8))
    claim = await queue.claimed(lease=LEASE)
    assert await next_due_at(queue.repository, NOON) == claim.expires_at


async def test_a_channel_record_counts_attempts_by_outcome(queue: Queue, clock: SettableClock) -> None:
    await queue.sent(channel="Slack")
    clock.advance(timedelta(minutes=1))
    await queue.failed("HTTP 503", channel="Slack")
    await queue.sent(channel="Teams")
    slack, teams = await queue.repository.channel_records(timedelta(hours=1))
    assert (slack.channel, slack.outcomes) == ("Slack", {AttemptOutcome.SENT: 1, AttemptOutcome.FAILED: 1})
    assert (slack.last_sent_at, slack.last_failed_at) == (NOON, clock())
    assert slack.last_error == "HTTP 503"
    assert (teams.last_failed_at, teams.last_error) == (None, None)


async def test_the_last_error_is_found_among_simultaneous_attempts(queue: Queue) -> None:
    for number in range(4):
        await queue.pending(message=str(number))
    claims = await queue.claim_due()
    for claim in claims[:-1]:
        await queue.repository.record_sent(claim, TOOK)
    await queue.repository.mark_as_dead(claims[-1], TOOK, "HTTP 410")
    (record,) = await queue.repository.channel_records(timedelta(hours=1))
    assert record.last_error == "HTTP 410"


async def test_the_last_error_is_the_newest_of_failures_and_dead_letters(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.dead("HTTP 410")
    clock.advance(WAIT)
    await queue.failed("HTTP 503")
    (record,) = await queue.repository.channel_records(timedelta(hours=1))
    assert (record.last_error, record.last_failed_at) == ("HTTP 503", clock())


async def test_a_record_covers_its_period_only(queue: Queue, clock: SettableClock) -> None:
    await queue.sent()
    clock.advance(timedelta(hours=1))
    assert len(await queue.repository.channel_records(timedelta(hours=1))) == 1
    clock.advance(timedelta(microseconds=1))
    assert await queue.repository.channel_records(timedelta(hours=1)) == ()
