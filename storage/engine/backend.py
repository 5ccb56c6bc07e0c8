"""What does a kind of database give when it is opened? The parts that `Database` works with."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from storage.clock import Clock
from storage.engine.changes import Changes
from storage.engine.transaction import Transaction
from storage.errors import StorageError
from storage.schema.inspection import Missing

Result = TypeVar("Result")


class Transact(Protocol):
    """Does work in one transaction, and commits it before it returns."""

    def __call__(self, work: Callable[[Transaction], Result], *, repeatable: bool) -> Awaitable[Result]:
        """Where `repeatable`, the work comes to the same if each of its statements is a transaction of its
        own, and if it is done again from the beginning.

        Raises:
            TransactionFailedError: it could not be begun or ended.
            And what `work` or the commit raises.
        """


@dataclass(frozen=True, slots=True)
class Way:
    """To a database of one kind."""

    shown: str
    """Where it is, without secrets."""
    opened: Callable[[Clock | None, timedelta, bool], "AbstractAsyncContextManager[Opened]"]
    """Opens it; see `Database.open` for the clock, the busy timeout and whether to migrate."""
    lacking: Callable[[], Awaitable[tuple[str | None, Missing]]]
    """The schema's revision, and what is missing. Nothing is changed."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Open, and of our schema."""

    location: str
    """Without secrets."""
    found_revision: str | None
    """The schema's revision before it was brought up to date; None where there was none of ours."""
    readers: AsyncEngine
    transact: Transact
    changes: Changes
    clock: Clock
    """The database's, as well as it can be told here."""
    unchangeable: StorageError | None = None
    """Why nothing can be changed here; None where it can."""
    certctl_s: bool = False
    """Whether certctl's server works on the same tables."""
    leave_soon: Callable[[], None] = lambda: None
    """This process closes it: what can't be ended in a little while is to fail."""
