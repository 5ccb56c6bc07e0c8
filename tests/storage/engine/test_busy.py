"""Another process locks the file for longer than the busy timeout."""

import asyncio
import threading
import time
from datetime import timedelta
from pathlib import Path

from storage.database import Database
from storage.errors import DatabaseBusyError
from storage.repository import NotificationRepository
from tests.builders import LEASE, UNLIMITED, Queue, SettableClock, new_notification, request
from tests.storage.raw_sql import connected, locked

BUSY_TIMEOUT = timedelta(milliseconds=500)


async def test_all_waiting_callers_fail_after_one_timeout(
    queue: Queue, database_url: str, database_path: Path, clock: SettableClock
) -> None:
    claim = await queue.claimed()
    dead = await queue.dead()
    async with Database.open(database_url, clock=clock, busy_timeout=BUSY_TIMEOUT) as database:
        repository = NotificationRepository(database)
        with locked(database_path):
            begun = time.monotonic()
            answers = await asyncio.gather(
                repository.accept(new_notification()),
                repository.claim(request("worker-2", LEASE, 1, UNLIMITED)),
                repository.record_sent(claim, timedelta(0)),
                repository.requeue(dead.id),
                repository.mark_read(dead.id),
                return_exceptions=True,
            )
            took = timedelta(seconds=time.monotonic() - begun)
        assert [type(answer) for answer in answers] == [DatabaseBusyError] * 5
        assert took < 3 * BUSY_TIMEOUT
        assert await repository.record_sent(claim, timedelta(0))


async def test_a_shorter_lock_goes_unnoticed(queue: Queue, database_path: Path) -> None:
    with locked(database_path):
        accepting = asyncio.create_task(queue.pending())
        done, _ = await asyncio.wait([accepting], timeout=0.05)
        assert not done
    accepted = await accepting
    assert await queue.repository.get(accepted.id) == accepted


def write_repeatedly(path: Path, holding: threading.Event) -> None:
    """Run one transaction right after another."""
    with connected(path) as other:
        for _ in range(5):
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE certctl_mcp_version SET version_num = version_num")
            holding.set()
            time.sleep(0.6 * BUSY_TIMEOUT.total_seconds())
            other.execute("COMMIT")


async def test_a_writer_keeps_waiting_while_others_make_progress(
    database_url: str, database_path: Path
) -> None:
    holding = threading.Event()
    async with Database.open(database_url, busy_timeout=BUSY_TIMEOUT) as database:
        others = asyncio.create_task(asyncio.to_thread(write_repeatedly, database_path, holding))
        await asyncio.to_thread(holding.wait)
        assert (await NotificationRepository(database).accept(new_notification())).created
        await others
