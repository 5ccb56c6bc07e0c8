"""Workers on hosts of their own share one PostgreSQL, and whatever can happen between them happens."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import asyncpg
import pytest

from storage.database import Database
from storage.errors import StorageError
from storage.models import Attempt, AttemptOutcome, NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.holding import Held
from tests.postgresql import SOCKET, Server, serving, skipped_where_there_is_none
from tests.reliability.conftest import LEASE, with_short_leases
from tests.reliability.fleet import PATIENCE, READY, WORKER, Fleet
from tests.reliability.network import DATABASE, Network, NoNetworkError, network
from tests.reliability.progress import until, until_sent
from tests.reliability.receiver import Arrival, Receiver, receiving
from tests.reliability.test_shared_database import overlapping

NOTIFICATIONS = 300
PORT = 8080
CONNECTIONS = 25


@pytest.fixture
def hosts() -> Iterator[Network]:
    try:
        with network("one", "two") as made:
            yield made
    except NoNetworkError as failure:
        # Where everything has to be proven, what could not be tried is a failure.
        if os.environ.get("CI"):
            raise
        pytest.skip(str(failure))


@pytest.fixture
def server(hosts: Network) -> Iterator[Server]:
    settings = SOCKET | {"max_connections": str(CONNECTIONS)}
    with skipped_where_there_is_none(), serving(host=DATABASE, netns=hosts.database, settings=settings) as up:
        yield up


@pytest.fixture
def database_url(server: Server) -> str:
    return f"{server.socket_url()}&application_name=tests"


@pytest.fixture
async def receiver(hosts: Network) -> AsyncIterator[Receiver]:
    held = Held(receiving(Receiver(), hosts.listener(PORT)))
    yield await held.enter()
    await held.leave()


@pytest.fixture
async def fleet(server: Server, receiver: Receiver) -> AsyncIterator[Fleet]:
    fleet = Fleet(with_short_leases(f"{server.url()}?connect_timeout=2", receiver))
    yield fleet
    await fleet.kill()


async def test_a_worker_cut_off_from_the_database_changes_nothing_of_what_another_took_over(
    database: Database, receiver: Receiver, fleet: Fleet, hosts: Network
) -> None:
    answered = asyncio.Event()

    async def keep_the_first_waiting(arrival: Arrival) -> None:
        if arrival is receiver.arrivals[0]:
            await answered.wait()

    receiver.consider = keep_the_first_waiting
    repository = NotificationRepository(database)
    cut_off, other = [await fleet.start(*WORKER, within=hosts.host(name)) for name in ("one", "two")]
    for worker in (cut_off, other):
        await worker.tells(READY)
    other.send_signal(signal.SIGSTOP)
    held = (await repository.accept(new_notification())).notification
    await receiver.receives(1)
    hosts.cut("one")
    other.send_signal(signal.SIGCONT)
    answered.set()
    await until_sent(database, 1)
    taken = await repository.get(held.id)
    hosts.heal("one")

    async def late() -> bool:
        return any(attempt.late for attempt in await repository.attempts(held.id))

    await until(database, late)
    await cut_off.tells(f"{held.id}, attempt 1, came after its lease was lost and is refused")
    assert await repository.get(held.id) == taken
    assert (taken.status, taken.attempt_count) == (NotificationStatus.SENT, 2)
    first, second = await repository.attempts(held.id)
    assert (first.late, second.late) == (True, False)
    assert first.worker != second.worker
    assert_no_two_held(await repository.attempts(held.id))
    # Healed, it is as good as any.
    await fleet.replace(other)
    await repository.accept(new_notification(message="after"))
    await until_sent(database, 2)


async def test_every_notification_is_delivered_whatever_becomes_of_workers_lines_and_server(
    database: Database, receiver: Receiver, fleet: Fleet, hosts: Network, server: Server
) -> None:
    async def take_time(_: Arrival) -> None:
        await asyncio.sleep(0.02)

    receiver.consider = take_time
    repository = NotificationRepository(database)
    one, two = [await fleet.start(*WORKER, within=hosts.host(name)) for name in ("one", "two")]
    for worker in (one, two):
        await worker.tells(READY)
    accepting = asyncio.create_task(accept_all(repository))
    await receiver.receives(10)
    hosts.cut("one")
    await receiver.receives(30)
    two = await fleet.replace(two)
    await two.tells(READY)
    hosts.heal("one")
    await receiver.receives(80)
    await asyncio.to_thread(restart, server, "fast")
    await receiver.receives(120)
    await asyncio.to_thread(restart, server, "immediate")
    await receiver.receives(160)
    async with AsyncExitStack() as others:
        await take_all_connections(server, others)
        await one.tells("has no free connection")
    accepted = await accepting
    await until_sent(database, NOTIFICATIONS)
    assert await fleet.end() == [0, 0]
    assert "Traceback" not in fleet.told

    assert receiver.by_message.keys() == accepted.keys()
    for message, arrivals in receiver.by_message.items():
        assert {arrival.key for arrival in arrivals} == {accepted[message]}
        assert overlapping(arrivals) == []
    page = await repository.list(NotificationFilter(), limit=500)
    assert [n for n in page.items if not n.delivered or n.lease_owner] == []
    for notification in page.items:
        assert_no_two_held(await repository.attempts(notification.id))


async def accept_all(repository: NotificationRepository) -> dict[str, str]:
    """The id of each by its message. Where it isn't known whether one was accepted, it is offered again."""
    accepted = {}
    for number in range(NOTIFICATIONS):
        new = new_notification(message=f"alert {number}", idempotency_key=f"alert {number}")
        while new.message not in accepted:
            try:
                accepted[new.message] = (await repository.accept(new)).notification.id
            except StorageError:
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.01)
    return accepted


def restart(server: Server, how: str) -> None:
    server.stop(how)
    server.start()


async def take_all_connections(server: Server, held: AsyncExitStack) -> None:
    """Until the workers have none."""
    workers = "FROM pg_stat_activity WHERE application_name = 'certctl-mcp'"
    first = await asyncpg.connect(server.socket_url())
    held.push_async_callback(first.close)
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while True:
            try:
                while True:
                    other = await asyncpg.connect(server.socket_url())
                    held.push_async_callback(other.close)
            except asyncpg.TooManyConnectionsError:
                if not await first.fetchval(f"SELECT count(*) {workers}"):
                    return
                await first.execute(f"SELECT pg_terminate_backend(pid) {workers}")


def assert_no_two_held(attempts: tuple[Attempt, ...]) -> None:
    """Each claim began when the one before it had been answered, or its lease had ended."""
    ended: datetime | None = None
    for attempt in attempts:
        assert ended is None or attempt.started_at >= ended, attempts
        answered = attempt.outcome is not AttemptOutcome.ABANDONED and not attempt.late
        held = attempt.duration if answered else LEASE
        ended = attempt.started_at + (held or timedelta(0))
