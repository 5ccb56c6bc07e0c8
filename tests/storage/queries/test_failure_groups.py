"""Similar failures are grouped."""

from datetime import timedelta

from storage.models import NotificationFilter, NotificationStatus
from storage.queries.failure_groups import ERROR
from tests.builders import NOON, Queue, SettableClock
from tests.storage.raw_sql import run

ALL = NotificationFilter()


async def test_failures_with_the_same_channel_status_and_error_are_one_group(
    queue: Queue, clock: SettableClock
) -> None:
    first = await queue.dead("HTTP 503", channel="Slack")
    clock.advance(timedelta(minutes=10))
    await queue.dead("HTTP 503", channel="Slack")
    await queue.dead("HTTP 401", channel="Slack")
    await queue.dead("HTTP 503", channel="Email")
    await queue.failed("HTTP 503", channel="Slack")
    groups = await queue.repository.failure_groups(ALL, limit=10)
    assert len(groups) == 4
    largest = groups[0]
    assert (largest.channel, largest.status, largest.error) == ("Slack", NotificationStatus.DEAD, "HTTP 503")
    assert (largest.count, largest.first_at, largest.last_at) == (2, NOON, NOON + timedelta(minutes=10))
    assert largest.sample_id == first.id


async def test_failures_of_different_hours_are_separate_groups(queue: Queue, clock: SettableClock) -> None:
    await queue.dead()
    clock.advance(timedelta(hours=1))
    await queue.dead()
    assert [group.count for group in await queue.repository.failure_groups(ALL, limit=10)] == [1, 1]


async def test_the_newest_attempt_sets_the_time_of_a_failure(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed(wait=timedelta(hours=5))
    clock.advance(timedelta(hours=5))
    await queue.repository.mark_as_dead(await queue.claim(failed.id), timedelta(1), "HTTP 503")
    (group,) = await queue.repository.failure_groups(ALL, limit=10)
    assert group.first_at == group.last_at == NOON + timedelta(hours=5)


async def test_without_attempts_the_acceptance_sets_the_time(queue: Queue, database_url: str) -> None:
    dead = await queue.dead()
    run(database_url, "DELETE FROM notification_attempts")
    (group,) = await queue.repository.failure_groups(ALL, limit=10)
    assert group.first_at == dead.created_at


async def test_long_errors_with_the_same_beginning_are_one_group(queue: Queue) -> None:
    for end in ("a", "b"):
        await queue.dead("x" * ERROR + end)
    (group,) = await queue.repository.failure_groups(ALL, limit=10)
    assert (group.count, group.error) == (2, "x" * ERROR)


async def test_abandoned_notifications_are_a_separate_group(queue: Queue) -> None:
    await queue.abandoned(times=10)
    (group,) = await queue.repository.failure_groups(ALL, limit=10)
    assert group.abandoned


async def test_notifications_that_did_not_fail_are_excluded(queue: Queue) -> None:
    await queue.pending()
    await queue.sent()
    await queue.read()
    assert await queue.repository.failure_groups(ALL, limit=10) == ()


async def test_only_the_statuses_of_the_filter_are_grouped(queue: Queue) -> None:
    await queue.sent()
    await queue.failed()
    dead = await queue.dead()
    sent = NotificationFilter(statuses=(NotificationStatus.SENT,))
    assert await queue.repository.failure_groups(sent, limit=10) == ()
    both = NotificationFilter(statuses=(NotificationStatus.SENT, NotificationStatus.DEAD))
    (group,) = await queue.repository.failure_groups(both, limit=10)
    assert (group.count, group.sample_id) == (1, dead.id)


async def test_only_the_largest_matching_groups_are_returned(queue: Queue) -> None:
    for channel, times in (("Slack", 1), ("Email", 3), ("Teams", 2)):
        for _ in range(times):
            await queue.dead(channel=channel)
    found = await queue.repository.failure_groups(ALL, limit=2)
    assert [group.channel for group in found] == ["Email", "Teams"]
    (only,) = await queue.repository.failure_groups(NotificationFilter(channel="Slack"), limit=2)
    assert only.channel == "Slack"


async def test_dead_letters_delivered_over_a_fallback_are_counted(queue: Queue, database_url: str) -> None:
    first, second = await queue.dead(channel="Slack"), await queue.dead(channel="Slack")
    for dead, replacement in ((first, await queue.sent()), (second, await queue.pending(channel="Email"))):
        run(
            database_url,
            f"UPDATE notification_events SET origin_id = '{dead.id}' WHERE id = '{replacement.id}'",
        )
    (group,) = await queue.repository.failure_groups(ALL, limit=10)
    assert (group.count, group.replaced) == (2, 1)
