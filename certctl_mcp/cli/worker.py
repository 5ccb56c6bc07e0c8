"""A process that only delivers, for systemd or a container, with or without servers beside it."""

import logging
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.gc_tuning import spare_the_start
from certctl_mcp.runtime.signals import leave_on_signal
from certctl_mcp.runtime.wait_for_database import open_application_once_reachable
from certctl_mcp.services.errors import DeliveriesOffError
from storage.models import AttemptOutcome

logger = logging.getLogger(__name__)


async def run_worker(settings: Settings, with_metrics: bool = False, once: bool = False) -> str | None:
    """Deliver until SIGTERM, SIGINT or SIGHUP, then drain and return its name; a second signal ends at once.

    `with_metrics` serves metrics at the address of the HTTP settings. With `once`, it ends when what is due
    now was attempted, and does not wait for a database that can't be reached.

    Raises:
        StorageError: the database can't be used.
        SettingsError: a channel can't be built as it is configured, or metrics can't be served there.
        DeliveriesOffError: it must not deliver, or can't.
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
        await tasks.start(leave_on_signal, leave)
        opened = open_application(settings) if once else open_application_once_reachable(settings, stopping)
        async with opened as application:
            if application is not None:
                async with _with_metrics(application, with_metrics):
                    if application.limitation is not None:
                        raise DeliveriesOffError(application.limitation)
                    _log_start(application, settings)
                    spare_the_start()
                    tasks.start_soon(_stop_after, stopping, application.retry_loop)
                    await (_drain(application, stopping) if once else application.deliver())
        if application is not None:
            _log_end(application.retry_loop)
        tasks.cancel_scope.cancel()
    return reason


async def _drain(application: Application, stopping: anyio.Event) -> None:
    """Attempt what is due now. When `stopping` is set, what is under way has the grace time on leaving."""
    async with anyio.create_task_group() as tasks:

        async def end() -> None:
            await stopping.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(end)
        await application.notifications.drain()
        tasks.cancel_scope.cancel()


def _with_metrics(application: Application, with_metrics: bool) -> AbstractAsyncContextManager[None]:
    if not with_metrics:
        return nullcontext()
    from certctl_mcp.http.monitoring.worker import serve_metrics

    return serve_metrics(application)


async def _stop_after(stopping: anyio.Event, retry_loop: RetryLoop) -> None:
    await stopping.wait()
    retry_loop.stop()


def _log_start(application: Application, settings: Settings) -> None:
    logger.info("delivering from the database %s", application.location)
    if application.delivering.certctl_delivers:
        grace = format_duration(application.delivering.grace)
        logger.info("certctl's server delivers; what it leaves undelivered for %s is taken over", grace)
    for channel in settings.channels:
        logger.info("channel %s: %s", channel.name, channel.destination.description)
    if not settings.channels:
        logger.warning("no channel is configured, so nothing can be delivered")


def _log_end(retry_loop: RetryLoop) -> None:
    counts = (f"{retry_loop.meter.total(outcome)} {outcome.value}" for outcome in AttemptOutcome)
    logger.info("ended; attempts: %s", ", ".join(counts))
