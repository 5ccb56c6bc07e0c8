"""Which processes are alive and which channels they serve, even after a clock was wrong."""

from datetime import timedelta

from storage.models import UnservedChannel
from storage.operations.processes import ALIVE_WITHIN, HEARTBEAT_INTERVAL, KEPT_FOR, Heartbeat
from tests.builders import NOON, Queue
from tests.storage.raw_sql import rows

QUARTER_HOUR = timedelta(minutes=15)


def process(name: str = "p-1", *channels: str) -> Heartbeat:
    return Heartbeat(name, "host-1", "1.2.3", channels)


async def names(queue: Queue) -> list[str]:
    return [live.name for live in await queue.repository.processes()]


async def test_a_process_is_alive_for_a_minute_after_its_heartbeat(queue: Queue) -> None:
    assert await queue.repository.heartbeat(process("p-1", "Slack", "Email")) == NOON
    (live,) = await queue.repository.processes()
    assert (live.name, live.host, live.version) == ("p-1", "host-1", "1.2.3")
    assert (live.channels, live.started_at, live.seen_at) == (("Slack", "Email"), NOON, NOON)
    queue.clock.advance(ALIVE_WITHIN - timedelta(microseconds=1))
    assert await names(queue) == ["p-1"]
    queue.clock.advance(timedelta(microseconds=1))
    assert await names(queue) == []


async def test_heartbeats_keep_a_process_alive_and_update_its_channels(queue: Queue) -> None:
    await queue.repository.heartbeat(process("p-1", "Slack"))
    for _ in range(5):
        queue.clock.advance(HEARTBEAT_INTERVAL)
        assert await queue.repository.heartbeat(process("p-1", "Email")) == NOON
    (live,) = await queue.repository.processes()
    assert (live.channels, live.started_at, live.seen_at) == (("Email",), NOON, queue.clock())


async def test_a_process_that_leaves_is_gone_at_once_and_can_return(queue: Queue) -> None:
    await queue.repository.heartbeat(process("p-1"))
    await queue.repository.heartbeat(process("p-2"))
    await queue.repository.leave("p-1")
    assert await names(queue) == ["p-2"]
    await queue.repository.heartbeat(process("p-1"))
    assert await names(queue) == ["p-1", "p-2"]


async def test_uptime_restarts_after_a_gap_in_heartbeats(queue: Queue) -> None:
    await queue.repository.heartbeat(process())
    queue.clock.advance(ALIVE_WITHIN + timedelta(seconds=1))
    assert await queue.repository.heartbeat(process()) == queue.clock()


async def test_a_heartbeat_from_a_clock_that_was_ahead_does_not_last(queue: Queue) -> None:
    queue.clock.advance(timedelta(days=365))
    await queue.repository.heartbeat(process("ahead", "Slack"))
    queue.clock.now = NOON
    assert await queue.repository.heartbeat(process("right")) == NOON
    queue.clock.advance(ALIVE_WITHIN)
    await queue.repository.heartbeat(process("right"))
    assert await names(queue) == ["right"]


async def test_processes_gone_for_long_are_deleted(queue: Queue, database_url: str) -> None:
    await queue.repository.heartbeat(process("old"))
    queue.clock.advance(KEPT_FOR + timedelta(seconds=1))
    await queue.repository.heartbeat(process("new"))
    assert rows(database_url, "SELECT name FROM notification_processes") == [("new",)]


async def test_the_backlog_of_channels_without_a_process_is_counted(queue: Queue) -> None:
    await queue.repository.heartbeat(process("p-1", "Slack"))
    for channel in ("Slack", "Teams", "Teams", "Fax"):
        await queue.pending(channel=channel)
    await queue.failed(channel="Fax")
    await queue.sent(channel="Email")
    assert await queue.repository.unserved_channels() == (
        UnservedChannel(channel="Fax", waiting=2),
        UnservedChannel(channel="Teams", waiting=2),
    )


async def test_a_channel_is_undeliverable_after_a_long_time_without_a_process(queue: Queue) -> None:
    await queue.repository.heartbeat(process("p-1", "Slack"))
    await queue.repository.heartbeat(process("p-2", "Teams"))
    await queue.pending(channel="Teams")
    await queue.repository.leave("p-2")
    queue.clock.advance(QUARTER_HOUR - timedelta(seconds=1))
    assert await queue.repository.undeliverable_channels(QUARTER_HOUR) == frozenset()
    queue.clock.advance(timedelta(seconds=1))
    assert await queue.repository.undeliverable_channels(QUARTER_HOUR) == {"Teams"}


async def test_a_live_process_keeps_its_channels_between_heartbeats(queue: Queue) -> None:
    await queue.pending(channel="Teams")
    await queue.repository.heartbeat(process("p-2", "Teams"))
    queue.clock.advance(HEARTBEAT_INTERVAL)
    assert await queue.repository.undeliverable_channels(timedelta(seconds=1)) == frozenset()
    queue.clock.advance(ALIVE_WITHIN)
    assert await queue.repository.undeliverable_channels(timedelta(seconds=1)) == {"Teams"}


async def test_a_notification_waits_just_as_long_if_no_process_ever_had_its_channel(queue: Queue) -> None:
    await queue.pending(channel="Fax")
    queue.clock.advance(QUARTER_HOUR - timedelta(seconds=1))
    assert await queue.repository.undeliverable_channels(QUARTER_HOUR) == frozenset()
    queue.clock.advance(timedelta(seconds=1))
    assert await queue.repository.undeliverable_channels(QUARTER_HOUR) == {"Fax"}


async def test_a_failed_notification_is_undeliverable_only_when_it_is_due(queue: Queue) -> None:
    await queue.failed(channel="Fax", wait=timedelta(hours=1))
    queue.clock.advance(QUARTER_HOUR)
    assert await queue.repository.undeliverable_channels(QUARTER_HOUR) == frozenset()
    queue.clock.advance(timedelta(hours=1))
    assert await queue.repository.undeliverable_channels(QUARTER_HOUR) == {"Fax"}
