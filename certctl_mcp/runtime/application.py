"""How do the parts fit together? Builds them from the settings, and takes them down in order."""

import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.delivery.retry_policy import RetryPolicy
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.services.notifications import NotificationService
from certctl_mcp.services.stats import StatsService
from storage.database import Database
from storage.errors import SchemaIncompleteError
from storage.models import Room
from storage.repository import NotificationRepository

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Application:
    """What the fronts work with."""

    notifications: NotificationService
    stats: StatsService
    retry_loop: RetryLoop
    settings: Settings
    location: str
    """Where the queue is kept, without secrets."""
    delivers: bool = True
    """Whether due notifications are attempted here: then `retry_loop.run` is to run."""


@asynccontextmanager
async def open_application(settings: Settings) -> AsyncIterator[Application]:
    """Everything but the loop runs; where it `delivers`, `retry_loop.run` is for a task of its own.

    Leaving drains: claiming stops, attempts under way end within the grace time.

    Raises:
        StorageError: the database can't be used.
        SettingsError: a channel can't be built as it is configured.
    """
    async with (
        NotifierRegistry.open(
            settings.channels, settings.concurrency, send_timeout=settings.send_timeout
        ) as notifiers,
        Database.open(
            settings.database_url.get_secret_value(), migrate=settings.database_migrate
        ) as database,
    ):
        repository = NotificationRepository(database)
        delivery = Delivery(
            repository,
            notifiers.find,
            RetryPolicy.of(settings),
            send_timeout=settings.send_timeout,
            missing_notifier=settings.missing_notifier,
            clock=database.clock,
        )
        retry_loop = RetryLoop(
            repository,
            database.changes.due,
            delivery,
            worker=worker_name(),
            lease=settings.lease,
            interval=settings.retry_interval,
            concurrency=settings.concurrency,
            room=_room(settings),
            grace=settings.shutdown_grace,
            meter=AttemptMeter([channel.name for channel in settings.channels]),
            clock=database.clock,
        )
        async with retry_loop:
            delivers = _delivers(settings, database)
            service = NotificationService(
                repository, retry_loop, notifiers.descriptions, database.clock, delivers=delivers
            )
            off = _off(settings, database)
            for told in off:
                logger.info("off: %s", told)
            stats = StatsService(database, repository, off=off)
            yield Application(service, stats, retry_loop, settings, database.location, delivers)


def _room(settings: Settings) -> Room:
    own = {channel.name: channel.concurrency for channel in settings.channels if channel.concurrency}
    return Room(settings.channel_concurrency, own)


def _delivers(settings: Settings, database: Database) -> bool:
    if database.unchangeable is not None:
        return False
    return not database.certctl_s if settings.deliver is None else settings.deliver


def _off(settings: Settings, database: Database) -> tuple[str, ...]:
    """What can't be done here, and why, without the database's place: anybody may read it."""
    if isinstance(database.unchangeable, SchemaIncompleteError):
        return (
            "deliveries, sending, requeueing, settling and purging: the database lacks a part of this "
            "program's schema; its operator may run certctl-mcp migrate",
        )
    if database.unchangeable is not None:
        return ("deliveries, sending, requeueing, settling and purging: the database may only be read",)
    if _delivers(settings, database):
        return ()
    if settings.deliver is None:
        return (
            "deliveries by this process: the database is certctl's own, so certctl's server is taken to "
            "deliver; CERTCTL_NOTIFICATION_DELIVER says who does",
        )
    return ("deliveries by this process: its operator leaves them to another",)


def worker_name() -> str:
    """One that no other process has had: where it runs, and a part by chance."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
