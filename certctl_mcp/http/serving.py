"""How does the HTTP server live and die? It listens where it safely can, serves until a signal, drains."""

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
from certctl_mcp.http.exposure import check_reach
from certctl_mcp.http.tls import CertificateFiles, ReloadingContext
from certctl_mcp.runtime.signals import leave_on_signal

logger = logging.getLogger(__name__)

MOST_CONNECTIONS = 2000
KEEP_ALIVE = 30
"""Seconds that a connection may be idle."""

_BACKLOG = 1024


async def serve_http(settings: Settings) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP, then drain and return; a second signal ends at once.

    Requests and attempts under way may take the grace time to end; streams of events are ended.

    Raises:
        SettingsError: it can't listen there, or must not, or a channel can't be built.
    """
    check_reach(settings.http)
    quieten_libraries()
    tls = tls_of(settings.http)
    with listening(settings.http) as listener:
        async with anyio.create_task_group() as tasks:
            departure = _Departure(settings)
            await tasks.start(leave_on_signal, departure.leave)
            async with http_server(settings) as server:
                web = web_server(server.app, settings, tls)
                departure.begin(server, web)
                if tls is not None:
                    tasks.start_soon(tls.watch)
                _tell_start(settings, listener)
                await web.serve(sockets=[listener])
            tasks.cancel_scope.cancel()


def tls_of(http: HttpSettings) -> ReloadingContext | None:
    """None where connections are not encrypted. Raises: SettingsError: the files are no good."""
    if http.tls_cert is None or http.tls_key is None:
        return None
    return ReloadingContext(CertificateFiles(http.tls_cert.expanduser(), http.tls_key.expanduser()))


@contextmanager
def listening(http: HttpSettings) -> Generator[socket.socket]:
    """A socket that listens where the settings say. Raises: SettingsError: that is not possible."""
    try:
        found = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        # Listening at once, so that who was told to connect can.
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as failure:
        # What the library says beside it names the address a second time.
        reason = os.strerror(failure.errno) if failure.errno and failure.errno > 0 else failure.strerror
        raise SettingsError([f"can't listen on {http.host} port {http.port}: {reason}"]) from None
    with listener:
        yield listener


class _WebServer(uvicorn.Server):
    """Leaves the signals to this program."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass
class _Departure:
    """Told of a signal at any time, even before there is something to end."""

    settings: Settings
    reason: str | None = None
    server: HttpServer | None = None
    web: uvicorn.Server | None = None

    def leave(self, signal_name: str) -> None:
        grace = format_duration(self.settings.shutdown_grace)
        logger.info("%s: claiming nothing more, what is under way has %s to end", signal_name, grace)
        self.reason = signal_name
        self._end()

    def begin(self, server: HttpServer, web: uvicorn.Server) -> None:
        self.server, self.web = server, web
        if self.reason is not None:
            self._end()

    def _end(self) -> None:
        if self.server is not None and self.web is not None:
            self.server.state.leave()
            self.web.should_exit = True


def quieten_libraries() -> None:
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # It tells the names of sessions, which where there are no keys are all that they need.
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
        # Else anybody on this machine could say that they call from elsewhere.
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace.total_seconds()),
    )
    return _WebServer(config)


def url_of(listener: socket.socket, http: HttpSettings) -> str:
    """Where it listens; warns where that is not safe."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    scheme = "http" if http.tls_cert is None else "https"
    if scheme == "http" and not http.on_loopback:
        logger.warning("keys can be read on their way to %s: there is no TLS", host)
    return f"{scheme}://{name}:{port}"


def _tell_start(settings: Settings, listener: socket.socket) -> None:
    logger.info("serving on %s, MCP at /mcp", url_of(listener, settings.http))
    for channel in settings.channels:
        logger.info("channel %s: %s", channel.name, channel.destination.description)
