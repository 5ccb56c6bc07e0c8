"""The application: its parts, built from the settings and closed in order."""

import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from certctl_mcp import __version__
from certctl_mcp.config.delivery_mode import DeliveryMode
from certctl_mcp.config.destinations import WebhookDestination
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.retention import RetentionSettings
from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.attempt import Delivery
from certctl_mcp.delivery.certctl_warning import warn_if_certctl_delivers
from certctl_mcp.delivery.figures import KeptFigures
from certctl_mcp.delivery.isolation import IsolatedAttempts
from certctl_mcp.delivery.metrics import AttemptMeter, SuccessorMeter
from certctl_mcp.delivery.outcome_log import LoggedOutcomes
from certctl_mcp.delivery.presence import Presence
from certctl_mcp.delivery.retention import Retention
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.delivery.retry_policy import RetryPolicy
from certctl_mcp.delivery.tracing import Tracing
from certctl_mcp.notifiers.allowed_recipients import AllowedRecipients
from certctl_mcp.notifiers.base import Notifier
from certctl_mcp.notifiers.registry import NotifierRegistry
from certctl_mcp.runtime.existing_queue import require_queue
from certctl_mcp.runtime.generations import generations
from certctl_mcp.runtime.open_telemetry import tracing
from certctl_mcp.runtime.platform import kill_group
from certctl_mcp.runtime.renewal_policies import RenewalPolicies
from certctl_mcp.services.channel_pauses import ChannelPauses
from certctl_mcp.services.dead_letters import DeadLetterRule
from certctl_mcp.services.delivery_roles import OWN_DATABASE_ROLES, DeliveryRoles
from certctl_mcp.services.limitations import LIMITATION_TEXTS, Limitation
from certctl_mcp.services.notifications import NotificationService
from certctl_mcp.services.stats import StatsService
from certctl_mcp.services.trends import TrendService
from storage.channel_state import ChannelRules
from storage.database import Database
from storage.models import Room
from storage.operations.processes import Heartbeat
from storage.read_only import ReadOnlyReason
from storage.repository import NotificationRepository
from storage.schema.migrations import Migrate

logger = logging.getLogger(__name__)


class Notifiers(Protocol):
    """The channels that this process can send over."""

    @property
    def descriptions(self) -> Mapping[str, str]:
        """A description of each channel, without secrets."""
        ...

    async def find(self, channel: str) -> Notifier | None:
        """The notifier of this channel; None if there is no such channel."""
        ...


@dataclass(frozen=True, slots=True)
class Application:
    """The parts that the command line, MCP, HTTP and the worker use."""

    notifications: NotificationService
    pauses: ChannelPauses
    stats: StatsService
    trends: TrendService
    repository: NotificationRepository
    """For plain reads, to which no rules apply."""
    retry_loop: RetryLoop
    settings: Settings
    location: str
    """The database's URL or path, without secrets."""
    limitation: Limitation | None = None
    """The reason why this process doesn't attempt due notifications, if it doesn't."""
    delivery_roles: DeliveryRoles = OWN_DATABASE_ROLES
    presence: Presence | None = None
    """None if this process has no channels."""
    retention: Retention | None = None
    """None if this process deletes nothing by itself."""
    kept_figures: KeptFigures | None = None
    """None if this process adds nothing by itself."""
    successors: SuccessorMeter = field(default_factory=SuccessorMeter)
    open_replacement: "OpenReplacement | None" = None
    retired: anyio.Event = field(default_factory=anyio.Event)
    """Set when another application has replaced this one, which then claims nothing more and closes once its
    attempts have ended."""

    @property
    def delivers(self) -> bool:
        """Whether this process attempts due notifications. If so, `deliver` must be running."""
        return self.limitation is None

    async def deliver(self) -> None:
        """Attempt what becomes due, as a registered process, until the retry loop is stopped."""
        async with anyio.create_task_group() as tasks:
            if self.presence is not None:
                tasks.start_soon(self.presence.run)
            if self.delivery_roles.beside_certctl and not self.delivery_roles.certctl_delivers:
                tasks.start_soon(warn_if_certctl_delivers, self.repository)
            if self.retention is not None:
                tasks.start_soon(self.retention.run)
            if self.kept_figures is not None:
                tasks.start_soon(self.kept_figures.run)
            await self.retry_loop.run()
            tasks.cancel_scope.cancel()


OpenReplacement = Callable[[Settings], Awaitable[Application]]
"""Opens an application with other settings on the same database, to replace another one.

Raises: SettingsError, StorageError.
"""


