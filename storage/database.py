"""Where is the queue kept, and is it in order? Opening it, and the ways in: one writer, several readers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta

import anyio
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage import sqlite
from storage.addresses import SCHEMES, Address
from storage.clock import Clock
from storage.errors import DatabaseReadOnlyError, StorageError
from storage.failures import explained
from storage.opened import Opened
from storage.writer import Item, Operation, Result, Writer

BUSY_TIMEOUT = timedelta(seconds=5)

_ALLOWED = f"{sqlite.ALLOWED}, or postgresql://user@host/database"


class Database:
    """An open database. Its `changes` tell when it may be worth reading again."""

    def __init__(self, opened: Opened, writer: Writer) -> None:
        self.location = opened.location
        """Without secrets."""
        self.found_revision = opened.found_revision
        """The schema's revision before it was brought up to date; None where there was none of ours."""
        self.locked_because = opened.locked_because
        """Why nothing can be changed here; None where it can."""
        self.changes = opened.changes
        self.clock = opened.clock
        """The database's time, as well as it can be told here."""
        self._readers = opened.readers
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        busy_timeout: timedelta = BUSY_TIMEOUT,
        migrate: bool = True,
    ) -> "AsyncIterator[Database]":
        """Open the database, creating or migrating it as needed, until the context is left.

        `url` is `sqlite:///` and a path, or `postgresql://` and so on. `busy_timeout` is how long a write
        waits for another process. Without `clock`, the time is the database's own where it has one. With
        `migrate` false its schema is left as it is; what can be read is, and nothing is changed.

        Raises:
            StorageError: it can't be used; the message says why and what would help.
        """
        async with _opened(url, clock, busy_timeout, migrate) as opened:
            writer = Writer(opened.transact)
            async with _beside(writer.run, opened.changes.watch):
                try:
                    yield cls(opened, writer)
                finally:
                    opened.changes.close()
                    writer.close()
                    opened.leave_soon()

    async def write(self, operation: Operation[Item, Result], item: Item) -> Result:
        """Change the database; see `Writer.write`.

        Raises:
            NotificationError: the operation refused this item.
            ChangeUnknownError: the database did not answer whether it was changed.
            StorageError: the database can't be written now; nothing was changed.
        """
        if self.locked_because is not None:
            raise DatabaseReadOnlyError(self.locked_because)
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


@asynccontextmanager
async def _opened(
    url: str, clock: Clock | None, busy_timeout: timedelta, migrate: bool
) -> AsyncIterator[Opened]:
    """As the kind of database opens itself; what goes wrong on the way is explained."""
    location, way_in = _way_in(url, clock, busy_timeout, migrate)
    async with AsyncExitStack() as opening:
        with explained(location):
            opened = await opening.enter_async_context(way_in)
        yield opened


def _way_in(
    url: str, clock: Clock | None, busy_timeout: timedelta, migrate: bool
) -> tuple[str, AbstractAsyncContextManager[Opened]]:
    """Where the database is, without secrets, and how it is opened."""
    scheme, separator, _ = url.strip().partition("://")
    kind = scheme.partition("+")[0]
    if not separator:
        raise StorageError(f"the database URL can't be read; {_ALLOWED}")
    if kind in SCHEMES:
        address = Address.of(url)
        try:
            from storage import postgresql
        except ImportError:
            raise StorageError(
                "a PostgreSQL database needs the package asyncpg: install certctl-mcp[postgres]"
            ) from None
        return address.shown, postgresql.opened(address, clock, busy_timeout, migrate)
    if kind != "sqlite":
        raise StorageError(f"databases of the kind {kind!r} are not supported; {_ALLOWED}")
    try:
        path = sqlite.path_of(make_url(url.strip()))
    except ArgumentError:
        raise StorageError(f"the database URL can't be read; {_ALLOWED}") from None
    return str(path), sqlite.opened(path, clock, busy_timeout)


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
