"""Connections that remember the status line of a response, so that a broken rest can't undo the response.

A receiver that responded with 2xx has the notification, whatever is wrong with its headers or body. The
parser rejects broken responses as a whole, some of them depending on how TCP split them, and doesn't report
the status that it had read. `httpx2` would need the same: its parser, h11, accepts longer headers and equal
lengths, but rejects contradictory lengths, spaces in header names and bad chunks. It also makes fewer than a
quarter of the posts a second (`tests.benchmarks.http_clients`).
"""

import asyncio
import re
from contextvars import ContextVar
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

_STATUS_LINE = re.compile(rb"(?:\r?\n)*HTTP/[0-9.]{1,5} +(?P<status>[1-9][0-9]{2})(?=[ \r\n])")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MAX_BYTES = 16 * 1024
"""The most bytes before the status line, including interim responses; it normally comes long before this."""


class ObservedConnection(ResponseHandler):
    """The protocol of a connection, with the status of the response in progress."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.requests = 0
        self.status: int | None = None
        """None until the status line has arrived."""
        self.malformed = False
        """Whether the parser failed on the response."""
        self.idle = False
        """Whether no request is in progress."""
        self._head = b""

    def set_response_params(self, **parameters: Any) -> None:
        self.requests += 1
        self.status, self.malformed, self.idle, self._head = None, False, False, b""
        super().set_response_params(**parameters)

    def data_received(self, data: bytes) -> None:
        if data and self.idle and self.transport is not None:
            # More data than the last response announced. It must not be read as the response to the next
            # request.
            self.transport.close()
            return
        if self.status is None and len(self._head) < _MAX_BYTES:
            self._head += data
            self._read_status()
        super().data_received(data)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        self.malformed = self.malformed or isinstance(exc, aiohttp.http.HttpProcessingError)
        super().set_exception(exc, *cause)

    def _read_status(self) -> None:
        while found := _STATUS_LINE.match(self._head):
            status = int(found["status"])
            if status >= 200:
                self.status = status
                return
            # An interim response such as 103 Early Hints; the final one follows.
            end = _HEAD_END.search(self._head, found.end())
            if end is None:
                return
            self._head = self._head[end.end() :]


class Exchange:
    """One request and what is known about its response, even if the request fails."""

    def __init__(self) -> None:
        self._connection: ObservedConnection | None = None
        self._number = 0

    def begin(self, connection: ObservedConnection | None) -> None:
        """The request uses `connection`; None if that isn't known yet."""
        self._connection = connection
        self._number = 0 if connection is None else connection.requests

    def end(self) -> None:
        """The response has been dealt with, and the connection may serve another request."""
        if self._own is not None:
            self._own.idle = True

    @property
    def status(self) -> int | None:
        """The status of the receiver's response; None if there was none."""
        return None if self._own is None else self._own.status

    @property
    def malformed(self) -> bool:
        """Whether the response could not be parsed to its end."""
        return self._own is not None and self._own.malformed

    @property
    def reused_connection_failed(self) -> bool:
        """Whether a connection that had served earlier requests failed without a response to this one."""
        return self._own is not None and self._own.requests > 1 and self._own.status is None

    @property
    def _own(self) -> ObservedConnection | None:
        """The connection, unless another request may be using it: it is released once the whole response has
        been read."""
        connection = self._connection
        return connection if connection is not None and connection.requests == self._number else None


current_exchange: ContextVar[Exchange] = ContextVar("current_exchange")


class ObservedResponse(aiohttp.ClientResponse):
    """A response that ties its connection to the current exchange."""

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        protocol = connection.protocol
        if isinstance(protocol, ObservedConnection):
            current_exchange.get().begin(protocol)
        return await super().start(connection)


class ObservingConnector(aiohttp.TCPConnector):
    """Creates observed connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no public way to choose the protocol; a test fails if this one stops working.
        self._factory = partial(ObservedConnection, loop=self._loop)  # type: ignore[assignment]
