"""The backend of a database: a way to open it, and the parts that `Database` works with."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from storage.clock import Clock
from storage.engine.changes import Changes
from storage.engine.transaction import Transaction
from storage.read_only import ReadOnly
from storage.schema.inspection import SchemaState
from storage.schema.migrations import Migrate

Result = TypeVar("Result")


class Read(Protocol):
    """Runs a query on a connection that only reads."""

    def __call__(self, query: Callable[[Connection], Result], /) -> Awaitable[Result]:
        """Raises what connecting or `query` raises."""


class Transact(Protocol):
    """Runs work in one transaction and commits it before it returns."""

    def __call__(self, work: Callable[[Transaction], Result], *, repeatable: bool) -> Awaitable[Result]:
        """`repeatable` means that the result is the same if every statement of the work commits on its own,
        and if the work is done again from the start.

        Raises:
            TransactionFailedError: it could not be started or committed.
            Also raises what `work` or the commit raises.
        """


@dataclass(frozen=True, slots=True)
class Backend:
    """A database of one kind, not opened yet."""

    location: str
    """Without secrets."""
    open: Callable[[Clock | None, timedelta, Migrate], "AbstractAsyncContextManager[OpenBackend]"]
    """Opens it; see `Database.open` for the clock, the busy timeout and whether to migrate."""
    inspect: Callable[[], Awaitable[SchemaState]]
    """Reads the state of the schema without changing anything."""


@dataclass(frozen=True, slots=True)
class OpenBackend:
    """A database that is open and has our schema."""

    location: str
    """Without secrets."""
    found_revision: str | None
    """The schema's revision before it was migrated; None if the schema was not ours."""
    read: Read
    transact: Sequence[Transact]
    """One for each transaction that this process can run at the same time."""
    changes: Changes
    clock: Clock
    """The database's time, as known to this process."""
    read_only: ReadOnly | None = None
    """Why nothing can be changed; None if it can."""
    shared_with_certctl: bool = False
    """Whether certctl's server uses the same tables."""
    has_space: Callable[[], bool] = lambda: True
    """Whether the disk has space for more notifications, if this process can check that."""
    prepare_to_close: Callable[[], None] = lambda: None
    """Called when the process begins to close the database: whatever is still running after a short time
    fails."""
