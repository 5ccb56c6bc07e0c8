"""A queue in a file: SQLite in WAL mode, shared by the processes of one machine.

Readers never wait for the writer, and a commit is on the disk before its caller returns. A transaction runs
in a worker thread from beginning to end: one change of threads, however many statements.
"""

import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.clock import Clock, utc_now
from storage.engine.backend import OpenBackend
from storage.engine.per_database import for_sqlite
from storage.engine.sqlite.data_version import PolledChanges
from storage.engine.sqlite.reader import reader
from storage.engine.transaction import Transaction, TransactionFailedError
from storage.errors import StorageError
from storage.schema.inspection import SchemaState, missing
from storage.schema.migrations import REVISIONS, bring_up_to_date, current_revision
from storage.schema.partial import read_incomplete_schema

Result = TypeVar("Result")

READERS = 4

ALLOWED = "use sqlite:/// and a path, such as sqlite:////var/lib/certctl-mcp/notifications.db"


def path_of(url: URL) -> Path:
    """Raises: StorageError."""
    if not url.database or url.database == ":memory:":
        raise StorageError(f"a database in memory would lose what was accepted; {ALLOWED}")
    return Path(url.database).expanduser()


@asynccontextmanager
async def opened(
    path: Path, clock: Clock | None, busy_timeout: timedelta, migrate: bool
) -> AsyncIterator[OpenBackend]:
    """The file, created or migrated as needed and allowed."""
    clock = clock or utc_now
    location = str(path)
    opening = AsyncExitStack()
    try:
        await anyio.to_thread.run_sync(_make_sure_of, path)
        readers = _reading(location, busy_timeout)
        opening.push_async_callback(readers.dispose)
        watching = await opening.enter_async_context(readers.connect())
        # Found by reading, which no other process's lock holds up.
        found = await watching.run_sync(current_revision)
        writing = _writing(location, busy_timeout)
        opening.callback(writing.dispose)
        read_only = None
        if found != REVISIONS[-1]:
            if migrate:
                await anyio.to_thread.run_sync(_migrate, writing)
            else:
                read_only = await watching.run_sync(read_incomplete_schema, readers, location)
        connection = opening.enter_context(await anyio.to_thread.run_sync(writing.connect))
        changes = PolledChanges(watching)
        await changes.poll()
        transact = _Transactions(connection, clock)
        yield OpenBackend(location, found, readers, transact, changes, clock, read_only)
    finally:
        with anyio.CancelScope(shield=True):
            await opening.aclose()


async def schema_state(path: Path) -> SchemaState:
    """Of the file; a file that does not exist lacks everything."""
    return await anyio.to_thread.run_sync(_schema_state, path)


def _schema_state(path: Path) -> SchemaState:
    engine = create_engine(URL.create("sqlite", database=str(path) if path.exists() else None))
    try:
        with engine.connect() as connection:
            return SchemaState(current_revision(connection), missing(connection))
    finally:
        engine.dispose()


class _Transactions:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    async def __call__(self, work: Callable[[Transaction], Result], *, repeatable: bool) -> Result:
        return await anyio.to_thread.run_sync(self._do, work)

    def _do(self, work: Callable[[Transaction], Result]) -> Result:
        try:
            begun = self._connection.begin()
        except DBAPIError as failure:
            raise TransactionFailedError(failure) from failure
        with begun:
            return work(Transaction(self._connection, self._clock, for_sqlite))


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
        connect_args={**_connect_args(busy_timeout), "async_creator_fn": reader},
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
