"""Bulk actions follow the same rules as actions on one notification, and report the result for each."""

from datetime import timedelta

import pytest

from storage.models import BulkReport, NotificationFilter, NotificationStatus
from storage.operations.bulk import LARGEST_BULK
from tests.builders import LEASE, TOOK, WAIT, Queue, SettableClock
from tests.storage.raw_sql import run

STATUSES = tuple(NotificationStatus)


async def status(queue: Queue, notification_id: str) -> NotificationStatus:
    return (await queue.repository.get(notification_id)).status


async def test_eligible_notifications_are_requeued_and_the_others_counted_by_reason(queue: Queue) -> None:
    sent, read = await queue.sent(), await queue.read()
    dead, failed, undelivered = await queue.dead(), await queue.failed(), await queue.skipped()
    held = await queue.claimed()
    ids = [sent.id, read.id, dead.id, failed.id, undelivered.id, held.notification.id, "notif-unknown"]
    report = await queue.repository.requeue_all(ids)
    assert report == BulkReport(changed=3, under_way=1, other_status=2, missing=1)
    assert await status(queue, undelivered.id) is NotificationStatus.PENDING
    requeued = await queue.repository.get(dead.id)
    assert (requeued.status, requeued.retry_count, requeued.last_error) == (
        NotificationStatus.PENDING,
        0,
        None,
    )
    assert await status(queue, failed.id) is NotificationStatus.PENDING
    assert await queue.repository.get(sent.id) == sent
    assert await queue.repository.get(read.id) == read


async def test_a_notification_keeps_the_outcome_of_an_attempt_in_flight(queue: Queue) -> None:
    held = await queue.claimed()
    assert (await queue.repository.mark_all_read([held.notification.id])).under_way == 1
    assert await queue.repository.record_sent(held, TOOK)


async def test_an_expired_lease_does_not_prevent_requeueing(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed(wait=timedelta(0))
    await queue.claim(failed.id)
    clock.advance(LEASE)
    assert (await queue.repository.requeue_all([failed.id])).changed == 1


async def test_a_repeated_id_counts_once(queue: Queue) -> None:
    dead = await queue.dead()
    assert await queue.repository.requeue_all([dead.id, dead.id]) == BulkReport(changed=1)


async def test_notifications_marked_as_read_are_not_delivered(queue: Queue) -> None:
    pending = [await queue.pending() for _ in range(3)]
    assert (await queue.repository.mark_all_read([n.id for n in pending])).changed == 3
    assert await queue.claim_due() == ()


async def test_purging_deletes_notifications_and_their_attempts(queue: Queue, clock: SettableClock) -> None:
    sent = await queue.sent()
    clock.advance(timedelta(days=1))
    report = await queue.repository.purge_all(
        [sent.id], statuses=[NotificationStatus.SENT], created_until=clock()
    )
    assert report == BulkReport(changed=1)
    assert await queue.repository.count(NotificationFilter()) == 0
    assert await queue.repository.attempts(sent.id) == ()


async def test_notifications_still_to_be_delivered_are_never_purged(
    queue: Queue, clock: SettableClock
) -> None:
    kept = [await queue.pending(), await queue.failed()]
    clock.advance(timedelta(days=1))
    for claim in await queue.claim_due(slots=1):
        kept.append(claim.notification)
    report = await queue.repository.purge_all([n.id for n in kept], statuses=STATUSES, created_until=clock())
    assert report.changed == 0
    assert await queue.repository.count(NotificationFilter()) == 2


async def test_notifications_are_never_purged_during_an_attempt(
    queue: Queue, clock: SettableClock, database_url: str
) -> None:
    held = await queue.claimed()
    run(database_url, "UPDATE notification_events SET status = 'dead'")
    clock.advance(timedelta(seconds=1))
    ids = [held.notification.id]
    report = await queue.repository.purge_all(ids, statuses=STATUSES, created_until=clock())
    assert report == BulkReport(under_way=1)
    assert (await queue.repository.get(held.notification.id)).status is NotificationStatus.DEAD


@pytest.mark.parametrize("state", ["sent", "read", "dead"])
async def test_only_the_given_statuses_are_purged(queue: Queue, clock: SettableClock, state: str) -> None:
    settled = await getattr(queue, state)()
    clock.advance(timedelta(days=1))
    others = [s for s in STATUSES if s is not settled.status]
    spared = await queue.repository.purge_all([settled.id], statuses=others, created_until=clock())
    assert spared == BulkReport(other_status=1)
    purged = await queue.repository.purge_all([settled.id], statuses=[settled.status], created_until=clock())
    assert purged == BulkReport(changed=1)


async def test_notifications_accepted_later_are_not_purged(queue: Queue, clock: SettableClock) -> None:
    sent = await queue.sent()
    report = await queue.repository.purge_all([sent.id], statuses=STATUSES, created_until=sent.created_at)
    assert report.changed == 0
    assert await queue.repository.get(sent.id) == sent


async def test_a_transaction_refuses_too_many_ids(queue: Queue) -> None:
    with pytest.raises(ValueError, match="501 ids are too many for one transaction; at most 500"):
        await queue.repository.requeue_all([f"notif-{n}" for n in range(LARGEST_BULK + 1)])


async def test_waiting_readers_are_notified_of_changes(queue: Queue) -> None:
    dead = await queue.dead()
    before = queue.repository.changes.version
    await queue.repository.requeue_all([dead.id])
    assert queue.repository.changes.version > before


async def test_counts_and_shares_cover_exactly_the_matching_notifications(queue: Queue) -> None:
    for _ in range(3):
        await queue.dead(channel="Slack")
    await queue.failed(channel="Slack", wait=WAIT)
    await queue.dead(channel="Email")
    await queue.claimed(channel="Teams")
    wanted = NotificationFilter(statuses=(NotificationStatus.DEAD, NotificationStatus.PENDING))
    assert await queue.repository.count(wanted) == 5
    shares = [
        (s.channel, s.status.value, s.count, s.under_way) for s in await queue.repository.breakdown(wanted)
    ]
    assert shares == [("Slack", "dead", 3, 0), ("Email", "dead", 1, 0), ("Teams", "pending", 1, 1)]


async def test_ids_are_listed_oldest_first_without_repetition_while_others_are_accepted(
    queue: Queue, clock: SettableClock
) -> None:
    dead = []
    for _ in range(5):
        dead.append((await queue.dead()).id)
        clock.advance(timedelta(seconds=1))
    wanted = NotificationFilter(statuses=(NotificationStatus.DEAD,))
    first = await queue.repository.matching_ids(wanted, limit=2)
    late = await queue.dead()
    second = await queue.repository.matching_ids(wanted, limit=10, after=first.next)
    assert (*first.ids, *second.ids) == (*dead, late.id)
    assert second.next is None


async def test_a_filter_can_name_ids(queue: Queue) -> None:
    first, _, third = [await queue.dead() for _ in range(3)]
    wanted = NotificationFilter(ids=(first.id, third.id, "notif-unknown"))
    assert await queue.repository.count(wanted) == 2
    assert {n.id for n in (await queue.repository.list(wanted)).items} == {first.id, third.id}
