"""SQLite connections for reading, each with a thread of its own, in which a query is one call.

A thread is started when all others are busy, up to a limit. Beyond that, queries wait for their turn.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar

import anyio.to_thread
from sqlalchemy import Connection, Engine

from storage.engine.sqlite.database_file import DatabaseFile, Identity

READERS = 4

_CLOSE_TIMEOUT = 1.0
"""How many seconds to wait for a thread that is closing its connection."""

Result = TypeVar("Result")


class Readers:
    """Runs queries; see `Read`."""

    def __init__(self, engine: Engine, file: DatabaseFile) -> None:
        self._engine = engine
        self._file = file
        self._queue: SimpleQueue[_Query[Any] | None] = SimpleQueue()
        self._threads: list[_ReaderThread] = []
        self._unfinished = 0

    async def __call__(self, query: Callable[[Connection], Result], /) -> Result:
        """Run `query` in a thread. If the caller is cancelled, the running statement is interrupted."""
        asked = _Query(query, self._finished)
        self._unfinished += 1
        if len(self._threads) < min(self._unfinished, READERS):
            self._threads.append(_ReaderThread(self._engine, self._file, self._queue))
            self._threads[-1].start()
        self._queue.put(asked)
        try:
            return await asked.answer
        except asyncio.CancelledError:
            asked.cancel()
            raise

    async def close(self) -> None:
        """Close all connections."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await anyio.to_thread.run_sync(thread.join, _CLOSE_TIMEOUT)

    def _finished(self) -> None:
        self._unfinished -= 1


class _Query(Generic[Result]):
    """A query, between the task that waits for its answer and the thread that runs it."""

    def __init__(self, query: Callable[[Connection], Result], finished: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Result] = self._loop.create_future()
        self._query = query
        self._finished = finished
        self._running_on: sqlite3.Connection | None = None
        self._cancelled = False
        self._lock = Lock()
        """Held while it is decided whether the connection is still used by this query."""

    def cancel(self) -> None:
        """Called by the task, which no longer waits."""
        with self._lock:
            self._cancelled = True
            if self._running_on is not None:
                self._running_on.interrupt()

    def run(self, connect: Callable[[], Connection]) -> None:
        """Called in the thread."""
        try:
            result = None if self._cancelled else self._run(connect())
        except Exception as failure:  # noqa: BLE001 - raised again in the task
            self._end(self.answer.set_exception, failure)
        else:
            self._end(self.answer.set_result, result)

    def _run(self, connection: Connection) -> Result:
        driver = connection.connection.dbapi_connection
        assert isinstance(driver, sqlite3.Connection)
        with self._lock:
            self._running_on = driver
        try:
            return self._query(connection)
        finally:
            with self._lock:
                self._running_on = None

    def _end(self, settle: Callable[[Any], None], outcome: object) -> None:
        # The event loop may have been closed by now.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, settle, outcome)

    def _settle(self, settle: Callable[[Any], None], outcome: object) -> None:
        self._finished()
        if not self.answer.cancelled():
            settle(outcome)


class _ReaderThread(Thread):
    """Takes queries from the queue, one at a time, until it takes a None."""

    def __init__(self, engine: Engine, file: DatabaseFile, queue: "SimpleQueue[_Query[Any] | None]") -> None:
        # A running statement must not keep the process from exiting.
        super().__init__(name="SQLite reader", daemon=True)
        self._engine = engine
        self._file = file
        self._queue = queue
        self._connection: Connection | None = None
        self._connected_to: Identity | None = None

    def run(self) -> None:
        while (asked := self._queue.get()) is not None:
            asked.run(self._connected)
            # Otherwise it would live until the next query.
            del asked
        self._disconnect()

    def _connected(self) -> Connection:
        """A connection to the file at the path."""
        self._file.check()
        if self._connected_to != self._file.identity:
            self._disconnect()
        if self._connection is None:
            self._connected_to = self._file.identity
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
