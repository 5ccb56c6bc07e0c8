"""Commits of other processes on SQLite, noticed by polling `data_version`.

SQLite has no notifications between processes; reading `data_version` costs no I/O.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

import anyio
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine.changes import Changes

POLL_INTERVAL = timedelta(milliseconds=500)


class PolledChanges(Changes):
    """Announces what other connections commit after the first poll."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__()
        self._connection = connection
        self._seen: int | None = None
        self._polling = asyncio.Lock()

    async def watch(self) -> None:
        while not self._closed.is_set():
            try:
                await asyncio.wait_for(self._closed.wait(), POLL_INTERVAL.total_seconds())
            except TimeoutError:
                await self.poll()

    async def poll(self) -> None:
        """Announce it if other connections have committed since the last poll."""
        found = await self.data_version()
        if found != self._seen:
            self._seen = found
            self.announce()

    async def data_version(self) -> int | None:
        """None while the database can't be read: waiting tasks then look, and get the reason."""
        version: int | None = None
        async with self._polling:
            # The caller may be cancelled, and a connection left in the middle of a statement is unusable.
            with suppress(DBAPIError), anyio.CancelScope(shield=True):
                result = await self._connection.exec_driver_sql("PRAGMA data_version")
                version = result.scalar_one()
        return version
