"""An in-process server on a test's database, with fake notifiers. It delivers only in sweeps."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from mcp import Client

from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.delivery.retry_policy import RetryPolicy
from certctl_mcp.mcp_server.server import NotificationServer, build_server
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.runtime.application import Application
from certctl_mcp.runtime.lifespan import Opener
from certctl_mcp.services.channel_pauses import ChannelPauses
from certctl_mcp.services.notifications import NotificationService
from certctl_mcp.services.stats import StatsService
from certctl_mcp.services.trends import TrendService
from storage.database import Database
from storage.models import Notification, Room
from storage.repository import NotificationRepository
from tests.builders import SettableClock


@dataclass
class FakeNotifier:
    """Records notifications, or fails with `refusal` if it is set."""

    refusal: str | None = None
    delivered: list[Notification] = field(default_factory=list)

    async def send(self, notification: Notification) -> None:
        if self.refusal is not None:
            raise DeliveryFailedError(self.refusal)
        self.delivered.append(notification)

    async def aclose(self) -> None:
        """There is nothing to close."""


def server(
    database: Database, clock: SettableClock, settings: Settings, channels: Mapping[str, Notifier]
) -> NotificationServer:
    """A server with these channels and a stopped retry loop, so that it changes nothing by itself."""
    return build_server(settings, open_application=opener(database, clock, channels), clock=clock)


def opener(database: Database, clock: SettableClock, channels: Mapping[str, Notifier]) -> Opener:
    """A function that opens the application of such a server."""

    async def notifier_for(channel: str) -> Notifier | None:
        return channels.get(channel)

    @asynccontextmanager
    async def open_application(settings: Settings) -> AsyncIterator[Application]:
        repository = NotificationRepository(database)
        delivery = Delivery(
            repository,
            notifier_for,
            RetryPolicy.of(settings),
            send_timeout=settings.send_timeout,
            clock=clock,
        )

        def retry_loop() -> RetryLoop:
            return RetryLoop(
                repository,
                database.changes.due,
                delivery,
                worker="tests",
                lease=settings.lease,
                interval=settings.retry_interval,
                concurrency=10,
                room=Room(10),
                channels=tuple(channels),
                grace=timedelta(seconds=1),
                clock=clock,
            )

        stopped = retry_loop()
        stopped.stop()
        async with retry_loop() as sweeping:
            described = {name: f"{name.lower()} at receiver.example" for name in channels}
            service = NotificationService(
                repository, sweeping, described, clock, recipients=AllowedRecipients(settings.channels)
            )
            stats, trends = StatsService(database, repository), TrendService(database)
            pauses = ChannelPauses(repository, service.channels, clock)
            yield Application(
                service, pauses, stats, trends, repository, stopped, settings, database.location
            )

    return open_application


async def answer(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """The structured content of a tool's result."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    found: dict[str, Any] | None = result.structured_content
    assert found is not None
    return found
