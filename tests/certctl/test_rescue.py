"""certctl keeps sending, and certctl-mcp takes over the alerts that it leaves. None is lost, and none arrives
twice unless its sender was killed."""

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
    """Kill the program about every ten minutes, and start it again at once or some minutes later."""
    for _ in range(times):
        await simulation.sleep(simulation.random.expovariate(1 / 600))
        program.kill()
        await simulation.sleep(simulation.random.choice((0, 30, 400, 900)))
        program.start()


async def test_despite_failures_and_kills_on_both_sides_every_alert_arrives_and_none_twice(
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


async def test_alongside_two_servers_of_certctl_no_alert_that_either_may_be_sending_is_repeated(
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
async def test_the_grace_period_is_how_long_certctl_may_take_to_send_an_alert_it_has_read(
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
        # Our own receiver responds sooner.
        ours = {"Email": Receiver(simulation)}
        Rescuer(simulation, NotificationRepository(database, rescue_after=GRACE), ours).start()
        await simulation.pass_time(timedelta(hours=1))
        await simulation.end()
    arrived = [*receivers["Email"].senders.values(), *ours["Email"].senders.values()]
    assert sum(map(len, arrived)) == times


async def test_certctl_does_not_send_a_rescued_alert_again(
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


async def test_alerts_that_certctl_has_already_read_are_left_for_it_to_send(
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
