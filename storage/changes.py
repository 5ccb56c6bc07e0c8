"""Has anything changed? A signal for those who wait, also for what another process committed."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import anyio
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

LOOK_EVERY = timedelta(milliseconds=500)
"""SQLite has no message between processes. Its `data_version` costs no I/O to look at."""


class Changes:
    """Counts up whenever something may have changed. `watch` must be running to notice other processes."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._version = 0
        self._seen: int | None = None
        self._next = asyncio.Event()
        self._closed = asyncio.Event()
        self._looking = asyncio.Lock()

    @property
    def version(self) -> int:
        """Take it before reading; `wait_beyond` it then misses nothing that came after."""
        return self._version

    async def wait_beyond(self, version: int) -> int:
        """Return the present version as soon as it is later than `version`."""
        while self._version <= version:
            await self._next.wait()
        return self._version

    def announce(self) -> None:
        """Something changed in this process: no need to wait for the next look."""
        self._version += 1
        self._next.set()
        self._next = asyncio.Event()

    async def watch(self) -> None:
        """Announce what other connections commit after the first look, until closed."""
        while not self._closed.is_set():
            try:
                await asyncio.wait_for(self._closed.wait(), LOOK_EVERY.total_seconds())
            except TimeoutError:
                await self.look()

    async def look(self) -> None:
        """Announce what other connections have committed since the last look."""
        found = await self.data_version()
        if found != self._seen:
            self._seen = found
            self.announce()

    def close(self) -> None:
        self._closed.set()

    async def data_version(self) -> int | None:
        """Another one whenever anything was committed, by this process or another.

        None while the database can't be read: those who wait go and look, and are told the reason.
        """
        version: int | None = None
        async with self._looking:
            # Who asks may be cancelled; a connection given up amid a statement could never be asked again.
            with suppress(DBAPIError), anyio.CancelScope(shield=True):
                result = await self._connection.exec_driver_sql("PRAGMA data_version")
                version = result.scalar_one()
        return version
