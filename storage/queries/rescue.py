"""What certctl's server leaves undelivered: how much is stuck, and when the rest is due."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, bindparam, exists, func, literal_column, or_, select

from storage.clock import BEGINNING
from storage.models import UnservedChannel, channels_of
from storage.operations.due import PENDING, TAKEN_OVER, UNSCHEDULED
from storage.queries.processes import live_processes
from storage.queries.queue_stats import NEXT_LEASE_END, closed_channels
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.json_rows import Batch, encoded
from storage.sql.types import UtcDateTime

_n = notification_events.c
_a = notification_attempts.c
_moment = bindparam("moment", type_=UtcDateTime)
_in_channels = _n.channel.in_(select(Batch("channels").values))

NEXT_RESCUE = select(func.min(_n.rescue_at)).where(TAKEN_OVER, _n.lease_owner.is_(None))
NEXT_RESCUE_OF_CHANNELS = NEXT_RESCUE.where(_in_channels, _n.rescue_at > _moment)
NEXT_LEFT_IN_CHANNELS = tuple(
    select(func.min(_n.created_at)).where(left, _n.rescue_at.is_(None), _in_channels, _n.created_at > _moment)
    for left in (PENDING, UNSCHEDULED)
)

# certctl's own index on the status finds both.
_PENDING: ColumnElement[str] = literal_column("'pending'")
_SENT: ColumnElement[str] = literal_column("'sent'")
_FAILED: ColumnElement[str] = literal_column("'failed'")
STUCK = (
    select(_n.channel, func.count())
    .where(
        _n.status.in_([_PENDING, _FAILED]),
        or_(
            and_(_n.status == _FAILED, _n.next_retry_at.is_(None)),
            and_(_n.status == _PENDING, _n.created_at <= _moment),
        ),
    )
    .group_by(_n.channel)
    .order_by(_n.channel)
)

_refused = exists().where(_a.notification_id == _n.id, _a.number == _n.attempt_count, _a.late)
# If certctl fails, it writes Go's zero time as the time of delivery. If it sends, there is no claim of ours,
# or the outcome of the newest one was late and refused.
SETTLED_BY_CERTCTL = select(func.count()).where(
    _n.created_at > _moment,
    _n.sent_at.is_not(None),
    or_(_n.status == _FAILED, and_(_n.status == _SENT, or_(_n.attempt_count == 0, _refused))),
)


def next_rescue_at(connection: Connection) -> datetime | None:
    """When something that was taken over is next due."""
    found: datetime | None = connection.execute(NEXT_RESCUE).scalar_one()
    return found


def next_due_at(
    connection: Connection, after: datetime, channels: Collection[str], grace: timedelta
) -> datetime | None:
    """When something of these channels next is due, or can be taken over, later than `after`; or any lease
    expires."""
    named = {"channels": encoded(channels)}
    moments: list[datetime | None] = [
        connection.execute(NEXT_RESCUE_OF_CHANNELS, {**named, "moment": after}).scalar_one(),
        connection.execute(NEXT_LEASE_END).scalar(),
    ]
    created_after = max(after, BEGINNING + grace) - grace
    for query in NEXT_LEFT_IN_CHANNELS:
        created: datetime | None
        created = connection.execute(query, {**named, "moment": created_after}).scalar_one()
        moments.append(None if created is None else created + grace)
    moments += closed_channels(connection, after, channels).values()
    return min((moment for moment in moments if moment is not None), default=None)


def stuck_channels(connection: Connection, now: datetime, after: timedelta) -> tuple[UnservedChannel, ...]:
    """The channels without a live process that have notifications which certctl will not attempt again:
    `failed` without a time, or `pending` for longer than `after`."""
    served = channels_of(live_processes(connection, now))
    rows = connection.execute(STUCK, {"moment": now - after})
    return tuple(
        UnservedChannel(channel=channel, waiting=count) for channel, count in rows if channel not in served
    )


def settled_by_certctl(connection: Connection, since: datetime) -> int:
    """How many notifications created later than `since` certctl's server has sent, or failed to send."""
    found: int = connection.execute(SETTLED_BY_CERTCTL, {"moment": since}).scalar_one()
    return found
