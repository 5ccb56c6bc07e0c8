"""Several processes deliver from one database: every alert arrives, and none is attempted twice at a time."""

import asyncio
import itertools
import random
import signal

import pytest

from certctl_mcp.config.settings import Settings
from storage.database import Database
from storage.models import NotificationFilter
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.exploration import size
from tests.reliability.fleet import READY, SERVER, WORKER, Fleet
from tests.reliability.receiver import Arrival, Receiver
from tests.reliability.wait_until import wait_until_sent

pytestmark = pytest.mark.both_databases

KILLED = 8


@pytest.fixture
def number(database_url: str) -> int:
    """The number of notifications. PostgreSQL needs fewer, because processes really run in parallel there."""
    if database_url.startswith("sqlite"):
        return size(short=400, long=2000)
    return size(short=250, long=600)


async def accept(database: Database, number: int) -> dict[str, str]:
    """Accept that many; returns the id of each by its message."""
    repository = NotificationRepository(database)
    messages = [f"alert {count}" for count in range(number)]
    accepted = await asyncio.gather(
        *(repository.accept(new_notification(message=message)) for message in messages)
    )
    return {each.notification.message: each.notification.id for each in accepted}


def overlapping(arrivals: list[Arrival]) -> list[tuple[Arrival, Arrival]]:
    """Pairs of requests that the receiver handled at the same time."""
    in_order = sorted(arrivals, key=lambda arrival: arrival.begun)
    return [(one, next_) for one, next_ in itertools.pairwise(in_order) if next_.begun < one.ended]


def slow_down(chance: random.Random, receiver: Receiver, first: int = 0) -> None:
    """`first`: the number of requests that must have arrived before any is answered."""

    async def wait(_: Arrival) -> None:
        await receiver.wait_for_requests(first)
        await asyncio.sleep(chance.uniform(0.002, 0.03))

    receiver.before_response = wait


async def test_four_workers_deliver_each_notification_once(
    database: Database, receiver: Receiver, fleet: Fleet, chance: random.Random, number: int
) -> None:
    # More than three workers can have in flight, so each of the four has a share.
    slow_down(chance, receiver, first=3 * Settings().channel_concurrency + 1)
    for member in [await fleet.start(*WORKER) for _ in range(4)]:
        await member.wait_for_output(READY)
    ids = await accept(database, number)
    await wait_until_sent(database, number)
    assert await fleet.end() == [0, 0, 0, 0]
    assert {arrival.message: arrival.key for arrival in receiver.arrivals} == ids
    assert len(receiver.arrivals) == number
    for member in fleet.members:
        assert "attempts: 0 sent" not in member.output


async def test_every_notification_arrives_despite_killed_processes_and_repeats_have_the_same_key(
    database: Database, receiver: Receiver, fleet: Fleet, chance: random.Random, number: int
) -> None:
    slow_down(chance, receiver)
    ids = await accept(database, number)
    for command in (WORKER, WORKER, SERVER, SERVER):
        await fleet.start(*command)
    for arrived in sorted(chance.sample(range(number), KILLED)):
        await receiver.wait_for_requests(arrived)
        await fleet.replace(chance.choice(fleet.members))
    await wait_until_sent(database, number)
    # The last one started may not handle signals yet.
    assert set(await fleet.end()) <= {0, -signal.SIGTERM}
    assert receiver.by_message.keys() == ids.keys()
    for message, arrivals in receiver.by_message.items():
        assert {arrival.key for arrival in arrivals} == {ids[message]}
        assert overlapping(arrivals) == []
    page = await NotificationRepository(database).list(NotificationFilter(), limit=500)
    assert all(notification.lease_owner is None for notification in page.items)
