import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from storage.models import AttemptOutcome, Claim, Notification, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, TOOK, WAIT, Queue, SettableClock
from tests.storage.raw_sql import run

Record = Callable[[NotificationRepository, Claim], Awaitable[bool]]

OUTCOMES: dict[AttemptOutcome, Record] = {
    AttemptOutcome.SENT: lambda repository, claim: repository.record_sent(claim, TOOK),
    AttemptOutcome.FAILED: lambda repository, claim: repository.record_failed_attempt(
        claim, TOOK, "HTTP 503", WAIT
    ),
    AttemptOutcome.DEAD: lambda repository, claim: repository.mark_as_dead(claim, TOOK, "HTTP 410"),
    AttemptOutcome.SKIPPED: lambda repository, claim: repository.record_skipped(claim, "no notifier"),
    AttemptOutcome.ABANDONED: lambda repository, claim: repository.record_abandoned(
        claim, TOOK, "broken off"
    ),
}

every_outcome = pytest.mark.parametrize("outcome", OUTCOMES)


async def lost_claim(queue: Queue) -> tuple[Claim, Claim]:
    """A claim whose lease ran out, and the claim of the worker that took over."""
    first = await queue.claimed()
    queue.clock.advance(LEASE)
    (second,) = await queue.claim_due(worker="worker-2")
    return first, second


