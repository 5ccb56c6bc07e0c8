"""How does a process notice, on SQLite, that another one has committed? It looks at a number, often.

SQLite has no message between processes. Its `data_version` costs no I/O to look at.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

import anyio
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.engine.changes import Changes

LOOK_EVERY = timedelta(milliseconds=500)


class DataVersion(Changes):
    """Announces what other connections commit after the first look."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__()
        self._connection = connection
        self._seen: int | None = None
        self._looking = asyncio.Lock()

    async def watch(self) -> None:
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

    async def data_version(self) -> int | None:
        """None while the database can't be read: those who wait go and look, and are told the reason."""
        version: int | None = None
        async with self._looking:
            # Who asks may be cancelled; a connection given up amid a statement could never be asked again.
            with suppress(DBAPIError), anyio.CancelScope(shield=True):
                result = await self._connection.exec_driver_sql("PRAGMA data_version")
                version = result.scalar_one()
        return version
