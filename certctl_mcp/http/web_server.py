"""The web server under the application: uvicorn, with an accept loop that keeps connections within limits.

uvicorn leaves accepting to asyncio, which takes every connection that it can get, and logs a thousand errors
a second when file descriptors run out.
"""

import asyncio
import logging
import math
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial

import uvicorn
from starlette.types import ASGIApp

from certctl_mcp.config.errors import SettingsError
from certctl_mcp.config.http_settings import HttpSettings
from certctl_mcp.config.settings import Settings
from certctl_mcp.http.client_address import in_networks
from certctl_mcp.http.connections import Connection, Connections, connection_limit
from certctl_mcp.http.protocol import LimitedProtocol, Timeouts
from certctl_mcp.http.tls import CertificateFiles, ReloadingContext
from certctl_mcp.runtime.platform import raise_file_limit

logger = logging.getLogger(__name__)

KEEP_ALIVE = 30
"""Seconds after which an idle connection is closed."""

_BACKLOG = 1024

_WANTED_FILES = 8192
"""The file descriptors needed for all connections and for deliveries."""

_ACCEPT_PAUSE = 0.1
"""Seconds before accepting again when there are no file descriptors left."""


@contextmanager
def listening(http: HttpSettings) -> Generator[socket.socket]:
    """A listening socket. Raises: SettingsError: it can't listen at the address in the settings."""
    try:
        found = socket.getaddrinfo(http.host, http.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as failure:
        # The library's own message repeats the address.
        reason = os.strerror(failure.errno) if failure.errno and failure.errno > 0 else failure.strerror
        raise SettingsError([f"can't listen on {http.host} port {http.port}: {reason}"]) from None
    with listener:
        listener.setblocking(False)
        yield listener


def tls_of(http: HttpSettings) -> ReloadingContext | None:
    """None if TLS is not configured. Raises: SettingsError: the files can't be used."""
    if http.tls_cert is None or http.tls_key is None:
        return None
    return ReloadingContext(CertificateFiles(http.tls_cert.expanduser(), http.tls_key.expanduser()))


class WebServer(uvicorn.Server):
    """Serves `app` until `should_exit`, then lets requests in flight finish within the grace period.

    It does not install signal handlers: `leave_on_signal` does.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        tls: ReloadingContext | None,
        connections: Connections | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=LimitedProtocol,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                # X-Forwarded-For is trusted only from the proxies in the settings.
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(settings.shutdown_grace.total_seconds()),
            )
        )
        self._tls = tls
        self._timeouts = timeouts or Timeouts()
        self._connections = (
            connections
            if connections is not None
            else Connections(
                connection_limit(raise_file_limit(_WANTED_FILES)), in_networks(settings.http.trusted_proxies)
            )
        )
        self._accepting: list[asyncio.Task[None]] = []
        self._connecting: set[asyncio.Task[None]] = set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.lifespan.startup()
        self.servers = []
        self._accepting = [asyncio.create_task(self._accept(listener)) for listener in sockets or ()]
        for task in self._accepting:
            task.add_done_callback(self._stop_on_defect)
        self.started = True

    def _stop_on_defect(self, accepting: asyncio.Task[None]) -> None:
        if not accepting.cancelled() and accepting.exception() is not None:
            logger.error("the server stops: it can't accept connections", exc_info=accepting.exception())
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in (*self._accepting, *self._connecting):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._connecting, return_exceptions=True)
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as failure:
                logger.warning("can't accept a connection: %s", failure.strerror)
                self._connections.close_one()
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            connection = self._connections.admit(address[0], accepted.close)
            if connection is None:
                count = self._connections.count
                logger.warning("refused a connection from %s: %d are open", address[0], count)
                accepted.close()
            else:
                task = asyncio.create_task(self._connect(accepted, connection))
                connection.close = partial(_cancel, task)
                self._connecting.add(task)
                task.add_done_callback(self._connecting.discard)
            # While connections are waiting, accepting does not yield to the event loop by itself.
            await asyncio.sleep(0)

    async def _connect(self, accepted: socket.socket, connection: Connection) -> None:
        """Pass the socket to a protocol, after the TLS handshake if there is one."""
        context = None if self._tls is None else self._tls.context

        def protocol() -> LimitedProtocol:
            return LimitedProtocol(
                self.config, self.server_state, self._connections, connection, self._timeouts
            )

        try:
            # A response written in two parts must not wait for the acknowledgement of the first.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                protocol,
                accepted,
                ssl=context,
                ssl_handshake_timeout=None if context is None else self._timeouts.head,
            )
        except OSError:
            # The client gave up, or does not speak TLS.
            self._connections.remove(connection)
            with suppress(OSError):
                accepted.close()
        except BaseException:
            self._connections.remove(connection)
            accepted.close()
            raise


def silence_libraries() -> None:
    # Malformed requests are logged by `LimitedProtocol`, with the address they came from.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # It logs session ids, which are the only credential if there are no keys.
    logging.getLogger("mcp.server.streamable_http").setLevel(logging.WARNING)
    logging.getLogger("mcp.server.streamable_http_manager").setLevel(logging.WARNING)


def url_of(listener: socket.socket, http: HttpSettings) -> str:
    """The URL that it listens on; warns if keys would be sent unencrypted."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    scheme = "http" if http.tls_cert is None else "https"
    if scheme == "http" and not http.on_loopback:
        logger.warning("listening on %s without TLS: keys are sent unencrypted", host)
    return f"{scheme}://{name}:{port}"


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
