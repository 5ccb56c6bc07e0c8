"""Workers on separate hosts share one PostgreSQL, while network and server fail in many ways."""

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
from tests.context_in_task import ContextInTask
from tests.postgresql import SOCKET, Server, serving, skip_if_unavailable
from tests.reliability.conftest import LEASE, short_lease_settings
from tests.reliability.fleet import PATIENCE, READY, WORKER, Fleet
from tests.reliability.network import DATABASE, Network, NoNetworkError, network
from tests.reliability.receiver import Arrival, Receiver, receiving
from tests.reliability.test_shared_database import overlapping
from tests.reliability.wait_until import wait_until, wait_until_sent

NOTIFICATIONS = 300
PORT = 8080
CONNECTIONS = 25


@pytest.fixture
def hosts() -> Iterator[Network]:
    try:
        with network("one", "two") as made:
            yield made
    except NoNetworkError as failure:
        # In CI, nothing may be skipped.
        if os.environ.get("CI"):
            raise
        pytest.skip(str(failure))


@pytest.fixture
def server(hosts: Network) -> Iterator[Server]:
    settings = SOCKET | {"max_connections": str(CONNECTIONS)}
    with skip_if_unavailable(), serving(host=DATABASE, netns=hosts.database, settings=settings) as up:
        yield up


@pytest.fixture
def database_url(server: Server) -> str:
    return f"{server.socket_url()}&application_name=tests"


@pytest.fixture
async def receiver(hosts: Network) -> AsyncIterator[Receiver]:
    context = ContextInTask(receiving(Receiver(), hosts.listener(PORT)))
    yield await context.enter()
    await context.exit()


@pytest.fixture
async def fleet(server: Server, receiver: Receiver) -> AsyncIterator[Fleet]:
    fleet = Fleet(short_lease_settings(f"{server.url()}?connect_timeout=2", receiver))
    yield fleet
    await fleet.kill()


async def test_a_worker_cut_off_from_the_database_cannot_change_what_another_took_over(
    database: Database, receiver: Receiver, fleet: Fleet, hosts: Network
) -> None:
    answered = asyncio.Event()

    async def delay_the_first_response(arrival: Arrival) -> None:
        if arrival is receiver.arrivals[0]:
            await answered.wait()

    receiver.before_response = delay_the_first_response
    repository = NotificationRepository(database)
    cut_off, other = [await fleet.start(*WORKER, within=hosts.host(name)) for name in ("one", "two")]
    for worker in (cut_off, other):
        await worker.wait_for_output(READY)
    other.send_signal(signal.SIGSTOP)
    held = (await repository.accept(new_notification())).notification
    await receiver.wait_for_requests(1)
    hosts.cut("one")
    other.send_signal(signal.SIGCONT)
    answered.set()
    await wait_until_sent(database, 1)
    taken = await repository.get(held.id)
    hosts.heal("one")

    async def late() -> bool:
        return any(attempt.late for attempt in await repository.attempts(held.id))

    await wait_until(database, late)
    await cut_off.wait_for_output(f"{held.id}, attempt 1, came after its lease was lost and is refused")
    assert await repository.get(held.id) == taken
    assert (taken.status, taken.attempt_count) == (NotificationStatus.SENT, 2)
    first, second = await repository.attempts(held.id)
    assert (first.late, second.late) == (True, False)
    assert first.worker != second.worker
    assert_leases_do_not_overlap(await repository.attempts(held.id))
    # Once reconnected, it delivers again.
    await fleet.replace(other)
    await repository.accept(new_notification(message="after"))
    await wait_until_sent(database, 2)


async def test_every_notification_is_delivered_despite_failing_workers_links_and_server(
    database: Database, receiver: Receiver, fleet: Fleet, hosts: Network, server: Server
) -> None:
    async def slow_down(_: Arrival) -> None:
        await asyncio.sleep(0.02)

    receiver.before_response = slow_down
    repository = NotificationRepository(database)
    one, two = [await fleet.start(*WORKER, within=hosts.host(name)) for name in ("one", "two")]
    for worker in (one, two):
        await worker.wait_for_output(READY)
    accepting = asyncio.create_task(accept_all(repository))
    await receiver.wait_for_requests(10)
    hosts.cut("one")
    await receiver.wait_for_requests(30)
    two = await fleet.replace(two)
    await two.wait_for_output(READY)
    hosts.heal("one")
    await receiver.wait_for_requests(80)
    await asyncio.to_thread(restart, server, "fast")
    await receiver.wait_for_requests(120)
    await asyncio.to_thread(restart, server, "immediate")
    await receiver.wait_for_requests(160)
    async with AsyncExitStack() as others:
        await use_up_all_connections(server, others)
        await one.wait_for_output("has no free connection")
    accepted = await accepting
    await wait_until_sent(database, NOTIFICATIONS)
    assert await fleet.end() == [0, 0]
    assert "Traceback" not in fleet.output

    assert receiver.by_message.keys() == accepted.keys()
    for message, arrivals in receiver.by_message.items():
        assert {arrival.key for arrival in arrivals} == {accepted[message]}
        assert overlapping(arrivals) == []
    page = await repository.list(NotificationFilter(), limit=500)
    assert [n for n in page.items if not n.delivered or n.lease_owner] == []
    for notification in page.items:
        assert_leases_do_not_overlap(await repository.attempts(notification.id))


async def accept_all(repository: NotificationRepository) -> dict[str, str]:
    """Accept all, retrying after errors; returns the id of each by its message."""
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


async def use_up_all_connections(server: Server, held: AsyncExitStack) -> None:
    """Open connections until there are none left for the workers."""
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


def assert_leases_do_not_overlap(attempts: tuple[Attempt, ...]) -> None:
    """Each claim began after the previous one had an outcome or its lease had expired."""
    ended: datetime | None = None
    for attempt in attempts:
        assert ended is None or attempt.started_at >= ended, attempts
        answered = attempt.outcome is not AttemptOutcome.ABANDONED and not attempt.late
        held = attempt.duration if answered else LEASE
        ended = attempt.started_at + (held or timedelta(0))
