"""How does a worker claim while others claim at the same moment? On PostgreSQL, where no lock keeps them out.

In one statement it looks and takes: as many of the oldest as it has slots for, and in each channel as it has
room for. What it takes is past what another worker is taking, so it may be others, or fewer, than were seen
to be due. Only what is taken is locked: what another worker passes by is never left behind.
"""

from collections.abc import Mapping
from itertools import product

from sqlalchemy import CTE, ColumnElement, Integer, Select, bindparam, func, select, true, union_all
from sqlalchemy.sql.dml import ReturningUpdate

from storage.batches import Batch, encoded
from storage.due import leasing, oldest
from storage.models import Notification
from storage.records import NOTIFICATION, notification_of
from storage.tables import notification_events
from storage.transactions import Transaction
from storage.waiting import WAYS

_n = notification_events.c


def _taking(suspects: bool) -> Select[tuple[object, ...]]:
    """What was taken and, in a column more, how many were seen to be due; a row of that alone if none was."""
    told = Batch("rooms")
    fields = (told.field("channel").label("channel"), told.field("room", Integer()).label("room"))
    rooms = select(*fields).select_from(told.rows).cte("rooms")

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
        .limit(bindparam("slots"))
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

    taken = leasing(union_all(*(locked(way) for way in WAYS)).cte("taken")).cte("leased")
    number = select(func.coalesce(func.sum(wanted.c.number), 0).cast(Integer).label("wanted")).subquery()
    columns = (taken.c[column.name] for column in NOTIFICATION)
    return select(*columns, number.c.wanted).select_from(number.outerjoin(taken, true()))


def _taking_what_is_left(way: str, suspects: bool) -> ReturningUpdate[tuple[object, ...]]:
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    rows = oldest(way, channel, suspects, room).with_for_update(skip_locked=True).subquery()
    return leasing(select(rows.c.id).cte("taken"))


_TAKE = {suspects: _taking(suspects) for suspects in (True, False)}
_TAKE_LEFT = {
    (way, suspects): _taking_what_is_left(way, suspects) for way in WAYS for suspects in (True, False)
}


def take_beside_others(
    transaction: Transaction,
    lease: Mapping[str, object],
    rooms: Mapping[str, int],
    slots: int,
    *,
    suspects: bool,
) -> list[Notification]:
    """Put the oldest due notifications that fit under the lease."""
    told = encoded({"channel": channel, "room": room} for channel, room in rooms.items())
    asked = {**lease, "rooms": told, "slots": slots}
    rows = transaction.connection.execute(_TAKE[suspects], asked).all()
    taken = [notification_of(row[:-1]) for row in rows if row.id is not None]
    if len(taken) < rows[0].wanted:
        # Others took what was seen. They may have no room for the rest, and nobody would be told of it.
        for channel, way in product(rooms, WAYS):
            room = min(rooms[channel] - sum(n.channel == channel for n in taken), slots - len(taken))
            if room > 0:
                left = {**lease, "in_channel": channel, "room": room}
                rows = transaction.connection.execute(_TAKE_LEFT[way, suspects], left).all()
                taken += map(notification_of, rows)
    return taken
