"""What does an operation on the database get to work with? A transaction, and the time that holds in it."""

from datetime import datetime
from functools import cached_property

from sqlalchemy import Connection

from storage.clock import Clock


class Transaction:
    """Under way on a connection; whoever is handed it must not end it."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self.connection = connection
        self._clock = clock

    @cached_property
    def now(self) -> datetime:
        """One moment of it, by the database's own clock where it has one: processes whose clocks differ must
        not differ about whose lease has ended."""
        return self._clock()


class TransactionFailedError(Exception):
    """It could not be begun or ended, for the reason in `__cause__`: no operation in it is at fault."""
