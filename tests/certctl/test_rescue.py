"""certctl goes on sending, and certctl-mcp takes over what it leaves. Nothing is lost, and nothing arrives
twice unless somebody died who had sent it."""

from collections import Counter
from datetime import timedelta

import asyncpg
import pytest

from storage.database import Database
from storage.repository import NotificationRepository
from tests.builders import SettableClock
from tests.certctl.receiver import Receiver
from tests.certctl.rescuer import Rescuer
from tests.certctl.server import Certctl
from tests.certctl.simulation import Simulation
from tests.exploration import size

ALERTS = size(250, 500)
GRACE = timedelta(minutes=5)
SECOND = timedelta(seconds=1)
_STATUSES = "SELECT status, message FROM notification_events"


async def alert(simulation: Simulation, certctl: Certctl, number: int = ALERTS, of: int = 0) -> None:
    for subject in range(number):
        certctl.alert("Email" if subject % 3 else "Slack", f"host-{subject}.site-{of}.example.com", 7)
        await simulation.sleep(simulation.random.expovariate(1 / 15))


async def kill(simulation: Simulation, program: Certctl | Rescuer, times: int) -> None:
    """Every ten minutes or so. It is back after some minutes, or at once."""
    for _ in range(times):
        await simulation.sleep(simulation.random.expovariate(1 / 600))
        program.kill()
        await simulation.sleep(simulation.random.choice((0, 30, 400, 900)))
        program.start()


async def test_with_failures_and_deaths_on_both_sides_everything_arrives_and_nothing_twice(
    migrated_url: str, connection: asyncpg.Connection, simulation: Simulation, clock: SettableClock
) -> None:
    receivers = {"Email": Receiver(simulation, refuses=0.3), "Slack": Receiver(simulation, refuses=0.1)}
    async with Database.open(migrated_url, clock=clock) as database:
        repository = NotificationRepository(database, rescue_after=GRACE)
        certctl = Certctl(simulation, connection, receivers)
        rescuer = Rescuer(simulation, repository, receivers)
        for program in (certctl, rescuer):
            program.start()
            simulation.start(kill(simulation, program, times=ALERTS // 50))
        simulation.start(alert(simulation, certctl))
        await simulation.pass_time(timedelta(hours=size(5, 8)))
        await simulation.end()
    arrived = receivers["Email"].senders | receivers["Slack"].senders
    rows = [tuple(row) for row in await connection.fetch(_STATUSES)]
    assert {status for status, _ in rows} <= {"sent", "dead"}
    assert {message for status, message in rows if status == "sent"} <= arrived.keys()
    assert sum(status == "dead" for status, _ in rows) < 10
    senders = Counter(sender for each in arrived.values() for sender in each)
    assert senders["certctl-mcp"] > ALERTS / 10
    assert {*receivers["Email"].repeated_by_us, *receivers["Slack"].repeated_by_us} == set()


async def test_beside_two_servers_of_certctl_nothing_that_either_may_be_sending_is_doubled(
    migrated_url: str, connection: asyncpg.Connection, simulation: Simulation, clock: SettableClock
) -> None:
    receivers = {"Email": Receiver(simulation, refuses=0.3), "Slack": Receiver(simulation, refuses=0.1)}
    async with Database.open(migrated_url, clock=clock) as database:
        servers = [Certctl(simulation, connection, receivers, name=name) for name in ("first", "second")]
        rescuer = Rescuer(simulation, NotificationRepository(database, rescue_after=GRACE), receivers)
        programs: list[Certctl | Rescuer] = [*servers, rescuer]
        for program in programs:
            program.start()
            simulation.start(kill(simulation, program, times=3))
        for number, certctl in enumerate(servers):
            simulation.start(alert(simulation, certctl, number=60, of=number))
        await simulation.pass_time(timedelta(hours=3))
        await simulation.end()
    arrived = receivers["Email"].senders | receivers["Slack"].senders
    rows = [tuple(row) for row in await connection.fetch(_STATUSES)]
    assert {status for status, _ in rows} <= {"sent", "dead"}
    assert {message for status, message in rows if status == "sent"} <= arrived.keys()
    assert "certctl-mcp" in {sender for each in arrived.values() for sender in each}
    assert {*receivers["Email"].repeated_by_us, *receivers["Slack"].repeated_by_us} == set()


@pytest.mark.parametrize(("takes", "times"), [(GRACE - SECOND, 1), (2 * GRACE + SECOND, 2)], ids=str)
async def test_the_grace_is_how_long_certctl_may_take_to_send_what_it_has_read(
    migrated_url: str,
    connection: asyncpg.Connection,
    simulation: Simulation,
    clock: SettableClock,
    takes: timedelta,
    times: int,
) -> None:
    receivers = {"Email": Receiver(simulation, takes=takes)}
    async with Database.open(migrated_url, clock=clock) as database:
        certctl = Certctl(simulation, connection, receivers)
        certctl.alert("Email", "api.example.com", 7)
        # Ours does not take that long.
        ours = {"Email": Receiver(simulation)}
        Rescuer(simulation, NotificationRepository(database, rescue_after=GRACE), ours).start()
        await simulation.pass_time(timedelta(hours=1))
        await simulation.end()
    arrived = [*receivers["Email"].senders.values(), *ours["Email"].senders.values()]
    assert sum(map(len, arrived)) == times


async def test_certctl_does_not_alert_again_on_what_was_rescued(
    migrated_url: str, connection: asyncpg.Connection, simulation: Simulation, clock: SettableClock
) -> None:
    receivers = {"Email": Receiver(simulation, refuses=1)}
    async with Database.open(migrated_url, clock=clock) as database:
        certctl = Certctl(simulation, connection, receivers)
        Rescuer(simulation, NotificationRepository(database, rescue_after=GRACE), receivers).start()
        certctl.alert("Email", "api.example.com", 7)
        await simulation.pass_time(timedelta(minutes=1))
        receivers["Email"].refuses = 0
        await simulation.pass_time(timedelta(hours=1))
        certctl.alert("Email", "api.example.com", 7)
        await simulation.pass_time(timedelta(hours=1))
        await simulation.end()
    assert list(receivers["Email"].senders.values()) == [["certctl-mcp"]]


async def test_what_certctl_has_read_when_it_is_taken_over_is_certctl_s_to_send(
    migrated_url: str, connection: asyncpg.Connection, simulation: Simulation, clock: SettableClock
) -> None:
    receivers = {"Email": Receiver(simulation, takes=1.2 * SECOND)}
    async with Database.open(migrated_url, clock=clock) as database:
        certctl = Certctl(simulation, connection, receivers)
        for subject in range(20):
            certctl.alert("Email", f"host-{subject}.example.com", 7)
        await simulation.pass_time(SECOND)
        certctl.kill()
        await simulation.pass_time(2 * GRACE)
        certctl.start()
        await simulation.pass_time(SECOND)
        Rescuer(simulation, NotificationRepository(database, rescue_after=GRACE), receivers).start()
        await simulation.pass_time(2 * GRACE)
        await simulation.end()
    assert list(receivers["Email"].senders.values()) == [["certctl"]] * 20
