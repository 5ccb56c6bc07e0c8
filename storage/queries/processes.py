"""The live processes, the channels that none of them serves, and the backlog of those."""

import json
from datetime import datetime

from sqlalchemy import Connection, Select, bindparam, func, or_, select

from storage.models import DeliveringProcess, UnservedChannel, channels_of
from storage.operations.due import DUE_KINDS, FAILED, PENDING, WAITING_CHANNELS
from storage.operations.processes import ALIVE_WITHIN
from storage.schema.tables import notification_events, notification_processes
from storage.sql.types import UtcDateTime

_n = notification_events.c
_p = notification_processes.c
_channel = bindparam("in_channel", type_=_n.channel.type)

LIVE = (
    select(_p.name, _p.host, _p.version, _p.channels, _p.rescues, _p.started_at, _p.seen_at)
    .where(_p.seen_at > bindparam("since", type_=UtcDateTime), _p.left_at.is_(None))
    .order_by(_p.started_at, _p.name)
)
# A process that didn't sign off served its channels for as long as it counted as alive.
HAD = select(_p.channels).where(
    _p.seen_at > bindparam("alive_since", type_=UtcDateTime),
    or_(_p.left_at.is_(None), _p.left_at > bindparam("since", type_=UtcDateTime)),
)
COUNTS = tuple(
    select(func.count()).select_from(notification_events).where(waiting, _n.channel == _channel)
    for waiting in (PENDING, FAILED)
)


def _oldest(kind_name: str) -> Select[datetime]:
    kind = DUE_KINDS[kind_name]
    due = select(_n.created_at).where(kind.due_in(_channel), _n.lease_owner.is_(None))
    return due.order_by(*kind.oldest_first).limit(1)


OLDEST = tuple(map(_oldest, DUE_KINDS))


def live_processes(connection: Connection, now: datetime) -> tuple[DeliveringProcess, ...]:
    """The processes that deliver, the oldest first."""
    rows = connection.execute(LIVE, {"since": now - ALIVE_WITHIN})
    return tuple(
        DeliveringProcess(
            name=row.name,
            host=row.host,
            version=row.version,
            channels=tuple(json.loads(row.channels)),
            rescues=row.rescues,
            started_at=row.started_at,
            seen_at=row.seen_at,
        )
        for row in rows
    )


def count_waiting(connection: Connection, channel: str) -> int:
    """How many notifications of a channel wait for an attempt."""
    counts = [connection.execute(count, {"in_channel": channel}).scalar_one() for count in COUNTS]
    return sum(counts)


def unserved_channels(connection: Connection, now: datetime) -> tuple[UnservedChannel, ...]:
    """The channels for which notifications are waiting, and which no live process has."""
    waiting = set(connection.execute(WAITING_CHANNELS[False]).scalars())
    return tuple(
        UnservedChannel(channel=channel, waiting=count_waiting(connection, channel))
        for channel in sorted(waiting.difference(channels_of(live_processes(connection, now))))
    )


def undeliverable_channels(connection: Connection, now: datetime, not_since: datetime) -> frozenset[str]:
    """The channels that no live process has had since `not_since`, with something due accepted before."""
    since = {"since": not_since, "alive_since": min(not_since, now - ALIVE_WITHIN)}
    rows = connection.execute(HAD, since).scalars()
    had = {channel for row in rows for channel in json.loads(row)}
    undeliverable = set()
    for channel in set(connection.execute(WAITING_CHANNELS[False]).scalars()) - had:
        parameters = {"in_channel": channel, "now": now}
        accepted = [connection.execute(oldest, parameters).scalar() for oldest in OLDEST]
        if any(moment is not None and moment <= not_since for moment in accepted):
            undeliverable.add(channel)
    return frozenset(undeliverable)
