"""A small HTTP server for the metrics of a worker."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.access_log import AccessLog
from certctl_mcp.http.auth.middleware import Authentication, Keys
from certctl_mcp.http.auth.oauth import protected_resource
from certctl_mcp.http.exposure import require_keys_beyond_loopback, warn_of_weak_keys
from certctl_mcp.http.monitoring.requests import RequestMetrics
from certctl_mcp.http.monitoring.snapshots import Snapshots, metrics_response
from certctl_mcp.http.origins import OriginCheck
from certctl_mcp.http.problem_details import http_error_response
from certctl_mcp.http.replaceable import Replaceable
from certctl_mcp.http.web_server import WebServer, listening, silence_libraries, tls_of, url_of
from certctl_mcp.runtime.application import Application
from certctl_mcp.runtime.current_application import CurrentApplication
from storage.clock import utc_now

logger = logging.getLogger(__name__)


@asynccontextmanager
async def serve_metrics(current: CurrentApplication) -> AsyncIterator["WorkerMetrics"]:
    """Serve metrics until the context exits.

    Raises:
        SettingsError: it can't listen at the address in the settings, or must not.
    """
    settings = current.application.settings
    require_keys_beyond_loopback(settings.http)
    silence_libraries()
    tls = tls_of(settings.http)
    with listening(settings.http) as listener:
        metrics = WorkerMetrics(current, settings.http)
        web = WebServer(metrics.app, settings, tls)
        async with anyio.create_task_group() as serving, anyio.create_task_group() as watching:
            if tls is not None:
                watching.start_soon(tls.watch)
            serving.start_soon(web.serve, [listener])
            warn_of_weak_keys(settings.http)
            logger.info("metrics at %s/metrics", url_of(listener, settings.http))
            try:
                yield metrics
            finally:
                web.should_exit = True
                watching.cancel_scope.cancel()


class WorkerMetrics:
    """The ASGI application, which requires a key if any are configured."""

    def __init__(self, current: CurrentApplication, http: HttpSettings) -> None:
        self._current = current
        self._requests = RequestMetrics()
        self._metrics = _metrics(Snapshots(self._application, self._requests, utc_now))
        self.app = Replaceable(self._guarded(http))

    def reload(self, http: HttpSettings) -> None:
        """Accept the keys of these settings from now on."""
        self.app.app = self._guarded(http)

    async def _application(self) -> Application:
        return self._current.application

    def _guarded(self, http: HttpSettings) -> ASGIApp:
        guarded = Authentication(self._metrics, Keys(http.keys), protected_resource(http))
        return AccessLog(OriginCheck(guarded, http), self._requests.observe)


def _metrics(snapshots: Snapshots) -> ASGIApp:
    async def get_metrics(request: Request) -> Response:
        return await metrics_response(snapshots, request.headers.get("accept", ""))

    # Plain Starlette: importing FastAPI would double the start time for a single route.
    app = Starlette(
        routes=[Route(path, get_metrics) for path in ("/metrics", "/api/v1/metrics/prometheus")],
        exception_handlers={HTTPException: http_error_response},
    )
    app.router.redirect_slashes = False
    return app
