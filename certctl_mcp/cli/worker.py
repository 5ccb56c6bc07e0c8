"""A process that only delivers, under systemd or in a container, with or without servers on the same
database."""

import logging
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING

import anyio

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.http.exposure import require_keys_beyond_loopback
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.current_application import CurrentApplication
from certctl_mcp.runtime.gc_tuning import freeze_startup_objects
from certctl_mcp.runtime.reload import Load, SettingsReload
from certctl_mcp.runtime.signals import leave_on_signal
from certctl_mcp.runtime.wait_for_database import open_application_once_reachable
from certctl_mcp.services.errors import DeliveriesOffError
from certctl_mcp.services.limitations import Limitation
from storage.errors import StorageError
from storage.models import AttemptOutcome

if TYPE_CHECKING:
    from certctl_mcp.http.monitoring.worker import WorkerMetrics

logger = logging.getLogger(__name__)


async def run_worker(
    settings: Settings, load: Load, with_metrics: bool = False, once: bool = False
) -> str | None:
    """Deliver until SIGTERM or SIGINT, then drain and return its name; a second signal ends at once.

    SIGHUP reloads the settings, which `load` reads. `with_metrics` serves metrics at the address of the HTTP
    settings. With `once`, it ends when everything that is due now has been attempted, and does not wait for
    an unreachable database.

    Raises:
        StorageError: the database can't be used for deliveries.
        SettingsError: it must not deliver, a channel can't be built from its settings, or metrics can't be
        served at that address.
    """
    stopping = anyio.Event()
    reason: str | None = None

    def leave(signal_name: str) -> None:
        nonlocal reason
        grace = format_duration(settings.shutdown_grace)
        logger.info("%s: claiming nothing more; attempts in progress have %s to finish", signal_name, grace)
        reason = signal_name
        stopping.set()

    async with anyio.create_task_group() as tasks:
        reload = SettingsReload(settings, load)
        await tasks.start(leave_on_signal, leave, reload.request)
        opened = open_application(settings) if once else open_application_once_reachable(settings, stopping)
        async with opened as application:
            if application is not None and once:
                await _drain(application, stopping)
            elif application is not None:
                await _deliver(application, reload, stopping, with_metrics)
        if application is not None:
            _log_end(application.retry_loop.meter)
        tasks.cancel_scope.cancel()
    return reason


async def _deliver(
    application: Application, reload: SettingsReload, stopping: anyio.Event, with_metrics: bool
) -> None:
    """Deliver until `stopping` is set, with settings that may be reloaded meanwhile."""
    _require_deliveries(application)
    current = CurrentApplication(application)
    async with _with_metrics(current, with_metrics) as metrics:
        _log_start(application)
        freeze_startup_objects()

        async def apply(settings: Settings) -> None:
            if metrics is not None:
                require_keys_beyond_loopback(settings.http)
            await current.replace(settings, must_deliver=True)
            if metrics is not None:
                metrics.reload(settings.http)

        async with anyio.create_task_group() as delivering, anyio.create_task_group() as reloading:
            current.start(delivering)
            reloading.start_soon(reload.run, apply)
            await stopping.wait()
            reloading.cancel_scope.cancel()
            current.stop()


async def _drain(application: Application, stopping: anyio.Event) -> None:
    """Attempt what is due now. When `stopping` is set, attempts in flight get a grace period to finish."""
    _require_deliveries(application)
    _log_start(application)
    async with anyio.create_task_group() as tasks:

        async def end() -> None:
            await stopping.wait()
            application.retry_loop.stop()
            tasks.cancel_scope.cancel()

        tasks.start_soon(end)
        await application.notifications.drain()
        tasks.cancel_scope.cancel()


def _require_deliveries(application: Application) -> None:
    """Raises: SettingsError, StorageError: this process can't deliver."""
    limitation = application.limitation
    if limitation is None:
        return
    reason = str(DeliveriesOffError(limitation))
    if limitation in (Limitation.SCHEMA_INCOMPLETE, Limitation.DATABASE_READ_ONLY):
        raise StorageError(reason)
    raise SettingsError([reason])


def _with_metrics(
    current: CurrentApplication, with_metrics: bool
) -> "AbstractAsyncContextManager[WorkerMetrics | None]":
    if not with_metrics:
        return nullcontext()
    from certctl_mcp.http.monitoring.worker import serve_metrics

    return serve_metrics(current)


def _log_start(application: Application) -> None:
    logger.info("delivering from the database %s", application.location)
    if application.delivery_roles.certctl_delivers:
        grace = format_duration(application.delivery_roles.grace)
        logger.info("certctl's server delivers; what it leaves undelivered for %s is taken over", grace)
    for channel in application.settings.channels:
        logger.info("channel %s: %s", channel.name, channel.destination.description)
    if not application.settings.channels:
        logger.warning("no channel is configured, so nothing can be delivered")


def _log_end(meter: AttemptMeter) -> None:
    counts = (f"{meter.total(outcome)} {outcome.value}" for outcome in AttemptOutcome)
    logger.info("ended; attempts: %s", ", ".join(counts))