@asynccontextmanager
async def open_application(
    settings: Settings, *, notifiers: Notifiers | None = None
) -> AsyncIterator[Application]:
    """Start everything except the loop. If the application `delivers`, the caller runs `deliver` in a task.

    `notifiers` replace those of the configured channels.

    Leaving the context drains: claiming stops, and attempts in flight get the grace period to finish.

    Raises:
        StorageError: the database can't be used.
        MissingQueueError: the settings are read-only, and there is no queue.
        SettingsError: a channel can't be built from its settings, or the delivery mode is only for certctl's
        database.
    """
    url = settings.database_url.get_secret_value()
    policies = RenewalPolicies()
    # Report problems with a channel before a database is created.
    channels = notifiers or _registry(settings, policies)
    if settings.read_only:
        await require_queue(settings)
    async with (
        Database.open(url, migrate=_migrate(settings)) as database,
        tracing(os.environ) as traced,
        generations() as opened,
    ):
        if database.shared_with_certctl:
            policies.read_from(database)
        assembly = _Assembly(database, traced)

        async def open_replacement(settings: Settings) -> Application:
            notifiers = _registry(settings, policies)
            return await opened.open(assembly.application(settings, notifiers, open_replacement))

        yield await opened.open(assembly.application(settings, channels, open_replacement))


class _Assembly:
    """Builds applications from settings, on an open database."""

    def __init__(self, database: Database, traced: Tracing | None) -> None:
        self._database = database
        self._traced = traced
        self._meter = AttemptMeter()
        self._successors = SuccessorMeter()

    @asynccontextmanager
    async def application(
        self, settings: Settings, notifiers: Notifiers, open_replacement: OpenReplacement
    ) -> AsyncIterator[Application]:
        database = self._database
        delivery_roles = _delivery_roles(settings, database)
        repository = NotificationRepository(
            database,
            successors=DeadLetterRule.of(settings).successors,
            on_successors=self._successors.accepted,
            rescue_after=delivery_roles.rescue_after,
        )
        limitation = _limitation(delivery_roles, database)
        if limitation is not None:
            logger.info("off: %s", LIMITATION_TEXTS[limitation])
        if database.shared_with_certctl:
            _warn_of_other_webhooks(settings)
        process = Heartbeat(
            worker_name(),
            socket.gethostname(),
            __version__,
            tuple(notifiers.descriptions),
            rescues=delivery_roles.mode is DeliveryMode.RESCUE,
        )
        self._meter.add_channels(process.channels)
        async with (
            _closed_at_the_end(notifiers),
            _retry_loop(
                settings, database, repository, notifiers, process, self._meter, self._traced
            ) as retry_loop,
        ):
            service = NotificationService(
                repository,
                retry_loop,
                notifiers.descriptions,
                database.clock,
                recipients=AllowedRecipients(settings.channels),
                delivery_roles=delivery_roles,
                limitation=limitation,
                tracing=self._traced,
            )
            yield Application(
                service,
                ChannelPauses(repository, service.channels, database.clock),
                StatsService(database, repository, delivery_roles=delivery_roles, limitation=limitation),
                TrendService(database),
                repository,
                retry_loop,
                settings,
                database.location,
                limitation,
                delivery_roles,
                _presence(settings, delivery_roles, database, repository, process, self._meter),
                None if limitation else _retention(settings, database, repository, process),
                # A read-only server changes nothing except by its deliveries.
                None if limitation or settings.read_only else KeptFigures(repository, clock=database.clock),
                self._successors,
                open_replacement,
            )


def _retry_loop(
    settings: Settings,
    database: Database,
    repository: NotificationRepository,
    notifiers: Notifiers,
    process: Heartbeat,
    meter: AttemptMeter,
    traced: Tracing | None,
) -> RetryLoop:
    if len(settings.channels) > settings.concurrency:
        logger.warning(
            "%d channels are configured but the concurrency is %d: each channel has its own slot, so "
            "up to %d attempts run at once",
            len(settings.channels),
            settings.concurrency,
            len(settings.channels),
        )
    rules = channel_rules(settings)
    delivery = Delivery(
        LoggedOutcomes(repository),
        notifiers.find,
        RetryPolicy.of(settings),
        send_timeout=settings.send_timeout,
        longer_timeouts={c.name: c.longest_attempt(settings.send_timeout) for c in settings.channels},
        send_isolated=IsolatedAttempts(settings.channels, settings.send_timeout, kill_group).send,
        rules=rules,
        clock=database.clock,
        tracing=traced,
    )
    return RetryLoop(
        repository,
        database.changes.due,
        delivery,
        worker=process.name,
        lease=settings.lease,
        interval=settings.retry_interval,
        concurrency=settings.concurrency,
        room=_room(settings),
        channels=process.channels,
        rules=rules,
        grace=settings.shutdown_grace,
        meter=meter,
        clock=database.clock,
    )


