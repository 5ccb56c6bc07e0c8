"""A queue in a file: SQLite in WAL mode, shared by the processes of one machine.

Readers never wait for the writer, and a commit is on disk before it is acknowledged.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy import URL, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.clock import Clock, utc_now
from storage.engine.backend import OpenBackend
from storage.engine.sqlite.connections import reading_engine, writing_engine
from storage.engine.sqlite.data_version import PolledChanges
from storage.engine.sqlite.database_file import DatabaseFile, expect_reachable
from storage.engine.sqlite.transactions import Transactions
from storage.errors import StorageError
from storage.read_only import ReadOnly
from storage.schema.inspection import SchemaState, has_queue, missing
from storage.schema.migrations import REVISIONS, Migrate, current_revision
from storage.schema.partial import read_incomplete_schema

ALLOWED = "use sqlite:/// and a path, such as sqlite:////var/lib/certctl-mcp/notifications.db"


def path_of(url: URL) -> Path:
    """Raises: StorageError: the URL names no file."""
    if not url.database or url.database == ":memory:":
        raise StorageError(f"a database in memory would lose what was accepted; {ALLOWED}")
    return Path(url.database).expanduser()


@asynccontextmanager
async def opened(
    path: Path, clock: Clock | None, busy_timeout: timedelta, migrate: Migrate
) -> AsyncIterator[OpenBackend]:
    """The open database, created or migrated as needed and allowed."""
    clock = clock or utc_now
    location = str(path)
    file = DatabaseFile(path)
    stack = AsyncExitStack()
    try:
        await anyio.to_thread.run_sync(file.create)
        file.adopt()
        readers = reading_engine(file, busy_timeout)
        stack.push_async_callback(readers.dispose)
        found, allowed, read_only = await _state(readers, location, migrate)
        transact = Transactions(
            writing_engine(file, busy_timeout),
            file,
            clock,
            busy_timeout,
            migrate=allowed,
            is_current=found == REVISIONS[-1],
        )
        stack.callback(transact.close)
        await transact.open()
        changes = PolledChanges(readers, file, transact.open)
        stack.push_async_callback(changes.disconnect)
        await changes.poll()
        yield OpenBackend(
            location, found, readers, (transact,), changes, clock, read_only, has_room=file.has_room
        )
    finally:
        with anyio.CancelScope(shield=True):
            await stack.aclose()


async def _state(
    readers: AsyncEngine, location: str, migrate: Migrate
) -> tuple[str | None, bool, ReadOnly | None]:
    """The revision, whether it may be migrated, and why it otherwise can only be read.

    Found by reading, which no other process's lock delays.
    """
    async with readers.connect() as connection:
        found = await connection.run_sync(current_revision)
        foreign = found is None and await connection.run_sync(has_queue)
        allowed = migrate.allows(foreign=foreign, shared=False)
        if found == REVISIONS[-1] or allowed:
            return found, allowed, None
        return found, False, await connection.run_sync(read_incomplete_schema, readers, location)


async def schema_state(path: Path) -> SchemaState:
    """The state of the file's schema; a file that doesn't exist lacks everything."""
    return await anyio.to_thread.run_sync(_schema_state, path)


def _schema_state(path: Path) -> SchemaState:
    expect_reachable(path)
    engine = create_engine(URL.create("sqlite", database=str(path) if path.exists() else None))
    try:
        with engine.connect() as connection:
            return SchemaState(current_revision(connection), missing(connection))
    finally:
        engine.dispose()
