"""No channel and no notification delays or harms the others."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from certctl_mcp.delivery.retry_loop import FIRST_PAUSE
from certctl_mcp.delivery.scheduler import QUIET
from certctl_mcp.delivery.sender import Answer
from storage.database import Database
from storage.errors import DatabaseBusyError
from storage.models import Notification, Room
from storage.operations.claim_request import ClaimRequest, Claims
from storage.repository import NotificationRepository
from tests.builders import Queue, new_notification
from tests.certctl_mcp.fake_notifiers import PATIENCE, CallbackNotifier, HangingNotifier, WorkingNotifier
from tests.certctl_mcp.retry_loops import INTERVAL, retry_loop, running
from tests.storage.raw_sql import run


async def test_a_hanging_channel_takes_only_its_own_slots(database: Database, queue: Queue) -> None:
    hanging, delivering = HangingNotifier(), WorkingNotifier()
    for _ in range(15):
        await queue.pending(channel="Slack")
    for _ in range(30):
        await queue.pending(channel="Teams")
    async with running(retry_loop(database, {"Slack": hanging, "Teams": delivering}, channel_limit=10)):
        await hanging.receives(10)
        await delivering.receives(30)
        assert len(hanging.received) == 10
        hanging.release()
        await hanging.receives(15)


@pytest.mark.parametrize("hanging_channels", [5, 9, 60])
async def test_a_working_channel_delivers_at_once_however_many_others_hang(
    database: Database, queue: Queue, hanging_channels: int
) -> None:
    hanging, delivering = HangingNotifier(), WorkingNotifier()
    names = [f"hanging {number}" for number in range(hanging_channels)]
    backlog = [new_notification(channel=name) for name in names for _ in range(30)]
    await asyncio.gather(*(queue.repository.accept(new) for new in backlog))
    await queue.pending(channel="working")
    notifiers = {**dict.fromkeys(names, hanging), "working": delivering}
    async with running(retry_loop(database, notifiers)):
        await delivering.receives()
        await hanging.receives(min(hanging_channels * 5, 60))
        for number in range(2, 5):
            # The hanging channels hold as many slots as they can get.
            await queue.pending(channel="working")
            begun = monotonic()
            await delivering.receives(number)
            assert monotonic() - begun < 1
        assert hanging.most_in_total < max(50, len(notifiers))
        assert max(hanging.most.values()) <= 10
        hanging.release()
        await hanging.receives(len(backlog))


async def test_new_alerts_are_delivered_at_once_while_a_channel_hangs(
    database: Database, queue: Queue
) -> None:
    hanging, delivering = HangingNotifier(), WorkingNotifier()
    async with running(retry_loop(database, {"Slack": hanging, "Teams": delivering}, channel_limit=1)):
        await queue.pending(channel="Slack")
        await hanging.receives()
        for number in range(1, 4):
            await queue.pending(channel="Slack")
            await queue.pending(channel="Teams")
            await delivering.receives(number)
        assert len(hanging.received) == 1
        hanging.release()


CHANNEL_SLOTS = 10


class ClaimSpy(NotificationRepository):
    """Sets `more` once a claim returned more than the channel has slots."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.more = asyncio.Event()

    async def claim(self, request: ClaimRequest) -> Claims:
        found = await super().claim(request)
        if len(found.claims) > CHANNEL_SLOTS:
            self.more.set()
        return found


async def test_claims_for_a_channel_that_starts_to_hang_take_no_slots_of_others(
    database: Database, queue: Queue
) -> None:
    hanging, delivering, repository = HangingNotifier(), WorkingNotifier(), ClaimSpy(database)

    async def hang_eventually(notification: Notification) -> None:
        # Some end during the claim that the first to end triggered.
        for _ in range(100 * int(notification.message) % 1000):
            await asyncio.sleep(0)
        if repository.more.is_set():
            await hanging.send(notification)

    for number in range(20 * CHANNEL_SLOTS):
        await queue.pending(channel="Slack", message=str(number))
    notifiers = {"Slack": CallbackNotifier(hang_eventually), "Teams": delivering}
    limits = {"channel_limit": CHANNEL_SLOTS, "concurrency": 2 * CHANNEL_SLOTS}
    async with running(retry_loop(database, notifiers, queue=repository, **limits)):
        await hanging.receives(CHANNEL_SLOTS)
        for number in range(1, CHANNEL_SLOTS):
            await queue.pending(channel="Teams")
            await delivering.receives(number)
        assert len(hanging.received) == CHANNEL_SLOTS
        hanging.release()


