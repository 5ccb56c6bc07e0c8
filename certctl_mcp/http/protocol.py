"""HTTP/1.1 on one connection: uvicorn's httptools protocol, with the timeouts and checks that it lacks.

Its parser refuses what request smuggling needs (both Content-Length and Transfer-Encoding, folded lines, bare
line feeds), but limits neither the size of a head nor the time that it may take.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from uuid import uuid4

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from certctl_mcp.http.connections import Connection, Connections
from certctl_mcp.http.problem_details import MEDIA_TYPE, problem_body

logger = logging.getLogger(__name__)

MAX_HEAD = 64 * 1024
"""Bytes of the request line and all headers."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts for a client, in seconds."""

    head: float = 10
    """To send the head of a request, or the rest of a body after the response."""
    write: float = 30
    """To read from a full send buffer."""


class _BadRequestError(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class LimitedProtocol(HttpToolsProtocol):
    """Closes connections whose client is slow, and answers malformed requests with a JSON error."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        connections: Connections,
        connection: Connection,
        timeouts: Timeouts,
    ) -> None:
        super().__init__(config, state, {})
        self._connections = connections
        self._connection = connection
        self._timeouts = timeouts
        self._in_head = False
        self._head_bytes = 0
        self._refusal: _BadRequestError | None = None
        self._waiting: asyncio.TimerHandle | None = None
        """The timer that runs while the client must send something."""
        self._writing: asyncio.TimerHandle | None = None
        """The timer that runs while the client must read something."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._connection.close = transport.abort
        self._wait_for_client()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self._connection)
        self._stop_waiting()
        self._stop_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._connection.idle_since is not None and self._waiting is None:
            self._wait_for_client()
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._refuse(_too_large())

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # White space around a value is not part of it (RFC 9110, 5.5). The parser strips only its start.
        super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._refusal = _request_problem(self.url, self.headers, self.parser.get_http_version())
        if self._refusal is not None:
            # httptools ends the parsing, and uvicorn then calls `send_400_response`.
            raise self._refusal
        self._stop_waiting()
        self._connection.idle_since = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            # The client has not yet read the end of the response.
            self._start_writing()
        elif self.cycle.response_complete:
            self._connection.idle_since = time.monotonic()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or _BadRequestError(HTTPStatus.BAD_REQUEST, "This is not valid HTTP/1.1."))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._start_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._start_writing()

    def _refuse(self, error: _BadRequestError) -> None:
        if self.transport.is_closing():
            return
        host = self.client[0] if self.client else "unknown"
        request_id = str(uuid4())
        logger.info("%d for %s: %s (request %s)", error.status, host, error.message, request_id)
        body = problem_body(error.status, error.message, request_id)
        head = (
            f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
        self._start_writing()

    def _wait_for_client(self) -> None:
        self._waiting = self.loop.call_later(self._timeouts.head, self._client_too_slow)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _client_too_slow(self) -> None:
        if self._in_head:
            seconds = f"{self._timeouts.head:g} s"
            self._refuse(_BadRequestError(HTTPStatus.REQUEST_TIMEOUT, f"No complete head within {seconds}."))
        else:
            self.transport.close()
            self._start_writing()

    def _start_writing(self) -> None:
        if self._writing is None:
            self._writing = self.loop.call_later(self._timeouts.write, self.transport.abort)

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


def _too_large() -> _BadRequestError:
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    return _BadRequestError(status, f"The head of a request is limited to {MAX_HEAD} bytes.")


def _request_problem(url: bytes, headers: list[tuple[bytes, bytes]], version: str) -> _BadRequestError | None:
    """Refuse forms that llhttp accepts, but that a proxy in front may parse differently."""
    if len(url) + sum(len(name) + len(value) for name, value in headers) > MAX_HEAD:
        return _too_large()
    names = [name for name, _ in headers]
    wrong: str | None = None
    if version not in ("1.0", "1.1"):
        wrong = "HTTP/1.1 is required."
    elif names.count(b"host") != 1 and (version == "1.1" or b"host" in names):
        wrong = "Exactly one Host header is required."
    elif version == "1.0" and b"transfer-encoding" in names:
        wrong = "HTTP/1.0 has no Transfer-Encoding."
    else:
        try:
            httptools.parse_url(url)
        except httptools.HttpParserError:
            wrong = "The request target is malformed."
    return None if wrong is None else _BadRequestError(HTTPStatus.BAD_REQUEST, wrong)
