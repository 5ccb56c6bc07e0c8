"""SQL for what is due in a channel, and for the lease that a claim puts on it, written to use the indexes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    literal_column,
    not_,
    select,
    union,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage.engine.transaction import NOW
from storage.schema.rows import NOTIFICATION
from storage.schema.tables import notification_channels, notification_events
from storage.sql.dialects import has_status, no_later_within
from storage.sql.distinct import distinct

SUSPECT_AFTER = 3
"""A notification abandoned this often may crash its workers, so it is only attempted in isolation."""

_n = notification_events.c
_c = notification_channels.c

PENDING = has_status(_n.status, "pending")
FAILED = has_status(_n.status, "failed")
UNSCHEDULED = and_(FAILED, _n.next_retry_at.is_(None))
TAKEN_OVER = and_(UNSCHEDULED, _n.rescue_at.is_not(None))


@dataclass(frozen=True, slots=True)
class DueKind:
    """One kind of due notification, with its own index."""

    waiting: ColumnElement[bool]
    """The notifications that are due in this way, or will be."""
    due_in: Callable[[ColumnElement[str]], ColumnElement[bool]]
    """The notifications of a channel that are due now."""
    since: ColumnElement[datetime]
    oldest_first: tuple[ColumnElement[datetime], ...]
    """The order, written as in the index."""


def _pending(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(PENDING, _n.channel == channel)


def _scheduled(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(FAILED, _n.channel == channel, no_later_within(_n.channel, channel, _n.next_retry_at, NOW))


def _unscheduled(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(FAILED, _n.channel == channel, _n.next_retry_at.is_(None))


def _rescued(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(TAKEN_OVER, _n.channel == channel, _n.rescue_at <= NOW)


_HELD = exists(
    select(_c.channel).where(_c.channel == _n.channel, _c.held_until > NOW).correlate(notification_events)
)


def _since(due_at: ColumnElement[datetime]) -> ColumnElement[datetime]:
    """A notification that waits because of its channel keeps its place, unless the channel is held. Then the
    notifications take turns as probes, so that one that can never be delivered doesn't keep the channel
    closed."""
    keeps_its_place = and_(_n.wait_count > literal_column("0"), not_(_HELD))
    return case((keeps_its_place, _n.created_at), else_=due_at)


DUE_KINDS: Mapping[str, DueKind] = {
    "pending": DueKind(PENDING, _pending, _n.created_at, (_n.created_at,)),
    "scheduled": DueKind(FAILED, _scheduled, _since(_n.next_retry_at), (_n.next_retry_at,)),
    # `next_retry_at` is null in all of them, but PostgreSQL recognizes the index's order only by its name.
    "unscheduled": DueKind(FAILED, _unscheduled, _n.created_at, (_n.next_retry_at, _n.created_at)),
}
RESCUE_KINDS: Mapping[str, DueKind] = {
    "rescued": DueKind(TAKEN_OVER, _rescued, _since(_n.rescue_at), (_n.rescue_at,))
}
"""While certctl delivers: only what was taken over from it."""

_ALL_KINDS = {**DUE_KINDS, **RESCUE_KINDS}


def due_kinds(*, rescue: bool) -> Mapping[str, DueKind]:
    return RESCUE_KINDS if rescue else DUE_KINDS


def channels(waiting: ColumnElement[bool]) -> Select[str]:
    """The channels of the waiting notifications."""
    return distinct(_n.channel, waiting)


WAITING_CHANNELS: Mapping[bool, CompoundSelect[str]] = {
    False: union(channels(PENDING), channels(FAILED)),
    True: union(channels(TAKEN_OVER)),
}
"""The channels with something that is due, or will be. By whether certctl delivers, in which case only what
was taken over from it counts."""


SUSPECTED: Mapping[bool, ColumnElement[bool]] = {
    True: _n.abandoned_count >= SUSPECT_AFTER,
    False: _n.abandoned_count < SUSPECT_AFTER,
}


def oldest(
    name: str, channel: ColumnElement[str], suspects: bool, at_most: ColumnElement[int]
) -> Select[str, datetime, str]:
    """The oldest notifications of a channel that are due of the named kind, and since when."""
    kind = _ALL_KINDS[name]
    return (
        select(_n.id, kind.since.label("since"), literal_column(f"'{name}'").label("kind"))
        .where(kind.due_in(channel), _n.lease_owner.is_(None), SUSPECTED[suspects])
        .order_by(*kind.oldest_first)
        .limit(at_most)
    )


def leasing(taken: CTE, until: ColumnElement[datetime]) -> ReturningUpdate[tuple[object, ...]]:
    """Lease the notifications whose ids are in `taken`, and return them as they are then."""
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
