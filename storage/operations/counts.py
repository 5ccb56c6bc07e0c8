"""Folding of the counts that triggers keep on PostgreSQL (`storage/schema/counting.py`)."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Connection, delete, func, insert, literal, select

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.schema.tables import notification_counts

FOLDED_FROM = 1000
"""Fewer rows are summed as fast as a single one."""

FOLDED_AT_ONCE = 10_000
"""How many rows a transaction replaces: few enough to take a fraction of a second."""

_FOLD_LOCK = 0x636F756E7473
"""The number of the advisory lock held while folding: `counts` in ASCII."""

_c = notification_counts.c
_GROUP = (_c.channel, _c.status, _c.undelivered)

_MANY = select(_c.id).limit(1).offset(FOLDED_FROM - 1)
# Without the lock the result would be the same, but one process would wait for the other.
_ALONE = select(func.pg_try_advisory_xact_lock(literal(_FOLD_LOCK, BigInteger)))
_oldest = select(_c.id).order_by(_c.id).limit(FOLDED_AT_ONCE)
_gone = delete(notification_counts).where(_c.id.in_(_oldest)).returning(*_GROUP, _c.number).cte("gone")
_group = tuple(_gone.c[column.name] for column in _GROUP)
_number = func.sum(_gone.c.number)
_folded = (
    insert(notification_counts)
    .from_select(
        [*(column.name for column in _GROUP), "number"],
        select(*_group, _number).group_by(*_group).having(_number != 0),
    )
    .returning(_c.id)
    .cte("folded")
)
# The parts of a statement see the same rows, and a reader sees all of its changes or none.
_FOLD = select(*(select(func.count()).select_from(part).scalar_subquery() for part in (_gone, _folded)))


def can_be_folded(connection: Connection) -> bool:
    """Whether there are so many rows that folding them makes the counts faster to read."""
    return connection.execute(_MANY).first() is not None


def fold_counts(transaction: Transaction, times: Sequence[None]) -> list[bool]:
    """Replace the oldest rows by the sums of their groups. Returns whether to repeat that.

    It waits for no other process, and leaves alone the rows that others are inserting.
    """
    return [transaction.choose(_FOLD_ROWS)(transaction.connection)] * len(times)


def _folded_already(_connection: Connection) -> bool:
    """SQLite's triggers keep one row for each group."""
    return False


def _fold_oldest(connection: Connection) -> bool:
    if not connection.execute(_ALONE).scalar_one():
        return False
    gone, folded = connection.execute(_FOLD).one()
    return bool(gone - folded >= FOLDED_AT_ONCE // 2)


_FOLD_ROWS = PerDatabase(sqlite=_folded_already, postgresql=_fold_oldest)
