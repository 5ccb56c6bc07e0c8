"""How does a process hear, on PostgreSQL, of what others commit? It listens, on a connection of its own."""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
from sqlalchemy import func, literal, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.engine.changes import Changes, Signal
from storage.engine.postgresql.connections import ANSWERED_WITHIN
from storage.sql.notify import CHANGED, DUE

logger = logging.getLogger(__name__)

TELL_EVERY = timedelta(milliseconds=500)
"""Others are told at most this often that something has changed: every message is one for all who listen,
and the server lets transactions that send one commit one after the other."""

ASK_AFTER = timedelta(seconds=15)
"""A connection that was quiet for so long is asked whether it is still there."""

LONGEST_PAUSE = timedelta(seconds=10)

_LOST = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
"""What can be raised where nobody can be heard at this moment: also by the driver itself, and by a pool whose
connections all wait for a server that does not answer."""


class Listening(Changes):
    """Announces what others tell. While nobody can be heard it announces each try to listen again, so that
    those who wait go and look."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__()
        self._engine = engine
        self._watched = asyncio.Event()
        self._wanted = asyncio.Event()
        self._told = True
        self._untold = asyncio.Event()

    async def wait_beyond(self, version: int) -> int:
        # Who only waits for work need not hear of every outcome on every host.
        if not self._watched.is_set():
            self._watched.set()
            self._wanted.set()
        return await super().wait_beyond(version)

    def committed(self) -> None:
        Signal.announce(self)
        self._told = False
        self._untold.set()

    def close(self) -> None:
        super().close()
        self._wanted.set()
        self._untold.set()

    async def watch(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tell)
            pause = TELL_EVERY
            while not self._closed.is_set():
                try:
                    async with self._engine.connect() as connection:
                        pause = TELL_EVERY
                        await self._listen(connection)
                except _LOST as failure:
                    logger.warning("can't listen to the database: %s", _reason(failure))
                self.announce()
                await self._wait(self._closed, pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _listen(self, connection: AsyncConnection) -> None:
        """Returns when it is closed or can't be heard any more."""
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        driver.add_termination_listener(lambda _connection: self._wanted.set())
        await driver.add_listener(DUE, self._hear)
        # What was told before anybody listened.
        self.announce()
        listening_to_all = False
        try:
            while not self._closed.is_set() and not driver.is_closed():
                self._wanted.clear()
                if self._watched.is_set() and not listening_to_all:
                    await driver.add_listener(CHANGED, self._hear)
                    listening_to_all = True
                    self.announce()
                if not await self._wait(self._wanted, ASK_AFTER):
                    async with asyncio.timeout(ANSWERED_WITHIN.total_seconds()):
                        await connection.execute(text("SELECT 1"))
        finally:
            # Nobody else is to have it: it listens.
            await connection.invalidate()

    def _hear(self, _connection: Any, sender: int, channel: str, _payload: object) -> None:
        if sender == self.own:
            return
        if channel == DUE:
            self.announce()
        else:
            Signal.announce(self)

    async def _tell(self) -> None:
        """That something has changed here, to those who watch elsewhere."""
        while not (self._closed.is_set() and self._told):
            await self._untold.wait()
            self._untold.clear()
            if not self._told:
                self._told = True
                # Where it can't be told, they look by themselves once they can be reached again.
                with suppress(*_LOST), anyio.move_on_after(ANSWERED_WITHIN.total_seconds()):
                    async with self._engine.connect() as connection:
                        await connection.execute(select(func.pg_notify(literal(CHANGED), literal(""))))
            await self._wait(self._closed, TELL_EVERY)

    @staticmethod
    async def _wait(event: asyncio.Event, longest: timedelta) -> bool:
        """Whether it is set now."""
        with anyio.move_on_after(longest.total_seconds()):
            await event.wait()
        return event.is_set()


def _reason(failure: Exception) -> object:
    told = failure.orig if isinstance(failure, DBAPIError) else failure
    return str(told) or "no answer in time"
