"""Commits of other processes on SQLite, noticed by polling `data_version`.

SQLite has no notifications between processes; reading `data_version` costs no I/O.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import anyio
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from storage.engine.backend import Read
from storage.engine.changes import Changes
from storage.engine.sqlite.connections import data_version
from storage.engine.sqlite.database_file import DatabaseFile, DatabaseFileError, FileProblem, Identity
from storage.engine.transaction import TransactionFailedError
from storage.errors import DatabaseTooNewError

POLL_INTERVAL = timedelta(milliseconds=500)

_GENERATION = 1 << 32
"""Added so that versions of a new file never equal those of the previous one."""


class PolledChanges(Changes):
    """Announces what other connections commit after the first poll, and that the file was replaced."""

    def __init__(
        self, engine: Engine, read: Read, file: DatabaseFile, open_replacement: Callable[[], Awaitable[None]]
    ) -> None:
        """`open_replacement` opens the file that has replaced the one in use."""
        super().__init__()
        self._engine = engine
        self._read = read
        self._file = file
        self._open_replacement = open_replacement
        self._connection: Connection | None = None
        self._connected_to: Identity | None = None
        self._generation = 0
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
        """None while the database can't be read. Waiting tasks then read it themselves, and get the error."""
        version: int | None = None
        async with self._polling:
            # The caller may be cancelled, and only one thread at a time may use the connection.
            with (
                suppress(DBAPIError, DatabaseFileError, DatabaseTooNewError, TransactionFailedError),
                anyio.CancelScope(shield=True),
            ):
                if self._file.problem() is FileProblem.REPLACED:
                    await self._open_replacement()
                version = await self._read(lambda _reader: self._read_version())
        return version

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _read_version(self) -> int:
        """The version as seen by a connection that is kept, because versions of different connections can't
        be compared."""
        if self._connected_to != self._file.identity:
            self.disconnect()
        if self._connection is None:
            self._connected_to = self._file.identity
            self._connection = self._engine.connect()
            self._generation += 1
        return self._generation * _GENERATION + data_version(self._connection)
