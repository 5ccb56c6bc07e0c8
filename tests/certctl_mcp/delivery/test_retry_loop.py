"""When the loop makes attempts: on a simulated clock, or woken from an hour's wait."""

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certctl_mcp.delivery.retry_loop import FIRST_PAUSE
from certctl_mcp.delivery.scheduler import QUIET
from certctl_mcp.notifiers.base import DeliveryFailedError
from storage.database import Database
from storage.models import NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import NOON, RETRY_POLICY, Queue, SettableClock, new_notification
from tests.certctl_mcp.fake_notifiers import FailingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop, running
from tests.certctl_mcp.simulated_time import SimulatedTime
from tests.storage.raw_sql import insert_row, locked

DAY = timedelta(days=1)


def minutes_from_noon(notifier: FailingNotifier) -> list[float]:
    return [(moment - NOON) / timedelta(minutes=1) for moment in notifier.moments]


@pytest.fixture
def without_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits of other processes go unnoticed."""
    monkeypatch.setattr("storage.engine.sqlite.data_version.POLL_INTERVAL", DAY)


async def test_retries_follow_the_backoff_over_a_day(database: Database, queue: Queue) -> None:
    notification = await queue.pending()
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 503"))
    time = SimulatedTime(queue.clock, DAY)
    await time.pass_for(retry_loop(database, {"Webhook": notifier}, wait=time.wait))
    assert minutes_from_noon(notifier) == [0, 1, 3, 7, 15]
    dead = await queue.repository.get(notification.id)
    assert (dead.status, dead.retry_count) == (NotificationStatus.DEAD, 4)


async def test_a_longer_policy_reaches_the_cap_of_an_hour(database: Database, queue: Queue) -> None:
    await queue.pending()
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 503"))
    time = SimulatedTime(queue.clock, DAY)
    patient = replace(RETRY_POLICY, max_attempts=10)
    await time.pass_for(retry_loop(database, {"Webhook": notifier}, policy=patient, wait=time.wait))
    assert minutes_from_noon(notifier) == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


async def test_a_retry_is_made_when_it_is_due_and_not_at_the_next_interval(
    database: Database, queue: Queue
) -> None:
    await queue.failed(wait=timedelta(minutes=7, seconds=1.25))
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 410", permanent=True))
    time = SimulatedTime(queue.clock, DAY)
    await time.pass_for(retry_loop(database, {"Webhook": notifier}, wait=time.wait))
    assert notifier.moments == [NOON + timedelta(minutes=7, seconds=1.25)]


async def test_a_retry_is_made_within_the_interval_though_the_clock_is_set_back(
    database: Database, queue: Queue
) -> None:
    await queue.failed(wait=timedelta(minutes=10))
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 410", permanent=True))
    time = SimulatedTime(queue.clock, DAY)
    set_back = iter([365 * DAY])

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        await time.wait(wake, longest)
        if longest > QUIET:
            queue.clock.advance(-next(set_back, timedelta(0)))
        if notifier.received:
            loop.stop()

    loop = retry_loop(database, {"Webhook": notifier}, interval=timedelta(minutes=2), wait=wait)
    await time.pass_for(loop)
    (attempted_at,) = notifier.moments
    assert attempted_at - (NOON - 365 * DAY) <= timedelta(minutes=4)


async def test_notifications_of_a_dead_worker_are_attempted_when_the_lease_ends(
    database: Database, queue: Queue
) -> None:
    await queue.claimed(lease=timedelta(seconds=40))
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 410", permanent=True))
    time = SimulatedTime(queue.clock, DAY)
    await time.pass_for(retry_loop(database, {"Webhook": notifier}, wait=time.wait, worker="worker-2"))
    assert notifier.moments == [NOON + timedelta(seconds=40)]


@pytest.mark.usefixtures("without_polling")
async def test_unannounced_notifications_are_found_after_the_interval(
    database: Database, queue: Queue, database_path: Path
) -> None:
    notifier = FailingNotifier(queue.clock, DeliveryFailedError("HTTP 410", permanent=True))
    time = SimulatedTime(queue.clock, timedelta(minutes=10))

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        if not time.waits:
            insert_row(database_path, channel="Webhook")
        await time.wait(wake, longest)

    await time.pass_for(retry_loop(database, {"Webhook": notifier}, interval=timedelta(minutes=2), wait=wait))
    assert notifier.moments == [NOON + timedelta(minutes=2)]


@pytest.mark.usefixtures("without_polling")
async def test_an_accept_in_this_process_wakes_the_loop(database: Database, queue: Queue) -> None:
    notifier = WorkingNotifier()
    async with running(retry_loop(database, {"Webhook": notifier})):
        for number in range(1, 4):
            await queue.pending()
            await notifier.receives(number)


@pytest.mark.usefixtures("without_polling")
async def test_a_requeue_in_this_process_wakes_the_loop(database: Database, queue: Queue) -> None:
    dead = await queue.dead()
    notifier = WorkingNotifier()
    async with running(retry_loop(database, {"Webhook": notifier})):
        await queue.repository.requeue(dead.id)
        await notifier.receives()


@pytest.mark.both_databases
async def test_an_accept_in_another_process_wakes_the_loop(
    database: Database, database_url: str, clock: SettableClock
) -> None:
    notifier = WorkingNotifier()
    async with (
        Database.open(database_url, clock=clock) as other,
        running(retry_loop(database, {"Webhook": notifier})),
    ):
        await NotificationRepository(other).accept(new_notification())
        await notifier.receives()


@pytest.mark.both_databases
async def test_a_row_written_by_another_program_wakes_the_loop(database: Database, database_url: str) -> None:
    notifier = WorkingNotifier()
    async with running(retry_loop(database, {"Webhook": notifier})):
        insert_row(database_url, channel="Webhook")
        await notifier.receives()


async def test_the_loop_resumes_when_the_database_is_available_again(
    database_url: str, database_path: Path, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = WorkingNotifier()
    pauses: list[float] = []
    with ExitStack() as lock:

        async def wait(event: asyncio.Event, longest: timedelta) -> None:
            if longest != QUIET and not notifier.received:
                pauses.append(longest.total_seconds())
                if len(pauses) == 7:
                    lock.close()
            else:
                await event.wait()

        async with Database.open(database_url, clock=clock, busy_timeout=timedelta(0)) as database:
            await NotificationRepository(database).accept(new_notification())
            lock.enter_context(locked(database_path))
            async with running(retry_loop(database, {"Webhook": notifier}, wait=wait)):
                await notifier.receives()
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    warnings = [record for record in caplog.records if "locked by another process" in record.getMessage()]
    assert [record.levelno for record in warnings] == [logging.WARNING] * 7


async def test_an_unexpected_error_does_not_end_the_loop(
    database: Database, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    divisors = iter([0])

    def broken_at_first() -> datetime:
        return queue.clock.now + timedelta(0) // next(divisors, 1)

    async def no_pause(event: asyncio.Event, longest: timedelta) -> None:
        if longest > FIRST_PAUSE:
            await event.wait()

    await queue.pending()
    notifier = WorkingNotifier()
    loop = retry_loop(database, {"Webhook": notifier}, clock=broken_at_first, wait=no_pause)
    async with running(loop):
        await notifier.receives()
    assert "a sweep failed; trying again in 1 s" in caplog.text