def channel_rules(settings: Settings) -> dict[str, ChannelRules]:
    """The rules from the settings for when attempts over each channel may begin."""
    policy = RetryPolicy.of(settings)
    return {
        channel.name: ChannelRules(
            channel.limits.rate,
            channel.limits.sessions,
            settings.outage_hold or None,
            policy.wait,
            channel.longest_attempt(settings.send_timeout),
        )
        for channel in settings.channels
    }


def _presence(
    settings: Settings,
    delivery_roles: DeliveryRoles,
    database: Database,
    repository: NotificationRepository,
    process: Heartbeat,
    meter: AttemptMeter,
) -> Presence | None:
    if not process.channels:
        return None
    return Presence(
        repository,
        process,
        # A read-only server only delivers over its channels and changes nothing else. If certctl's server
        # delivers, it may have a channel that no process has.
        settles=not (settings.read_only or delivery_roles.certctl_delivers),
        missing_after=settings.missing_notifier_after,
        missing_notifier=settings.missing_notifier,
        meter=meter,
        clock=database.clock,
    )


def _retention(
    settings: Settings, database: Database, repository: NotificationRepository, process: Heartbeat
) -> Retention | None:
    # A read-only server changes nothing except by its deliveries.
    if settings.read_only or settings.retention == RetentionSettings():
        return None
    return Retention(repository, settings.retention, actor=process.name, clock=database.clock)


def _registry(settings: Settings, policies: RenewalPolicies) -> NotifierRegistry:
    """Raises: SettingsError: a channel needs a package that is not installed."""
    return NotifierRegistry(
        settings.channels,
        settings.concurrency,
        send_timeout=settings.send_timeout,
        public_url=settings.public_url,
        policy_tier=policies.tier,
    )


def _closed_at_the_end(notifiers: Notifiers) -> AbstractAsyncContextManager[object]:
    """Notifiers that were passed in belong to the caller."""
    return aclosing(notifiers) if isinstance(notifiers, NotifierRegistry) else nullcontext()


def _room(settings: Settings) -> Room:
    own: dict[str, int] = {}
    for channel in settings.channels:
        most = channel.concurrency or settings.channel_concurrency
        own[channel.name] = min(most, channel.limits.sessions or most)
    return Room(settings.channel_concurrency, own)


def _migrate(settings: Settings) -> Migrate:
    if settings.database_migrate is not None:
        return Migrate.ALWAYS if settings.database_migrate else Migrate.NEVER
    # A process that only watches never changes certctl's schema. For others, someone must allow it once.
    acts = settings.deliver in (DeliveryMode.RESCUE, DeliveryMode.DELIVER) and not settings.read_only
    return Migrate.ONCE_OURS if acts else Migrate.OURS_ALONE


def _delivery_roles(settings: Settings, database: Database) -> DeliveryRoles:
    """Raises: SettingsError: there is nothing to rescue, because certctl's server does not use the
    database."""
    shared = database.shared_with_certctl
    mode = settings.deliver or (DeliveryMode.WATCH if shared else DeliveryMode.DELIVER)
    if mode is DeliveryMode.RESCUE and not shared:
        problem = (
            "CERTCTL_NOTIFICATION_DELIVER='rescue' is for certctl's own database, and "
            f"{database.location} is not one; without the setting, certctl-mcp delivers"
        )
        raise SettingsError([problem])
    return DeliveryRoles(mode, shared, settings.rescue_grace)


def _limitation(delivery_roles: DeliveryRoles, database: Database) -> Limitation | None:
    """The reason why this process can't do everything, if there is one."""
    if database.read_only is not None:
        if database.read_only.reason is ReadOnlyReason.SCHEMA_INCOMPLETE:
            return Limitation.SCHEMA_INCOMPLETE
        return Limitation.DATABASE_READ_ONLY
    if delivery_roles.mode is not DeliveryMode.WATCH:
        return None
    return Limitation.CERTCTL_DELIVERS if delivery_roles.beside_certctl else Limitation.DELIVERY_DISABLED


def _warn_of_other_webhooks(settings: Settings) -> None:
    """certctl's own variables configure the channel, but its receiver may know only certctl's format."""
    for channel in settings.channels:
        destination = channel.destination
        if (
            channel.name == "Webhook"
            and isinstance(destination, WebhookDestination)
            and "format" not in destination.model_fields_set
        ):
            logger.warning(
                "the channel Webhook sends a different body and signature than certctl's server: a receiver "
                "that verifies certctl's needs CERTCTL_WEBHOOK_FORMAT=certctl; standard keeps this format"
            )


def worker_name() -> str:
    """A name that no other process has ever had: host, process id and a random part."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
