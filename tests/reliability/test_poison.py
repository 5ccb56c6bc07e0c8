"""A notification whose every attempt kills the process: it ends as a dead letter, and delays no other."""

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
from tests.reliability.progress import until, until_sent
from tests.reliability.receiver import Receiver

INNOCENTS = 30
STUCK = 2

POISONABLE = """
import asyncio, os, signal

class Poisonable:
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
poisonable = poisonable:Poisonable
"""

SETTINGS = """
[channels.Pager]
kind = "plugin"
notifier = "poisonable"
options = { pause = 0.01 }

[channels.Stuck]
kind = "plugin"
notifier = "poisonable"
options = { pause = 0.01 }
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """An installed package with a notifier."""
    site = tmp_path / "site-packages"
    metadata = site / "poisonable-1.0.dist-info"
    metadata.mkdir(parents=True)
    (site / "poisonable.py").write_text(POISONABLE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: poisonable\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    return site


@pytest.fixture
def fleet(fleet: Fleet, plugin: Path, tmp_path: Path) -> Fleet:
    """A fleet with the channel of the plugin, beside the webhook's."""
    config = tmp_path / "certctl-mcp.toml"
    config.write_text(SETTINGS)
    fleet.settings |= {
        "CERTCTL_CONFIG": str(config),
        "PYTHONPATH": f"{plugin}:{ROOT}",
        "CERTCTL_NOTIFICATION_SEND_TIMEOUT": "0.5s",
        "CERTCTL_NOTIFICATION_LEASE": "1.5s",
        "CERTCTL_NOTIFICATION_BACKOFF_BASE": "100ms",
        "CERTCTL_NOTIFICATION_BACKOFF_CAP": "200ms",
        # Whatever is in flight when the worker dies may become a suspect too, and each costs a process.
        "CERTCTL_NOTIFICATION_CHANNEL_CONCURRENCY": "2",
    }
    return fleet


@asynccontextmanager
async def supervised(fleet: Fleet) -> AsyncIterator[None]:
    """One worker and, as systemd would see to it, another in the place of each that dies."""

    async def supervise() -> None:
        member = await fleet.start(*WORKER)
        while True:
            await member.ends()
            member = await fleet.replace(member)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervise)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


async def test_what_kills_every_worker_ends_in_the_dead_letters_and_the_rest_is_delivered_meanwhile(
    database: Database, receiver: Receiver, fleet: Fleet
) -> None:
    repository = NotificationRepository(database)
    poison = (await repository.accept(new_notification(message="poison", channel="Pager"))).notification
    for _ in range(STUCK):
        await repository.accept(new_notification(message="hang", channel="Stuck"))
    for number in range(INNOCENTS):
        channel = ("Pager", "Webhook")[number % 2]
        await repository.accept(new_notification(message=f"innocent {number}", channel=channel))

    async def dead() -> bool:
        return (await repository.get(poison.id)).status is NotificationStatus.DEAD

    async with supervised(fleet):
        await until_sent(database, INNOCENTS)
        assert not await dead()
        await until(database, dead)
    assert await fleet.end() == [0]

    attempts = await repository.attempts(poison.id)
    assert [attempt.outcome for attempt in attempts] == [AttemptOutcome.ABANDONED] * 10
    killed = await repository.get(poison.id)
    assert killed.last_error is not None
    assert killed.last_error.startswith(
        "abandoned 10 times: the process that attempted it was killed by SIGKILL"
    )
    # The first three killed the worker itself; after that, only a process of the notification's own died.
    assert [attempt.duration is None for attempt in attempts] == [True] * 3 + [False] * 7
    assert (killed.retry_count, killed.next_retry_at, killed.lease_owner) == (0, None, None)
    page = await repository.list(NotificationFilter(statuses=(NotificationStatus.SENT,)))
    assert len(page.items) == INNOCENTS
    assert all(innocent.delivered for innocent in page.items)
