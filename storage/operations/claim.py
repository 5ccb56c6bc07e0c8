"""Second step on a notification's way: a worker takes what is due under a lease; no other may attempt it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import CompoundSelect, Integer, Row, bindparam, exists, func, null, select, union_all

from storage.engine.transaction import Transaction
from storage.operations.claim_postgresql import take_beside_others
from storage.operations.claim_request import ClaimRequest, Claims, claims_of
from storage.operations.due import leasing, oldest
from storage.operations.leases import EXPIRED
from storage.operations.waiting import FAILED, PENDING, WAYS, channels
from storage.schema.rows import notification_of
from storage.schema.tables import notification_events
from storage.sql.json_rows import Batch, encoded
from storage.sql.types import UtcDateTime

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
        select(failed.c.name).where(func.coalesce(*due).is_not(None)),
        select(null()).where(exists().where(EXPIRED)),
    )


def _looking(suspects: bool) -> CompoundSelect[str, datetime, str]:
    """What could be taken in a channel."""
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    return union_all(*(select(oldest(way, channel, suspects, room).subquery()) for way in WAYS))


_WORK = _work()
_LOOK = {suspects: _looking(suspects) for suspects in (True, False)}
_TAKE = leasing(
    select(Batch("ids").values.label("id")).cte("taken"), bindparam("expires_at", type_=UtcDateTime)
)


def claim(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[Claims]:
    """Take the oldest due notifications that fit, and for each a claim with a number of its own.

    On PostgreSQL a claim is one statement.
    """
    postgresql = transaction.connection.dialect.name == "postgresql"
    take = take_beside_others if postgresql else _take_alone
    return [take(transaction, request) for request in requests]


def _take_alone(transaction: Transaction, request: ClaimRequest) -> Claims:
    """On SQLite, where a transaction keeps all others out."""
    now = transaction.now
    work = set(transaction.connection.execute(_WORK, {"now": now}).scalars())
    if None in work and request.heed_lapsed:
        return Claims(now, lapsed=True)
    due = [row for channel in work if channel is not None for row in _due_in(transaction, request, channel)]
    first = sorted(due, key=lambda row: row.since)[: request.slots]
    if not first:
        return Claims(now)
    lease = {"worker": request.worker, "now": now, "expires_at": now + request.lease}
    taken = transaction.connection.execute(_TAKE, {**lease, "ids": encoded(row.id for row in first)})
    return Claims(now, claims_of(request.worker, map(notification_of, taken)))


def _due_in(transaction: Transaction, request: ClaimRequest, channel: str) -> list[Row[str, datetime, str]]:
    room = min(request.room.of(channel), request.slots)
    if room <= 0:
        return []
    asked = {"now": transaction.now, "in_channel": channel, "room": room}
    rows = transaction.connection.execute(_LOOK[request.suspects], asked)
    return sorted(rows, key=lambda row: row.since)[:room]
