"""A notification is undeliverable once no live process has served its channel for long enough."""

from datetime import timedelta
from typing import Literal

import anyio
import pytest
from sqlalchemy import Connection, Engine, event

from certctl_mcp.delivery.metrics import OTHER, AttemptMeter
from certctl_mcp.delivery.presence import Presence
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients
from certctl_mcp.services.dead_letters import DeadLetterRule, Target
from storage.database import Database
from storage.errors import StorageError
from storage.models import (
    DEAD_LETTERS,
    AttemptOutcome,
    Notification,
    NotificationFilter,
    NotificationStatus,
)
from storage.operations.processes import ALIVE_WITHIN, HEARTBEAT_INTERVAL, Heartbeat
from storage.operations.successors import Successors, no_successors
from storage.repository import NotificationRepository
from tests.builders import NOON, Queue, SettableClock
from tests.storage.raw_sql import locked

AFTER = timedelta(minutes=15)


class SimulatedProcess:
    """A process on a simulated clock."""

    def __init__(
        self,
        database: Database,
        clock: SettableClock,
        *channels: str,
        missing_notifier: Literal["sent", "dead"] = "sent",
        settles: bool = True,
        name: str = "here",
        successors: Successors = no_successors,
        registry: NotificationRepository | None = None,
    ) -> None:
        self.meter = AttemptMeter(channels)
        self._clock = clock
        self._until = clock.now
        self._alive = anyio.Event()
        self._repository = registry or NotificationRepository(database, successors=successors)
        self._presence = Presence(
            self._repository,
            Heartbeat(name, "host", "1.0", channels),
            settles=settles,
            missing_after=AFTER,
            missing_notifier=missing_notifier,
            meter=self.meter,
            clock=clock,
            sleep=self._sleep,
        )

    async def run_for(self, duration: timedelta) -> None:
        """Run it for this long; then it leaves."""
        self._until = self._clock.now + duration
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._presence.run)
            await self._alive.wait()
            tasks.cancel_scope.cancel()

    async def _sleep(self, seconds: float) -> None:
        if self._clock.now >= self._until:
            self._alive.set()
            await anyio.sleep_forever()
        self._clock.advance(timedelta(seconds=seconds))
        await anyio.lowlevel.checkpoint()


async def reloaded(queue: Queue, notification: Notification) -> Notification:
    return await queue.repository.get(notification.id)


async def test_an_undeliverable_notification_is_settled_as_undelivered(
    database: Database, queue: Queue
) -> None:
    fax, slack = await queue.pending(channel="Fax"), await queue.pending(channel="Slack")
    process = SimulatedProcess(database, queue.clock, "Slack")
    await process.run_for(AFTER - HEARTBEAT_INTERVAL)
    assert await reloaded(queue, fax) == fax
    process = SimulatedProcess(database, queue.clock, "Slack")
    await process.run_for(AFTER + HEARTBEAT_INTERVAL)
    found = await reloaded(queue, fax)
    assert (found.status, found.sent_at) == (NotificationStatus.SENT, None)
    assert found.error == "no notifier configured for channel Fax; not delivered"
    (attempt,) = await queue.repository.attempts(fax.id)
    assert (attempt.outcome, attempt.late) == (AttemptOutcome.SKIPPED, False)
    assert process.meter.count(OTHER, AttemptOutcome.SKIPPED) == 1
    assert (await queue.repository.queue_counts()).undelivered == 1
    assert await reloaded(queue, slack) == slack


async def test_the_operator_can_choose_the_dead_letter_queue(database: Database, queue: Queue) -> None:
    fax = await queue.pending(channel="Fax")
    await SimulatedProcess(database, queue.clock, "Slack", missing_notifier="dead").run_for(AFTER * 2)
    found = await reloaded(queue, fax)
    assert (found.status, found.error) == (NotificationStatus.DEAD, None)
    assert found.last_error == "no notifier configured for channel Fax; not delivered"


async def test_a_dead_letter_without_a_notifier_is_announced(database: Database, queue: Queue) -> None:
    await queue.pending(channel="Fax")
    rule = DeadLetterRule(Target("Slack", ""), timedelta(hours=1), {}, AllowedRecipients(()))
    process = SimulatedProcess(
        database, queue.clock, "Slack", missing_notifier="dead", successors=rule.successors
    )
    await process.run_for(2 * AFTER)
    (alert,) = (await queue.repository.list(NotificationFilter(type=DEAD_LETTERS))).items
    assert alert.message.startswith(
        "A notification over Fax has become a dead letter. Cause: channel was not configured."
    )


async def test_a_read_only_process_settles_nothing(database: Database, queue: Queue) -> None:
    fax = await queue.pending(channel="Fax")
    await SimulatedProcess(database, queue.clock, "Slack", settles=False).run_for(AFTER * 2)
    assert await reloaded(queue, fax) == fax


async def test_a_newer_notification_waits(database: Database, queue: Queue) -> None:
    old = await queue.pending(channel="Fax")
    await SimulatedProcess(database, queue.clock, "Slack").run_for(AFTER / 2)
    young = await queue.pending(channel="Fax")
    await SimulatedProcess(database, queue.clock, "Slack").run_for(AFTER / 2 + HEARTBEAT_INTERVAL)
    assert (await reloaded(queue, old)).status is NotificationStatus.SENT
    waiting = await reloaded(queue, young)
    assert (waiting.status, waiting.lease_owner) == (NotificationStatus.PENDING, None)
    await SimulatedProcess(database, queue.clock, "Slack").run_for(AFTER / 2)
    assert (await reloaded(queue, young)).status is NotificationStatus.SENT


