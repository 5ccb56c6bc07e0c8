"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

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
    bindparam,
    exists,
    func,
    literal_column,
    null,
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
from storage.waiting import FAILED, PENDING, WAYS, channels

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


def _work() -> CompoundSelect[str | None]:
    """Each channel with something due, and a row without channel if a lease ran out."""
    pending = channels(PENDING).subquery()
    failed = channels(FAILED).subquery()
    due = (
        select(_n.id).where(way.due_in(failed.c.name)).order_by(*way.oldest_first).limit(1).scalar_subquery()
        for way in (WAYS["scheduled"], WAYS["unscheduled"])
    )
    return union_all(
        select(pending.c.name),
        # Not EXISTS, for which PostgreSQL may first gather what is due in all channels.
        select(failed.c.name).where(func.coalesce(*due).is_not(None)),
        select(null()).where(exists().where(EXPIRED)),
    )


def _oldest(
    name: str, channel: ColumnElement[str], suspect: ColumnElement[bool], at_most: ColumnElement[int]
) -> Select[str, datetime, str]:
    """The oldest notifications of a channel that are due in one way."""
    way = WAYS[name]
    return (
        select(_n.id, way.since.label("since"), literal_column(f"'{name}'").label("way"))
        .where(way.due_in(channel), _n.lease_owner.is_(None), suspect)
        .order_by(*way.oldest_first)
        .limit(at_most)
    )


def _looking(suspect: ColumnElement[bool]) -> CompoundSelect[str, datetime, str]:
    """What could be taken in a channel."""
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    return union_all(*(select(_oldest(way, channel, suspect, room).subquery()) for way in WAYS))


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
        return _oldest(way, of.c.channel, suspect, at_most).correlate(of)

    seen = union_all(*(select(oldest(way, rooms, rooms.c.room).lateral()) for way in WAYS)).lateral("seen")
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

    return _leasing(union_all(*(locked(way) for way in WAYS)).cte("taken"))


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
_TAKE = _leasing(select(Batch("ids").values.label("id")).cte("taken"))
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
    """In two steps, where a transaction keeps all others out."""
    due = [row for channel in rooms.items() for row in _due_in(transaction, request, *channel)]
    oldest = sorted(due, key=lambda row: row.since)[: request.slots]
    if not oldest:
        return []
    wanted = _lease(transaction, request) | {"ids": encoded(row.id for row in oldest)}
    return [notification_of(row) for row in transaction.connection.execute(_TAKE, wanted)]


def _due_in(
    transaction: Transaction, request: ClaimRequest, channel: str, room: int
) -> list[Row[str, datetime, str]]:
    asked = {"now": transaction.now, "in_channel": channel, "room": room}
    rows = transaction.connection.execute(_LOOK[request.suspects], asked)
    return sorted(rows, key=lambda row: row.since)[:room]


def _lease(transaction: Transaction, request: ClaimRequest) -> dict[str, object]:
    now = transaction.now
    return {"worker": request.worker, "now": now, "expires_at": now + request.lease}


def _due_since(notification: Notification) -> datetime:
    return notification.next_retry_at or notification.created_at
