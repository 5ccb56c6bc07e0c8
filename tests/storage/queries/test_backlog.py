"""What waits too long is seen, whichever way it waits; what is attempted or not due yet does not count."""

from datetime import datetime, timedelta

import pytest

from storage.database import Database
from storage.queries.backlog import Backlog, backlog
from tests.builders import LEASE, NOON, WAIT, Queue, SettableClock
from tests.storage.foreign import run

MINUTE = timedelta(minutes=1)


@pytest.fixture
def seen(database: Database) -> "Seen":
    return Seen(database)


class Seen:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> Backlog:
        async with self._database.read() as connection:
            return await backlog(connection, self._database.clock())

    async def oldest(self) -> datetime | None:
        return (await self()).oldest_due_at


async def test_nothing_waits_where_all_is_done_or_scheduled(queue: Queue, seen: Seen) -> None:
    assert await seen() == Backlog(None, 0)
    for make in (queue.sent, queue.dead, queue.read, queue.skipped, queue.failed):
        await make()
    assert await seen() == Backlog(None, 0)


async def test_a_pending_one_waits_since_it_was_accepted(
    queue: Queue, clock: SettableClock, seen: Seen
) -> None:
    await queue.pending(channel="Slack")
    clock.advance(MINUTE)
    await queue.pending(channel="Email")
    assert await seen.oldest() == NOON


async def test_a_failed_one_waits_since_its_retry_was_due(
    queue: Queue, clock: SettableClock, seen: Seen
) -> None:
    await queue.failed(wait=WAIT)
    clock.advance(WAIT - timedelta(seconds=1))
    assert await seen.oldest() is None
    clock.advance(MINUTE)
    assert await seen.oldest() == NOON + WAIT


async def test_a_failed_one_without_schedule_waits_since_it_was_accepted(
    queue: Queue, database_url: str, clock: SettableClock, seen: Seen
) -> None:
    failed = await queue.failed()
    run(database_url, "UPDATE notification_events SET next_retry_at = NULL WHERE id = $1", failed.id)
    clock.advance(MINUTE)
    assert await seen.oldest() == NOON


async def test_what_is_attempted_does_not_wait_and_its_lease_is_held(
    queue: Queue, clock: SettableClock, seen: Seen
) -> None:
    await queue.claimed()
    clock.advance(MINUTE / 2)
    waiting = await queue.pending()
    assert await seen() == Backlog(waiting.created_at, 1)


async def test_what_its_worker_never_answered_waits_since_the_lease_ran_out(
    queue: Queue, clock: SettableClock, seen: Seen
) -> None:
    await queue.claimed(lease=LEASE)
    clock.advance(LEASE + MINUTE)
    assert await seen() == Backlog(NOON + LEASE, 0)
