"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import CompoundSelect, Integer, Row, bindparam, exists, func, null, select, union_all

from storage.batches import Batch, encoded
from storage.claiming_beside import take_beside_others
from storage.due import leasing, oldest
from storage.leases import EXPIRED, end_expired_leases
from storage.models import Claim, Notification
from storage.records import notification_of
from storage.tables import notification_events
from storage.transactions import Transaction
from storage.waiting import FAILED, PENDING, WAYS, channels


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


def _looking(suspects: bool) -> CompoundSelect[str, datetime, str]:
    """What could be taken in a channel."""
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    return union_all(*(select(oldest(way, channel, suspects, room).subquery()) for way in WAYS))


_WORK = _work()
_LOOK = {suspects: _looking(suspects) for suspects in (True, False)}
_TAKE = leasing(select(Batch("ids").values.label("id")).cte("taken"))


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
    lease = {"worker": request.worker, "now": transaction.now, "expires_at": transaction.now + request.lease}
    if transaction.connection.dialect.name == "postgresql":
        taken = take_beside_others(transaction, lease, rooms, request.slots, suspects=request.suspects)
    else:
        taken = _take_alone(transaction, lease, rooms, request)
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


def _take_alone(
    transaction: Transaction, lease: Mapping[str, object], rooms: Mapping[str, int], request: ClaimRequest
) -> list[Notification]:
    """On SQLite, where a transaction keeps all others out."""
    due = [row for channel in rooms.items() for row in _due_in(transaction, request, *channel)]
    first = sorted(due, key=lambda row: row.since)[: request.slots]
    if not first:
        return []
    taken = transaction.connection.execute(_TAKE, {**lease, "ids": encoded(row.id for row in first)})
    return [notification_of(row) for row in taken]


def _due_in(
    transaction: Transaction, request: ClaimRequest, channel: str, room: int
) -> list[Row[str, datetime, str]]:
    asked = {"now": transaction.now, "in_channel": channel, "room": room}
    rows = transaction.connection.execute(_LOOK[request.suspects], asked)
    return sorted(rows, key=lambda row: row.since)[:room]


def _due_since(notification: Notification) -> datetime:
    return notification.next_retry_at or notification.created_at
