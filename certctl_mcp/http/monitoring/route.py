"""What may Prometheus read of this process and of its database? All that is known when it asks."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Response

from certctl_mcp.delivery.metrics import AttemptMeter
from certctl_mcp.http.monitoring.prometheus import Reading, expose
from certctl_mcp.http.monitoring.requests import Traffic
from certctl_mcp.runtime.application import Application
from certctl_mcp.services.dashboard import DashboardSummary
from storage.clock import Clock
from storage.errors import StorageError
from storage.queries.backlog import Backlog

READ_WITHIN = timedelta(seconds=8)
"""Prometheus waits for 10 seconds, if it is not told otherwise."""

_FORMATS = {"text/plain": {"schema": {"type": "string"}}, "application/openmetrics-text": {}}

Find = Callable[[], Awaitable[Application]]
"""Gives what is open. Raises: StorageError: nothing is."""


class Readings:
    """Takes readings of one process; its uptime begins here."""

    def __init__(self, application: Find, traffic: Traffic, clock: Clock) -> None:
        self._application = application
        self._traffic = traffic
        self._clock = clock
        self._began = time.monotonic()

    async def take(self, within: timedelta = READ_WITHIN) -> Reading:
        """What can be read in time; never raises for what can't."""
        attempts: AttemptMeter | None = None
        summary: DashboardSummary | None = None
        backlog: Backlog | None = None
        with suppress(StorageError), anyio.move_on_after(within.total_seconds()):
            application = await self._application()
            attempts = application.retry_loop.meter
            summary = await application.stats.dashboard_summary()
            backlog = await application.stats.backlog()
        uptime = time.monotonic() - self._began
        return Reading(self._clock(), uptime, summary, backlog, attempts, self._traffic)


def metrics_router(readings: Readings) -> APIRouter:
    """Serves them where certctl does, and where Prometheus looks of its own accord."""
    router = APIRouter()

    @router.get("/metrics", include_in_schema=False)
    @router.get(
        "/api/v1/metrics/prometheus",
        response_class=Response,
        responses={200: {"content": _FORMATS, "description": "In a format of Prometheus."}},
    )
    async def get_metrics(accept: Annotated[str, Header()] = "") -> Response:
        """The counts of the summary, and what this process has done, for Prometheus."""
        exposition = expose(await readings.take(), accept)
        return Response(
            exposition.body, headers={"Content-Type": exposition.content_type, "Cache-Control": "no-store"}
        )

    return router
