"""A transaction as operations see it: a connection, and the time at which it happens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection, bindparam, func, select

from storage.clock import Clock
from storage.engine.per_database import Choose
from storage.errors import NotificationError
from storage.sql.dialects import current_time
from storage.sql.types import UtcDateTime

NOW = current_time(bindparam("now", type_=UtcDateTime))
"""The time in a statement whose parameter `now` is `Transaction.client_time`."""

_TIME = select(func.clock_timestamp())


class Transaction:
    """An open transaction. Operations must not end it.

    Without a clock, the time is the database's, so that processes whose clocks differ agree on which leases
    have expired."""

    def __init__(
        self, connection: Connection, clock: Clock | None, choose: Choose, *, may_sync_last: bool = False
    ) -> None:
        """`may_sync_last`: each statement commits on its own, and the engine can sync them afterwards."""
        self.connection = connection
        self.choose = choose
        """Returns the statement or function for this database."""
        self.unsynced = False
        """A statement has committed without a sync, so the engine must sync before it returns the result."""
        self._clock = clock
        self._may_sync_last = may_sync_last

    def sync_last(self) -> bool:
        """Whether the next statement may commit without a sync (`storage.sql.sync`).

        Other processes then see its changes at once, while this one still waits for the disk.
        """
        self.unsynced = self.unsynced or self._may_sync_last
        return self._may_sync_last

    @cached_property
    def client_time(self) -> datetime | None:
        """The transaction's time; None if the database determines it."""
        return None if self._clock is None else self._clock()

    @cached_property
    def now(self) -> datetime:
        """The transaction's time."""
        if self.client_time is not None:
            return self.client_time
        now: datetime = self.connection.execute(_TIME).scalar_one()
        return now


@dataclass(frozen=True, slots=True)
class Refused:
    """An operation's result for one item: nothing was changed for it, and its caller gets this error."""

    error: NotificationError


Item = TypeVar("Item")
Result = TypeVar("Result")

Operation = Callable[[Transaction, Sequence[Item]], Sequence[Result | Refused]]
"""Applies a change to every item and returns one result for each, in order. If there is a single item, it may
raise a NotificationError."""


class TransactionFailedError(Exception):
    """The transaction could not be started or committed; no operation in it is at fault."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class CommitUnansweredError(Exception):
    """The connection was lost before the database acknowledged a change that it may have made."""
