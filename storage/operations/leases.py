"""Leases, and their end when a worker dies or is slower than its lease.

An expired lease is recorded as an abandoned attempt, and the notification is due again. That uses up none of
its retries, but a notification that crashes every worker must not do so forever.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    not_,
    null,
    select,
    true,
    update,
)

from storage.engine.transaction import NOW, Transaction
from storage.limits import LONGEST_LEASE
from storage.models import AttemptOutcome, Claim, Death, Notification, NotificationStatus
from storage.operations.misscheduled import reschedule
from storage.operations.notify import notify_due
from storage.operations.successors import Successors, accept_successors
from storage.schema.rows import NOTIFICATION, notification_of
from storage.schema.tables import notification_attempts, notification_events
from storage.sql.dialects import ahead, has_passed, unindexed
from storage.sql.json_rows import Batch, Value, encoded
from storage.sql.types import UtcDateTime

MAX_ABANDONED = 10
"""A notification abandoned this often moves to the dead-letter queue."""

_n = notification_events.c
_a = notification_attempts.c


EXPIRED = and_(_n.lease_expires_at.is_not(None), has_passed(_n.lease_expires_at, NOW, ahead(LONGEST_LEASE)))


def held_by(claims: Batch) -> ColumnElement[bool]:
    """The claim of the batch still holds the row: worker and number together are its fencing token."""
    return and_(
        _n.id == claims.field("id"),
        _n.lease_owner == claims.field("worker"),
        _n.attempt_count == claims.field("number", _n.attempt_count.type),
    )


WAITING = case(
    (_n.status.in_([literal_column("'pending'"), literal_column("'failed'")]), true()), else_=false()
)
"""Another program may give a leased row a different status, which no outcome of ours may overwrite. The row
is found by its id; a condition within a CASE keeps both databases from using an index of the status."""

_ended = _n.id.in_(select(Batch("ended").values))
# A refused outcome is recorded too, and leaves the lease until it expires.
_recorded = exists().where(_a.notification_id == _n.id, _a.number == _n.attempt_count)
_RECORD_ABANDONED = insert(notification_attempts).from_select(
    ["notification_id", "number", "started_at", "outcome", "error", "worker", "channel"],
    select(
        _n.id,
        _n.attempt_count,
        _n.claimed_at,
        literal(AttemptOutcome.ABANDONED.value),
        literal("the worker reported no outcome before its lease expired"),
        _n.lease_owner,
        _n.channel,
    ).where(_ended, WAITING, not_(_recorded)),
)

_never_answered = (
    select(func.count())
    .where(
        _a.notification_id == _n.id,
        _a.number < _n.attempt_count,
        _a.outcome == AttemptOutcome.ABANDONED.value,
    )
    .scalar_subquery()
)
# An outcome that came too late, for example because clocks differ, still shows that the attempt did not kill
# its worker.
_hopeless = and_(WAITING, _n.abandoned_count + 1 >= MAX_ABANDONED, _never_answered + 1 >= MAX_ABANDONED)
_HOPELESS = f"abandoned {MAX_ABANDONED} times: no worker that attempted it ever reported an outcome"
_ENDED = (
    select(_n.id, _hopeless.label("dies"))
    .where(EXPIRED)
    .order_by(unindexed(_n.id))
    .with_for_update(skip_locked=True)
)
_ENDED_OF_THESE = _ENDED.where(unindexed(_n.id).in_(select(Batch("ids").values)))
_DIED = select(*NOTIFICATION).where(_n.id.in_(select(Batch("died").values)))
_END = (
    update(notification_events)
    .where(_ended)
    .values(
        lease_owner=None,
        lease_expires_at=None,
        claimed_at=None,
        abandoned_count=case((WAITING, _n.abandoned_count + 1), else_=_n.abandoned_count),
        status=case((_hopeless, NotificationStatus.DEAD.value), else_=_n.status),
        next_retry_at=case((_hopeless, null()), else_=_n.next_retry_at),
        last_error=case((_hopeless, _HOPELESS), else_=_n.last_error),
    )
)

_claims = Batch("claims")
_RENEW = (
    update(notification_events)
    .where(held_by(_claims))
    .values(lease_expires_at=bindparam("expires_at", type_=UtcDateTime))
)
_KEEP = (
    update(notification_events)
    .where(_n.id.in_(select(Batch("ids").values)), EXPIRED)
    .values(lease_expires_at=bindparam("expires_at", type_=UtcDateTime))
)
_RELEASE = (
    update(notification_events)
    .where(held_by(_claims))
    .values(lease_owner=None, lease_expires_at=None, claimed_at=None)
    .returning(_n.id, _n.attempt_count)
)


def end_expired_leases(transaction: Transaction, successors: Successors) -> Sequence[Notification]:
    """End every expired lease, except those that another process is ending. Returns the successors that were
    accepted."""
    connection = transaction.connection
    ended = connection.execute(_ENDED, {"now": transaction.client_time}).all()
    _end(transaction, [row.id for row in ended])
    died = [row.id for row in ended if row.dies]
    if not died:
        return ()
    now = transaction.now
    rows = connection.execute(_DIED, {"died": encoded(died)})
    deaths = (Death(notification=notification_of(row), error=_HOPELESS, at=now) for row in rows)
    following = [successor for death in deaths for successor in successors(death)]
    accepted = accept_successors(transaction, following)
    return [successor for successor in following if successor.id in accepted]


def end_expired_leases_of(transaction: Transaction, ids: Collection[str]) -> None:
    """End the expired leases of these notifications. One that becomes a dead letter has no successors,
    because an operator is dealing with it."""
    parameters = {"now": transaction.client_time, "ids": encoded(ids)}
    _end(transaction, transaction.connection.execute(_ENDED_OF_THESE, parameters).scalars().all())


def _end(transaction: Transaction, ended: Sequence[str]) -> None:
    if ended:
        rows = {"ended": encoded(ended)}
        transaction.connection.execute(_RECORD_ABANDONED, rows)
        transaction.connection.execute(_END, rows)
        # A worker that skipped them because they were locked here may be the only one with room for them.
        notify_due(transaction)


@dataclass(frozen=True, slots=True)
class Held:
    """The claims that this process is attempting, or whose outcomes it has yet to record."""

    claims: tuple[Claim, ...]
    lease: timedelta
    successors: Successors


def end_leases(transaction: Transaction, held: Sequence[Held]) -> list[Sequence[Notification]]:
    """End every expired lease, but renew those of notifications that this process still works on. On SQLite,
    retries that a wrong clock has scheduled become due. Returns the successors that were accepted.

    The leases of those expire when the clock jumps, or when the database can't be written for a long time.
    Ending them would cause a second attempt, during the first or after its success. The same applies to
    notifications that another process has taken over: if the clocks differ, its lease looks expired here, and
    the two would keep taking the notification from each other.
    """
    for one in held:
        ids = encoded(claim.notification.id for claim in one.claims)
        kept = {"ids": ids, "now": transaction.client_time, "expires_at": transaction.now + one.lease}
        transaction.connection.execute(_KEEP, kept)
    accepted = end_expired_leases(transaction, held[0].successors)
    reschedule(transaction)
    return [accepted, *(() for _ in held[1:])]


@dataclass(frozen=True, slots=True)
class Renewal:
    """A claim whose attempt takes longer than its lease."""

    claim: Claim
    lease: timedelta
    """Counted from now."""


def renew(transaction: Transaction, renewals: Sequence[Renewal]) -> list[datetime | None]:
    """Extend the leases of claims that still hold their rows. Returns when each ends; None if the claim was
    lost."""
    ends: list[datetime | None] = []
    for renewal in renewals:
        expires_at = transaction.now + renewal.lease
        extended = {"claims": _tokens([renewal.claim]), "expires_at": expires_at}
        found = transaction.connection.execute(_RENEW, extended).rowcount
        ends.append(expires_at if found else None)
    return ends


def release(transaction: Transaction, claims: Sequence[Claim]) -> list[bool]:
    """End the leases of claims whose attempts never began; False if the lease was already lost."""
    rows = transaction.connection.execute(_RELEASE, {"claims": _tokens(claims)})
    released = {(notification_id, number) for notification_id, number in rows}
    notify_due(transaction)
    return [(claim.notification.id, claim.number) in released for claim in claims]


def _tokens(claims: Sequence[Claim]) -> str:
    tokens: list[dict[str, Value]] = [
        {"id": c.notification.id, "worker": c.worker, "number": c.number} for c in claims
    ]
    return encoded(tokens)
