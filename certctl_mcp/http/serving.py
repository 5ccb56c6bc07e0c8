"""The lifetime of the HTTP server: listen, serve until a signal, drain."""

import logging
import socket
from dataclasses import dataclass

import anyio

from certctl_mcp.config.durations import format_duration
from certctl_mcp.config.settings import Settings
from certctl_mcp.http.app import HttpServer, http_server
from certctl_mcp.http.exposure import require_keys_beyond_loopback, warn_of_weak_keys
from certctl_mcp.http.web_server import WebServer, listening, silence_libraries, tls_of, url_of
from certctl_mcp.runtime.reload import Load, SettingsReload
from certctl_mcp.runtime.signals import leave_on_signal

logger = logging.getLogger(__name__)


async def serve_http(settings: Settings, load: Load) -> str | None:
    """Serve until SIGTERM or SIGINT, then drain and return its name; a second signal ends at once.

    SIGHUP reloads the settings, which `load` reads. Requests and attempts in flight have the grace period to
    finish; event streams are ended at once.

    Raises:
        SettingsError: it can't or must not listen at the address in the settings, or a channel can't be
        built.
    """
    require_keys_beyond_loopback(settings.http)
    silence_libraries()
    tls = tls_of(settings.http)
    with listening(settings.http) as listener:
        async with anyio.create_task_group() as tasks:
            shutdown = _Shutdown(settings)
            reload = SettingsReload(settings, load)
            await tasks.start(leave_on_signal, shutdown.request, reload.request)
            async with http_server(settings) as server, anyio.create_task_group() as reloading:
                reloading.start_soon(reload.run, server.reload)
                web = WebServer(server.app, settings, tls)
                shutdown.attach(server, web)
                if tls is not None:
                    tasks.start_soon(tls.watch)
                _log_start(settings, listener)
                warn_of_weak_keys(settings.http)
                await web.serve(sockets=[listener])
                reloading.cancel_scope.cancel()
            tasks.cancel_scope.cancel()
        return shutdown.reason


@dataclass
class _Shutdown:
    """Shuts the server down on a signal, which may come before the server is up."""

    settings: Settings
    reason: str | None = None
    server: HttpServer | None = None
    web: WebServer | None = None

    def request(self, signal_name: str) -> None:
        grace = format_duration(self.settings.shutdown_grace)
        logger.info("%s: shutting down, work in flight has %s to finish", signal_name, grace)
        self.reason = signal_name
        self._end()

    def attach(self, server: HttpServer, web: WebServer) -> None:
        self.server, self.web = server, web
        if self.reason is not None:
            self._end()

    def _end(self) -> None:
        if self.server is not None and self.web is not None:
            self.server.state.begin_shutdown()
            self.web.should_exit = True


def _log_start(settings: Settings, listener: socket.socket) -> None:
    logger.info("serving on %s, MCP at /mcp", url_of(listener, settings.http))
    for channel in settings.channels:
        logger.info("channel %s: %s", channel.name, channel.destination.description)
