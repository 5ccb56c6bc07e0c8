"""How do the parts fit together? Builds them from the settings, and takes them down in order."""

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from certctl_mcp.delivery import Delivery
from certctl_mcp.measuring import AttemptMeter
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.retry_loop import RetryLoop
from certctl_mcp.service import NotificationService
from certctl_mcp.settings import Settings
from certctl_mcp.stats import StatsService
from storage.database import Database
from storage.notifications import NotificationRepository


@dataclass(frozen=True, slots=True)
class Application:
    """What the fronts work with."""

    notifications: NotificationService
    stats: StatsService
    retry_loop: RetryLoop
    settings: Settings
    location: str
    """Where the queue is kept, without secrets."""


@asynccontextmanager
async def open_application(settings: Settings) -> AsyncIterator[Application]:
    """Everything but the loop runs; who wants deliveries runs `retry_loop.run` in a task of their own.

    Leaving drains: claiming stops, attempts under way end within the grace time.

    Raises:
        StorageError: the database can't be used.
        SettingsError: a channel can't be built as it is configured.
    """
    async with (
        NotifierRegistry.open(
            settings.channels, settings.concurrency, send_timeout=settings.send_timeout
        ) as notifiers,
        Database.open(settings.database_url.get_secret_value()) as database,
    ):
        repository = NotificationRepository(database)
        delivery = Delivery(
            repository,
            notifiers.find,
            settings.policy,
            send_timeout=settings.send_timeout,
            missing_notifier=settings.missing_notifier,
            clock=database.clock,
        )
        limits = {channel.name: channel.concurrency for channel in settings.channels}
        retry_loop = RetryLoop(
            repository,
            database.changes.due,
            delivery,
            worker=worker_name(),
            lease=settings.lease,
            interval=settings.retry_interval,
            concurrency=settings.concurrency,
            channel_concurrency=lambda name: limits.get(name) or settings.channel_concurrency,
            grace=settings.shutdown_grace,
            meter=AttemptMeter(limits),
            clock=database.clock,
        )
        async with retry_loop:
            service = NotificationService(repository, retry_loop, notifiers.descriptions, database.clock)
            stats = StatsService(database, repository)
            yield Application(service, stats, retry_loop, settings, database.location)


def worker_name() -> str:
    """One that no other process has had: where it runs, and a part by chance."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
