"""Claiming on PostgreSQL, where several workers claim at the same time.

One statement finds what is due and leases it: the oldest notifications, as many as the worker has slots for,
and of each channel as many as it has room for. It skips rows that another worker is leasing, so it may lease
other rows, or fewer, than it found to be due. It locks only the rows that it leases."""

from collections.abc import Iterable, Sequence
from functools import cache, partial
from itertools import product

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Integer,
    Interval,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage.engine.transaction import NOW, Transaction
from storage.models import Claim
from storage.operations.channel_states import OPEN
from storage.operations.claim_request import ClaimRequest, Claims, claims_of
from storage.operations.due import (
    WAITING_CHANNELS,
    due_kinds,
    leasing,
    oldest,
)
from storage.operations.leases import EXPIRED
from storage.schema.rows import NOTIFICATION, notification_of, notification_stored
from storage.schema.tables import notification_channels, notification_events
from storage.sql.json_rows import Batch, encoded
from storage.sql.prepared_postgresql import PreparedPostgresql

_n = notification_events.c
_c = notification_channels.c
_SLOTS = bindparam("slots", type_=Integer)
_UNTIL = NOW + bindparam("lease", type_=Interval)


def claiming(rescue: bool, suspects: bool) -> Select[tuple[object, ...]]:
    """The leased notifications, each with the requested number, the time, and whether a lease has expired. If
    none was leased, a row with only the latter three. `claim_postgresql.sql`, next to the tests, shows the
    SQL."""
    # state: the time of the claim, and whether an expired lease stops it.
    expired = and_(bindparam("stop_at_expired_lease", type_=Boolean), exists().where(EXPIRED))
    state = select(NOW.label("at"), expired.label("expired")).cte("state")
    served = _served(state, rescue)
    # asked: the open channels whose state matters. `claim_guarded` claims in them. asyncpg knows arrays of
    # TEXT; for others it would query the catalogs first, on each connection, for longer than a claim takes.
    asked = (
        select(func.array_agg(served.c.channel.cast(Text)))
        .where(served.c.guarded, served.c.open)
        .scalar_subquery()
    )
    # rooms: the other channels.
    rooms = select(served.c.channel, served.c.room).where(not_(served.c.guarded)).cte("rooms")
    kinds = due_kinds(rescue=rescue)
    wanted = _wanted(rooms, kinds, suspects)

    # locked: that many of the oldest of each channel and kind, except those that other workers are locking.
    def locked(kind: str) -> Select[str]:
        found = _oldest_of(kind, wanted, wanted.c.number, suspects)
        rows = found.with_for_update(skip_locked=True).lateral()
        return select(rows.c.id).select_from(wanted.join(rows, true())).where(wanted.c.kind == kind)

    # taken: the same notifications, leased.
    taken = leasing(union_all(*(locked(kind) for kind in kinds)).cte("taken"), _UNTIL).cte("leased")
    number = select(func.coalesce(func.sum(wanted.c.number), 0).cast(Integer).label("wanted")).subquery()
    columns = (taken.c[column.name] for column in NOTIFICATION)
    return select(*columns, number.c.wanted, asked.label("asked"), state.c.at, state.c.expired).select_from(
        state.join(number, true()).outerjoin(taken, true())
    )


def _served(state: CTE, rescue: bool) -> CTE:
    """The worker's channels with a backlog, its room for each, whether the state of the channel matters, and
    whether the channel may be open."""
    given = Batch("rooms")
    waiting = WAITING_CHANNELS[rescue].subquery()
    room = given.field("room", Integer())
    guarded = and_(
        given.field("checked", Boolean()), or_(given.field("limited", Boolean()), _c.channel.is_not(None))
    )
    return (
        select(
            waiting.c.name.label("channel"),
            func.least(room, _SLOTS).label("room"),
            guarded.label("guarded"),
            OPEN.label("open"),
        )
        .select_from(
            waiting.join(given.rows, given.field("channel") == waiting.c.name).outerjoin(
                notification_channels, _c.channel == waiting.c.name
            )
        )
        .where(room > 0, not_(select(state.c.expired).scalar_subquery()))
        .cte("served")
    )