async def test_a_retry_runs_on_time_while_another_channel_has_no_free_slot(
    database: Database, queue: Queue
) -> None:
    due_in = timedelta(minutes=7)
    hanging, delivering = HangingNotifier(), WorkingNotifier()

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        if longest == due_in:
            queue.clock.advance(due_in)
        elif longest > QUIET:
            await wake.wait()

    await queue.failed(channel="Teams", wait=due_in)
    for _ in range(2):
        await queue.pending(channel="Slack")
    notifiers = {"Slack": hanging, "Teams": delivering}
    async with running(retry_loop(database, notifiers, channel_limit=1, wait=wait, lease=2 * due_in)):
        await delivering.receives()
        assert len(hanging.received) == 1
        hanging.release()


async def test_the_concurrency_limits_are_not_exceeded(database: Database, queue: Queue) -> None:
    limits = {"Email": 1, "Slack": 2, "Teams": 5, "Webhook": 10}
    for number in range(200):
        await queue.pending(channel=list(limits)[number % 4])
    hanging = HangingNotifier()
    notifiers = dict.fromkeys(limits, hanging)
    async with running(retry_loop(database, notifiers, concurrency=12, room=Room(0, limits))):
        await hanging.receives(9)
        hanging.release()
        await hanging.receives(200)
    assert hanging.most <= Counter(limits)
    assert 9 <= hanging.most_in_total <= 12


async def test_the_concurrency_limits_are_used_fully(database: Database, queue: Queue) -> None:
    channels = [f"channel {number}" for number in range(12)]
    for number in range(48):
        await queue.pending(channel=channels[number % 12])
    hanging = HangingNotifier()
    notifiers = dict.fromkeys(channels, hanging)
    async with running(retry_loop(database, notifiers, concurrency=12)):
        await hanging.receives(12)
        hanging.release()
        await hanging.receives(48)
    assert hanging.most_in_total == 12


async def test_suspects_are_attempted_alongside_others_despite_hanging_channels(
    database: Database, database_path: Path, queue: Queue
) -> None:
    hanging, delivering, isolated = HangingNotifier(), WorkingNotifier(), WorkingNotifier()

    async def send_isolated(notification: Notification) -> Answer:
        await (hanging if notification.channel.startswith("hanging") else isolated).send(notification)
        return Answer(timedelta(0), None)

    names = [f"hanging {number}" for number in range(5)]
    for name in (*names, "working"):
        for _ in range(3):
            await queue.pending(channel=name, message="suspect")
    run(database_path, "UPDATE notification_events SET abandoned_count = 3")
    for name in (*names, "working"):
        for _ in range(30):
            await queue.pending(channel=name)
    notifiers = {**dict.fromkeys(names, hanging), "working": delivering}
    loop = retry_loop(database, notifiers, send_isolated=send_isolated, worker="worker-2")
    async with running(loop):
        begun = monotonic()
        await isolated.receives(3)
        await delivering.receives(30)
        assert monotonic() - begun < 10
        await queue.pending(channel="working")
        begun = monotonic()
        await delivering.receives(31)
        assert monotonic() - begun < 1
        # At most one of each channel at a time.
        assert Counter(n.channel for n in hanging.received if n.message == "suspect") <= Counter(names)
        hanging.release()
        await hanging.receives(5 * 33)
    assert {notification.message for notification in isolated.received} == {"suspect"}
    assert "suspect" not in delivering.messages


