"""Statistics of the queue: counts for summaries, and the recent record of each channel."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from storage.clock import BEGINNING
from storage.models import OUR_STATUSES, AttemptOutcome, ChannelRecord, NotificationStatus, QueueCounts
from storage.operations.due import FAILED, WAITING_CHANNELS, channels
from storage.operations.eligible import undelivered
from storage.queries.kept_counts import KeptCount, kept_counts
from storage.schema.rows import status_of
from storage.schema.tables import notification_attempts, notification_channels, notification_events
from storage.sql.dialects import later_within
from storage.sql.json_rows import Batch, encoded
from storage.sql.types import UtcDateTime

_n = notification_events.c
_a = notification_attempts.c


_failed = channels(FAILED).subquery()


def _first_retry(*of_channel: ColumnElement[bool]) -> Select[datetime | None]:
    """The earliest retry after `now`: one seek per channel, however many notifications have failed."""
    now = bindparam("now", type_=UtcDateTime)
    first = (
        select(_n.next_retry_at)
        .where(
            FAILED,
            _n.channel == _failed.c.name,
            later_within(_n.channel, _failed.c.name, _n.next_retry_at, now),
        )
        .order_by(_n.next_retry_at)
        .limit(1)
    )
    return select(func.min(first.scalar_subquery())).select_from(_failed).where(*of_channel)


COUNT_BY_STATUS = select(_n.status, func.count()).group_by(_n.status)
COUNT_UNDELIVERED = select(func.count()).select_from(notification_events).where(undelivered())
OLDEST_DEAD = select(func.min(_n.created_at)).where(_n.status == NotificationStatus.DEAD.value)
NEXT_RETRY = _first_retry()
NEXT_RETRY_OF_CHANNELS = _first_retry(_failed.c.name.in_(select(Batch("channels").values)))
_c = notification_channels.c
CLOSED = select(_c.channel, _c.opens_at, _c.paused_until).where(_c.channel.in_(select(Batch("names").values)))
NEXT_LEASE_END = (
    select(_n.lease_expires_at).where(_n.lease_expires_at.is_not(None)).order_by(_n.lease_expires_at).limit(1)
)


def count_by_status(connection: Connection) -> dict[NotificationStatus, int]:
    """Every status of ours, including those without notifications, and other programs' if there are any."""
    return _by_status(connection, kept_counts(connection))


def queue_counts(connection: Connection) -> QueueCounts:
    kept = kept_counts(connection)
    return QueueCounts(
        by_status=_by_status(connection, kept),
        undelivered=(
            connection.execute(COUNT_UNDELIVERED).scalar_one()
            if kept is None
            else sum(each.number for each in kept if each.undelivered)
        ),
        oldest_dead_at=connection.execute(OLDEST_DEAD).scalar_one(),
        next_retry_at=connection.execute(NEXT_RETRY, {"now": BEGINNING}).scalar_one(),
    )


def _by_status(connection: Connection, kept: Sequence[KeptCount] | None) -> dict[NotificationStatus, int]:
    counts: dict[NotificationStatus, int] = dict.fromkeys(OUR_STATUSES, 0)
    stored = (
        connection.execute(COUNT_BY_STATUS).all()
        if kept is None
        else [(each.stored_status, each.number) for each in kept]
    )
    for name, number in stored:
        status = status_of(name)
        counts[status] = counts.get(status, 0) + number
    return counts


_FAILURES = (AttemptOutcome.FAILED, AttemptOutcome.DEAD)
ATTEMPTS_SINCE = (
    select(_a.channel, _a.outcome, func.count(), func.max(_a.started_at))
    .where(_a.started_at >= bindparam("since", type_=UtcDateTime))
    .group_by(_a.channel, _a.outcome)
)
_FAILURE_AT = select(_a.error).where(
    _a.started_at == bindparam("moment", type_=UtcDateTime),
    _a.channel == bindparam("of_channel"),
    _a.outcome.in_([outcome.value for outcome in _FAILURES]),
)


def next_due_at(connection: Connection, after: datetime, channels: Collection[str]) -> datetime | None:
    """When something of these channels next becomes due later than `after`, or any lease expires.

    Notifications that wait in a closed channel are due when the channel opens.
    """
    closed = closed_channels(connection, after, channels)
    parameters = {"now": after, "channels": encoded(name for name in channels if name not in closed)}
    retry: datetime | None = connection.execute(NEXT_RETRY_OF_CHANNELS, parameters).scalar_one()
    lease_end: datetime | None = connection.execute(NEXT_LEASE_END).scalar()
    moments = [retry, lease_end]
    if closed:
        waiting = connection.execute(WAITING_CHANNELS[False]).scalars()
        moments += [closed[name] for name in waiting if name in closed]
    return min((moment for moment in moments if moment is not None), default=None)


def closed_channels(
    connection: Connection, after: datetime, channels: Collection[str]
) -> dict[str, datetime]:
    """The channels in which nothing may begin at `after`, and when that ends."""
    states = connection.execute(CLOSED, {"names": encoded(channels)})
    ends = {name: max(opens_at or after, paused_until or after) for name, opens_at, paused_until in states}
    return {name: end for name, end in ends.items() if end > after}


def channel_records(connection: Connection, since: datetime) -> list[ChannelRecord]:
    """One record for each channel with an attempt that began at or after `since`."""
    outcomes: dict[str, dict[AttemptOutcome, tuple[int, datetime]]] = {}
    for channel, outcome, count, newest in connection.execute(ATTEMPTS_SINCE, {"since": since}):
        outcomes.setdefault(channel, {})[AttemptOutcome(outcome)] = (count, newest)
    return [_record(connection, channel, found) for channel, found in sorted(outcomes.items())]


def _record(
    connection: Connection, channel: str, found: dict[AttemptOutcome, tuple[int, datetime]]
) -> ChannelRecord:
    sent = found.get(AttemptOutcome.SENT)
    failed_at = max((found[outcome][1] for outcome in _FAILURES if outcome in found), default=None)
    error: str | None = None
    if failed_at is not None:
        moment = {"moment": failed_at, "of_channel": channel}
        error = connection.execute(_FAILURE_AT, moment).scalars().first()
    return ChannelRecord(
        channel=channel,
        outcomes={outcome: count for outcome, (count, _) in found.items()},
        last_sent_at=None if sent is None else sent[1],
        last_failed_at=failed_at,
        last_error=error,
    )