async def test_a_delivery_is_recorded_with_its_time_and_attempt(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed("HTTP 503")
    clock.advance(WAIT)
    claim = await queue.claim(failed.id)
    clock.advance(TOOK)
    assert await queue.repository.record_sent(claim, TOOK)
    sent = await queue.repository.get(failed.id)
    assert (sent.status, sent.sent_at, sent.delivered) == (NotificationStatus.SENT, clock(), True)
    assert (sent.retry_count, sent.next_retry_at, sent.last_error) == (1, None, "HTTP 503")


async def test_a_failed_attempt_is_scheduled_for_retry(queue: Queue) -> None:
    failed = await queue.failed("HTTP 503", wait=timedelta(minutes=2))
    assert failed.status is NotificationStatus.FAILED
    assert (failed.retry_count, failed.last_error) == (1, "HTTP 503")
    assert failed.next_retry_at == NOON + timedelta(minutes=2)


async def test_a_dead_letter_keeps_its_retry_count(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed()
    clock.advance(WAIT)
    await queue.repository.mark_as_dead(await queue.claim(failed.id), TOOK, "HTTP 410")
    dead = await queue.repository.get(failed.id)
    assert (dead.status, dead.retry_count) == (NotificationStatus.DEAD, 1)
    assert (dead.last_error, dead.next_retry_at) == ("HTTP 410", None)


@pytest.mark.parametrize("outcome", list(OUTCOMES))
@pytest.mark.parametrize("status", ["sent", "read", "dead"])
async def test_an_outcome_does_not_overwrite_a_status_set_by_another_program(
    queue: Queue, database_url: str, outcome: AttemptOutcome, status: str
) -> None:
    claim = await queue.claimed()
    run(database_url, f"UPDATE notification_events SET status = '{status}', error = 'decided elsewhere'")
    assert not await OUTCOMES[outcome](queue.repository, claim)
    found = await queue.repository.get(claim.notification.id)
    assert (found.status, found.error, found.sent_at) == (status, "decided elsewhere", None)
    (attempt,) = await queue.repository.attempts(found.id)
    assert (attempt.outcome, attempt.late) == (outcome, True)
    queue.clock.advance(LEASE)
    assert await queue.claim_due() == ()
    found = await queue.repository.get(claim.notification.id)
    assert (found.status, found.lease_owner, found.abandoned_count) == (status, None, 0)
    assert await queue.repository.attempts(found.id) == (attempt,)


async def test_skipped_is_settled_but_not_delivered(queue: Queue) -> None:
    skipped = await queue.skipped("no notifier configured for channel X; not delivered")
    assert (skipped.status, skipped.sent_at, skipped.delivered) == (NotificationStatus.SENT, None, False)
    assert skipped.error == "no notifier configured for channel X; not delivered"


async def test_an_interrupted_attempt_is_due_again_at_once(queue: Queue) -> None:
    claim = await queue.claimed()
    assert await queue.repository.record_abandoned(claim, TOOK, "broken off")
    (again,) = await queue.claim_due()
    assert again.notification.status is NotificationStatus.PENDING
    assert (again.notification.retry_count, again.notification.abandoned_count) == (0, 0)


async def test_an_interrupted_retry_stays_due(queue: Queue, clock: SettableClock) -> None:
    failed = await queue.failed()
    clock.advance(WAIT)
    await queue.repository.record_abandoned(await queue.claim(failed.id), TOOK, "broken off")
    (again,) = await queue.claim_due()
    at_rest = replace(again.notification, lease_owner=None, lease_expires_at=None, claimed_at=None)
    assert replace(at_rest, attempt_count=failed.attempt_count) == failed


@every_outcome
async def test_every_outcome_ends_the_lease_and_is_recorded(queue: Queue, outcome: AttemptOutcome) -> None:
    claim = await queue.claimed(lease=timedelta(seconds=30))
    assert await OUTCOMES[outcome](queue.repository, claim)
    after = await queue.repository.get(claim.notification.id)
    assert (after.lease_owner, after.lease_expires_at, after.claimed_at) == (None, None, None)
    (attempt,) = await queue.repository.attempts(after.id)
    assert (attempt.outcome, attempt.number, attempt.worker) == (outcome, claim.number, claim.worker)
    assert (attempt.started_at, attempt.late) == (claim.started_at, False)


@every_outcome
async def test_a_late_outcome_is_refused_but_recorded(queue: Queue, outcome: AttemptOutcome) -> None:
    first, second = await lost_claim(queue)
    assert not await OUTCOMES[outcome](queue.repository, first)
    assert await queue.repository.get(first.notification.id) == second.notification
    (attempt,) = await queue.repository.attempts(first.notification.id)
    assert (attempt.number, attempt.outcome, attempt.late) == (first.number, outcome, True)


async def test_late_and_timely_outcomes_in_one_batch_are_distinguished(queue: Queue) -> None:
    first, second = await lost_claim(queue)
    timely = await asyncio.gather(
        queue.repository.record_sent(first, TOOK), queue.repository.record_sent(second, TOOK)
    )
    assert tuple(timely) == (False, True)
    attempts = await queue.repository.attempts(first.notification.id)
    assert [(attempt.number, attempt.late) for attempt in attempts] == [(1, True), (2, False)]


async def test_late_and_timely_releases_in_one_batch_are_distinguished(queue: Queue) -> None:
    first, second = await lost_claim(queue)
    timely = await asyncio.gather(queue.repository.release(first), queue.repository.release(second))
    assert tuple(timely) == (False, True)


async def test_the_first_of_two_outcomes_of_a_claim_wins(queue: Queue) -> None:
    claim = await queue.claimed()
    timely = await asyncio.gather(
        queue.repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT),
        queue.repository.record_failed_attempt(claim, TOOK, "HTTP 500", WAIT),
    )
    assert tuple(timely) == (True, False)
    assert (await queue.repository.get(claim.notification.id)).last_error == "HTTP 503"
    (attempt,) = await queue.repository.attempts(claim.notification.id)
    assert (attempt.error, attempt.late) == ("HTTP 503", False)


async def test_a_repeated_outcome_is_refused_and_changes_nothing(queue: Queue) -> None:
    claim = await queue.claimed()
    await queue.repository.record_sent(claim, TOOK)
    sent = await queue.repository.get(claim.notification.id)
    assert not await queue.repository.mark_as_dead(claim, TOOK, "HTTP 410")
    assert await queue.repository.get(sent.id) == sent
    (attempt,) = await queue.repository.attempts(sent.id)
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.SENT, False)


