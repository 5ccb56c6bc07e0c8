"""The line between a process and its PostgreSQL: a test can stall it, cut it, and cut it before an answer."""

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
"""How long who is impatient waits for an answer."""

_REACHED_WITHIN = 60.0
"""Seconds that a server which is there may take to let whoever is impatient in."""

_CHUNK = 1 << 16


class Line:
    """Every connection of a process to the server goes through it."""

    def __init__(self, url: str) -> None:
        self._server = urlsplit(url)
        self._port = 0
        self._up = asyncio.Event()
        self._up.set()
        self._refusing = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._cut_before: bytes | None = None
        self._cut_after: bytes | None = None
        self.cuts = asyncio.Semaphore(0)
        """Released once for each connection that was cut at what it said."""

    @property
    def url(self) -> str:
        account = self._server.netloc.rpartition("@")[0]
        return self._server._replace(netloc=f"{account}@127.0.0.1:{self._port}").geturl()

    @property
    def connections(self) -> int:
        return len(self._ends) // 2

    def stall(self) -> None:
        """Nothing comes through any more, in either direction, and nobody is told."""
        self._up.clear()

    def cut(self) -> None:
        """Every connection is lost, and no other can be made."""
        self._refusing = True
        self._cut_all()
        self._up.set()

    def heal(self) -> None:
        """What was stalled comes through, and new connections can be made."""
        self._refusing = False
        self._up.set()

    def cut_once_before(self, said: bytes) -> None:
        """The next time that the process says this, the server does not hear it: the connection is lost."""
        self._cut_before = said

    def cut_once_after(self, said: bytes) -> None:
        """The next time that the process says this, the server does it, and its answer is lost."""
        self._cut_after = said

    async def carry(self, near: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self._ends.add(answers)
        try:
            await self._up.wait()
            if self._refusing:
                return
            far, asks = await asyncio.open_connection(self._server.hostname, self._server.port)
            self._ends.add(asks)
            try:
                await self._both_ways(near, answers, far, asks)
            finally:
                self._ends.discard(asks)
                asks.transport.abort()
        finally:
            self._ends.discard(answers)
            answers.transport.abort()

    async def _both_ways(
        self,
        near: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
        far: asyncio.StreamReader,
        asks: asyncio.StreamWriter,
    ) -> None:
        swallowing = asyncio.Event()

        async def ask() -> None:
            while said := await near.read(_CHUNK):
                await self._up.wait()
                if self._cut_before is not None and self._cut_before in said:
                    self._cut_before = None
                    self.cuts.release()
                    return
                if self._cut_after is not None and self._cut_after in said:
                    self._cut_after = None
                    swallowing.set()
                asks.write(said)
                await asks.drain()

        async def answer() -> None:
            while said := await far.read(_CHUNK):
                if swallowing.is_set():
                    self.cuts.release()
                    return
                await self._up.wait()
                answers.write(said)
                await answers.drain()

        directions = [asyncio.create_task(ask()), asyncio.create_task(answer())]
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
async def line_to(url: str) -> AsyncIterator[Line]:
    """A line to the database at `url`."""
    line = Line(url)
    carrying: set[asyncio.Task[None]] = set()

    async def carry(near: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        carrying.add(task)
        # The server of streams makes a noise about its tasks being cancelled.
        with suppress(OSError, asyncio.CancelledError):
            await line.carry(near, answers)
        carrying.discard(task)

    listener = await asyncio.start_server(carry, "127.0.0.1", 0)
    line._port = listener.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        listener.close()
        for task in tuple(carrying):
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


@asynccontextmanager
async def reached(url: str) -> AsyncIterator[Database]:
    """The database at `url`, opened by whoever is impatient, however often a busy machine lets it wait."""
    until = monotonic() + _REACHED_WITHIN
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
