"""Bursts over rate-limited channels, on a simulated clock, with one worker and with four."""

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest

from certctl_mcp.delivery.retry_loop import RetryLoop, Waiter
from storage.channel_state import ChannelRules, Rate
from storage.database import Database
from storage.errors import DatabaseBusyError
from storage.models import Notification, NotificationFilter, NotificationStatus
from storage.operations.claim_guarded import claim_guarded
from tests.builders import NOON, RETRY_POLICY, Queue, SettableClock
from tests.certctl_mcp.fake_notifiers import (
    OutageNotifier,
    RateLimitedNotifier,
    SessionLimitedNotifier,
    WorkingNotifier,
)
from tests.certctl_mcp.retry_loops import retry_loop, running
from tests.certctl_mcp.simulated_time import SharedSimulatedTime
from tests.exploration import size

pytestmark = pytest.mark.both_databases

SECOND = timedelta(seconds=1)
SLACK = Rate(SECOND, 5)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


Receiver = RateLimitedNotifier | SessionLimitedNotifier | OutageNotifier


async def attempt(
    url: str, queue: Queue, receiver: Receiver, rules: ChannelRules, workers: int, alerts: int
) -> None:
    """Run workers until all alerts are delivered or a day has passed."""
    for number in range(alerts):
        await queue.pending(channel="Slack", message=f"{number}")
        queue.clock.advance(timedelta(microseconds=1))
    async with AsyncExitStack() as stack:
        databases = [
            await stack.enter_async_context(Database.open(url, clock=queue.clock)) for _ in range(workers)
        ]

        def loop(number: int, wait: Waiter) -> RetryLoop:
            return retry_loop(
                databases[number],
                {"Slack": receiver},
                rules={"Slack": rules},
                worker=f"worker-{number}",
                wait=wait,
            )

        time = SharedSimulatedTime(queue.clock, workers, lambda: len(receiver.delivered) >= alerts, DAY)
        await time.pass_for(loop)


async def deliver(
    url: str, queue: Queue, receiver: Receiver, rules: ChannelRules, workers: int, alerts: int
) -> None:
    """Like `attempt`, and check that all are delivered without using a retry."""
    await attempt(url, queue, receiver, rules, workers, alerts)
    assert nonzero(await queue.repository.count_by_status()) == {NotificationStatus.SENT: alerts}
    assert {notification.retry_count for notification in await all_notifications(queue)} == {0}


async def all_notifications(queue: Queue) -> tuple[Notification, ...]:
    return (await queue.repository.list(NotificationFilter(), limit=500)).items


@pytest.mark.parametrize(("workers", "alerts"), [(1, size(40, 300)), (4, size(25, 300))])
async def test_a_burst_is_delivered_at_the_rate_limit_and_in_order(
    database_url: str, queue: Queue, clock: SettableClock, workers: int, alerts: int
) -> None:
    receiver = RateLimitedNotifier(clock, SLACK)
    await deliver(database_url, queue, receiver, ChannelRules(Rate(SECOND, 4)), workers, alerts)
    assert receiver.refused == 0
    assert [message for _, message in receiver.delivered] == [str(number) for number in range(alerts)]
    last, _ = receiver.delivered[-1]
    assert last - NOON <= (alerts - 4) * SECOND + SECOND


@pytest.mark.parametrize(("workers", "alerts"), [(1, size(20, 300)), (4, size(20, 300))])
async def test_an_unknown_rate_limit_costs_no_retry_and_little_time(
    database_url: str, queue: Queue, clock: SettableClock, workers: int, alerts: int
) -> None:
    receiver = RateLimitedNotifier(clock, SLACK)
    await deliver(database_url, queue, receiver, ChannelRules(), workers, alerts)
    last, _ = receiver.delivered[-1]
    assert last - NOON <= 1.5 * alerts * SECOND


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_relay_with_few_sessions_gets_every_email(
    database_url: str, queue: Queue, workers: int
) -> None:
    relay, alerts = SessionLimitedNotifier(3), size(30, 300)
    await deliver(database_url, queue, relay, ChannelRules(), workers, alerts)
    assert sorted(map(int, relay.delivered)) == list(range(alerts))


@pytest.mark.parametrize("workers", [1, 4])
async def test_the_limit_of_sessions_is_not_exceeded(database_url: str, queue: Queue, workers: int) -> None:
    relay = SessionLimitedNotifier(3)
    await deliver(database_url, queue, relay, ChannelRules(sessions=3), workers, size(30, 300))
    assert relay.refused == 0


def nonzero(counts: dict[NotificationStatus, int]) -> dict[NotificationStatus, int]:
    return {status: count for status, count in counts.items() if count}


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_held_channel_is_probed_by_one_worker_and_loses_nothing(
    database_url: str, queue: Queue, clock: SettableClock, workers: int
) -> None:
    alerts = size(30, 500)
    receiver = OutageNotifier(clock, NOON + HOUR)
    rules = ChannelRules(Rate(SECOND / 10, 5), hold=DAY, backoff=RETRY_POLICY.wait)
    await attempt(database_url, queue, receiver, rules, workers, alerts)
    assert nonzero(await queue.repository.count_by_status()) == {NotificationStatus.SENT: alerts}
    # The rate limit lets five begin before the third has failed.
    probes = receiver.failed[5:]
    minutes = [round((probe - NOON) / timedelta(minutes=1)) for probe in probes]
    assert minutes == [1, 3, 7, 15, 31]
    opened, _ = receiver.delivered[0]
    last, _ = receiver.delivered[-1]
    assert round((opened - NOON) / timedelta(minutes=1)) == 63
    assert last - opened <= alerts * SECOND / 10 + SECOND
    # Those that failed first are in their places: only the probe that opened the channel came before them.
    arrived = [int(message) for _, message in receiver.delivered[1:]]
    assert arrived == sorted(arrived)


async def test_without_a_hold_notifications_die_after_their_retries(
    database_url: str, queue: Queue, clock: SettableClock
) -> None:
    receiver = OutageNotifier(clock, NOON + HOUR)
    await attempt(database_url, queue, receiver, ChannelRules(backoff=RETRY_POLICY.wait), 1, 5)
    assert nonzero(await queue.repository.count_by_status()) == {NotificationStatus.DEAD: 5}
    minutes = [round((moment - NOON) / timedelta(minutes=1)) for moment in receiver.failed]
    assert minutes == [minute for minute in (0, 1, 3, 7, 15) for _ in range(5)]


async def test_a_limited_channel_is_claimed_again_soon_after_a_claim_failed_halfway(
    database: Database, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.sqlite.data_version.POLL_INTERVAL", DAY)
    write, failures = database.write, iter([DatabaseBusyError("locked by another process")])

    async def fail_at_first(operation: Any, item: Any, **options: bool) -> Any:
        if operation is claim_guarded and (failure := next(failures, None)):
            raise failure
        return await write(operation, item, **options)

    monkeypatch.setattr(database, "write", fail_at_first)
    await queue.pending(channel="Slack")
    await queue.pending(channel="Teams")
    slack, teams = WorkingNotifier(), WorkingNotifier()
    rules = {"Slack": ChannelRules(sessions=1)}
    async with running(retry_loop(database, {"Slack": slack, "Teams": teams}, rules=rules)):
        await teams.receives()
        await slack.receives()
