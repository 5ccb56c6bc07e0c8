"""What is due in a channel, and how is it put under a lease? The words that all claims are made of."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import CTE, ColumnElement, Select, bindparam, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from storage.engine.transaction import NOW
from storage.operations.waiting import WAYS
from storage.schema.rows import NOTIFICATION
from storage.schema.tables import notification_events

SUSPECT_AFTER = 3
"""Abandoned this often, a notification may be what kills its workers, and is only attempted alone."""

_n = notification_events.c

SUSPECTED: Mapping[bool, ColumnElement[bool]] = {
    True: _n.abandoned_count >= SUSPECT_AFTER,
    False: _n.abandoned_count < SUSPECT_AFTER,
}


def oldest(
    name: str, channel: ColumnElement[str], suspects: bool, at_most: ColumnElement[int]
) -> Select[str, datetime, str]:
    """The oldest notifications of a channel that are due in one way, each with the moment since when."""
    way = WAYS[name]
    return (
        select(_n.id, way.since.label("since"), literal_column(f"'{name}'").label("way"))
        .where(way.due_in(channel), _n.lease_owner.is_(None), SUSPECTED[suspects])
        .order_by(*way.oldest_first)
        .limit(at_most)
    )


def leasing(taken: CTE, until: ColumnElement[datetime]) -> ReturningUpdate[tuple[object, ...]]:
    """Put those with the ids of `taken` under a lease, and give them as they are then."""
    return (
        update(notification_events)
        .where(_n.id == taken.c.id)
        .values(
            lease_owner=bindparam("worker"),
            lease_expires_at=until,
            claimed_at=NOW,
            attempt_count=_n.attempt_count + 1,
        )
        .returning(*NOTIFICATION)
    )
