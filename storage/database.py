"""Where is the queue kept, and is it in order? Opening it, and the ways in: one writer, several readers.

SQLite in WAL mode: readers never wait for the writer, and a commit is on the disk before its caller returns.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.changes import Changes
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.failures import explained
from storage.migrations import bring_up_to_date
from storage.writer import Item, Operation, Result, Writer

BUSY_TIMEOUT = timedelta(seconds=5)
READERS = 4


class Database:
    """An open database. Its `changes` tell when it may be worth reading again."""

    def __init__(
        self,
        location: str,
        found_revision: str | None,
        readers: AsyncEngine,
        writer: Writer,
        changes: Changes,
        clock: Clock,
    ) -> None:
        self.location = location
        self.found_revision = found_revision
        """The schema's revision before it was brought up to date; None where there was none of ours."""
        self.changes = changes
        self.clock = clock
        self._readers = readers
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, clock: Clock = utc_now, busy_timeout: timedelta = BUSY_TIMEOUT
    ) -> "AsyncIterator[Database]":
        """Open the database, creating or migrating it as needed, until the context is left.

        `url` is `sqlite:///` and a path. `busy_timeout` is how long a write waits for another process.

        Raises:
            StorageError: it can't be used; the message says why and what would help.
        """
        path = _path_of(url)
        location = str(path)
        connect_args = {"timeout": busy_timeout.total_seconds(), "isolation_level": None}
        writing = create_engine(
            URL.create("sqlite+pysqlite", database=location),
            connect_args=connect_args | {"check_same_thread": False},
        )
        readers = create_async_engine(
            URL.create("sqlite+aiosqlite", database=location),
            connect_args=connect_args,
            pool_size=READERS,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
        )
        event.listen(writing, "connect", _prepare)
        event.listen(readers.sync_engine, "connect", _prepare)
        event.listen(writing, "begin", _begin_immediately)
        try:
            with explained(location):
                connection, found = await anyio.to_thread.run_sync(_connect, writing, path)
            async with readers.connect() as watching, anyio.create_task_group() as tasks:
                writer = Writer(connection)
                changes = Changes(watching)
                tasks.start_soon(writer.run)
                tasks.start_soon(changes.watch)
                try:
                    yield cls(location, found, readers, writer, changes, clock)
                finally:
                    changes.close()
                    writer.close()
            connection.close()
        finally:
            writing.dispose()
            with anyio.CancelScope(shield=True):
                await readers.dispose()

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Change the database; see `Writer.write`.

        Raises:
            NotificationError: the operation refused this item.
            StorageError: the database can't be written now; nothing was changed.
        """
        with explained(self.location):
            return await self._writer.write(operation, item)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to query with; each statement sees what was committed before it.

        Raises:
            StorageError: the database can't be read now.
        """
        with explained(self.location):
            async with self._readers.connect() as connection:
                yield connection


def _path_of(url: str) -> Path:
    allowed = "use sqlite:/// and a path, such as sqlite:////var/lib/certctl-mcp/notifications.db"
    try:
        parsed: URL = make_url(url)
    except ArgumentError:
        raise StorageError(f"the database URL can't be read; {allowed}") from None
    if parsed.get_backend_name() != "sqlite":
        raise StorageError(
            f"databases of the kind {parsed.get_backend_name()!r} are not supported; {allowed}"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise StorageError(f"a database in memory would lose what was accepted; {allowed}")
    return Path(parsed.database).expanduser()


def _connect(engine: Engine, path: Path) -> tuple[Connection, str | None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Alerts name people and hosts: the file is its owner's alone.
        path.touch(mode=0o600)
    connection = engine.connect()
    return connection, bring_up_to_date(connection)


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediately(connection: Connection) -> None:
    # A deferred transaction that reads first and then writes fails at once when another process wrote
    # in between, whatever the busy timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
