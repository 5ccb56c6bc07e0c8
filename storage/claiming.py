"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    Select,
    bindparam,
    exists,
    func,
    literal_column,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

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


def _oldest(name: str, suspect: ColumnElement[bool]) -> Select[str, datetime, str]:
    """The oldest notifications of a channel that are due in one way."""
    way = WAYS[name]
    return (
        select(_n.id, way.since.label("since"), literal_column(f"'{name}'").label("way"))
        .where(way.due_in(bindparam("in_channel", type_=_n.channel.type)), _n.lease_owner.is_(None), suspect)
        .order_by(*way.oldest_first)
        .limit(bindparam(name))
    )


def _looking(suspect: ColumnElement[bool]) -> CompoundSelect[str, datetime, str]:
    """What could be taken in a channel: as many in each way as asked for."""
    return union_all(*(select(_oldest(way, suspect).subquery()) for way in WAYS))


def _taking(suspect: ColumnElement[bool]) -> ReturningUpdate[tuple[object, ...]]:
    """Take as many in each way as asked for, past those that another worker is taking at this moment."""
    rows = (_oldest(way, suspect).with_for_update(skip_locked=True).subquery() for way in WAYS)
    taken = union_all(*(select(each.c.id) for each in rows)).cte("taken")
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


def claim(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[tuple[Claim, ...]]:
    """Take the oldest due notifications that fit, and for each a claim with a number of its own."""
    return [_claim_for(transaction, request) for request in requests]


def _claim_for(transaction: Transaction, request: ClaimRequest) -> tuple[Claim, ...]:
    work = _channels_with_work(transaction)
    if None in work:
        end_expired_leases(transaction)
        work = _channels_with_work(transaction)
    due = [
        (row.since, channel, row.way)
        for channel in work
        if channel is not None
        for row in _due_in(transaction, request, channel)
    ]
    oldest = sorted(due)[: max(request.slots, 0)]
    taken: list[Notification] = []
    for channel in dict.fromkeys(channel for _, channel, _ in oldest):
        ways = Counter(way for _, of, way in oldest if of == channel)
        taken += _take(transaction, request, channel, ways)
    if len(taken) < len(oldest):
        _take_what_is_left(transaction, request, work, taken)
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


def _due_in(transaction: Transaction, request: ClaimRequest, channel: str) -> list[Row[str, datetime, str]]:
    room = min(request.room(channel), request.slots)
    if room <= 0:
        return []
    asked = {"now": transaction.now, "in_channel": channel} | dict.fromkeys(WAYS, room)
    rows = transaction.connection.execute(_LOOK[request.suspects], asked)
    return sorted(rows, key=lambda row: row.since)[:room]


def _take(
    transaction: Transaction, request: ClaimRequest, channel: str, ways: Counter[str]
) -> list[Notification]:
    """Where several workers take at once these may be others, or fewer, than were seen to be due.

    Only what is taken is locked: what another worker passes by is never left behind.
    """
    lease = {
        "worker": request.worker,
        "now": transaction.now,
        "expires_at": transaction.now + request.lease,
        "in_channel": channel,
    }
    wanted = {way: ways[way] for way in WAYS}
    rows = transaction.connection.execute(_TAKE[request.suspects], lease | wanted)
    return [notification_of(row) for row in rows]


def _take_what_is_left(
    transaction: Transaction,
    request: ClaimRequest,
    channels: Iterable[str | None],
    taken: list[Notification],
) -> None:
    """Others took some of what was seen to be due. They may have no room for the rest, and nobody would be
    told of it."""
    for channel, way in product(channels, WAYS):
        if channel is not None:
            room = request.room(channel) - sum(n.channel == channel for n in taken)
            room = min(room, request.slots - len(taken))
            if room > 0:
                taken += _take(transaction, request, channel, Counter({way: room}))


def _due_since(notification: Notification) -> datetime:
    return notification.next_retry_at or notification.created_at
