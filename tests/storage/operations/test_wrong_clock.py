"""Leases and retries written under a wrong clock delay no alert, and valid claims stay protected."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from storage.clock import Clock
from storage.database import Database
from storage.limits import LONGEST_LEASE, LONGEST_WAIT
from storage.models import AttemptOutcome, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import LEASE, TOOK, Queue, SettableClock, request

pytestmark = pytest.mark.sqlite

YEAR = timedelta(days=365)
DAY = timedelta(days=1)


def clock_ahead(clock: SettableClock, by: timedelta = YEAR) -> Clock:
    def wrong() -> datetime:
        return clock() + by

    return wrong


async def claimed_ahead(queue: Queue, url: str, clock: SettableClock) -> str:
    """An alert claimed by a process whose clock was a year ahead, and which was then killed."""
    notification = await queue.pending()
    async with Database.open(url, clock=clock_ahead(clock)) as database:
        assert (await NotificationRepository(database).claim(request("killed"))).claims
    return notification.id


async def test_a_lease_from_a_wrong_clock_is_expired(
    queue: Queue, database_url: str, clock: SettableClock
) -> None:
    id = await claimed_ahead(queue, database_url, clock)
    (claim,) = await queue.claim_due()
    assert claim.notification.id == id
    assert await queue.repository.record_sent(claim, TOOK)
    abandoned, sent = await queue.repository.attempts(id)
    assert (abandoned.outcome, sent.outcome) == (AttemptOutcome.ABANDONED, AttemptOutcome.SENT)


async def test_a_lease_from_a_wrong_clock_does_not_block_operators(
    queue: Queue, database_url: str, clock: SettableClock
) -> None:
    id = await claimed_ahead(queue, database_url, clock)
    assert (await queue.repository.mark_read(id)).status is NotificationStatus.READ


@pytest.mark.parametrize("by", [timedelta(hours=1), DAY, YEAR])
async def test_a_retry_scheduled_by_a_wrong_clock_is_due_now(
    queue: Queue, database_url: str, clock: SettableClock, by: timedelta
) -> None:
    notification = await queue.pending()
    async with Database.open(database_url, clock=clock_ahead(clock, by)) as database:
        repository = NotificationRepository(database)
        (claim,) = (await repository.claim(request("wrong"))).claims
        await repository.record_failed_attempt(claim, TOOK, "HTTP 503", timedelta(minutes=1))
    (claim,) = await queue.claim_due()
    assert claim.notification.id == notification.id
    assert claim.notification.retry_count == 1


@pytest.mark.parametrize("outcome", ["told to wait", "failed"])
async def test_a_retry_scheduled_during_a_clock_jump_is_due_once_the_clock_is_right(
    queue: Queue, clock: SettableClock, outcome: str
) -> None:
    claim = await queue.claimed()
    clock.advance(DAY)
    if outcome == "told to wait":
        await queue.repository.record_told_to_wait(claim, TOOK, "HTTP 429", timedelta(minutes=1))
    else:
        await queue.repository.record_failed_attempt(claim, TOOK, "HTTP 503", timedelta(minutes=1))
    clock.advance(-DAY)
    (again,) = await queue.claim_due()
    assert again.notification.id == claim.notification.id


async def test_a_small_clock_correction_does_not_shorten_a_backoff(
    queue: Queue, clock: SettableClock
) -> None:
    await queue.failed(wait=timedelta(minutes=1))
    clock.advance(timedelta(seconds=-30))
    assert await queue.claim_due() == ()


async def test_processes_with_different_clocks_do_not_steal_claims_from_each_other(
    queue: Queue, database_url: str, clock: SettableClock
) -> None:
    ours = await queue.claimed()
    async with Database.open(database_url, clock=clock_ahead(clock, DAY)) as database:
        other = NotificationRepository(database)
        (theirs,) = (await other.claim(request("ahead"))).claims
        for _ in range(3):
            held = replace(request("worker-1"), held=(ours,))
            assert (await queue.repository.claim(held)).claims == ()
            assert (await other.claim(replace(request("ahead"), held=(theirs,)))).claims == ()
        assert await other.record_sent(theirs, TOOK)
    assert (await queue.repository.get(ours.notification.id)).abandoned_count == 1


async def test_the_longest_lease_and_backoff_are_respected(queue: Queue, clock: SettableClock) -> None:
    await queue.claimed(lease=LONGEST_LEASE)
    await queue.failed(wait=LONGEST_WAIT)
    assert await queue.claim_due() == ()
    clock.advance(LONGEST_WAIT + LEASE)
    assert len(await queue.claim_due()) == 2
