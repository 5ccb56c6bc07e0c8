"""What does an operation on the database get to work with? A transaction, and the time that holds in it."""

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection, bindparam, func, select

from storage.clock import Clock
from storage.sql.dialects import at_present
from storage.sql.types import UtcDateTime

NOW = at_present(bindparam("now", type_=UtcDateTime))
"""The moment of a statement that is given `Transaction.given` as `now`."""

_TIME = select(func.clock_timestamp())


class Transaction:
    """Under way on a connection; whoever is handed it must not end it.

    Processes whose clocks differ must not differ about whose lease has ended, so without a clock the time is
    what the database says.
    """

    def __init__(self, connection: Connection, clock: Clock | None) -> None:
        self.connection = connection
        self._clock = clock

    @cached_property
    def given(self) -> datetime | None:
        """One moment of it; None where the database is to say it."""
        return None if self._clock is None else self._clock()

    @cached_property
    def now(self) -> datetime:
        """One moment of it."""
        if self.given is not None:
            return self.given
        told: datetime = self.connection.execute(_TIME).scalar_one()
        return told


class TransactionFailedError(Exception):
    """It could not be begun or ended, for the reason in `__cause__`: no operation in it is at fault."""
