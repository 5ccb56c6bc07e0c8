"""Which notifications wait for an attempt, and in which channels? In the form that their indexes serve."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_

from storage.engine.transaction import NOW
from storage.schema.tables import notification_events
from storage.sql.dialects import has_status, no_later_within
from storage.sql.distinct import distinct

_n = notification_events.c

PENDING = has_status(_n.status, "pending")
FAILED = has_status(_n.status, "failed")


@dataclass(frozen=True, slots=True)
class Way:
    """A way of being due at the present moment."""

    waiting: ColumnElement[bool]
    """Those that are, or will be."""
    due_in: Callable[[ColumnElement[str]], ColumnElement[bool]]
    """Those that are, in a channel."""
    since: ColumnElement[datetime]
    oldest_first: tuple[ColumnElement[datetime], ...]
    """In the words of the index."""


def _pending(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(PENDING, _n.channel == channel)


def _scheduled(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(FAILED, _n.channel == channel, no_later_within(_n.channel, channel, _n.next_retry_at, NOW))


def _unscheduled(channel: ColumnElement[str]) -> ColumnElement[bool]:
    return and_(FAILED, _n.channel == channel, _n.next_retry_at.is_(None))


WAYS: Mapping[str, Way] = {
    "pending": Way(PENDING, _pending, _n.created_at, (_n.created_at,)),
    "scheduled": Way(FAILED, _scheduled, _n.next_retry_at, (_n.next_retry_at,)),
    # Nothing is ordered by what none of them has, but PostgreSQL finds the order of the index by its name.
    "unscheduled": Way(FAILED, _unscheduled, _n.created_at, (_n.next_retry_at, _n.created_at)),
}


def channels(waiting: ColumnElement[bool]) -> Select[str]:
    """The channels of the rows that wait."""
    return distinct(_n.channel, waiting)