def _wanted(rooms: CTE, kinds: Iterable[str], suspects: bool) -> CTE:
    """How many notifications of each channel and kind to lease."""
    # seen: the oldest due notifications of each channel and kind, up to its room.
    seen = union_all(
        *(select(_oldest_of(kind, rooms, rooms.c.room, suspects).lateral()) for kind in kinds)
    ).lateral("seen")
    # due: their place within the channel, whose room is for all kinds together.
    place = func.row_number().over(partition_by=rooms.c.channel, order_by=seen.c.since)
    due = (
        select(rooms, seen.c.since, seen.c.kind, place.label("place"))
        .select_from(rooms.join(seen, true()))
        .subquery()
    )
    # first: the oldest of all that fit, as many as there are slots.
    first = (
        select(due.c.channel, due.c.kind)
        .where(due.c.place <= due.c.room)
        .order_by(due.c.since)
        .limit(_SLOTS)
        .subquery()
    )
    return (
        select(first.c.channel, first.c.kind, func.count().label("number"))
        .group_by(first.c.channel, first.c.kind)
        .cte("wanted")
    )


def _oldest_of(kind: str, of: CTE, at_most: ColumnElement[int], suspects: bool) -> Select[str, object, str]:
    return oldest(kind, of.c.channel, suspects, at_most).correlate(of)


@cache
def _claiming_rest(kind: str, suspects: bool) -> ReturningUpdate[tuple[object, ...]]:
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    rows = oldest(kind, channel, suspects, room).with_for_update(skip_locked=True).subquery()
    return leasing(select(rows.c.id).cte("taken"), _UNTIL)


_GUARDED = select(_c.channel)

_CLAIM = {
    (rescue, suspects): PreparedPostgresql(partial(claiming, rescue, suspects))
    for rescue, suspects in product((False, True), repeat=2)
}
"""The statements by whether to claim what was taken over from certctl, and whether to claim suspects."""


def claim_in_one_statement(transaction: Transaction, request: ClaimRequest) -> Claims:
    """Lease the oldest due notifications that fit."""
    limited = request.limited
    rows = _CLAIM[request.rescue, request.suspects].execute(
        transaction.connection,
        now=transaction.client_time,
        worker=request.worker,
        lease=request.lease,
        slots=max(0, request.slots),
        rooms=encoded(
            {
                "channel": name,
                "room": request.room.of(name),
                "checked": request.rules is not None,
                "limited": name in limited,
            }
            for name in request.channels
        ),
        stop_at_expired_lease=request.stop_at_expired_lease,
    )
    width = len(NOTIFICATION)
    claims = claims_of(request, (notification_stored(row[:width]) for row in rows if row[0] is not None))
    wanted, asked, at, expired = rows[0][width:]
    return Claims(
        at,
        claims,
        lease_expired=expired,
        contended=len(claims) < wanted,
        guarded=frozenset(asked or ()),
    )


def claim_rest(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[tuple[Claim, ...]]:
    """After a contended claim: what else is due and fits, but not in channels whose state matters."""
    return [_claim_rest(transaction, request) for request in requests]


def _claim_rest(transaction: Transaction, request: ClaimRequest) -> tuple[Claim, ...]:
    lease = {"now": transaction.client_time, "worker": request.worker, "lease": request.lease}
    claims: tuple[Claim, ...] = ()
    waiting = transaction.connection.execute(WAITING_CHANNELS[request.rescue]).scalars().all()
    free = request.channels.intersection(waiting)
    if request.rules is not None:
        free -= request.limited.union(transaction.connection.execute(_GUARDED).scalars())
    for channel, kind in product(free, due_kinds(rescue=request.rescue)):
        left = request.without(claims)
        if (room := min(left.room.of(channel), left.slots)) > 0:
            parameters = {**lease, "in_channel": channel, "room": room}
            rows = transaction.connection.execute(_claiming_rest(kind, request.suspects), parameters)
            claims += claims_of(request, map(notification_of, rows))
    return claims