@every_outcome
async def test_recording_the_same_outcome_again_succeeds(queue: Queue, outcome: AttemptOutcome) -> None:
    """As a worker does after losing its connection before the commit was confirmed."""
    claim = await queue.claimed()
    await OUTCOMES[outcome](queue.repository, claim)
    recorded = await queue.repository.get(claim.notification.id)
    attempts = await queue.repository.attempts(claim.notification.id)
    assert await OUTCOMES[outcome](queue.repository, claim) is (outcome is not AttemptOutcome.ABANDONED)
    assert await queue.repository.get(recorded.id) == recorded
    if outcome is not AttemptOutcome.ABANDONED:
        assert await queue.repository.attempts(recorded.id) == attempts


async def test_an_outcome_belongs_to_its_claim_even_after_the_next_claim_began(queue: Queue) -> None:
    claim = await queue.claimed()
    await queue.repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT)
    queue.clock.advance(WAIT)
    (second,) = await queue.claim_due(worker="worker-2")
    assert await queue.repository.record_failed_attempt(claim, TOOK, "HTTP 503", WAIT)
    assert await queue.repository.get(claim.notification.id) == second.notification


async def test_a_repeated_late_outcome_stays_refused(queue: Queue) -> None:
    first, _ = await lost_claim(queue)
    for _ in range(2):
        assert not await queue.repository.record_sent(first, TOOK)


async def test_an_outcome_after_the_lease_counts_until_another_worker_takes_over(
    queue: Queue, clock: SettableClock
) -> None:
    claim = await queue.claimed()
    clock.advance(LEASE * 2)
    assert await queue.repository.record_sent(claim, TOOK)


async def test_an_earlier_claim_cannot_finish_a_later_one_of_the_same_worker(
    queue: Queue, clock: SettableClock
) -> None:
    first = await queue.claimed()
    clock.advance(LEASE)
    (second,) = await queue.claim_due(worker=first.worker)
    assert not await queue.repository.record_sent(first, TOOK)
    assert await queue.repository.record_sent(second, TOOK)


async def test_a_released_claim_accepts_no_outcome(queue: Queue) -> None:
    claim = await queue.claimed()
    await queue.repository.release(claim)
    assert not await queue.repository.record_sent(claim, TOOK)
    assert (await queue.repository.get(claim.notification.id)).status is NotificationStatus.PENDING


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        ("Größe überschritten \U0001f4a5", "Größe überschritten \U0001f4a5"),
        ("x" * 8192, "x" * 8192),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("path \udcff", "path \N{REPLACEMENT CHARACTER}"),
    ],
    ids=["unicode", "long", "NUL", "surrogate"],
)
async def test_any_error_text_can_be_stored_and_read(queue: Queue, error: str, kept: str) -> None:
    dead: Notification = await queue.dead(error)
    (attempt,) = await queue.repository.attempts(dead.id)
    assert dead.last_error == attempt.error == kept


async def test_concurrent_outcomes_are_each_written_to_the_right_row(queue: Queue) -> None:
    for number in range(50):
        await queue.pending(message=str(number))
    claims = await queue.claim_due()
    record = list(OUTCOMES.values())
    answers = await asyncio.gather(
        *(record[number % 4](queue.repository, claim) for number, claim in enumerate(claims))
    )
    assert all(answers)
    outcomes = list(OUTCOMES)
    for number, claim in enumerate(claims):
        (attempt,) = await queue.repository.attempts(claim.notification.id)
        assert attempt.outcome is outcomes[number % 4]


@pytest.mark.parametrize(("limit", "numbers"), [(None, [1, 2, 3]), (5, [1, 2, 3]), (2, [2, 3]), (0, [])])
async def test_the_newest_of_many_attempts_can_be_read(
    queue: Queue, limit: int | None, numbers: list[int]
) -> None:
    failed = await queue.failed(wait=timedelta(0))
    for _ in range(2):
        await queue.repository.record_failed_attempt(await queue.claim(failed.id), TOOK, "HTTP 503", WAIT * 0)
    attempts = await queue.repository.attempts(failed.id, limit=limit)
    assert [attempt.number for attempt in attempts] == numbers
    assert await queue.repository.count_attempts(failed.id) == 3
