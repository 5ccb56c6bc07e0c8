from datetime import timedelta

from storage.models import AttemptOutcome, NotificationStatus
from storage.operations.leases import MAX_ABANDONED
from tests.builders import LEASE, NOON, TIMES_TO_BE_SUSPECT, TOOK, WAIT, Queue, SettableClock


async def test_another_worker_takes_over_when_a_lease_expires(queue: Queue, clock: SettableClock) -> None:
    abandoned = await queue.claimed()
    clock.advance(LEASE)
    (second,) = await queue.claim_due(worker="worker-2")
    assert second.notification.id == abandoned.notification.id
    assert (second.worker, second.number) == ("worker-2", 2)


async def test_a_claim_is_valid_until_the_last_moment_of_its_lease(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.claimed()
    clock.advance(LEASE - timedelta(microseconds=1))
    assert await queue.claim_due(worker="worker-2") == ()


async def test_a_claim_without_an_outcome_is_recorded_as_abandoned(queue: Queue) -> None:
    notification = await queue.abandoned()
    (attempt,) = await queue.repository.attempts(notification.id)
    assert attempt.outcome is AttemptOutcome.ABANDONED
    assert (attempt.number, attempt.worker, attempt.started_at) == (1, queue.worker, NOON)
    assert attempt.duration is None
    assert attempt.error == "the worker reported no outcome before its lease expired"
    assert not attempt.late


async def test_an_abandoned_attempt_uses_no_retry(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed()
    clock.advance(WAIT)
    await queue.claim(failed.id)
    clock.advance(LEASE)
    (again,) = await queue.claim_due()
    assert again.notification.status is NotificationStatus.FAILED
    assert (again.notification.retry_count, again.notification.abandoned_count) == (1, 1)
    assert again.notification.last_error == "HTTP 503"


async def test_too_many_abandoned_attempts_make_a_dead_letter(queue: Queue) -> None:
    almost = await queue.abandoned(times=MAX_ABANDONED - 1)
    assert almost.status is NotificationStatus.PENDING
    await queue.claim(almost.id, suspects=True)
    queue.clock.advance(LEASE)
    await queue.claim_due()
    dead = await queue.repository.get(almost.id)
    assert dead.status is NotificationStatus.DEAD
    assert dead.last_error == "abandoned 10 times: no worker that attempted it ever reported an outcome"
    assert (dead.retry_count, dead.next_retry_at, dead.lease_owner) == (0, None, None)


async def test_late_outcomes_do_not_count_towards_the_limit_of_abandoned_attempts(
    queue: Queue, clock: SettableClock
) -> None:
    notification = await queue.pending()
    for earlier in range(MAX_ABANDONED):
        slow = await queue.claim(notification.id, suspects=earlier >= TIMES_TO_BE_SUSPECT)
        clock.advance(LEASE)
        await queue.claim_due(slots=0)
        assert not await queue.repository.record_failed_attempt(slow, TOOK, "HTTP 503", WAIT)
    (claim,) = await queue.claim_due(suspects=True)
    assert claim.notification.status is NotificationStatus.PENDING


async def test_a_requeue_resets_the_abandoned_count(queue: Queue) -> None:
    dead = await queue.abandoned(times=MAX_ABANDONED)
    await queue.repository.requeue(dead.id)
    (claim,) = await queue.claim_due()
    assert claim.notification.abandoned_count == 0
    assert claim.number == MAX_ABANDONED + 1


async def test_a_released_claim_leaves_only_its_number_behind(queue: Queue) -> None:
    claim = await queue.claimed()
    assert await queue.repository.release(claim)
    assert await queue.repository.attempts(claim.notification.id) == ()
    (again,) = await queue.claim_due()
    assert (again.number, again.notification.abandoned_count) == (2, 0)


async def test_a_claim_can_be_released_once(queue: Queue) -> None:
    claim = await queue.claimed()
    assert await queue.repository.release(claim)
    assert not await queue.repository.release(claim)


async def test_a_lost_lease_cannot_be_released(queue: Queue, clock: SettableClock) -> None:
    first = await queue.claimed()
    clock.advance(LEASE)
    (second,) = await queue.claim_due()
    assert not await queue.repository.release(first)
    assert (await queue.repository.get(first.notification.id)).lease_owner == second.worker


async def test_a_finished_attempt_is_not_abandoned_when_its_lease_expires(
    queue: Queue, clock: SettableClock
) -> None:
    sent = await queue.sent()
    clock.advance(LEASE)
    await queue.claim_due()
    (attempt,) = await queue.repository.attempts(sent.id)
    assert (attempt.outcome, attempt.duration) == (AttemptOutcome.SENT, TOOK)


async def test_a_suspect_that_is_delivered_is_sent(queue: Queue) -> None:
    suspect = await queue.abandoned(times=TIMES_TO_BE_SUSPECT)
    claim = await queue.claim(suspect.id, suspects=True)
    await queue.repository.record_sent(claim, TOOK)
    assert (await queue.repository.get(suspect.id)).status is NotificationStatus.SENT