async def test_notifications_of_a_served_channel_are_never_settled(database: Database, queue: Queue) -> None:
    fax = await queue.pending(channel="Fax")
    process, other = (
        SimulatedProcess(database, queue.clock, "Slack"),
        Heartbeat("other", "host", "1.0", ("Fax",)),
    )
    for _ in range(10):
        await queue.repository.heartbeat(other)
        await process.run_for(AFTER / 3)
        process = SimulatedProcess(database, queue.clock, "Slack")
    assert await reloaded(queue, fax) == fax


async def test_a_newly_started_process_settles_nothing(database: Database, queue: Queue) -> None:
    """After all were down for a night, the first to start must wait for the others to come up."""
    fax = await queue.pending(channel="Fax")
    queue.clock.advance(timedelta(days=1))
    await SimulatedProcess(database, queue.clock, "Slack").run_for(AFTER - HEARTBEAT_INTERVAL)
    assert await reloaded(queue, fax) == fax


async def test_a_machine_settles_nothing_when_it_resumes_from_suspend(
    database: Database, queue: Queue
) -> None:
    fax = await queue.pending(channel="Fax")
    await queue.repository.heartbeat(Heartbeat("here", "host", "1.0", ("Slack",)))
    queue.clock.advance(timedelta(hours=8))
    await SimulatedProcess(database, queue.clock, "Slack").run_for(AFTER - HEARTBEAT_INTERVAL)
    assert await reloaded(queue, fax) == fax


class SuspendedOnce(NotificationRepository):
    """The machine is suspended for an hour once the undeliverable channels have been read."""

    suspended = False

    async def undeliverable_channels(self, after: timedelta) -> frozenset[str]:
        found = await super().undeliverable_channels(after)
        if found and not self.suspended:
            self.suspended = True
            assert isinstance(self._database.clock, SettableClock)
            self._database.clock.advance(timedelta(hours=1))
        return found


async def test_a_machine_that_is_suspended_while_it_settles_leaves_served_channels_alone(
    database: Database, queue: Queue
) -> None:
    await queue.pending(channel="Pigeon")
    served = await queue.pending(channel="Slack")
    there = Heartbeat("there", "host", "1.0", ("Slack",))
    presence = Presence(
        SuspendedOnce(database),
        Heartbeat("here", "host", "1.0", ("Webhook",)),
        missing_after=AFTER,
        missing_notifier="sent",
        meter=AttemptMeter(),
        clock=queue.clock,
        sleep=lambda _: heartbeat_or_end(),
    )

    async def heartbeat_or_end() -> None:
        if queue.clock.now >= NOON + AFTER:
            tasks.cancel_scope.cancel()
        await queue.repository.heartbeat(there)
        queue.clock.advance(HEARTBEAT_INTERVAL)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(presence.run)
    assert await queue.repository.get(served.id) == served


async def test_more_than_one_batch_is_settled(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.delivery.presence.BATCH", 3)
    for _ in range(7):
        await queue.pending(channel="Fax")
    await SimulatedProcess(database, queue.clock, "Slack").run_for(AFTER * 2)
    assert (await queue.repository.queue_counts()).undelivered == 7


async def test_a_process_is_registered_while_it_runs(database: Database, queue: Queue) -> None:
    process = SimulatedProcess(database, queue.clock, "Slack")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(process.run_for, ALIVE_WITHIN * 3)
        with anyio.fail_after(20):
            while queue.clock.now < NOON + ALIVE_WITHIN * 3:
                await anyio.sleep(0.001)
                assert len(await queue.repository.processes()) <= 1
    assert await queue.repository.processes() == ()


async def test_an_idle_process_writes_less_than_every_fifteen_seconds(
    database: Database, queue: Queue
) -> None:
    duration = timedelta(minutes=10)
    commits: list[Connection] = []
    count = commits.append
    event.listen(Engine, "commit", count)
    try:
        await SimulatedProcess(database, queue.clock, "Slack").run_for(duration)
    finally:
        event.remove(Engine, "commit", count)
    assert 0 < len(commits) < duration / timedelta(seconds=15)


@pytest.mark.sqlite
async def test_a_locked_database_only_delays_the_heartbeat(
    fresh_url: str, clock: SettableClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with Database.open(fresh_url, clock=clock, busy_timeout=timedelta(0)) as database:
        with locked(fresh_url):
            await SimulatedProcess(database, clock, "Slack").run_for(timedelta(seconds=1))
    assert "heartbeat of this process can't be written" in caplog.text


class WithoutFolding(NotificationRepository):
    async def fold_counts(self) -> None:
        raise StorageError("permission denied")


async def test_counts_that_cannot_be_folded_do_not_stop_heartbeats(
    database: Database, queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    process = SimulatedProcess(database, queue.clock, "Slack", registry=WithoutFolding(database))
    fax = await queue.pending(channel="Fax")
    await process.run_for(AFTER * 2)
    assert (await reloaded(queue, fax)).error is not None
    assert "counts of notifications can't be folded: permission denied" in caplog.text
