"""The database of the queue, opened by its URL, with one writer and several readers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import anyio
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import ArgumentError

from storage.clock import Clock
from storage.engine.backend import Backend, OpenBackend
from storage.engine.driver_errors import storage_errors
from storage.engine.group_commit import Writer
from storage.engine.postgresql.url import SCHEMES, Address
from storage.engine.sqlite import backend as sqlite
from storage.engine.transaction import Item, Operation, Result
from storage.errors import DiskFullError, StorageError, UnsupportedDatabaseError
from storage.schema.migrations import Migrate

Answer = TypeVar("Answer")
Arguments = ParamSpec("Arguments")

BUSY_TIMEOUT = timedelta(seconds=5)

_ALLOWED = f"{sqlite.ALLOWED}, or postgresql://user@host/database"


class Database:
    """An open database. `changes` signals when it may be worth reading again."""

    def __init__(self, backend: OpenBackend, writer: Writer) -> None:
        self.location = backend.location
        """The URL or path, without secrets."""
        self.found_revision = backend.found_revision
        """The schema's revision before it was migrated; None if the schema was not ours."""
        self.read_only = backend.read_only
        """Why the database can't be changed; None if it can."""
        self.shared_with_certctl = backend.shared_with_certctl
        """Whether certctl's server uses the same tables and may deliver what is in them."""
        self.changes = backend.changes
        self.clock = backend.clock
        """The database's time, as known to this process."""
        self._has_space = backend.has_space
        self._read = backend.read
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        clock: Clock | None = None,
        busy_timeout: timedelta = BUSY_TIMEOUT,
        migrate: Migrate = Migrate.ALWAYS,
    ) -> "AsyncIterator[Database]":
        """Open the database, creating or migrating it as needed, until the context is left.

        `url` begins with `sqlite:///` or `postgresql://`. `busy_timeout` is how long a write waits for
        another process. Without `clock`, the database's own clock is used if it has one. If the schema is
        incomplete and `migrate` or this user's privileges don't allow changing it, the database can be read
        but not changed: see `read_only`.

        Raises:
            StorageError: it can't be used; the message says why and what would help.
        """
        async with _opened(url, clock, busy_timeout, migrate) as backend:
            writer = Writer(*backend.transact)
            async with _background(writer.run, backend.changes.watch):
                try:
                    yield cls(backend, writer)
                finally:
                    backend.changes.close()
                    writer.close()
                    backend.prepare_to_close()

    async def write(
        self,
        operation: Operation[Item, Result],
        item: Item,
        *,
        repeatable: bool = False,
        adds: bool = False,
    ) -> Result:
        """Change the database; see `Writer.write`.

        `adds` means that the change adds to the backlog. While the disk is nearly full such changes are
        refused, to leave space for the outcomes of deliveries.

        Raises:
            NotificationError: the operation refused this item.
            ChangeUnknownError: the connection was lost before the database acknowledged the change.
            StorageError: the database can't be written now or at all; nothing was changed.
        """
        if self.read_only is not None:
            raise self.read_only.error(self.location)
        if adds and not self._has_space():
            raise DiskFullError(
                f"the database {self.location} can't grow: the disk is full, except for the space that "
                "deliveries need; nothing was written; free some space"
            )
        with storage_errors(self.location):
            return await self._writer.write(operation, item, repeatable=repeatable)

    async def read(
        self,
        query: Callable[Concatenate[Connection, Arguments], Answer],
        *arguments: Arguments.args,
        **named: Arguments.kwargs,
    ) -> Answer:
        """The result of `query`, called with a connection and these arguments, perhaps in another thread.
        Each of its statements sees what was committed before it.

        Raises:
            StorageError: the database can't be read now.
            Also raises what `query` raises.
        """
        with storage_errors(self.location):
            return await self._read(lambda connection: query(connection, *arguments, **named))


@asynccontextmanager
async def _opened(
    url: str, clock: Clock | None, busy_timeout: timedelta, migrate: Migrate
) -> AsyncIterator[OpenBackend]:
    backend = backend_for(url)
    async with AsyncExitStack() as stack:
        with storage_errors(backend.location):
            opened = await stack.enter_async_context(backend.open(clock, busy_timeout, migrate))
        yield opened


def backend_for(url: str) -> Backend:
    """Raises: UnsupportedDatabaseError: the URL is not that of a database that this program can use."""
    scheme, separator, _ = url.strip().partition("://")
    kind = scheme.partition("+")[0]
    if not separator:
        raise UnsupportedDatabaseError(f"the database URL can't be read; {_ALLOWED}")
    if kind in SCHEMES:
        address = Address.of(url)
        try:
            from storage.engine.postgresql import backend as postgresql
        except ImportError:
            raise StorageError(
                "a PostgreSQL database needs the package asyncpg: install certctl-mcp[postgres]"
            ) from None
        return Backend(
            address.location, partial(postgresql.opened, address), partial(postgresql.schema_state, address)
        )
    if kind != "sqlite":
        raise UnsupportedDatabaseError(f"databases of the kind {kind!r} are not supported; {_ALLOWED}")
    try:
        path = sqlite.path_of(make_url(url.strip()))
    except ArgumentError:
        raise UnsupportedDatabaseError(f"the database URL can't be read; {_ALLOWED}") from None
    return Backend(str(path), partial(sqlite.opened, path), partial(sqlite.schema_state, path))


@asynccontextmanager
async def _background(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run tasks until they return by themselves, even if the context is cancelled.

    So code that is being cancelled can still write. An exception is raised as it is, not in a group.
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
