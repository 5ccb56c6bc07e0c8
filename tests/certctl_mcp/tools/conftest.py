"""The server as a client meets it, on a real database, with channels that do what a test says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

from certctl_mcp.application import Application
from certctl_mcp.delivery import Delivery
from certctl_mcp.notifiers.base import DeliveryFailedError, Notifier
from certctl_mcp.retry_loop import RetryLoop
from certctl_mcp.server import build_server
from certctl_mcp.service import NotificationService
from certctl_mcp.settings import Settings, load_settings
from certctl_mcp.stats import StatsService
from storage.database import Database
from storage.models import Notification
from storage.notifications import NotificationRepository
from tests.builders import SettableClock
from tests.holding import Held


@dataclass
class Destination:
    """A channel that keeps what it is given, or refuses it for the reason that is set."""

    refusal: str | None = None
    delivered: list[Notification] = field(default_factory=list)

    async def send(self, notification: Notification) -> None:
        if self.refusal is not None:
            raise DeliveryFailedError(self.refusal)
        self.delivered.append(notification)

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class Assistant:
    """Calls tools, and reads what comes back as both kinds of client do."""

    client: Client

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer; the text must say the same."""
        result = await self._result(tool, arguments)
        assert not result.is_error, result.content
        structured: dict[str, Any] | None = result.structured_content
        assert structured is not None
        return structured

    async def text(self, tool: str, **arguments: Any) -> str:
        return _text(await self._result(tool, arguments))

    async def refused(self, tool: str, **arguments: Any) -> str:
        """Why the call did nothing."""
        result = await self._result(tool, arguments)
        assert result.is_error
        assert result.structured_content is None
        return _text(result)

    async def _result(self, tool: str, arguments: dict[str, Any]) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)


def _text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture
def webhook() -> Destination:
    return Destination()


@pytest.fixture
def settings(database_url: str) -> Settings:
    return load_settings(None, {"CERTCTL_DATABASE_URL": database_url})


@pytest.fixture
async def assistant(
    database: Database,
    repository: NotificationRepository,
    clock: SettableClock,
    settings: Settings,
    webhook: Destination,
) -> AsyncIterator[Assistant]:
    """Connected to a server whose one channel is `Webhook`. It delivers in sweeps only."""
    notifiers: dict[str, Notifier] = {"Webhook": webhook}

    async def notifier_for(channel: str) -> Notifier | None:
        return notifiers.get(channel)

    @asynccontextmanager
    async def open_application(_: Settings) -> AsyncIterator[Application]:
        delivery = Delivery(
            repository, notifier_for, settings.policy, send_timeout=settings.send_timeout, clock=clock
        )

        def retry_loop() -> RetryLoop:
            return RetryLoop(
                repository,
                database.changes,
                delivery,
                worker="tests",
                lease=settings.lease,
                interval=settings.retry_interval,
                concurrency=10,
                channel_concurrency=lambda _: 10,
                grace=timedelta(seconds=1),
                clock=clock,
            )

        # What a test has made stays as it is until a sweep.
        stopped = retry_loop()
        stopped.stop()
        async with retry_loop() as sweeping:
            service = NotificationService(repository, sweeping, {"Webhook": "webhook at receiver.example"})
            stats = StatsService(database, repository)
            yield Application(service, stats, stopped, settings, database.location)

    held = Held(Client(build_server(settings, open_application=open_application, clock=clock)))
    yield Assistant(await held.enter())
    await held.leave()