async def test_a_suspect_is_attempted_in_a_busy_channel(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certctl_mcp.delivery.scheduler.SUSPECTS_INTERVAL", timedelta(milliseconds=250))
    isolated = asyncio.Event()

    async def send_isolated(_: Notification) -> Answer:
        isolated.set()
        return Answer(timedelta(0), None)

    async def send_another(_: Notification) -> None:
        if not isolated.is_set():
            await queue.pending(message="never quiet")
            await asyncio.sleep(0.02)

    await queue.abandoned(times=3, message="suspect")
    for _ in range(30):
        await queue.pending()
    notifiers = {"Webhook": CallbackNotifier(send_another)}
    queue.clock.now = datetime.now(UTC)
    loop = retry_loop(
        database,
        notifiers,
        send_isolated=send_isolated,
        clock=lambda: datetime.now(UTC),
        worker="worker-2",
    )
    async with running(loop), asyncio.timeout(PATIENCE.total_seconds()):
        await isolated.wait()


async def test_suspects_are_attempted_one_at_a_time(database: Database, queue: Queue) -> None:
    for _ in range(2):
        await queue.abandoned(times=3)
    hanging = HangingNotifier()
    async with running(retry_loop(database, {"Webhook": hanging})):
        await hanging.receives()
        hanging.release()
        await hanging.receives(2)
    assert hanging.most_in_total == 1


class OneFailedClaimOfSuspects(NotificationRepository):
    """Fails once, when the test says so."""

    fails = False

    async def claim(self, request: ClaimRequest) -> Claims:
        if request.suspects and self.fails:
            self.fails = False
            raise DatabaseBusyError("locked by another process")
        return await super().claim(request)


@pytest.mark.both_databases
async def test_a_failed_claim_of_suspects_is_made_again_soon(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.sqlite.data_version.POLL_INTERVAL", INTERVAL)
    for _ in range(2):
        await queue.abandoned(times=3, channel="Slack")
    await queue.pending(channel="Teams")
    idle, suspects, others = asyncio.Event(), HangingNotifier(), HangingNotifier()

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        if longest > FIRST_PAUSE:
            if suspects.received:
                idle.set()
            await wake.wait()

    notifiers = {"Slack": suspects, "Teams": others}
    failing = OneFailedClaimOfSuspects(database)
    async with running(retry_loop(database, notifiers, queue=failing, wait=wait, worker="worker-2")):
        await others.receives()
        await idle.wait()
        failing.fails = True
        suspects.release()
        await suspects.receives(2)
        others.release()


async def test_the_loop_waits_for_a_lease_to_end_without_polling_while_a_suspect_hangs(
    database: Database, queue: Queue
) -> None:
    await queue.abandoned(times=3, message="suspect")
    held = await queue.pending(message="held")
    await queue.claim(held.id)
    suspect, others = HangingNotifier(), WorkingNotifier()
    waits: list[timedelta] = []

    async def send_isolated(notification: Notification) -> Answer:
        await suspect.send(notification)
        return Answer(timedelta(0), None)

    async def wait(wake: asyncio.Event, longest: timedelta) -> None:
        if longest == QUIET:
            return
        waits.append(longest)
        if suspect.received and not others.received:
            queue.clock.advance(longest)
            return
        await wake.wait()

    notifiers = {"Webhook": others}
    loop = retry_loop(database, notifiers, send_isolated=send_isolated, wait=wait, worker="worker-2")
    async with running(loop):
        await others.receives()
        suspect.release()
    assert (suspect.messages, others.messages) == (["suspect"], ["held"])
    assert timedelta(0) not in waits


async def test_channels_without_a_notifier_here_are_left_alone_and_delay_no_other(
    database: Database, queue: Queue
) -> None:
    foreign = await queue.pending(channel="Pigeon")
    await queue.pending(channel="Webhook")
    loop = retry_loop(database, {"Webhook": WorkingNotifier()})
    async with loop:
        report = await loop.sweep()
    assert report.sent == 1
    assert await queue.repository.get(foreign.id) == foreign
