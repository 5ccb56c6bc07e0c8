"""The counts of notifications by channel and status that triggers keep, so that nothing is counted."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Connection, Select, cast, func, literal_column, select, true

from storage.models import NotificationFilter, NotificationStatus
from storage.operations.actions import ELIGIBLE
from storage.schema.counting import KEPT
from storage.schema.partial import is_hidden
from storage.schema.rows import status_of
from storage.schema.tables import notification_counts

_c = notification_counts.c
_COUNTED = frozenset(
    {"statuses", "stored_statuses", "channel", "eligible_for", "urgent_until", "beside_certctl"}
)
"""The conditions of a filter that the counts can answer. The last two only say what `urgency` means."""


@dataclass(frozen=True, slots=True)
class KeptCount:
    """How many notifications have this channel and status."""

    channel: str
    stored_status: str
    undelivered: bool
    """They count as sent although nothing was delivered."""
    number: int

    @property
    def status(self) -> NotificationStatus:
        return status_of(self.stored_status)


def _reading(kept: str) -> Select[bool, str, str, bool, int]:
    """One row for each group; a single row if there are none or they must not be used. Both are read at the
    same moment, because triggers can be dropped at any time."""
    usable = select(literal_column(kept, Boolean).label("kept")).subquery()
    group = (_c.channel, _c.status, _c.undelivered)
    number = cast(func.sum(_c.number), BigInteger).label("number")
    sums = select(*group, number).group_by(*group).subquery()
    return select(usable.c.kept, *sums.c).select_from(usable.outerjoin(sums, true()))


_READ = {dialect: _reading(kept) for dialect, kept in KEPT.items()}


def kept_counts(connection: Connection) -> tuple[KeptCount, ...] | None:
    """None if they may be wrong, because the database lacks a part of what keeps them."""
    if is_hidden(connection, notification_counts):
        return None
    rows = connection.execute(_READ[connection.dialect.name]).all()
    if not rows[0].kept:
        return None
    return tuple(
        KeptCount(row.channel, row.status, row.undelivered, row.number) for row in rows if row.number
    )


def count_kept(connection: Connection, wanted: NotificationFilter) -> int | None:
    """The number of matching notifications; None if the counts can't answer that."""
    set_conditions = {name for name, value in wanted if value not in (None, (), False)}
    if not set_conditions <= _COUNTED:
        return None
    kept = kept_counts(connection)
    return None if kept is None else sum(each.number for each in kept if _matches(wanted, each))


def _matches(wanted: NotificationFilter, kept: KeptCount) -> bool:
    """Means the same as `storage.queries.listing.conditions`."""
    if wanted.channel is not None and kept.channel != wanted.channel:
        return False
    if wanted.eligible_for is not None:
        possible = not wanted.statuses or kept.status in wanted.statuses
        return possible and ELIGIBLE[wanted.eligible_for].includes(kept.status, undelivered=kept.undelivered)
    if wanted.stored_statuses is not None and NotificationStatus.OTHER not in wanted.statuses:
        return kept.stored_status in (*wanted.statuses, *wanted.stored_statuses)
    return not wanted.statuses or kept.status in wanted.statuses
