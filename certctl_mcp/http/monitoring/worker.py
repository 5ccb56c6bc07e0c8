"""How is a worker watched, which serves nothing else? Its metrics have a small server of their own."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import FastAPI
from starlette.types import ASGIApp

from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.http.access_log import Access
from certctl_mcp.http.api.exception_handlers import explain_failures
from certctl_mcp.http.auth.middleware import Authentication, Keys
from certctl_mcp.http.auth.oauth import protected_resource
from certctl_mcp.http.exposure import check_reach
from certctl_mcp.http.monitoring.requests import Traffic
from certctl_mcp.http.monitoring.route import Readings, metrics_router
from certctl_mcp.http.origins import KnownOrigins
from certctl_mcp.http.serving import listening, quieten_libraries, tls_of, url_of, web_server
from certctl_mcp.runtime.application import Application
from storage.clock import utc_now

logger = logging.getLogger(__name__)


@asynccontextmanager
async def metrics_served(application: Application) -> AsyncIterator[None]:
    """They can be read until the context is left.

    Raises:
        SettingsError: it can't listen where the settings say, or must not.
    """
    settings = application.settings
    check_reach(settings.http)
    quieten_libraries()
    tls = tls_of(settings.http)
    with listening(settings.http) as listener:
        web = web_server(_app(application, settings.http), settings, tls)
        async with anyio.create_task_group() as serving, anyio.create_task_group() as watching:
            if tls is not None:
                watching.start_soon(tls.watch)
            serving.start_soon(web.serve, [listener])
            logger.info("metrics at %s/metrics", url_of(listener, settings.http))
            try:
                yield
            finally:
                web.should_exit = True
                watching.cancel_scope.cancel()


def _app(application: Application, http: HttpSettings) -> ASGIApp:
    async def opened() -> Application:
        return application

    traffic = Traffic()
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    app.include_router(metrics_router(Readings(opened, traffic, utc_now)))
    explain_failures(app)
    guarded = Authentication(app, Keys(http.keys), protected_resource(http))
    return Access(KnownOrigins(guarded, http), traffic.observe)
