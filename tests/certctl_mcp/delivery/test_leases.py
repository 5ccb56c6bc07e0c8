"""A process keeps its own attempts even if a clock jump or a locked database expires their leases."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from certctl_mcp.delivery.retry_loop import wait_at_most
from certctl_mcp.delivery.scheduler import QUIET
from certctl_mcp.notifiers.base import Notifier
from storage.database import Database
from storage.models import AttemptOutcome, Notification, NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, UNLIMITED, Queue, SettableClock, new_notification, request
from tests.certctl_mcp.fake_notifiers import PATIENCE, CallbackNotifier, HangingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop, running
from tests.context_in_task import ContextInTask
from tests.reliability.wait_until import wait_until
from tests.storage.raw_sql import locked

ALERTS = 10


@pytest.fixture
async def impatient(fresh_url: str, clock: SettableClock) -> AsyncIterator[Database]:
    """A database with a very short busy timeout."""
    context = ContextInTask(Database.open(fresh_url, clock=clock, busy_timeout=timedelta(milliseconds=50)))
    yield await context.enter()
    await context.exit()


async def ids(queue: Queue, channel: str = "Webhook") -> list[str]:
    return [(await queue.pending(channel=channel)).id for _ in range(ALERTS)]


async def all_sent_once(repository: NotificationRepository, sent: list[str]) -> bool:
    attempts = [await repository.attempts(notification_id) for notification_id in sent]
    return [[(a.outcome, a.late) for a in of_one] for of_one in attempts] == [
        [(AttemptOutcome.SENT, False)]
    ] * len(sent)


@pytest.mark.both_databases
async def test_a_database_locked_for_longer_than_the_lease_causes_no_duplicate(
    impatient: Database, fresh_url: str, clock: SettableClock
) -> None:
    repository = NotificationRepository(impatient)
    accepted = [
        (await repository.accept(new_notification(channel="Webhook"))).notification.id for _ in range(ALERTS)
    ]
    all_begun, unlocked = asyncio.Event(), asyncio.Event()
    begun: list[str] = []

    async def respond_while_locked(notification: Notification) -> None:
        begun.append(notification.id)
        if len(begun) == ALERTS:
            lock.enter_context(locked(fresh_url))
            all_begun.set()
        await all_begun.wait()

    async def sleep(_: float) -> None:
        # Leases expire, and a change makes the loop claim.
        clock.advance(LEASE)
        impatient.changes.due.announce()
        if clock.now >= deadline:
            lock.close()
            unlocked.set()
        await asyncio.sleep(0.02)

    deadline = clock.now + 20 * LEASE
    with ExitStack() as lock:
        loop = retry_loop(impatient, {"Webhook": CallbackNotifier(respond_while_locked)}, sleep=sleep)
        async with running(loop):
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await unlocked.wait()
            assert await loop.wait_for_completion(PATIENCE)
            await loop.sweep()
    assert sorted(begun) == sorted(accepted)
    assert await all_sent_once(repository, accepted)


@pytest.mark.both_databases
@pytest.mark.parametrize("jump", [timedelta(minutes=5), timedelta(days=365)])
async def test_a_clock_jump_causes_no_concurrent_second_attempt(
    database: Database, queue: Queue, jump: timedelta
) -> None:
    hanging, delivering = HangingNotifier(), WorkingNotifier()
    hung = await ids(queue, "Slack")
    loop = retry_loop(database, {"Slack": hanging, "Teams": delivering})
    async with running(loop):
        await hanging.receives(ALERTS)
        for number in range(1, 4):
            queue.clock.advance(jump)
            await queue.pending(channel="Teams")
            await delivering.receives(number)
        # Their leases were renewed, so no other process takes over either.
        assert await queue.claim_due(worker="worker-2") == ()
        hanging.release()
    assert len(hanging.received) == ALERTS
    assert await all_sent_once(queue.repository, hung)


@pytest.mark.both_databases
async def test_the_lease_of_a_long_attempt_is_renewed(database: Database, queue: Queue) -> None:
    hanging = HangingNotifier()
    renewals = 0
    renewed = asyncio.Event()

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        nonlocal renewals
        if longest == LEASE * 2 / 3 and renewals < 3:
            queue.clock.advance(longest)
            renewals += 1
            return
        if renewals == 3:
            renewed.set()
        await wake.wait()

    mail = await queue.pending(channel="Email")
    loop = retry_loop(database, {"Email": hanging}, longer_timeouts={"Email": 10 * LEASE}, wait=wait)
    async with running(loop):
        await renewed.wait()
        # Without renewal it would have expired by now.
        assert queue.clock.now > mail.created_at + LEASE
        assert await queue.claim_due(worker="worker-2") == ()
        hanging.release()
    assert len(hanging.received) == 1
    assert await all_sent_once(queue.repository, [mail.id])


async def test_a_notification_lost_to_another_process_is_attempted_again_only_after_the_first_attempt(
    database: Database, queue: Queue
) -> None:
    hanging = HangingNotifier()
    notification = await queue.pending()
    loop = retry_loop(database, {"Webhook": hanging})
    async with running(loop):
        await hanging.receives()
        queue.clock.advance(LEASE)
        (theirs,) = (await queue.repository.claim(request("worker-2", LEASE, 10, UNLIMITED))).claims
        await queue.repository.record_failed_attempt(theirs, timedelta(0), "HTTP 503", timedelta(0))
        sweep = asyncio.create_task(loop.sweep())

        async def claimed_again() -> bool:
            return (await queue.repository.get(notification.id)).attempt_count == 3

        await wait_until(database, claimed_again)
        assert len(hanging.received) == 1
        hanging.release()
        await hanging.receives(2)
        await sweep
    assert hanging.most_in_total == 1
    outcomes = [(a.outcome, a.late) for a in await queue.repository.attempts(notification.id)]
    assert outcomes == [
        (AttemptOutcome.SENT, True),
        (AttemptOutcome.FAILED, False),
        (AttemptOutcome.SENT, False),
    ]


async def test_a_claim_whose_notifier_took_too_long_to_build_is_released_and_claimed_again(
    database: Database, queue: Queue
) -> None:
    delivering = WorkingNotifier()
    looked_for: list[str] = []

    async def find(channel: str) -> Notifier:
        if not looked_for:
            # Like the first import of an HTTP client on a busy machine.
            queue.clock.advance(LEASE - timedelta(seconds=1))
        looked_for.append(channel)
        return delivering

    await queue.pending()
    async with running(retry_loop(database, {"Webhook": delivering}, find_notifier=find)):
        await delivering.receives()
    (received,) = delivering.received
    assert received.attempt_count == 2
    assert received.lease_expires_at == queue.clock.now + LEASE


@pytest.mark.both_databases
async def test_a_lease_that_expires_just_before_the_claim_of_suspects_delays_nothing(
    database: Database, queue: Queue
) -> None:
    delivering = WorkingNotifier()
    await queue.claimed()

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        if longest == QUIET and queue.clock.now == NOON:
            queue.clock.advance(LEASE)
        else:
            await wait_at_most(wake, longest)

    async with running(retry_loop(database, {"Webhook": delivering}, wait=wait)):
        await delivering.receives()


async def test_a_process_that_ends_with_unwritten_outcomes_logs_each(
    impatient: Database, database_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    repository = NotificationRepository(impatient)
    accepted = [(await repository.accept(new_notification())).notification.id for _ in range(3)]
    with ExitStack() as lock:
        begun: list[str] = []
        kept = asyncio.Semaphore(0)

        async def lock_out(notification: Notification) -> None:
            begun.append(notification.id)
            if len(begun) == len(accepted):
                lock.enter_context(locked(database_path))

        async def wait_for_ever(_: float) -> None:
            kept.release()
            await asyncio.Event().wait()

        notifiers = {"Webhook": CallbackNotifier(lock_out)}
        loop = retry_loop(impatient, notifiers, grace=timedelta(0), sleep=wait_for_ever)
        async with running(loop):
            await kept.acquire()
    lost = [record.getMessage() for record in caplog.records if "is lost" in record.getMessage()]
    written = await repository.list(NotificationFilter(statuses=(NotificationStatus.SENT,)))
    unwritten = set(accepted) - {sent.id for sent in written.items}
    assert unwritten
    assert len(lost) == len(unwritten)
    for notification_id in unwritten:
        assert any(f"the outcome of {notification_id}, attempt 1 (sent), is lost" in line for line in lost)
