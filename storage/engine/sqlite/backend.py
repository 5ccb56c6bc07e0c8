"""A queue in a file: SQLite in WAL mode, shared by the processes of one machine.

Readers never wait for the writer, and a commit is on disk before it is acknowledged.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from sqlalchemy import URL, Connection, Engine, create_engine

from storage.clock import Clock, utc_now
from storage.engine.backend import OpenBackend
from storage.engine.sqlite.connections import reading_engine, writing_engine
from storage.engine.sqlite.data_version import PolledChanges
from storage.engine.sqlite.database_file import DatabaseFile, expect_reachable
from storage.engine.sqlite.readers import Readers
from storage.engine.sqlite.transactions import Transactions
from storage.errors import UnsupportedDatabaseError
from storage.read_only import ReadOnly
from storage.schema.inspection import SchemaState, has_queue, missing
from storage.schema.migrations import REVISIONS, Migrate, current_revision
from storage.schema.partial import read_incomplete_schema

ALLOWED = "use sqlite:/// and a path, such as sqlite:////var/lib/certctl-mcp/notifications.db"


def path_of(url: URL) -> Path:
    """Raises: UnsupportedDatabaseError: the URL names no file."""
    if not url.database or url.database == ":memory:":
        raise UnsupportedDatabaseError(f"a database in memory would lose accepted alerts; {ALLOWED}")
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
        engine = reading_engine(path, busy_timeout)
        read = Readers(engine, file)
        stack.push_async_callback(read.close)
        found, allowed, read_only = await read(partial(_state, engine, location, migrate))
        transact = Transactions(
            writing_engine(path, busy_timeout),
            file,
            clock,
            busy_timeout,
            migrate=allowed,
            is_current=found == REVISIONS[-1],
        )
        stack.callback(transact.close)
        await transact.open()
        changes = PolledChanges(engine, read, file, transact.open)
        stack.callback(changes.disconnect)
        await changes.poll()
        yield OpenBackend(
            location, found, read, (transact,), changes, clock, read_only, has_space=file.has_space
        )
    finally:
        with anyio.CancelScope(shield=True):
            await stack.aclose()


def _state(
    engine: Engine, location: str, migrate: Migrate, connection: Connection
) -> tuple[str | None, bool, ReadOnly | None]:
    """The revision, whether it may be migrated, and why it otherwise can only be read by `engine`.

    This only reads, so no other process's lock delays it.
    """
    found = current_revision(connection)
    foreign = found is None and has_queue(connection)
    allowed = migrate.allows(foreign=foreign, shared=False)
    if found == REVISIONS[-1] or allowed:
        return found, allowed, None
    return found, False, read_incomplete_schema(connection, engine, location)


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
