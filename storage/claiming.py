"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
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
    union_all,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from storage.leases import EXPIRED, end_expired_leases
from storage.models import Claim
from storage.records import NOTIFICATION, notification_of
from storage.tables import UtcDateTime, notification_events

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

# Literal, not bound: a partial index serves only a query that repeats its predicate.
_PENDING = _n.status == literal_column("'pending'")
_FAILED = _n.status == literal_column("'failed'")
_SCHEDULED = and_(_FAILED, _n.next_retry_at.is_not(None), _n.next_retry_at <= _now)
_UNSCHEDULED = and_(_FAILED, _n.next_retry_at.is_(None))


def _channels(waiting: ColumnElement[bool]) -> Select[str]:
    """The channels of the rows that wait, found by seeking from one to the next in the index."""
    walk = select(func.min(_n.channel).label("channel")).where(waiting).cte(recursive=True)
    following = select(func.min(_n.channel)).where(waiting, _n.channel > walk.c.channel).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.channel.is_not(None)))
    return select(walk.c.channel).where(walk.c.channel.is_not(None))


def _work() -> CompoundSelect[str | None, datetime | None]:
    """Each channel with something due and since when, and a row without channel if a lease ran out."""
    pending = _channels(_PENDING).subquery()
    failed = _channels(_FAILED).subquery()
    since_pending = select(func.min(_n.created_at)).where(_PENDING, _n.channel == pending.c.channel)
    since_scheduled = select(func.min(_n.next_retry_at)).where(_SCHEDULED, _n.channel == failed.c.channel)
    scheduled = exists().where(_SCHEDULED, _n.channel == failed.c.channel)
    unscheduled = exists().where(_UNSCHEDULED, _n.channel == failed.c.channel)
    return union_all(
        select(pending.c.channel, since_pending.scalar_subquery()),
        select(failed.c.channel, since_scheduled.scalar_subquery()).where(or_(scheduled, unscheduled)),
        select(null(), null()).where(exists().where(EXPIRED)),
    )


def _oldest(
    due: ColumnElement[bool], since: ColumnElement[datetime], suspect: ColumnElement[bool]
) -> Select[str, datetime]:
    rows = (
        select(_n.id, since.label("since"))
        .where(due, _n.channel == bindparam("in_channel"), _n.lease_owner.is_(None), suspect)
        .order_by(since)
        .limit(bindparam("slots"))
    )
    return select(rows.subquery())


def _claim(suspect: ColumnElement[bool]) -> ReturningUpdate[tuple[object, ...]]:
    due = union_all(
        _oldest(_PENDING, _n.created_at, suspect),
        _oldest(_SCHEDULED, _n.next_retry_at, suspect),
        _oldest(_UNSCHEDULED, _n.next_retry_at, suspect),
    ).subquery()
    chosen = select(due.c.id).order_by(due.c.since).limit(bindparam("slots"))
    return (
        update(notification_events)
        .where(_n.id.in_(chosen))
        .values(
            lease_owner=bindparam("worker"),
            lease_expires_at=bindparam("expires_at", type_=UtcDateTime),
            claimed_at=_now,
            attempt_count=_n.attempt_count + 1,
        )
        .returning(*NOTIFICATION)
    )


_WORK = _work()
_CLAIM = _claim(_n.abandoned_count < SUSPECT_AFTER)
_CLAIM_SUSPECT = _claim(_n.abandoned_count >= SUSPECT_AFTER)


def claim(connection: Connection, requests: Sequence[ClaimRequest]) -> list[tuple[Claim, ...]]:
    """Take the oldest due notifications that fit, and for each a claim with a number of its own."""
    return [_claim_for(connection, request) for request in requests]


def _claim_for(connection: Connection, request: ClaimRequest) -> tuple[Claim, ...]:
    work = connection.execute(_WORK, {"now": request.now}).all()
    if any(channel is None for channel, _ in work):
        end_expired_leases(connection, request.now)
        work = connection.execute(_WORK, {"now": request.now}).all()
    claims: list[Claim] = []
    for channel in _oldest_first(work):
        slots = min(request.slots - len(claims), request.room(channel))
        if slots > 0:
            claims += _claim_in_channel(connection, request, channel, slots)
    return tuple(claims)


def _oldest_first(work: Sequence[Row[str | None, datetime | None]]) -> list[str]:
    since: dict[str, datetime] = {}
    for channel, moment in work:
        if channel is not None:
            # A row that certctl's server left without a time has waited longest.
            waited = moment or datetime.min.replace(tzinfo=UTC)
            since[channel] = min(since.get(channel, waited), waited)
    return sorted(since, key=since.__getitem__)


def _claim_in_channel(connection: Connection, request: ClaimRequest, channel: str, slots: int) -> list[Claim]:
    expires_at = request.now + request.lease
    rows = connection.execute(
        _CLAIM_SUSPECT if request.suspects else _CLAIM,
        {
            "now": request.now,
            "in_channel": channel,
            "slots": slots,
            "worker": request.worker,
            "expires_at": expires_at,
        },
    )
    notifications = [notification_of(row) for row in rows]
    notifications.sort(key=lambda n: n.next_retry_at or n.created_at)
    return [
        Claim(
            notification=n,
            worker=request.worker,
            number=n.attempt_count,
            started_at=request.now,
            expires_at=expires_at,
        )
        for n in notifications
    ]
