"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage.batches import Batch, encoded
from storage.leases import EXPIRED, end_expired_leases
from storage.models import Claim, Notification
from storage.records import NOTIFICATION, notification_of
from storage.tables import UtcDateTime, notification_events
from storage.transactions import Transaction
from storage.waiting import FAILED, PENDING, channels

SUSPECT_AFTER = 3
"""Abandoned this often, a notification may be what kills its workers, and is only attempted alone."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker can start now."""

    worker: str
    lease: timedelta
    slots: int
    room: Callable[[str], int]
    """Attempts that a channel can take now, by its name."""
    suspects: bool = False
    """Take only those abandoned so often that they may kill their worker."""


class Claims(NamedTuple):
    """What a worker was given."""

    at: datetime
    """What was due later than at this moment was not looked at."""
    claims: tuple[Claim, ...]


_n = notification_events.c
_now = bindparam("now", type_=UtcDateTime)

_SCHEDULED = and_(FAILED, _n.next_retry_at.is_not(None), _n.next_retry_at <= _now)
_UNSCHEDULED = and_(FAILED, _n.next_retry_at.is_(None))

_DUE: Mapping[str, tuple[ColumnElement[bool], ColumnElement[datetime]]] = {
    "pending": (PENDING, _n.created_at),
    "scheduled": (_SCHEDULED, _n.next_retry_at),
    "unscheduled": (_UNSCHEDULED, _n.created_at),
}
"""The ways of being due, each with the moment since when. Each has an index of its own."""


def _work() -> CompoundSelect[str | None]:
    """Each channel with something due, and a row without channel if a lease ran out."""
    pending = channels(PENDING).subquery()
    failed = channels(FAILED).subquery()
    scheduled = exists().where(_SCHEDULED, _n.channel == failed.c.channel)
    unscheduled = exists().where(_UNSCHEDULED, _n.channel == failed.c.channel)
    return union_all(
        select(pending.c.channel),
        select(failed.c.channel).where(or_(scheduled, unscheduled)),
        select(null()).where(exists().where(EXPIRED)),
    )


def _oldest(way: str, suspect: ColumnElement[bool]) -> Select[str, datetime, str]:
    """The oldest notifications of a channel that are due in one way."""
    due, since = _DUE[way]
    return (
        select(_n.id, since.label("since"), literal_column(f"'{way}'").label("way"))
        .where(due, _n.channel == bindparam("in_channel"), _n.lease_owner.is_(None), suspect)
        .order_by(since)
        .limit(bindparam(way))
    )


def _looking(suspect: ColumnElement[bool]) -> CompoundSelect[str, datetime, str]:
    """What could be taken in a channel: as many in each way as asked for."""
    return union_all(*(select(_oldest(way, suspect).subquery()) for way in _DUE))


def _taking(suspect: ColumnElement[bool]) -> ReturningUpdate[tuple[object, ...]]:
    """Take as many in each way as asked for."""
    rows = (_oldest(way, suspect).subquery() for way in _DUE)
    return _leasing(union_all(*(select(each.c.id) for each in rows)).cte("taken"))


def _taking_at_once(suspect: ColumnElement[bool]) -> ReturningUpdate[tuple[object, ...]]:
    """Look and take in one statement, for all channels: as many of the oldest as there are slots, and in
    each channel as it has room for.

    What is taken is past what another worker is taking at this moment, so where several take at once it may
    be others, or fewer, than were seen to be due. Only what is taken is locked: what another worker passes
    by is never left behind.
    """
    told = Batch("rooms")
    fields = (told.field("channel").label("channel"), told.field("room", Integer()).label("room"))
    rooms = select(*fields).select_from(told.rows).cte("rooms")

    def oldest(way: str, of: CTE, at_most: ColumnElement[int]) -> Select[str, datetime, str]:
        due, since = _DUE[way]
        return (
            select(_n.id, since.label("since"), literal_column(f"'{way}'").label("way"))
            .where(due, _n.channel == of.c.channel, _n.lease_owner.is_(None), suspect)
            # As the index made for it has them: on an empty table one made for lists would seem as good.
            .order_by(*((since,) if way == "pending" else (_n.next_retry_at, _n.created_at)))
            .limit(at_most)
            .correlate(of)
        )

    seen = union_all(*(select(oldest(way, rooms, rooms.c.room).lateral()) for way in _DUE)).lateral("seen")
    place = func.row_number().over(partition_by=rooms.c.channel, order_by=seen.c.since)
    due = (
        select(rooms, seen.c.since, seen.c.way, place.label("place"))
        .select_from(rooms.join(seen, true()))
        .subquery()
    )
    first = (
        select(due.c.channel, due.c.way)
        .where(due.c.place <= due.c.room)
        .order_by(due.c.since)
        .limit(bindparam("slots"))
        .subquery()
    )
    wanted = (
        select(first.c.channel, first.c.way, func.count().label("number"))
        .group_by(first.c.channel, first.c.way)
        .cte("wanted")
    )

    def locked(way: str) -> Select[str]:
        rows = oldest(way, wanted, wanted.c.number).with_for_update(skip_locked=True).lateral()
        return select(rows.c.id).select_from(wanted.join(rows, true())).where(wanted.c.way == way)

    return _leasing(union_all(*(locked(way) for way in _DUE)).cte("taken"))


