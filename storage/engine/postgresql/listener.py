"""Notifications of other processes' commits on PostgreSQL, received on a dedicated connection."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
from sqlalchemy import func, literal, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.engine.changes import Changes, Signal
from storage.engine.postgresql.connections import CHECK_TIMEOUT
from storage.sql.notify import CHANGED, DUE

logger = logging.getLogger(__name__)

NOTIFY_INTERVAL = timedelta(milliseconds=500)
"""Changes that make nothing due are announced at most this often: each wakes every listener, and the server
serializes the commits of transactions that send a notification."""

CHECK_INTERVAL = timedelta(seconds=15)
"""A connection that was idle for this long is checked."""

LONGEST_PAUSE = timedelta(seconds=10)

_CONNECTION_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""Raised by SQLAlchemy, by the driver itself, and by a pool whose connections all wait for an unresponsive
server."""


class NotifiedChanges(Changes):
    """Announces the notifications of other processes. Without a connection, it announces every attempt to
    reconnect, so that waiting tasks check for themselves."""

    def __init__(self, engine: AsyncEngine, is_ours: Callable[[int], bool]) -> None:
        """`is_ours` returns whether this process writes on the connection with this number."""
        super().__init__()
        self._is_ours = is_ours
        self._engine = engine
        self._watched = asyncio.Event()
        self._wake_listener = asyncio.Event()
        self._sent = True
        self._unsent = asyncio.Event()

    async def wait_beyond(self, version: int) -> int:
        # A process that only waits for work needn't be notified of every outcome on every host.
        if not self._watched.is_set():
            self._watched.set()
            self._wake_listener.set()
        return await super().wait_beyond(version)

    def committed(self) -> None:
        Signal.announce(self)
        self._sent = False
        self._unsent.set()

    def close(self) -> None:
        super().close()
        self._wake_listener.set()
        self._unsent.set()

    async def watch(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send)
            pause = NOTIFY_INTERVAL
            while not self._closed.is_set():
                try:
                    async with self._engine.connect() as connection:
                        pause = NOTIFY_INTERVAL
                        await self._listen(connection)
                except _CONNECTION_ERRORS as failure:
                    logger.warning("can't listen to the database: %s", _reason(failure))
                self.announce()
                await self._wait(self._closed, pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen(self, connection: AsyncConnection) -> None:
        """Return when this is closed or the connection is lost."""
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        driver.add_termination_listener(lambda _connection: self._wake_listener.set())
        await driver.add_listener(DUE, self._receive)
        # Announces changes from before this process listened.
        self.announce()
        listening_to_all = False
        try:
            while not self._closed.is_set() and not driver.is_closed():
                self._wake_listener.clear()
                if self._watched.is_set() and not listening_to_all:
                    await driver.add_listener(CHANGED, self._receive)
                    listening_to_all = True
                    self.announce()
                if not await self._wait(self._wake_listener, CHECK_INTERVAL):
                    async with asyncio.timeout(CHECK_TIMEOUT.total_seconds()):
                        await connection.execute(text("SELECT 1"))
        finally:
            # It must not return to the pool, because it still listens.
            await connection.invalidate()

    def _receive(self, _connection: Any, sender: int, channel: str, _payload: object) -> None:
        if self._is_ours(sender):
            return
        if channel == DUE:
            self.announce()
        else:
            Signal.announce(self)

    async def _send(self) -> None:
        """Notify other processes that something has changed here."""
        while not (self._closed.is_set() and self._sent):
            await self._unsent.wait()
            self._unsent.clear()
            if not self._sent:
                self._sent = True
                # If it can't be sent, the others check for themselves once they have reconnected.
                with suppress(*_CONNECTION_ERRORS), anyio.move_on_after(CHECK_TIMEOUT.total_seconds()):
                    async with self._engine.connect() as connection:
                        await connection.execute(select(func.pg_notify(literal(CHANGED), literal(""))))
            await self._wait(self._closed, NOTIFY_INTERVAL)

    @staticmethod
    async def _wait(event: asyncio.Event, at_most: timedelta) -> bool:
        """Whether the event is set."""
        with anyio.move_on_after(at_most.total_seconds()):
            await event.wait()
        return event.is_set()


def _reason(failure: Exception) -> object:
    cause = failure.orig if isinstance(failure, DBAPIError) else failure
    return str(cause) or "no response in time"
