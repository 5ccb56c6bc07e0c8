"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    Row,
    Select,
    and_,
    bindparam,
    exists,
    null,
    or_,
    select,
    union_all,
    update,
)

from storage.batches import Batch, encoded
from storage.leases import EXPIRED, end_expired_leases
from storage.models import Claim
from storage.records import NOTIFICATION, notification_of
from storage.tables import UtcDateTime, notification_events
from storage.waiting import FAILED, PENDING, channels

SUSPECT_AFTER = 3
"""Abandoned this often, a notification may be what kills its workers, and is only attempted alone."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a worker can start now."""

    worker: str
    lease: timedelta
    now: datetime
    slots: int
    room: Callable[[str], int]
    """Attempts that a channel can take now, by its name."""
    suspects: bool = False
    """Take only those abandoned so often that they may kill their worker."""


_n = notification_events.c
_now = bindparam("now", type_=UtcDateTime)

_SCHEDULED = and_(FAILED, _n.next_retry_at.is_not(None), _n.next_retry_at <= _now)
_UNSCHEDULED = and_(FAILED, _n.next_retry_at.is_(None))


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


def _oldest(
    due: ColumnElement[bool], since: ColumnElement[datetime], suspect: ColumnElement[bool]
) -> Select[str, datetime]:
    rows = (
        select(_n.id, since.label("since"))
        .where(due, _n.channel == bindparam("in_channel"), _n.lease_owner.is_(None), suspect)
        .order_by(since)
        .limit(bindparam("room"))
    )
    return select(rows.subquery())


def _due(suspect: ColumnElement[bool]) -> CompoundSelect[str, datetime]:
    """The oldest due notifications of a channel, each with the moment since when it is due."""
    return union_all(
        _oldest(PENDING, _n.created_at, suspect),
        _oldest(_SCHEDULED, _n.next_retry_at, suspect),
        _oldest(_UNSCHEDULED, _n.created_at, suspect),
    )


_WORK = _work()
_DUE = _due(_n.abandoned_count < SUSPECT_AFTER)
_DUE_SUSPECT = _due(_n.abandoned_count >= SUSPECT_AFTER)
_CLAIM = (
    update(notification_events)
    .where(_n.id.in_(select(Batch("ids").rows.c.value)))
    .values(
        lease_owner=bindparam("worker"),
        lease_expires_at=bindparam("expires_at", type_=UtcDateTime),
        claimed_at=_now,
        attempt_count=_n.attempt_count + 1,
    )
    .returning(*NOTIFICATION)
)


def claim(connection: Connection, requests: Sequence[ClaimRequest]) -> list[tuple[Claim, ...]]:
    """Take the oldest due notifications that fit, and for each a claim with a number of its own."""
    return [_claim_for(connection, request) for request in requests]


def _claim_for(connection: Connection, request: ClaimRequest) -> tuple[Claim, ...]:
    work = set(connection.execute(_WORK, {"now": request.now}).scalars())
    if None in work:
        end_expired_leases(connection, request.now)
        work = set(connection.execute(_WORK, {"now": request.now}).scalars())
    due = [row for channel in work if channel is not None for row in _due_in(connection, request, channel)]
    oldest = sorted(due, key=lambda row: row.since)[: max(request.slots, 0)]
    return _take(connection, request, [row.id for row in oldest])


def _due_in(connection: Connection, request: ClaimRequest, channel: str) -> list[Row[str, datetime]]:
    room = min(request.room(channel), request.slots)
    if room <= 0:
        return []
    statement = _DUE_SUSPECT if request.suspects else _DUE
    rows = connection.execute(statement, {"now": request.now, "in_channel": channel, "room": room})
    return sorted(rows, key=lambda row: row.since)[:room]


def _take(connection: Connection, request: ClaimRequest, ids: list[str]) -> tuple[Claim, ...]:
    """The claims, in the order of the ids."""
    if not ids:
        return ()
    expires_at = request.now + request.lease
    lease = {"worker": request.worker, "now": request.now, "expires_at": expires_at}
    taken = [notification_of(row) for row in connection.execute(_CLAIM, lease | {"ids": encoded(ids)})]
    place = {notification_id: place for place, notification_id in enumerate(ids)}
    return tuple(
        Claim(
            notification=n,
            worker=request.worker,
            number=n.attempt_count,
            started_at=request.now,
            expires_at=expires_at,
        )
        for n in sorted(taken, key=lambda n: place[n.id])
    )
