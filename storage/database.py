"""Where is the queue kept, and is it in order? Opening it, and the ways in: one writer, several readers.

SQLite in WAL mode: readers never wait for the writer, and a commit is on the disk before its caller returns.
"""

import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from storage.changes import Changes
from storage.clock import Clock, utc_now
from storage.errors import StorageError
from storage.failures import explained
from storage.migrations import REVISIONS, bring_up_to_date, current_revision
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
        opened = AsyncExitStack()
        try:
            with explained(location):
                await anyio.to_thread.run_sync(_make_sure_of, path)
                readers = _reading(location, busy_timeout)
                opened.push_async_callback(readers.dispose)
                watching = await opened.enter_async_context(readers.connect())
                # Found by reading, which no other process's lock holds up.
                found = await watching.run_sync(current_revision)
                writing = _writing(location, busy_timeout)
                opened.callback(writing.dispose)
                if found != REVISIONS[-1]:
                    await anyio.to_thread.run_sync(_migrate, writing)
                connection = opened.enter_context(await anyio.to_thread.run_sync(writing.connect))
            writer = Writer(connection)
            changes = Changes(watching)
            await changes.look()
            async with _beside(writer.run, changes.watch):
                try:
                    yield cls(location, found, readers, writer, changes, clock)
                finally:
                    changes.close()
                    writer.close()
        finally:
            with anyio.CancelScope(shield=True):
                await opened.aclose()

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


def _make_sure_of(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.exists():
        # Alerts name people and hosts: the file is its owner's alone.
        path.touch(mode=0o600)
    if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        # SQLite would open it for reading and refuse the first write.
        raise PermissionError(errno.EACCES, "this user may not write it", str(path))


def _reading(location: str, busy_timeout: timedelta) -> AsyncEngine:
    return create_async_engine(
        URL.create("sqlite+aiosqlite", database=location),
        connect_args=_connect_args(busy_timeout),
        pool_size=READERS,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
    )


def _writing(location: str, busy_timeout: timedelta) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=location),
        connect_args=_connect_args(busy_timeout) | {"check_same_thread": False},
    )
    event.listen(engine, "connect", lambda connection, _record: _prepare(connection, busy_timeout))
    event.listen(engine, "begin", _begin_immediately)
    return engine


def _connect_args(busy_timeout: timedelta) -> dict[str, float | None]:
    return {"timeout": busy_timeout.total_seconds(), "isolation_level": None}


def _prepare(connection: DBAPIConnection, busy_timeout: timedelta) -> None:
    try:
        cursor = connection.cursor()
        _switch_to_wal(cursor, time.monotonic() + busy_timeout.total_seconds())
        for pragma in ("synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except sqlite3.Error:
        # No pool knows of it yet.
        connection.close()
        raise


def _switch_to_wal(cursor: DBAPICursor, until: float) -> None:
    # Of several that switch at once SQLite refuses all but one, whatever the busy timeout.
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as failure:
            if failure.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_immediately(connection: Connection) -> None:
    # A deferred transaction that reads first and then writes fails at once when another process wrote
    # in between, whatever the busy timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _migrate(engine: Engine) -> None:
    with engine.connect() as connection:
        bring_up_to_date(connection)


@asynccontextmanager
async def _beside(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run tasks that end when they are told to, also while what is around them is cancelled.

    What is being cancelled may thus still write. An exception leaves as itself, not in a group.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        for task in tasks:
            group.start_soon(_shielded, task)
        try:
            yield
        except Exception as raised:  # noqa: BLE001 - raised again below
            failure = raised
    if failure is not None:
        raise failure


async def _shielded(task: Callable[[], Awaitable[None]]) -> None:
    with anyio.CancelScope(shield=True):
        await task()
