"""SQLite connections for reading, each with its own thread, in which a query is one call.

A connection is opened when all others are busy, up to a limit. Beyond that, queries wait for their turn.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite
import anyio
from sqlalchemy import Connection, Engine

from storage.engine.sqlite.database_file import DatabaseFile, Identity

READERS = 4

_CLOSE_TIMEOUT = 1.0
"""How many seconds to wait for running queries when the database is closed."""

_ROWS_AT_ONCE = 64

Result = TypeVar("Result")


class Readers:
    """Runs queries; see `Read`."""

    def __init__(self, engine: Engine, file: DatabaseFile) -> None:
        self._engine = engine
        self._file = file
        self._turns = asyncio.Semaphore(READERS)
        self._idle: list[_Reader] = []
        self._stopping: set[asyncio.Future[None]] = set()

    async def __call__(self, query: Callable[[Connection], Result], /) -> Result:
        """Run `query` in a thread. If the caller is cancelled, the running statement is interrupted."""
        async with self._turns:
            reader = await self._take()
            try:
                return await reader.run(query)
            except asyncio.CancelledError:
                await reader.interrupt()
                raise
            finally:
                self._idle.append(reader)

    async def close(self) -> None:
        """Close all connections."""
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            while self._idle:
                await self._idle.pop().close()
            if self._stopping:
                await asyncio.wait(self._stopping)

    async def _take(self) -> "_Reader":
        """A reader of the file at the path."""
        self._file.check()
        while self._idle:
            reader = self._idle.pop()
            if reader.connected_to == self._file.identity:
                return reader
            with anyio.CancelScope(shield=True):
                await reader.close()
        reader = _Reader(self._engine, self._file.identity)
        try:
            await reader
        except BaseException:
            # Its thread may still be opening the connection.
            self._stopping.add(reader.stopped)
            reader.stopped.add_done_callback(self._stopping.discard)
            raise
        return reader


class _Reader(aiosqlite.Connection):
    """An SQLAlchemy connection and the thread that uses it."""

    stopped: asyncio.Future[None]
    """Done when the thread has ended, after `stop`."""

    def __init__(self, engine: Engine, file: Identity | None) -> None:
        super().__init__(self._open, _ROWS_AT_ONCE)
        self.connected_to = file
        self._engine = engine
        self._opened: Connection | None = None
        # A running statement must not keep the process from exiting.
        self._thread.daemon = True

    async def run(self, query: Callable[[Connection], Result]) -> Result:
        return await self._execute(query, self._opened)  # type: ignore[no-untyped-call,no-any-return]

    async def close(self) -> None:
        await self._execute(self._disconnect)  # type: ignore[no-untyped-call]
        await super().close()

    def stop(self) -> asyncio.Future[None] | None:
        # If the task that connects is cancelled, aiosqlite forgets what its thread has opened.
        self._tx.put_nowait((None, self._disconnect))
        stopped = super().stop()
        if stopped is not None:
            self.stopped = stopped
        return stopped

    def _open(self) -> sqlite3.Connection:
        self._opened = self._engine.connect()
        driver = self._opened.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver

    def _disconnect(self) -> None:
        if self._opened is not None:
            self._opened.close()
