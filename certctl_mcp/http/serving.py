"""The lifetime of the HTTP server: listen, serve until a signal, drain."""

import logging
import math
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio
import uvicorn
from starlette.types import ASGIApp

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.settings import Settings
from certctl_mcp.http.app import HttpServer, http_server
from certctl_mcp.http.exposure import require_keys_beyond_loopback
from certctl_mcp.http.tls import CertificateFiles, ReloadingContext
from certctl_mcp.runtime.signals import leave_on_signal

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 2000
KEEP_ALIVE = 30
"""Seconds after which an idle connection is closed."""

_BACKLOG = 1024


async def serve_http(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain and return; a second signal ends at once.

    Requests and attempts in flight have the grace period to finish; event streams are ended at once.

    Raises:
        SettingsError: it can't listen where the settings say, or must not, or a channel can't be built.
    """
    require_keys_beyond_loopback(settings.http)
    silence_libraries()
    tls = tls_of(settings.http)
    with listening(settings.http) as listener:
        async with anyio.create_task_group() as tasks:
            shutdown = _Shutdown(settings)
            await tasks.start(leave_on_signal, shutdown.request)
            async with http_server(settings) as server:
                web = web_server(server.app, settings, tls)
                shutdown.attach(server, web)
                if tls is not None:
                    tasks.start_soon(tls.watch)
                _log_start(settings, listener)
                await web.serve(sockets=[listener])
            tasks.cancel_scope.cancel()


def tls_of(http: HttpSettings) -> ReloadingContext | None:
    """None if TLS is not configured. Raises: SettingsError: the files can't be used."""
    if http.tls_cert is None or http.tls_key is None:
        return None
    return ReloadingContext(CertificateFiles(http.tls_cert.expanduser(), http.tls_key.expanduser()))


@contextmanager
def listening(http: HttpSettings) -> Generator[socket.socket]:
    """A listening socket. Raises: SettingsError: it can't listen where the settings say."""
    try:
        found = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as failure:
        # The library's own message repeats the address.
        reason = os.strerror(failure.errno) if failure.errno and failure.errno > 0 else failure.strerror
        raise SettingsError([f"can't listen on {http.host} port {http.port}: {reason}"]) from None
    with listener:
        yield listener


class _WebServer(uvicorn.Server):
    """Does not install signal handlers: `leave_on_signal` has them."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass
class _Shutdown:
    """Shuts the server down on a signal, which may come before the server is up."""

    settings: Settings
    reason: str | None = None
    server: HttpServer | None = None
    web: uvicorn.Server | None = None

    def request(self, signal_name: str) -> None:
        grace = format_duration(self.settings.shutdown_grace)
        logger.info("%s: shutting down, work in flight has %s to finish", signal_name, grace)
        self.reason = signal_name
        self._end()

    def attach(self, server: HttpServer, web: uvicorn.Server) -> None:
        self.server, self.web = server, web
        if self.reason is not None:
            self._end()

    def _end(self) -> None:
        if self.server is not None and self.web is not None:
            self.server.state.begin_shutdown()
            self.web.should_exit = True


def silence_libraries() -> None:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # It logs session ids, which are the only credential where there are no keys.
    logging.getLogger("mcp.server.streamable_http").setLevel(logging.WARNING)
    logging.getLogger("mcp.server.streamable_http_manager").setLevel(logging.WARNING)


def web_server(app: ASGIApp, settings: Settings, tls: ReloadingContext | None) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
        # X-Forwarded-For is trusted only from the proxies in the settings.
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace.total_seconds()),
    )
    return _WebServer(config)


def url_of(listener: socket.socket, http: HttpSettings) -> str:
    """The URL that it listens on; warns if keys would be sent unencrypted."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    scheme = "http" if http.tls_cert is None else "https"
    if scheme == "http" and not http.on_loopback:
        logger.warning("listening on %s without TLS: keys are sent unencrypted", host)
    return f"{scheme}://{name}:{port}"


def _log_start(settings: Settings, listener: socket.socket) -> None:
    logger.info("serving on %s, MCP at /mcp", url_of(listener, settings.http))
    for channel in settings.channels:
        logger.info("channel %s: %s", channel.name, channel.destination.description)
