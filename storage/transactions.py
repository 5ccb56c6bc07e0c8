"""What does an operation on the database get to work with? A transaction, and the time that holds in it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Transaction:
    """Under way on a connection; whoever is handed it must not end it."""

    connection: Connection
    now: datetime
    """When it began, by the database's own clock where it has one: processes whose clocks differ must not
    differ about whose lease has ended."""


class TransactionFailedError(Exception):
    """It could not be begun or ended, for the reason in `__cause__`: no operation in it is at fault."""
