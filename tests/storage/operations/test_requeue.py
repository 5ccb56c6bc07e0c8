import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.errors import NotificationConflictError, NotificationNotFoundError
from storage.models import NotificationStatus
from storage.operations.requeue import UNDER_WAY
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, TOOK, WAIT, Queue, SettableClock


async def test_a_dead_notification_becomes_pending_with_all_its_retries(
    queue: Queue, clock: SettableClock
) -> None:
    failed = await queue.failed()
    clock.advance(WAIT)
    await queue.repository.mark_as_dead(await queue.claim(failed.id), TOOK, "HTTP 410")
    requeued = await queue.repository.requeue(failed.id)
    assert requeued.status is NotificationStatus.PENDING
    assert (requeued.retry_count, requeued.next_retry_at) == (0, None)
    assert (requeued.last_error, requeued.error) == (None, None)
    assert await queue.repository.get(failed.id) == requeued


async def test_a_failed_notification_becomes_pending_and_due_at_once(queue: Queue) -> None:
    failed = await queue.failed(wait=timedelta(hours=1))
    await queue.repository.requeue(failed.id)
    (claim,) = await queue.claim_due()
    assert claim.notification.id == failed.id


async def test_requeueing_keeps_earlier_attempts(queue: Queue) -> None:
    dead = await queue.dead()
    await queue.repository.requeue(dead.id)
    await queue.repository.record_sent(await queue.claim(dead.id), TOOK)
    assert [attempt.number for attempt in await queue.repository.attempts(dead.id)] == [1, 2]


async def test_an_undelivered_notification_can_be_requeued(queue: Queue) -> None:
    undelivered = await queue.skipped()
    requeued = await queue.repository.requeue(undelivered.id)
    assert (requeued.status, requeued.error, requeued.sent_at) == (NotificationStatus.PENDING, None, None)
    (claim,) = await queue.claim_due()
    assert claim.notification.id == undelivered.id


@pytest.mark.parametrize("state", ["pending", "sent", "read"])
async def test_other_statuses_cannot_be_requeued(queue: Queue, state: str) -> None:
    before = await getattr(queue, state)()
    with pytest.raises(NotificationConflictError) as conflict:
        await queue.repository.requeue(before.id)
    assert conflict.value.status is before.status
    assert (
        f"is {before.status.value}: only dead, failed and undelivered notifications can be requeued"
        in str(conflict.value)
    )
    assert await queue.repository.get(before.id) == before


async def test_of_two_concurrent_requeues_one_takes_effect(queue: Queue) -> None:
    dead = await queue.dead()
    answers = await asyncio.gather(
        *(queue.repository.requeue(dead.id) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(answer, NotificationConflictError) for answer in answers) in (0, 1)
    assert (await queue.repository.get(dead.id)).status is NotificationStatus.PENDING


async def test_a_failed_notification_cannot_be_requeued_during_an_attempt(
    queue: Queue, clock: SettableClock
) -> None:
    failed = await queue.failed()
    clock.advance(WAIT)
    await queue.claim(failed.id)
    with pytest.raises(NotificationConflictError, match=UNDER_WAY):
        await queue.repository.requeue(failed.id)


async def test_a_failed_notification_can_be_requeued_after_its_lease_has_expired(
    queue: Queue, clock: SettableClock
) -> None:
    failed = await queue.failed()
    clock.advance(WAIT)
    late = await queue.claim(failed.id)
    clock.advance(LEASE)
    requeued = await queue.repository.requeue(failed.id)
    assert (requeued.status, requeued.abandoned_count) == (NotificationStatus.PENDING, 0)
    assert not await queue.repository.record_sent(late, TOOK)


@pytest.mark.parametrize("state", ["pending", "sent", "failed", "dead", "skipped", "read"])
async def test_any_notification_without_an_attempt_in_flight_can_be_marked_as_read(
    queue: Queue, state: str
) -> None:
    before = await getattr(queue, state)()
    queue.clock.advance(timedelta(minutes=1))
    read = await queue.repository.mark_read(before.id)
    assert (read.status, read.next_retry_at) == (NotificationStatus.READ, None)
    changed = {"status": read.status, "next_retry_at": None, "read_at": read.read_at}
    assert read == replace(before, **changed)


async def test_marking_as_read_again_keeps_the_first_time(queue: Queue, clock: SettableClock) -> None:
    read = await queue.read()
    clock.advance(timedelta(hours=1))
    assert await queue.repository.mark_read(read.id) == read
    assert read.read_at == NOON


async def test_a_notification_cannot_be_marked_as_read_during_an_attempt(queue: Queue) -> None:
    claim = await queue.claimed()
    with pytest.raises(NotificationConflictError) as conflict:
        await queue.repository.mark_read(claim.notification.id)
    assert conflict.value.reason == UNDER_WAY


@pytest.mark.parametrize("transition", ["requeue", "mark_read"])
async def test_an_unknown_id_is_not_found(repository: NotificationRepository, transition: str) -> None:
    with pytest.raises(NotificationNotFoundError) as missing:
        await getattr(repository, transition)("notif-unknown")
    assert missing.value.notification_id == "notif-unknown"


async def test_one_conflict_does_not_undo_the_other_changes(queue: Queue) -> None:
    dead, pending, failed = await queue.dead(), await queue.pending(), await queue.failed()
    answers = await asyncio.gather(
        *(queue.repository.requeue(one.id) for one in (dead, pending, failed)), return_exceptions=True
    )
    assert isinstance(answers[1], NotificationConflictError)
    for one in (dead, failed):
        assert (await queue.repository.get(one.id)).status is NotificationStatus.PENDING
