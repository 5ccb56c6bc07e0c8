import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from certctl_mcp.delivery.retry_loop import SWEEP_LIMIT
from certctl_mcp.delivery.scheduler import QUIET
from certctl_mcp.notifiers.base import DeliveryFailedError
from storage.database import Database
from storage.errors import DatabaseBusyError
from storage.models import Notification, NotificationFilter, NotificationStatus, SweepReport
from storage.operations.claim_request import ClaimRequest, Claims
from storage.repository import NotificationRepository
from tests.builders import RETRY_POLICY, Queue, SettableClock, new_notification
from tests.certctl_mcp.fake_notifiers import (
    PATIENCE,
    CallbackNotifier,
    FailingNotifier,
    HangingNotifier,
    WorkingNotifier,
)
from tests.certctl_mcp.retry_loops import INTERVAL, retry_loop, running
from tests.reliability.wait_until import wait_until
from tests.storage.raw_sql import locked

pytestmark = pytest.mark.both_databases

AT_ONCE = timedelta(milliseconds=500)


async def test_a_sweep_reports_its_outcomes(database: Database, queue: Queue) -> None:
    notifiers = {
        "Slack": WorkingNotifier(),
        "Teams": FailingNotifier(queue.clock, DeliveryFailedError("HTTP 503")),
        "Webhook": FailingNotifier(queue.clock, DeliveryFailedError("HTTP 410", permanent=True)),
    }
    for number, channel in enumerate(("Slack", "Teams", "Webhook", "Pigeon"), start=1):
        for _ in range(number):
            await queue.pending(channel=channel)
    loop = retry_loop(database, notifiers)
    async with loop:
        report = await loop.sweep()
    assert report == SweepReport(sent=1, failed=2, dead=3, still_under_way=0)


async def test_a_sweep_with_nothing_due_reports_zeros(database: Database, queue: Queue) -> None:
    await queue.failed()
    loop = retry_loop(database, {})
    async with loop:
        assert await loop.sweep() == SweepReport(sent=0, failed=0, dead=0, still_under_way=0)


async def test_a_sweep_attempts_at_most_a_thousand(database: Database, queue: Queue) -> None:
    more = SWEEP_LIMIT + 3
    await asyncio.gather(*(queue.repository.accept(new_notification()) for _ in range(more)))
    loop = retry_loop(database, {"Webhook": WorkingNotifier()})
    async with loop:
        assert [(await loop.sweep()).sent for _ in range(3)] == [1000, 3, 0]


async def test_a_sweep_counts_suspects_too(database: Database, queue: Queue) -> None:
    for _ in range(2):
        await queue.abandoned(times=3)
    await queue.pending()
    loop = retry_loop(database, {"Webhook": WorkingNotifier()})
    async with loop:
        assert [(await loop.sweep(limit=1)).sent for _ in range(4)] == [1, 1, 1, 0]


async def test_a_sweep_during_the_loop_counts_attempts_already_in_flight(
    database: Database, queue: Queue
) -> None:
    hanging = HangingNotifier()
    await queue.pending()
    async with running(retry_loop(database, {"Webhook": hanging})) as loop:
        await hanging.receives()
        sweep = asyncio.create_task(loop.sweep())
        await queue.pending()
        await hanging.receives(2)
        hanging.release()
        assert (await sweep).sent == 2


