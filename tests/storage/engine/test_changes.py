import asyncio
from datetime import timedelta
from subprocess import DEVNULL

import anyio
import pytest

from storage.database import Database
from storage.engine.sqlite.data_version import POLL_INTERVAL, PolledChanges
from tests.builders import Queue
from tests.processes import Program
from tests.storage.raw_sql import insert_row


def test_changes_are_polled_at_least_once_a_second() -> None:
    assert timedelta(0) < POLL_INTERVAL < timedelta(seconds=1)


async def test_an_accept_by_another_process_is_noticed(
    queue: Queue, database: Database, database_url: str
) -> None:
    version = database.changes.version
    settings = {"CERTCTL_DATABASE_URL": database_url, "CERTCTL_WEBHOOK_URL": "http://127.0.0.1:9/"}
    alert = ("send", "from elsewhere", "--channel", "Webhook", "--type", "ExpirationWarning")
    other = Program("certctl_mcp", *alert, environment=settings, stdout=DEVNULL)
    async with asyncio.timeout(30):
        while not (claims := await queue.claim_due()):
            version = await database.changes.wait_beyond(version)
        assert await asyncio.to_thread(other.wait) == 0
    other.close()
    assert [claim.notification.message for claim in claims] == ["from elsewhere"]


async def test_a_commit_by_another_program_is_noticed(database: Database, database_url: str) -> None:
    version = database.changes.version
    insert_row(database_url)
    async with asyncio.timeout(10):
        assert await database.changes.wait_beyond(version) > version


@pytest.mark.parametrize("change", ["accept", "requeue"])
async def test_a_local_accept_or_requeue_is_announced_at_once(
    queue: Queue, database: Database, change: str
) -> None:
    dead = await queue.dead()
    version = database.changes.version
    await (queue.pending() if change == "accept" else queue.repository.requeue(dead.id))
    assert database.changes.version > version


@pytest.mark.sqlite
async def test_a_claim_that_finds_nothing_wakes_nobody(
    queue: Queue, database: Database, database_url: str
) -> None:
    async with Database.open(database_url) as other:
        version = other.changes.version
        assert await queue.claim_due() == ()
        assert isinstance(other.changes, PolledChanges)
        await other.changes.poll()
        assert other.changes.version == version


async def test_all_waiting_tasks_are_notified(database: Database) -> None:
    version = database.changes.version
    waiting = [asyncio.create_task(database.changes.wait_beyond(version)) for _ in range(3)]
    await asyncio.sleep(0)
    database.changes.announce()
    assert await asyncio.gather(*waiting) == [version + 1] * 3


async def test_a_change_between_read_and_wait_is_not_missed(database: Database) -> None:
    version = database.changes.version
    database.changes.announce()
    assert await database.changes.wait_beyond(version) == version + 1


@pytest.mark.sqlite
async def test_a_cancelled_query_does_not_block_the_polling(database: Database, database_url: str) -> None:
    for steps in range(6):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.changes.data_version)
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks.cancel_scope.cancel()
    version = database.changes.version
    insert_row(database_url)
    async with asyncio.timeout(10):
        assert await database.changes.wait_beyond(version) > version
