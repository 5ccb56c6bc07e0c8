"""A notification that crashes every process that attempts it becomes a dead letter and delays no other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from storage.database import Database
from storage.models import AttemptOutcome, NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.processes import ROOT
from tests.reliability.fleet import WORKER, Fleet
from tests.reliability.receiver import Receiver
from tests.reliability.wait_until import wait_until, wait_until_sent

HARMLESS = 30
STUCK = 2

CRASHING_NOTIFIER = """
import asyncio, os, signal

class CrashingNotifier:
    def __init__(self, options):
        self.pause = options["pause"]

    async def send(self, notification):
        if notification.message == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(600 if notification.message == "hang" else self.pause)

    async def aclose(self):
        pass
"""

ENTRY_POINTS = """
[certctl_mcp.notifiers]
crashing = crashing:CrashingNotifier
"""

SETTINGS = """
[channels.Pager]
kind = "plugin"
notifier = "crashing"
options = { pause = 0.01 }

[channels.Stuck]
kind = "plugin"
notifier = "crashing"
options = { pause = 0.01 }
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """An installed package with a notifier."""
    site = tmp_path / "site-packages"
    metadata = site / "crashing-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "crashing.py").write_text(CRASHING_NOTIFIER)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: crashing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture
def fleet(fleet: Fleet, plugin: Path, tmp_path: Path) -> Fleet:
    """A fleet with the plugin's channels in addition to the webhook."""
    config = tmp_path / "certctl-mcp.toml"
    config.write_text(SETTINGS)
    fleet.settings |= {
        "CERTCTL_CONFIG": str(config),
        "PYTHONPATH": f"{plugin}:{ROOT}",
        "CERTCTL_NOTIFICATION_SEND_TIMEOUT": "0.5s",
        "CERTCTL_NOTIFICATION_LEASE": "1.5s",
        "CERTCTL_NOTIFICATION_BACKOFF_BASE": "100ms",
        "CERTCTL_NOTIFICATION_BACKOFF_CAP": "200ms",
        # Other attempts in flight when the worker dies may become suspects too, and each needs a process.
        "CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY": "2",
    }
    return fleet


@asynccontextmanager
async def supervised(fleet: Fleet) -> AsyncIterator[None]:
    """Runs one worker and restarts it when it dies, as systemd would."""

    async def supervise() -> None:
        member = await fleet.start(*WORKER)
        while True:
            await member.wait_for_exit()
            member = await fleet.replace(member)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervise)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def test_a_notification_that_kills_its_workers_becomes_a_dead_letter_while_others_are_delivered(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    repository = NotificationRepository(database)
    poison = (await repository.accept(new_notification(message="poison", channel="Pager"))).notification
    for _ in range(STUCK):
        await repository.accept(new_notification(message="hang", channel="Stuck"))
    for number in range(HARMLESS):
        channel = ("Pager", "Webhook")[number % 2]
        await repository.accept(new_notification(message=f"harmless {number}", channel=channel))

    async def dead() -> bool:
        return (await repository.get(poison.id)).status is NotificationStatus.DEAD

    async with supervised(fleet):
        await wait_until_sent(database, HARMLESS)
        assert not await dead()
        await wait_until(database, dead)
    assert await fleet.end() == [0]

    attempts = await repository.attempts(poison.id)
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.ABANDONED] * 10
    killed = await repository.get(poison.id)
    assert killed.last_error is not None
    assert killed.last_error.startswith(
        "abandoned 10 times: the process that attempted it was killed by SIGKILL"
    )
    # The first three killed the worker; after that, only the suspect's own process died.
    assert [attempt.duration is None for attempt in attempts] == [True] * 3 + [False] * 7
    assert (killed.retry_count, killed.next_retry_at, killed.lease_owner) == (0, None, None)
    page = await repository.list(NotificationFilter(statuses=(NotificationStatus.SENT,)))
    assert len(page.items) == HARMLESS
    assert all(harmless.delivered for harmless in page.items)