class SlowSuspectClaims(NotificationRepository):
    """Runs a callback during each claim of suspects."""

    def __init__(self, database: Database, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(database)
        self._meanwhile = meanwhile

    async def claim(self, request: ClaimRequest) -> Claims:
        if request.suspects:
            await self._meanwhile()
        return await super().claim(request)


async def test_a_sweep_continues_if_the_last_attempt_ends_during_the_claim_of_suspects(
    database: Database, queue: Queue
) -> None:
    hanging = HangingNotifier()
    first, *_ = [await queue.pending() for _ in range(3)]

    async def sent() -> bool:
        return (await queue.repository.get(first.id)).status is NotificationStatus.SENT

    async def end_the_attempt() -> None:
        hanging.release()
        await wait_until(database, sent)

    slow = SlowSuspectClaims(database, end_the_attempt)
    # The other channel has a free slot, so that there is a claim of suspects.
    notifiers = {"Webhook": hanging, "Slack": WorkingNotifier()}
    async with running(retry_loop(database, notifiers, channel_limit=1, queue=slow)) as loop:
        await hanging.receives()
        assert (await loop.sweep()).sent == 3


async def test_a_failure_during_a_sweep_is_retried_when_it_is_due(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.sqlite.data_version.POLL_INTERVAL", INTERVAL)
    idle, sweeping, answered, knows_the_retry = (asyncio.Event() for _ in range(4))
    await queue.pending()

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        if longest == RETRY_POLICY.wait(0):
            knows_the_retry.set()
        if longest > QUIET:
            idle.set()
            await wake.wait()

    async def fail(_: Notification) -> None:
        await answered.wait()
        raise DeliveryFailedError("HTTP 503")

    async def end_the_attempt() -> None:
        if sweeping.is_set():
            answered.set()

    slow, failing = SlowSuspectClaims(database, end_the_attempt), CallbackNotifier(fail)
    async with running(retry_loop(database, {"Webhook": failing}, queue=slow, wait=wait)) as loop:
        await failing.receives()
        await idle.wait()
        sweeping.set()
        assert (await loop.sweep()).failed == 1
        async with asyncio.timeout(PATIENCE.total_seconds()):
            await knows_the_retry.wait()


async def test_a_sweep_waits_for_hanging_attempts_only_up_to_its_limit(
    database: Database, queue: Queue
) -> None:
    hanging = HangingNotifier()
    await queue.pending(channel="Slack")
    await queue.pending(channel="Teams")
    loop = retry_loop(database, {"Slack": hanging, "Teams": WorkingNotifier()})
    async with loop:
        report = await loop.sweep(at_most=AT_ONCE)
        assert (report.sent, report.still_under_way) == (1, 1)
        hanging.release()
    assert (await queue.repository.count_by_status())[NotificationStatus.SENT] == 2


async def test_sweeps_do_not_overlap(database: Database, queue: Queue) -> None:
    hanging = HangingNotifier()
    for _ in range(2):
        await queue.pending()
    loop = retry_loop(database, {"Webhook": hanging})
    async with loop:
        first = asyncio.create_task(loop.sweep(limit=1))
        await hanging.receives()
        second = await loop.sweep(at_most=AT_ONCE)
        assert (second.sent, second.still_under_way) == (0, 1)
        assert len(hanging.received) == 1
        hanging.release()
        assert (await first).sent == 1
        assert (await loop.sweep()).sent == 1


async def test_nothing_is_sent_while_nothing_can_be_claimed(
    database_url: str, database_path: Path, clock: SettableClock
) -> None:
    notifier = WorkingNotifier()
    async with Database.open(database_url, clock=clock, busy_timeout=timedelta(0)) as database:
        await NotificationRepository(database).accept(new_notification())
        loop = retry_loop(database, {"Webhook": notifier})
        async with loop:
            with locked(database_path), pytest.raises(DatabaseBusyError):
                await loop.sweep()
            assert notifier.received == []
            assert (await loop.sweep()).sent == 1


async def test_a_sweep_cancelled_during_its_claim_leaves_no_lease(
    database: Database, queue: Queue, database_path: Path
) -> None:
    notifier = WorkingNotifier()
    notification = await queue.pending()
    loop = retry_loop(database, {"Webhook": notifier})
    async with loop:
        with ExitStack() as lock:
            lock.enter_context(locked(database_path))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(loop.sweep)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
                lock.close()
        await notifier.receives()
    (sent,) = (await queue.repository.list(NotificationFilter())).items
    assert sent.id == notification.id
    assert (sent.delivered, sent.attempt_count, sent.lease_owner) == (True, 1, None)
