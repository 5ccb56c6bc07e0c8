"""Snapshots of the process and its database, one for each scrape."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import anyio
from starlette.responses import Response

from certctl_mcp.delivery.metrics import AttemptMeter, SuccessorMeter
from certctl_mcp.delivery.retention import Retention
from certctl_mcp.http.monitoring.prometheus import Snapshot, expose
from certctl_mcp.http.monitoring.requests import RequestMetrics
from certctl_mcp.mcp_server.call_meter import CallMeter
from certctl_mcp.runtime.application import Application
from certctl_mcp.services.dashboard import DashboardSummary
from storage.clock import Clock
from storage.errors import StorageError
from storage.models import ChannelClosure
from storage.queries.backlog import Backlog

SNAPSHOT_TIMEOUT = timedelta(seconds=8)
"""Below the default scrape timeout of Prometheus, 10 seconds."""

GetApplication = Callable[[], Awaitable[Application]]
"""Returns the open application. Raises: StorageError: it can't be opened."""


class Snapshots:
    """Takes snapshots of one process, whose uptime starts when this is created."""

    def __init__(
        self,
        application: GetApplication,
        requests: RequestMetrics,
        clock: Clock,
        calls: CallMeter | None = None,
    ) -> None:
        """`calls` is None in a process that serves no tools."""
        self._application = application
        self._requests = requests
        self._calls = calls
        self._clock = clock
        self._started = time.monotonic()

    async def take(self, within: timedelta = SNAPSHOT_TIMEOUT) -> Snapshot:
        """A snapshot with everything that could be read in time; the rest is None. Never raises."""
        attempts: AttemptMeter | None = None
        successors: SuccessorMeter | None = None
        retention: Retention | None = None
        summary: DashboardSummary | None = None
        backlog: Backlog | None = None
        closures: tuple[ChannelClosure, ...] | None = None
        with suppress(StorageError), anyio.move_on_after(within.total_seconds()):
            application = await self._application()
            attempts = application.retry_loop.meter
            successors = application.successors
            retention = application.retention
            summary = await application.stats.dashboard_summary()
            backlog = await application.stats.backlog()
            closures = await application.repository.channel_closures()
        uptime = time.monotonic() - self._started
        return Snapshot(
            self._clock(),
            uptime,
            summary,
            backlog,
            attempts,
            self._requests,
            self._calls,
            closures,
            successors,
            retention,
        )


async def metrics_response(snapshots: Snapshots, accept: str) -> Response:
    """A snapshot taken now, in the format that the `Accept` header asks for."""
    exposition = expose(await snapshots.take(), accept)
    return Response(
        exposition.body, headers={"Content-Type": exposition.content_type, "Cache-Control": "no-store"}
    )
