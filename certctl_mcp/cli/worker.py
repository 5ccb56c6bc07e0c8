"""The retry loop as a process of its own, for systemd or a container, beside servers or without any."""

import logging
from contextlib import AbstractAsyncContextManager, nullcontext

import anyio

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.settings import Settings
from certctl_mcp.delivery.retry_loop import RetryLoop
from certctl_mcp.runtime.application import Application, open_application
from certctl_mcp.runtime.gc_tuning import spare_the_start
from certctl_mcp.runtime.signals import leave_on_signal
from certctl_mcp.services.errors import DeliveriesOffError
from storage.models import AttemptOutcome

logger = logging.getLogger(__name__)


async def run_worker(settings: Settings, with_metrics: bool = False) -> None:
    """Deliver until SIGTERM, SIGINT or SIGHUP, then drain and return; a second signal ends at once.

    `with_metrics` lets Prometheus read them where the settings for HTTP say.

    Raises:
        StorageError: the database can't be used.
        SettingsError: a channel can't be built as it is configured, or metrics can't be served there.
        DeliveriesOffError: it is not to deliver, or can't.
    """
    told = anyio.Event()

    def leave(signal_name: str) -> None:
        grace = format_duration(settings.shutdown_grace)
        logger.info("%s: claiming nothing more, attempts under way have %s to end", signal_name, grace)
        told.set()

    async with anyio.create_task_group() as tasks:
        await tasks.start(leave_on_signal, leave)
        async with open_application(settings) as application, _watched(application, with_metrics):
            if not application.delivers:
                raise DeliveriesOffError
            _tell_start(application.location, settings)
            spare_the_start()
            tasks.start_soon(_stop_when_told, told, application.retry_loop)
            await application.retry_loop.run()
        _tell_end(application.retry_loop)
        tasks.cancel_scope.cancel()


def _watched(application: Application, with_metrics: bool) -> AbstractAsyncContextManager[None]:
    if not with_metrics:
        return nullcontext()
    from certctl_mcp.http.monitoring.worker import serve_metrics

    return serve_metrics(application)


async def _stop_when_told(told: anyio.Event, retry_loop: RetryLoop) -> None:
    await told.wait()
    retry_loop.stop()


def _tell_start(location: str, settings: Settings) -> None:
    logger.info("delivering from the database %s", location)
    for channel in settings.channels:
        logger.info("channel %s: %s", channel.name, channel.destination.description)
    if not settings.channels:
        logger.warning("no channel is configured, so nothing can be delivered")


def _tell_end(retry_loop: RetryLoop) -> None:
    counts = (f"{retry_loop.meter.total(outcome)} {outcome.value}" for outcome in AttemptOutcome)
    logger.info("ended; attempts: %s", ", ".join(counts))
