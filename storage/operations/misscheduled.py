"""Retries scheduled by a wrong clock. They count as due; otherwise they would wait until that time.

Only on SQLite, where each process goes by its own clock.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, bindparam, exists, or_, select, update

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import NOW, Transaction
from storage.limits import CLOCK_TOLERANCE, LONGEST_WAIT
from storage.operations.due import FAILED, channels
from storage.schema.tables import notification_events
from storage.sql.dialects import ahead, beyond
from storage.sql.types import UtcDateTime

_n = notification_events.c
_now = bindparam("now", type_=UtcDateTime)


def _misscheduled(
    next_retry_at: ColumnElement[datetime], scheduled_at: ColumnElement[datetime]
) -> ColumnElement[bool]:
    """Scheduled for later than the settings allow, or scheduled in the future."""
    return or_(
        beyond(next_retry_at, NOW, ahead(LONGEST_WAIT)), beyond(scheduled_at, NOW, ahead(CLOCK_TOLERANCE))
    )


_failing = channels(FAILED).subquery()
_last = (
    select(_n.next_retry_at, _n.scheduled_at)
    .where(FAILED, _n.channel == _failing.c.name, _n.next_retry_at.is_not(None))
    .order_by(_n.next_retry_at.desc())
    .limit(1)
    .correlate(_failing)
    .subquery()
)
MISSCHEDULED = exists(
    select(_failing.c.name).where(exists().where(_misscheduled(_last.c.next_retry_at, _last.c.scheduled_at)))
)
"""The last retry of a channel was scheduled by a wrong clock. This is one index seek for each channel: if the
last retry is plausible, all earlier ones are due within the longest wait that the settings allow."""

_RESCHEDULE = (
    update(notification_events)
    .where(
        FAILED,
        # These two conditions follow from the rest, but allow the use of an index.
        _n.channel.in_(channels(FAILED)),
        beyond(_n.next_retry_at, NOW, ahead(CLOCK_TOLERANCE)),
        _misscheduled(_n.next_retry_at, _n.scheduled_at),
    )
    .values(next_retry_at=_now, scheduled_at=_now)
)


def reschedule(transaction: Transaction) -> None:
    """Make what a wrong clock has scheduled due now."""
    transaction.choose(_RESCHEDULE_BY_DATABASE)(transaction)


def _reschedule(transaction: Transaction) -> None:
    transaction.connection.execute(_RESCHEDULE, {"now": transaction.now})


def _leave_schedule(_transaction: Transaction) -> None:
    """The database's own clock has set all times."""


_RESCHEDULE_BY_DATABASE = PerDatabase(sqlite=_reschedule, postgresql=_leave_schedule)