def _leasing(taken: CTE) -> ReturningUpdate[tuple[object, ...]]:
    return (
        update(notification_events)
        .where(_n.id == taken.c.id)
        .values(
            lease_owner=bindparam("worker"),
            lease_expires_at=bindparam("expires_at", type_=UtcDateTime),
            claimed_at=_now,
            attempt_count=_n.attempt_count + 1,
        )
        .returning(*NOTIFICATION)
    )


_SUSPECT = _n.abandoned_count >= SUSPECT_AFTER
_TRUSTED = _n.abandoned_count < SUSPECT_AFTER

_WORK = _work()
_LOOK = {True: _looking(_SUSPECT), False: _looking(_TRUSTED)}
_TAKE = {True: _taking(_SUSPECT), False: _taking(_TRUSTED)}
_TAKE_AT_ONCE = {True: _taking_at_once(_SUSPECT), False: _taking_at_once(_TRUSTED)}


def claim(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[Claims]:
    """Take the oldest due notifications that fit, and for each a claim with a number of its own."""
    return [Claims(transaction.now, _claim_for(transaction, request)) for request in requests]


def _claim_for(transaction: Transaction, request: ClaimRequest) -> tuple[Claim, ...]:
    work = _channels_with_work(transaction)
    if None in work:
        end_expired_leases(transaction)
        work = _channels_with_work(transaction)
    rooms = {
        channel: room
        for channel in work
        if channel is not None and (room := min(request.room(channel), request.slots)) > 0
    }
    if not rooms:
        return ()
    at_once = transaction.connection.dialect.name == "postgresql"
    taken = (_take_at_once if at_once else _look_and_take)(transaction, request, rooms)
    return tuple(
        Claim(
            notification=n,
            worker=request.worker,
            number=n.attempt_count,
            started_at=transaction.now,
            expires_at=transaction.now + request.lease,
        )
        for n in sorted(taken, key=_due_since)
    )


def _channels_with_work(transaction: Transaction) -> set[str | None]:
    return set(transaction.connection.execute(_WORK, {"now": transaction.now}).scalars())


def _take_at_once(
    transaction: Transaction, request: ClaimRequest, rooms: Mapping[str, int]
) -> list[Notification]:
    told = encoded({"channel": channel, "room": room} for channel, room in rooms.items())
    wanted = _lease(transaction, request) | {"rooms": told, "slots": request.slots}
    rows = transaction.connection.execute(_TAKE_AT_ONCE[request.suspects], wanted)
    return [notification_of(row) for row in rows]


def _look_and_take(
    transaction: Transaction, request: ClaimRequest, rooms: Mapping[str, int]
) -> list[Notification]:
    due = [
        (row.since, channel, row.way)
        for channel, room in rooms.items()
        for row in _due_in(transaction, request, channel, room)
    ]
    oldest = sorted(due)[: request.slots]
    taken: list[Notification] = []
    for channel in dict.fromkeys(channel for _, channel, _ in oldest):
        ways = Counter(way for _, of, way in oldest if of == channel)
        taken += _take(transaction, request, channel, ways)
    return taken


def _due_in(
    transaction: Transaction, request: ClaimRequest, channel: str, room: int
) -> list[Row[str, datetime, str]]:
    asked = {"now": transaction.now, "in_channel": channel} | dict.fromkeys(_DUE, room)
    rows = transaction.connection.execute(_LOOK[request.suspects], asked)
    return sorted(rows, key=lambda row: row.since)[:room]


def _take(
    transaction: Transaction, request: ClaimRequest, channel: str, ways: Counter[str]
) -> list[Notification]:
    wanted = {"in_channel": channel} | {way: ways[way] for way in _DUE}
    rows = transaction.connection.execute(_TAKE[request.suspects], _lease(transaction, request) | wanted)
    return [notification_of(row) for row in rows]


def _lease(transaction: Transaction, request: ClaimRequest) -> dict[str, object]:
    now = transaction.now
    return {"worker": request.worker, "now": now, "expires_at": now + request.lease}


def _due_since(notification: Notification) -> datetime:
    return notification.next_retry_at or notification.created_at
