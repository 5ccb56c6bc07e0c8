"""certctl's server is stopped and certctl-mcp delivers; if it isn't stopped, that is noticed."""

from datetime import timedelta

import asyncpg

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import NOON, SettableClock
from tests.certctl.receiver import Receiver
from tests.certctl.rescuer import Rescuer
from tests.certctl.server import Certctl
from tests.certctl.simulation import Simulation

ALERTS = 50
MINUTE = timedelta(minutes=1)


async def test_alerts_that_a_stopped_certctl_left_arrive_once(
    migrated_url: str, connection: asyncpg.Connection, simulation: Simulation, clock: SettableClock
) -> None:
    receivers = {"Email": Receiver(simulation, takes=timedelta(seconds=10))}
    certctl = Certctl(simulation, connection, receivers)
    for subject in range(ALERTS):
        certctl.alert("Email", f"host-{subject}.example.com", 7)
    await simulation.pass_time(timedelta(seconds=5))
    certctl.kill()
    async with Database.open(migrated_url, clock=clock) as database:
        repository = NotificationRepository(database)
        Rescuer(simulation, repository, receivers).start()
        await simulation.pass_time(10 * MINUTE)
        await simulation.end()
        assert await repository.settled_by_certctl(NOON - MINUTE) == 0
    assert list(receivers["Email"].senders.values()) == [["certctl-mcp"]] * ALERTS


async def test_alongside_a_running_certctl_alerts_arrive_twice_and_that_is_noticed(
    migrated_url: str, connection: asyncpg.Connection, simulation: Simulation, clock: SettableClock
) -> None:
    certctl_s, ours = (Receiver(simulation, takes=timedelta(seconds=2)) for _ in range(2))
    async with Database.open(migrated_url, clock=clock) as database:
        repository = NotificationRepository(database)
        certctl = Certctl(simulation, connection, {"Email": certctl_s})
        # As soon as a trigger has announced the new row.
        Rescuer(simulation, repository, {"Email": ours}, longest_sleep=timedelta(seconds=1)).start()
        certctl.start()
        for subject in range(ALERTS):
            certctl.alert("Email", f"host-{subject}.example.com", 7)
            await simulation.pass_time(timedelta(seconds=7))
        await simulation.pass_time(MINUTE)
        await simulation.end()
        # A row that both have updated, certctl last, looks as if we had delivered it.
        assert await repository.settled_by_certctl(NOON - MINUTE) > ALERTS / 10
    assert ours.senders.keys() == certctl_s.senders.keys()
