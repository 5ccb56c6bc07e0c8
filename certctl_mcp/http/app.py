"""The ASGI application of the HTTP server: routes inside, middleware around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from certctl_mcp import __version__
from certctl_mcp.config.settings import Settings
from certctl_mcp.http.access_log import AccessLog
from certctl_mcp.http.api.channels import CHANNELS
from certctl_mcp.http.api.exception_handlers import add_exception_handlers
from certctl_mcp.http.api.identity import router as identity
from certctl_mcp.http.api.openapi import customize_openapi
from certctl_mcp.http.api.routers import ROUTERS
from certctl_mcp.http.api.routes import NOTIFICATIONS
from certctl_mcp.http.api.session import session_router
from certctl_mcp.http.auth.browser_sessions import BrowserSessions
from certctl_mcp.http.auth.middleware import MCP_PATH, Authentication, Keys
from certctl_mcp.http.auth.oauth import ProtectedResource, protected_resource
from certctl_mcp.http.exposure import require_keys_beyond_loopback, warn_of_weak_keys
from certctl_mcp.http.limits import BodyLimit, RateLimit
from certctl_mcp.http.mcp import McpEndpoint, mcp_endpoint
from certctl_mcp.http.monitoring.health import router as health
from certctl_mcp.http.monitoring.route import metrics_router
from certctl_mcp.http.monitoring.snapshots import Snapshots
from certctl_mcp.http.origins import OriginCheck
from certctl_mcp.http.page import page_router
from certctl_mcp.http.replaceable import Replaceable
from certctl_mcp.http.state import ServingState
from certctl_mcp.runtime.lifespan import Opener, opening
from storage.clock import Clock, utc_now

_TITLE = "certctl notifications"


class HttpServer:
    """The ASGI application. It can be shut down, and its settings reloaded."""

    def __init__(
        self,
        routes: FastAPI,
        state: ServingState,
        resource: ProtectedResource | None,
        sessions: BrowserSessions,
    ) -> None:
        self.state = state
        self._routes = routes
        self._resource = resource
        self._sessions = sessions
        self.app = Replaceable(_with_middleware(routes, state, resource, sessions))

    async def reload(self, settings: Settings) -> None:
        """Use these settings from now on. Streams of callers whose keys have changed are ended.

        Raises: SettingsError, StorageError: they can't be used; the old ones stay in effect.
        """
        require_keys_beyond_loopback(settings.http)
        before = self.state.settings
        await self.state.opened.reload(settings)
        self._routes.openapi_schema = None
        if settings.http != before.http:
            self.app.app = _with_middleware(self._routes, self.state, self._resource, self._sessions)
        if settings.http.keys != before.http.keys:
            self._sessions.accept(settings.http.keys)
            self.state.opened.end_long_lived()
            self.state.streams.end()
            warn_of_weak_keys(settings.http)


@asynccontextmanager
async def http_server(
    settings: Settings, *, open_application: Opener | None = None, clock: Clock = utc_now
) -> AsyncIterator[HttpServer]:
    """Serve and deliver until the context exits.

    Raises:
        SettingsError: a channel can't be built from its settings.
    """
    async with opening(settings, open_application, clock) as opened:
        state = ServingState(opened)
        resource = protected_resource(settings.http)
        sessions = BrowserSessions(settings.http.keys, clock)
        async with mcp_endpoint(opened, state.streams, state.calls) as endpoint:
            yield HttpServer(_routes(state, endpoint, resource, sessions), state, resource, sessions)


def _routes(
    state: ServingState,
    endpoint: McpEndpoint,
    resource: ProtectedResource | None,
    sessions: BrowserSessions,
) -> FastAPI:
    # FastAPI's documentation pages load scripts from other sites.
    app = FastAPI(
        title=_TITLE,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.serving = state
    app.include_router(health)
    for router in ROUTERS:
        app.include_router(router)
    app.include_router(identity)
    app.include_router(session_router(sessions))
    app.include_router(
        metrics_router(Snapshots(state.opened.application, state.requests, state.opened.clock, state.calls))
    )
    app.include_router(page_router())
    app.router.routes.append(Route(MCP_PATH, endpoint))
    app.router.routes.extend(() if resource is None else resource.routes)
    add_exception_handlers(app)
    customize_openapi(app, lambda: state.settings)
    return app


class _McpPath:
    """Serves `/mcp/` as `/mcp`: some clients add the slash, and a redirect would lose the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == f"{MCP_PATH}/":
            scope["path"], scope["raw_path"] = MCP_PATH, MCP_PATH.encode()
        await self._app(scope, receive, send)


class _HeadAsGet:
    """Answers HEAD, which monitors send, like GET; the web server omits the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A GET of MCP opens a stream.
        if scope["method"] == "HEAD" and scope["path"] != MCP_PATH:
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class _EncodedIds:
    """Keeps ids and names in paths percent-encoded. Decoded, a name with a slash would be several
    segments."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith((f"{NOTIFICATIONS}/", f"{CHANNELS}/", "/n/")):
            scope["path"] = scope["raw_path"].decode("latin-1")
        await self._app(scope, receive, send)


def _with_middleware(
    app: ASGIApp, state: ServingState, resource: ProtectedResource | None, sessions: BrowserSessions
) -> ASGIApp:
    """The middleware around `app`; the last one applied here is the outermost."""
    http = state.settings.http
    app = BodyLimit(_EncodedIds(_HeadAsGet(app)), http.max_body_size)
    app = RateLimit(app, http) if http.rate_limit_enabled else app
    app = Authentication(app, Keys(http.keys), resource, sessions)
    if http.allowed_origins:
        app = CORSMiddleware(
            app,
            allow_origins=http.allowed_origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("*",),
            expose_headers=("ETag", "Mcp-Session-Id", "X-Request-ID"),
        )
    app = _McpPath(AccessLog(OriginCheck(app, http), state.requests.observe))
    if http.trusted_proxies:
        # uvicorn declares its own types for ASGI.
        app = cast(ASGIApp, ProxyHeadersMiddleware(cast(Any, app), list(http.trusted_proxies)))
    return app
