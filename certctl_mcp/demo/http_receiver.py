"""An HTTP receiver on loopback that misbehaves as scripted."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import anyio
from aiohttp import web

from certctl_mcp.demo.ledger import Arrival, Ledger

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request. Without a status, the receiver hangs."""

    status: int | None
    words: str
    headers: Mapping[str, str] = field(default_factory=dict)


class ForgedRequestError(Exception):
    """The request does not come from the queue."""


ReadKey = Callable[[Mapping[str, str], str], str]
"""Reads the idempotency key from headers and body. Raises: ForgedRequestError."""

_FORGED = Answer(401, "401 Unauthorized: the signature is wrong")


class HttpReceiver:
    """Answers the first requests from a script, one answer per request, and all later ones normally.

    Its port is reserved from the start, but refuses connections until `listen`.
    """

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        *,
        key_name: str,
        read_key: ReadKey,
        script: Sequence[Answer] = (),
        usual: Answer,
    ) -> None:
        self._name = name
        self._ledger = ledger
        self._key_name = key_name
        self._read_key = read_key
        self._script = iter(script)
        self._usual = usual
        self._read: set[str] = set()
        self._socket = bound_socket()
        self._runner: web.ServerRunner | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return "{}:{}".format(*self._socket.getsockname())

    async def listen(self) -> None:
        # With cancellation, a request that hangs ends when its sender gives up.
        server = web.Server(self._receive, handler_cancellation=True, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with anyio.CancelScope(shield=True):
            if self._runner is not None:
                await self._runner.cleanup()
        self._socket.close()

    async def _receive(self, request: web.BaseRequest) -> web.Response:
        body = await request.text()
        try:
            key = self._read_key(request.headers, body)
            answer = next(self._script, self._usual)
        except ForgedRequestError:
            key, answer = "", _FORGED
        words = answer.words
        if key in self._read:
            words += f"; a repeat of this {self._key_name}, so it is ignored"
        accepted = answer.status is not None and 200 <= answer.status < 300
        if accepted or answer.status is None:
            self._read.add(key)
        self._ledger.write(Arrival(self._name, body, words, accepted, self._key_name, key))
        if answer.status is None:
            await anyio.sleep_forever()
        return web.Response(status=answer.status or 200, headers=answer.headers)


def bound_socket() -> socket.socket:
    """A socket that reserves a free port on loopback. Connections to it are refused until it listens."""
    bound = socket.socket()
    bound.bind((LOOPBACK, 0))
    return bound
