"""How does a worker claim while others claim at the same moment? On PostgreSQL, where no lock keeps them out.

In one statement it looks and takes: as many of the oldest as it has slots for, and in each channel as it has
room for. What it takes is past what another worker is taking, so it may be others, or fewer, than were seen
to be due. Only what is taken is locked: what another worker passes by is never left behind.
"""

from collections.abc import Sequence
from itertools import product

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Integer,
    Interval,
    Select,
    and_,
    bindparam,
    exists,
    func,
    not_,
    select,
    true,
    union,
    union_all,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage.engine.transaction import NOW, Transaction
from storage.models import Claim
from storage.operations.claim_request import ClaimRequest, Claims, claims_of
from storage.operations.due import leasing, oldest
from storage.operations.leases import EXPIRED
from storage.operations.waiting import FAILED, PENDING, WAYS, channels
from storage.schema.rows import NOTIFICATION, notification_of
from storage.schema.tables import notification_events
from storage.sql.json_rows import Batch, encoded

_n = notification_events.c
_SLOTS = bindparam("slots", type_=Integer)
_UNTIL = NOW + bindparam("lease", type_=Interval)

_WAITING = union(channels(PENDING), channels(FAILED))
"""The channels with something that is due, or will be."""


def _taking(suspects: bool) -> Select[tuple[object, ...]]:
    """What was taken and, in columns more, how many were seen to be due, the moment, and whether a lease has
    run out; a row of these alone if none was taken."""
    lapsed = and_(bindparam("heed_lapsed", type_=Boolean), exists().where(EXPIRED))
    state = select(NOW.label("at"), lapsed.label("lapsed")).cte("state")

    told = Batch("rooms")
    waiting = _WAITING.subquery()
    room = func.coalesce(told.field("room", Integer()), bindparam("otherwise", type_=Integer))
    rooms = (
        select(waiting.c.name.label("channel"), func.least(room, _SLOTS).label("room"))
        .select_from(waiting.outerjoin(told.rows, told.field("channel") == waiting.c.name))
        .where(room > 0, not_(select(state.c.lapsed).scalar_subquery()))
        .cte("rooms")
    )

    def oldest_of(way: str, of: CTE, at_most: ColumnElement[int]) -> Select[str, object, str]:
        return oldest(way, of.c.channel, suspects, at_most).correlate(of)

    seen = union_all(*(select(oldest_of(way, rooms, rooms.c.room).lateral()) for way in WAYS)).lateral("seen")
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
        .limit(_SLOTS)
        .subquery()
    )
    wanted = (
        select(first.c.channel, first.c.way, func.count().label("number"))
        .group_by(first.c.channel, first.c.way)
        .cte("wanted")
    )

    def locked(way: str) -> Select[str]:
        rows = oldest_of(way, wanted, wanted.c.number).with_for_update(skip_locked=True).lateral()
        return select(rows.c.id).select_from(wanted.join(rows, true())).where(wanted.c.way == way)

    taken = leasing(union_all(*(locked(way) for way in WAYS)).cte("taken"), _UNTIL).cte("leased")
    number = select(func.coalesce(func.sum(wanted.c.number), 0).cast(Integer).label("wanted")).subquery()
    columns = (taken.c[column.name] for column in NOTIFICATION)
    return select(*columns, number.c.wanted, state.c.at, state.c.lapsed).select_from(
        state.join(number, true()).outerjoin(taken, true())
    )


def _taking_what_is_left(way: str, suspects: bool) -> ReturningUpdate[tuple[object, ...]]:
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    rows = oldest(way, channel, suspects, room).with_for_update(skip_locked=True).subquery()
    return leasing(select(rows.c.id).cte("taken"), _UNTIL)


_TAKE = {suspects: _taking(suspects) for suspects in (True, False)}
_TAKE_LEFT = {
    (way, suspects): _taking_what_is_left(way, suspects) for way in WAYS for suspects in (True, False)
}


def take_beside_others(transaction: Transaction, request: ClaimRequest) -> Claims:
    """Put the oldest due notifications that fit under the lease."""
    asked = {
        "now": transaction.client_time,
        "worker": request.worker,
        "lease": request.lease,
        "slots": max(0, request.slots),
        "otherwise": request.room.otherwise,
        "rooms": encoded({"channel": name, "room": room} for name, room in request.room.named.items()),
        "heed_lapsed": request.heed_lapsed,
    }
    rows = transaction.connection.execute(_TAKE[request.suspects], asked).all()
    width = len(NOTIFICATION)
    claims = claims_of(request.worker, (notification_of(row[:width]) for row in rows if row.id is not None))
    seen = rows[0]
    return Claims(seen.at, claims, lapsed=seen.lapsed, contended=len(claims) < seen.wanted)


def take_what_is_left(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[tuple[Claim, ...]]:
    """For those whose claims were contended: whatever is due besides and fits."""
    return [_take_what_is_left(transaction, request) for request in requests]


def _take_what_is_left(transaction: Transaction, request: ClaimRequest) -> tuple[Claim, ...]:
    lease = {"now": transaction.client_time, "worker": request.worker, "lease": request.lease}
    claims: tuple[Claim, ...] = ()
    for channel, way in product(transaction.connection.execute(_WAITING).scalars().all(), WAYS):
        left = request.without(claims)
        if (room := min(left.room.of(channel), left.slots)) > 0:
            asked = {**lease, "in_channel": channel, "room": room}
            rows = transaction.connection.execute(_TAKE_LEFT[way, request.suspects], asked)
            claims += claims_of(request.worker, map(notification_of, rows))
    return claims
