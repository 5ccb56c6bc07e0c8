"""A stopped loop leaves no lease held and no outcome unwritten."""

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from certctl_mcp.delivery.retry_loop import RetryLoop
from storage.database import Database
from storage.models import AttemptOutcome, Notification, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import LEASE, NOON, UNLIMITED, Queue, SettableClock, new_notification, request
from tests.certctl_mcp.fake_notifiers import PATIENCE, CallbackNotifier, HangingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import retry_loop, running
from tests.storage.raw_sql import locked

NO_GRACE = timedelta(0)


async def test_a_stopped_loop_claims_nothing_more(database: Database, queue: Queue) -> None:
    notifier = WorkingNotifier()
    notification = await queue.pending()
    loop = retry_loop(database, {"Webhook": notifier})
    async with loop:
        loop.stop()
        await loop.run()
        assert (await loop.sweep()).sent == 0
    assert notifier.received == []
    assert await queue.repository.get(notification.id) == notification


async def test_attempts_in_flight_can_finish_within_the_grace_period(
    database: Database, queue: Queue
) -> None:
    hanging = HangingNotifier()
    notification = await queue.pending()
    async with running(retry_loop(database, {"Webhook": hanging})):
        await hanging.receives()
        # Runs once the loop's exit waits for the attempt.
        asyncio.get_running_loop().call_soon(hanging.release)
    assert (await queue.repository.get(notification.id)).delivered


async def test_after_the_grace_period_an_attempt_is_interrupted_and_due_again(
    database: Database, queue: Queue
) -> None:
    hanging = HangingNotifier()
    before = await queue.failed(wait=timedelta(0))
    async with running(retry_loop(database, {"Webhook": hanging}, grace=timedelta(milliseconds=20))):
        await hanging.receives()
    attempt = (await queue.repository.attempts(before.id))[-1]
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.ABANDONED, False)
    assert attempt.error == "interrupted before the receiver responded: the server was shutting down"
    assert attempt.duration is not None
    after = await queue.repository.get(before.id)
    assert after == replace(before, attempt_count=2)
    (again,) = await queue.claim_due(worker="worker-2")
    assert again.notification.id == before.id


async def test_claims_without_an_attempt_are_released(database: Database, queue: Queue) -> None:
    async def stop(_: Notification) -> None:
        loop.stop()

    for _ in range(5):
        await queue.pending()
    notifier = CallbackNotifier(stop)
    loop = retry_loop(database, {"Webhook": notifier})
    async with loop:
        await loop.run()
    assert len(notifier.received) == 1
    waiting = await queue.claim_due(worker="worker-2")
    assert [claim.number for claim in waiting] == [2, 2, 2, 2]
    for claim in waiting:
        assert await queue.repository.attempts(claim.notification.id) == ()


async def test_claims_without_an_attempt_are_released_though_the_database_is_locked_at_first(
    database_url: str, database_path: Path, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database.open(database_url, clock=clock, busy_timeout=timedelta(0)) as database:
        repository = NotificationRepository(database)
        for _ in range(5):
            await repository.accept(new_notification())
        with ExitStack() as lock:

            async def stop(_: Notification) -> None:
                lock.enter_context(locked(database_path))
                loop.stop()

            async def unlock(*_: object) -> None:
                lock.close()

            notifier = CallbackNotifier(stop)
            loop = retry_loop(database, {"Webhook": notifier}, wait=unlock, sleep=unlock)
            async with loop:
                await loop.run()
        assert len(notifier.received) == 1
        claimable = (await repository.claim(request("worker-2", LEASE, 10, UNLIMITED))).claims
        assert [claim.number for claim in claimable] == [2, 2, 2, 2]
    assert "unexpectedly" not in caplog.text


async def test_claims_of_a_pending_query_are_released_too(
    database: Database, queue: Queue, database_path: Path
) -> None:
    notifier = WorkingNotifier()
    await queue.pending()
    loop = retry_loop(database, {"Webhook": notifier})
    async with loop, anyio.create_task_group() as tasks:
        with ExitStack() as lock:
            lock.enter_context(locked(database_path))
            tasks.start_soon(loop.run)
            await anyio.wait_all_tasks_blocked()
            loop.stop()
            assert not await loop.wait_for_completion(NO_GRACE)
            lock.close()
        assert await loop.wait_for_completion(PATIENCE)
        assert len(await queue.claim_due(worker="worker-2")) == 1
    assert notifier.received == []


async def test_a_pending_outcome_is_written_at_exit(
    database_url: str, database_path: Path, clock: SettableClock
) -> None:
    async with Database.open(database_url, clock=clock, busy_timeout=timedelta(0)) as database:
        repository = NotificationRepository(database)
        accepted = await repository.accept(new_notification())
        with ExitStack() as lock:
            waiting = asyncio.Event()

            async def lock_out(_: Notification) -> None:
                lock.enter_context(locked(database_path))

            async def wait_for_ever(_: float) -> None:
                waiting.set()
                await asyncio.Event().wait()

            notifiers = {"Webhook": CallbackNotifier(lock_out)}
            async with running(retry_loop(database, notifiers, grace=NO_GRACE, sleep=wait_for_ever)):
                await waiting.wait()
                lock.close()
        sent = await repository.get(accepted.notification.id)
        assert (sent.status, sent.sent_at) == (NotificationStatus.SENT, NOON)
        (attempt,) = await repository.attempts(sent.id)
        assert (attempt.outcome, attempt.late) == (AttemptOutcome.SENT, False)


async def test_waiting_for_completion_has_a_limit(database: Database, queue: Queue) -> None:
    hanging = HangingNotifier()
    await queue.pending()
    loop: RetryLoop = retry_loop(database, {"Webhook": hanging})
    async with running(loop):
        await hanging.receives()
        assert not await loop.wait_for_completion(NO_GRACE)
        hanging.release()
        assert await loop.wait_for_completion(PATIENCE)
