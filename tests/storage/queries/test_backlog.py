"""The backlog is what is due and not being attempted, in any status."""

from datetime import datetime, timedelta

import pytest

from storage.database import Database
from storage.queries.backlog import Backlog, backlog
from tests.builders import LEASE, NOON, WAIT, Queue, SettableClock
from tests.storage.raw_sql import run

MINUTE = timedelta(minutes=1)


@pytest.fixture
def read_backlog(database: Database) -> "ReadBacklog":
    return ReadBacklog(database)


class ReadBacklog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self) -> Backlog:
        return await self._database.read(backlog, self._database.clock())

    async def oldest(self) -> datetime | None:
        return (await self()).oldest_due_at


async def test_settled_and_scheduled_notifications_are_not_in_the_backlog(
    queue: Queue, read_backlog: ReadBacklog
) -> None:
    assert await read_backlog() == Backlog(None, 0)
    for make in (queue.sent, queue.dead, queue.read, queue.skipped, queue.failed):
        await make()
    assert await read_backlog() == Backlog(None, 0)


async def test_a_pending_notification_waits_since_it_was_accepted(
    queue: Queue, clock: SettableClock, read_backlog: ReadBacklog
) -> None:
    await queue.pending(channel="Slack")
    clock.advance(MINUTE)
    await queue.pending(channel="Email")
    assert await read_backlog.oldest() == NOON


async def test_a_failed_notification_waits_since_its_retry_was_due(
    queue: Queue, clock: SettableClock, read_backlog: ReadBacklog
) -> None:
    await queue.failed(wait=WAIT)
    clock.advance(WAIT - timedelta(seconds=1))
    assert await read_backlog.oldest() is None
    clock.advance(MINUTE)
    assert await read_backlog.oldest() == NOON + WAIT


async def test_a_failed_notification_without_a_schedule_waits_since_it_was_accepted(
    queue: Queue, database_url: str, clock: SettableClock, read_backlog: ReadBacklog
) -> None:
    failed = await queue.failed()
    run(database_url, "UPDATE notification_events SET next_retry_at = NULL WHERE id = $1", failed.id)
    clock.advance(MINUTE)
    assert await read_backlog.oldest() == NOON


async def test_a_leased_notification_is_not_in_the_backlog(
    queue: Queue, clock: SettableClock, read_backlog: ReadBacklog
) -> None:
    await queue.claimed()
    clock.advance(MINUTE / 2)
    waiting = await queue.pending()
    assert await read_backlog() == Backlog(waiting.created_at, 1)


async def test_an_expired_lease_waits_since_it_expired(
    queue: Queue, clock: SettableClock, read_backlog: ReadBacklog
) -> None:
    await queue.claimed(lease=LEASE)
    clock.advance(LEASE + MINUTE)
    assert await read_backlog() == Backlog(NOON + LEASE, 0)
