"""A TCP proxy between a process and PostgreSQL, which a test can stall, cut, or cut before a response."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from time import monotonic
from urllib.parse import urlsplit

from storage.database import Database
from storage.errors import DatabaseUnreachableError

COMMIT = b"COMMIT;"

SOON = timedelta(milliseconds=300)
"""The response timeout with the fixture `impatient`."""

_AVAILABLE_WITHIN = 60.0
"""Seconds within which an available server must accept a connection despite the short timeouts."""

_CHUNK = 1 << 16


class TcpProxy:
    """Carries all connections between one process and the server."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._port = 0
        self._up = asyncio.Event()
        self._up.set()
        self._refusing = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._cut_before: bytes | None = None
        self._cut_after: bytes | None = None
        self._stall_before: bytes | None = None
        self.cuts = asyncio.Semaphore(0)
        """Released once for each connection cut by `cut_once_before` or `cut_once_after`."""
        self.stalls = asyncio.Semaphore(0)
        """Released once for each stall caused by `stall_once_before`."""

    @property
    def url(self) -> str:
        account = self._server.netloc.rpartition("@")[0]
        return self._server._replace(netloc=f"{account}@127.0.0.1:{self._port}").geturl()

    @property
    def connections(self) -> int:
        return len(self._ends) // 2

    def stall(self) -> None:
        """Hold back all data in both directions without closing connections."""
        self._up.clear()

    def cut(self) -> None:
        """Close all connections and refuse new ones."""
        self._refusing = True
        self._cut_all()
        self._up.set()

    def heal(self) -> None:
        """Let stalled data through and accept new connections."""
        self._refusing = False
        self._up.set()

    def cut_once_before(self, data: bytes) -> None:
        """Cut the connection the next time the process sends these bytes, before the server receives them."""
        self._cut_before = data

    def cut_once_after(self, data: bytes) -> None:
        """Cut the connection the next time the process sends these bytes, after the server acts on them."""
        self._cut_after = data

    def stall_once_before(self, data: bytes) -> None:
        """Stall the next time the process sends these bytes, before the server receives them."""
        self._stall_before = data

    async def carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        self._ends.add(to_client)
        try:
            await self._up.wait()
            if self._refusing:
                return
            from_server, to_server = await asyncio.open_connection(self._server.hostname, self._server.port)
            self._ends.add(to_server)
            try:
                await self._forward(from_client, to_client, from_server, to_server)
            finally:
                self._ends.discard(to_server)
                to_server.transport.abort()
        finally:
            self._ends.discard(to_client)
            to_client.transport.abort()

    async def _forward(
        self,
        from_client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        from_server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
    ) -> None:
        swallowing = asyncio.Event()

        async def forward_requests() -> None:
            while data := await from_client.read(_CHUNK):
                if self._stall_before is not None and self._stall_before in data:
                    self._stall_before = None
                    self.stall()
                    self.stalls.release()
                await self._up.wait()
                if self._cut_before is not None and self._cut_before in data:
                    self._cut_before = None
                    self.cuts.release()
                    return
                if self._cut_after is not None and self._cut_after in data:
                    self._cut_after = None
                    swallowing.set()
                to_server.write(data)
                await to_server.drain()

        async def forward_responses() -> None:
            while data := await from_server.read(_CHUNK):
                if swallowing.is_set():
                    self.cuts.release()
                    return
                await self._up.wait()
                to_client.write(data)
                await to_client.drain()

        directions = [asyncio.create_task(forward_requests()), asyncio.create_task(forward_responses())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    def _cut_all(self) -> None:
        for end in self._ends:
            end.transport.abort()


@asynccontextmanager
async def tcp_proxy(url: str) -> AsyncIterator[TcpProxy]:
    """A proxy to the database at `url`."""
    proxy = TcpProxy(url)
    connections: set[asyncio.Task[None]] = set()

    async def carry(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        # asyncio's stream server would log the cancellation of its tasks.
        with suppress(OSError, asyncio.CancelledError):
            await proxy.carry(from_client, to_client)
        connections.discard(task)

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    proxy._port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


@asynccontextmanager
async def open_with_retries(url: str) -> AsyncIterator[Database]:
    """The database at `url`, opened with retries in case a busy machine exceeds the short timeouts."""
    until = monotonic() + _AVAILABLE_WITHIN
    async with AsyncExitStack() as stack:
        while True:
            try:
                database = await stack.enter_async_context(Database.open(url))
            except DatabaseUnreachableError:
                if monotonic() > until:
                    raise
            else:
                break
        yield database
