"""Where is the queue kept, and is it in order? Opening it, and the ways in: one writer, several readers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

import anyio
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.clock import Clock
from storage.engine.backend import Opened, Way
from storage.engine.driver_errors import explained
from storage.engine.group_commit import Writer
from storage.engine.postgresql.url import SCHEMES, Address
from storage.engine.sqlite import backend as sqlite
from storage.engine.transaction import Item, Operation, Result
from storage.errors import StorageError

BUSY_TIMEOUT = timedelta(seconds=5)

_ALLOWED = f"{sqlite.ALLOWED}, or postgresql://user@host/database"


class Database:
    """An open database. Its `changes` tell when it may be worth reading again."""

    def __init__(self, opened: Opened, writer: Writer) -> None:
        self.location = opened.location
        """Without secrets."""
        self.found_revision = opened.found_revision
        """The schema's revision before it was brought up to date; None where there was none of ours."""
        self.unchangeable = opened.unchangeable
        """Why nothing can be changed here; None where it can."""
        self.certctl_s = opened.certctl_s
        """Whether certctl's server works on the same tables, and delivers what is in them if it is let."""
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
        `migrate` false its schema is left as it is. Where it then lacks something of ours, or this user may
        not add it, what is there can be read and nothing changed: `unchangeable` says why.

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

    async def write(
        self, operation: Operation[Item, Result], item: Item, *, repeatable: bool = False
    ) -> Result:
        """Change the database; see `Writer.write`.

        Raises:
            NotificationError: the operation refused this item.
            ChangeUnknownError: the database did not answer whether it was changed.
            StorageError: the database can't be written, now or at all; nothing was changed.
        """
        if self.unchangeable is not None:
            raise type(self.unchangeable)(str(self.unchangeable))
        with explained(self.location):
            return await self._writer.write(operation, item, repeatable=repeatable)

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
    way = way_to(url)
    async with AsyncExitStack() as opening:
        with explained(way.shown):
            opened = await opening.enter_async_context(way.opened(clock, busy_timeout, migrate))
        yield opened


def way_to(url: str) -> Way:
    """Raises: StorageError: no database can be there."""
    scheme, separator, _ = url.strip().partition("://")
    kind = scheme.partition("+")[0]
    if not separator:
        raise StorageError(f"the database URL can't be read; {_ALLOWED}")
    if kind in SCHEMES:
        address = Address.of(url)
        try:
            from storage.engine.postgresql import backend as postgresql
        except ImportError:
            raise StorageError(
                "a PostgreSQL database needs the package asyncpg: install certctl-mcp[postgres]"
            ) from None
        opened = partial(postgresql.opened, address)
        return Way(address.shown, opened, partial(postgresql.lacking, address))
    if kind != "sqlite":
        raise StorageError(f"databases of the kind {kind!r} are not supported; {_ALLOWED}")
    try:
        path = sqlite.path_of(make_url(url.strip()))
    except ArgumentError:
        raise StorageError(f"the database URL can't be read; {_ALLOWED}") from None
    return Way(str(path), partial(sqlite.opened, path), partial(sqlite.lacking, path))


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
