"""Claims: a worker takes due notifications, which no other worker may attempt meanwhile."""

from collections.abc import Sequence
from datetime import datetime
from itertools import product
from typing import Any

from sqlalchemy import CompoundSelect, Integer, Row, bindparam, exists, func, null, select, union_all

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Transaction
from storage.operations.channel_states import OPEN
from storage.operations.claim_postgresql import claim_in_one_statement
from storage.operations.claim_request import ClaimRequest, Claims, claims_of
from storage.operations.due import (
    DUE_KINDS,
    FAILED,
    PENDING,
    TAKEN_OVER,
    channels,
    due_kinds,
    leasing,
    oldest,
)
from storage.operations.leases import EXPIRED
from storage.operations.misscheduled import MISSCHEDULED
from storage.operations.rescue import take_over
from storage.schema.rows import notification_stored
from storage.schema.tables import notification_channels, notification_events
from storage.sql.json_rows import Batch, encoded
from storage.sql.prepared import Prepared
from storage.sql.types import UtcDateTime

_n = notification_events.c


def _work() -> CompoundSelect[str | None]:
    """Each channel with something due, and a row without a channel if `end_leases` must first deal with an
    expired lease or a retry time."""
    pending = channels(PENDING).subquery()
    failed = channels(FAILED).subquery()
    due = (
        select(_n.id)
        .where(kind.due_in(failed.c.name))
        .order_by(*kind.oldest_first)
        .limit(1)
        .scalar_subquery()
        for kind in (DUE_KINDS["scheduled"], DUE_KINDS["unscheduled"])
    )
    return union_all(
        select(pending.c.name),
        select(failed.c.name).where(func.coalesce(*due).is_not(None)),
        select(null()).where(exists().where(EXPIRED)),
        select(null()).where(MISSCHEDULED),
    )


def _rescue_work() -> CompoundSelect[str | None]:
    """The same for notifications that were taken over."""
    return union_all(channels(TAKEN_OVER), select(null()).where(exists().where(EXPIRED)))


def _due(rescue: bool, suspects: bool) -> CompoundSelect[str, datetime, str]:
    """What can be claimed in a channel."""
    channel, room = bindparam("in_channel", type_=_n.channel.type), bindparam("room", type_=Integer)
    return union_all(
        *(select(oldest(kind, channel, suspects, room).subquery()) for kind in due_kinds(rescue=rescue))
    )


_WORK = {False: Prepared(_work()), True: Prepared(_rescue_work())}
_DUE = {
    (rescue, suspects): Prepared(_due(rescue, suspects))
    for rescue, suspects in product((False, True), repeat=2)
}
_CHANNELS = select(notification_channels.c.channel, OPEN.label("open"))
_TAKE = Prepared(
    leasing(select(Batch("ids").values.label("id")).cte("taken"), bindparam("expires_at", type_=UtcDateTime))
)


def claim(transaction: Transaction, requests: Sequence[ClaimRequest]) -> list[Claims]:
    """Claim the oldest due notifications that fit. Each claim has its own number."""
    claim_one = transaction.choose(_CLAIM)
    for request in requests:
        if request.rescue_after is not None:
            take_over(transaction, request.channels, request.rescue_after)
    return [claim_one(transaction, request) for request in requests]


def _claim_alone(transaction: Transaction, request: ClaimRequest) -> Claims:
    """For SQLite, where a transaction locks the whole database."""
    now = transaction.now
    work = {row.name for row in _WORK[request.rescue].execute(transaction.connection, now=now)}
    if None in work and request.stop_at_expired_lease:
        return Claims(now, lease_expired=True)
    guarded, closed = _guarded(transaction, request)
    free = (request.channels & work) - guarded
    due = [row for channel in free for row in _due_in(transaction, request, channel)]
    first = sorted(due, key=lambda row: row.since)[: request.slots]
    asked = frozenset(name for name in (guarded & work) - closed if request.room.of(name) > 0)
    if not first:
        return Claims(now, guarded=asked)
    taken = _TAKE.execute(
        transaction.connection,
        ids=encoded(row.id for row in first),
        worker=request.worker,
        now=now,
        expires_at=now + request.lease,
    )
    return Claims(now, claims_of(request, map(notification_stored, taken)), guarded=asked)


def _guarded(transaction: Transaction, request: ClaimRequest) -> tuple[set[str], set[str]]:
    """The worker's channels whose state decides what may be claimed, and those of them that are closed."""
    if request.rules is None:
        return set(), set()
    states = transaction.connection.execute(_CHANNELS, {"now": transaction.now}).all()
    guarded = set(request.limited).union(state.channel for state in states) & request.channels
    return guarded, {state.channel for state in states if not state.open}


def _due_in(transaction: Transaction, request: ClaimRequest, channel: str) -> list[Row[Any]]:
    room = min(request.room.of(channel), request.slots)
    if room <= 0:
        return []
    due = _DUE[request.rescue, request.suspects]
    rows = due.execute(transaction.connection, now=transaction.now, in_channel=channel, room=room)
    return sorted(rows, key=lambda row: row.since)[:room]


_CLAIM = PerDatabase(sqlite=_claim_alone, postgresql=claim_in_one_statement)
