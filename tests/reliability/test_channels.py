"""Processes with different channels share one database. Each alert is delivered by one with its channel."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from storage.database import Database
from storage.models import Notification, NotificationFilter, NotificationStatus
from storage.repository import NotificationRepository
from tests.builders import new_notification
from tests.reliability.fleet import PATIENCE, READY, WORKER, Fleet
from tests.reliability.wait_until import wait_until_sent

pytestmark = pytest.mark.both_databases

OBSERVER = ("--read-only", "--tools", "triage")


class FailingFirst:
    """Responds 503 to the first request about each alert and 200 afterwards, with a path for each channel."""

    def __init__(self) -> None:
        self.url = ""
        self.delivered: Counter[tuple[str, str]] = Counter()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._more = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.Response:
        (message,) = set(re.findall(r"alert-\d+", await request.text()))
        about = request.path.strip("/"), message
        self._requests[about] += 1
        if self._requests[about] == 1:
            return web.Response(status=503)
        async with self._more:
            self.delivered[about] += 1
            self._more.notify_all()
        return web.Response()

    async def wait_for_deliveries(self, number: int) -> None:
        """Return once this many requests got the response 200."""
        async with asyncio.timeout(PATIENCE.total_seconds()), self._more:
            await self._more.wait_for(lambda: self.delivered.total() >= number)


@pytest.fixture
async def receiver() -> AsyncIterator[FailingFirst]:
    receiver = FailingFirst()
    application = web.Application()
    application.router.add_post("/{channel}", receiver.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def slack(database_url: str, receiver: FailingFirst, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Processes with only Slack, without Slack's rate limit of one message a second."""
    config = tmp_path / "slack.toml"
    config.write_text(
        f'[channels.Slack]\nkind = "slack"\nwebhook_url = "{receiver.url}/Slack"\nrate = "unlimited"\n'
    )
    fleet = Fleet(settings(database_url, CERTCTL_CONFIG=str(config)))
    yield fleet
    await fleet.kill()


@pytest.fixture
async def webhook(database_url: str, receiver: FailingFirst) -> AsyncIterator[Fleet]:
    """Processes with only Webhook."""
    fleet = Fleet(settings(database_url, CERTCTL_WEBHOOK_URL=f"{receiver.url}/Webhook"))
    yield fleet
    await fleet.kill()


@pytest.fixture
async def observers(database_url: str) -> AsyncIterator[Fleet]:
    """Processes without a channel."""
    fleet = Fleet(settings(database_url))
    yield fleet
    await fleet.kill()


def settings(database_url: str, **more: str) -> dict[str, str]:
    return {
        "CERTCTL_DATABASE_URL": database_url,
        "CERTCTL_NOTIFICATION_BACKOFF_BASE": "0.5s",
        "CERTCTL_NOTIFICATION_RETRY_INTERVAL": "1s",
        **more,
    }


async def accept(repository: NotificationRepository, channel: str, number: int) -> None:
    await asyncio.gather(
        *(
            repository.accept(new_notification(channel=channel, message=f"alert-{count}"))
            for count in range(number)
        )
    )


async def notifications_of(repository: NotificationRepository, channel: str) -> tuple[Notification, ...]:
    return (await repository.list(NotificationFilter(channel=channel), limit=500)).items


async def test_servers_with_different_channels_each_deliver_their_own(
    database: Database, receiver: FailingFirst, slack: Fleet, webhook: Fleet
) -> None:
    repository = NotificationRepository(database)
    await slack.start()
    await webhook.start()
    await accept(repository, "Slack", 40)
    await accept(repository, "Webhook", 20)
    await wait_until_sent(database, 60)
    assert (await repository.queue_counts()).undelivered == 0
    assert receiver.delivered.keys() == {("Slack", f"alert-{n}") for n in range(40)} | {
        ("Webhook", f"alert-{n}") for n in range(20)
    }
    for notification in await notifications_of(repository, "Slack"):
        assert (notification.delivered, notification.retry_count) == (True, 1)


async def test_an_observer_without_channels_claims_nothing(
    database: Database, receiver: FailingFirst, webhook: Fleet, observers: Fleet
) -> None:
    repository = NotificationRepository(database)
    await observers.start(*OBSERVER)
    # Before the worker starts, the observer has time to claim them.
    await accept(repository, "Webhook", 50)
    worker = await webhook.start(*WORKER)
    await worker.wait_for_output(READY)
    await receiver.wait_for_deliveries(50)
    await wait_until_sent(database, 50)
    assert (await repository.queue_counts()).undelivered == 0


async def test_while_the_only_worker_of_a_channel_is_down_its_alerts_wait(
    database: Database, receiver: FailingFirst, slack: Fleet, webhook: Fleet
) -> None:
    repository = NotificationRepository(database)
    await slack.start(*WORKER)
    await accept(repository, "Webhook", 50)
    # By the time that this one has failed and been delivered, the worker has polled the queue repeatedly.
    await accept(repository, "Slack", 1)
    await receiver.wait_for_deliveries(1)
    assert {n.status for n in await notifications_of(repository, "Webhook")} == {NotificationStatus.PENDING}
    await webhook.start(*WORKER)
    await wait_until_sent(database, 51)
    assert (await repository.queue_counts()).undelivered == 0


async def test_undeliverable_alerts_are_settled_and_can_be_requeued_for_a_new_worker(
    database: Database, receiver: FailingFirst, slack: Fleet, webhook: Fleet
) -> None:
    repository = NotificationRepository(database)
    slack.settings["CERTCTL_NOTIFICATION_MISSING_NOTIFIER_AFTER"] = "1s"
    await slack.start(*WORKER)
    await accept(repository, "Webhook", 10)
    await wait_until_sent(database, 10)
    assert (await repository.queue_counts()).undelivered == 10
    (process,) = await repository.processes()
    assert process.channels == ("Slack",)
    settled = await notifications_of(repository, "Webhook")
    assert {n.error for n in settled} == {"no notifier configured for channel Webhook; not delivered"}
    worker = await webhook.start(*WORKER)
    await worker.wait_for_output(READY)
    report = await repository.requeue_all([n.id for n in settled])
    assert report.changed == 10
    await receiver.wait_for_deliveries(10)
    await wait_until_sent(database, 10)
    assert (await repository.queue_counts()).undelivered == 0
    assert await webhook.end() == [0]
    assert [process.channels for process in await repository.processes()] == [("Slack",)]
