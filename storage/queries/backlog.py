"""The backlog: how long due notifications have waited for an attempt, and how many are being attempted."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, bindparam, exists, func, not_, select

from storage.operations.channel_states import OPEN
from storage.operations.due import DueKind, channels, due_kinds
from storage.operations.leases import EXPIRED
from storage.schema.tables import notification_channels, notification_events
from storage.sql.types import UtcDateTime


@dataclass(frozen=True, slots=True)
class Backlog:
    """The backlog at one moment, across all processes that share the database."""

    oldest_due_at: datetime | None
    """When the oldest due notification without an attempt in flight became due; None if there is none.
    Notifications in a closed channel don't count."""
    leases_held: int
    """Notifications that a worker is attempting, or is about to attempt."""


_n = notification_events.c
_c = notification_channels.c
_now = bindparam("now", type_=UtcDateTime)


def _oldest(kind: DueKind) -> Select[datetime]:
    """The oldest of each channel's oldest: one index seek per channel, past those being attempted."""
    found = channels(kind.waiting).subquery()
    first = (
        select(kind.since)
        .where(kind.due_in(found.c.name), _n.lease_owner.is_(None))
        .order_by(*kind.oldest_first)
        .limit(1)
    )
    closed = exists(select(_c.channel).where(_c.channel == found.c.name, not_(OPEN)))
    return select(func.min(first.scalar_subquery())).select_from(found).where(not_(closed))


_OLDEST_DUE = {
    rescue: (
        *(_oldest(kind) for kind in due_kinds(rescue=rescue).values()),
        select(func.min(_n.lease_expires_at)).where(EXPIRED),
    )
    for rescue in (False, True)
}
_HELD = select(func.count()).where(_n.lease_expires_at.is_not(None), _n.lease_expires_at > _now)


def backlog(connection: Connection, now: datetime, *, rescue: bool = False) -> Backlog:
    """`rescue`: certctl delivers; only what was taken over from it is due."""
    due = [connection.execute(oldest, {"now": now}).scalar_one() for oldest in _OLDEST_DUE[rescue]]
    return Backlog(
        oldest_due_at=min((since for since in due if since is not None), default=None),
        leases_held=connection.execute(_HELD, {"now": now}).scalar_one(),
    )
