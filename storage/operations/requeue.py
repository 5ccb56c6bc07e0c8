"""An operator's actions on one notification: requeue it, or mark it as read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Update, bindparam, func, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Refused, Transaction
from storage.errors import NotificationConflictError, NotificationError, NotificationNotFoundError
from storage.models import AuditAction, Notification, NotificationStatus
from storage.operations.actions import ELIGIBLE
from storage.operations.audit import record
from storage.operations.eligible import eligible_by_id
from storage.operations.leases import end_expired_leases_of
from storage.operations.notify import notify_due
from storage.schema.rows import NOTIFICATION, notification_of
from storage.schema.tables import notification_events
from storage.sql.json_rows import Batch, encoded
from storage.sql.text import is_storable
from storage.sql.types import UtcDateTime

_n = notification_events.c


@dataclass(frozen=True, slots=True)
class Request:
    """A request to change the status of one notification now."""

    notification_id: str
    actor: str | None = None
    """The actor for the audit log."""
    rescue: bool = False
    """Whether certctl's server delivers, but this program attempts what it requeues itself."""


UNDER_WAY = "an attempt is under way; wait for its outcome"

_ids = select(Batch("ids").values)

_LOCKED_IN_ORDER = (
    select(_n.id).where(_n.id.in_(_ids), _n.lease_owner.is_(None)).order_by(_n.id).with_for_update()
)

_NOW = bindparam("now", type_=UtcDateTime)


def _requeuing(rescue: bool) -> Update:
    """certctl's server sends whatever is `pending` in its database, so notifications for this program to
    attempt are `failed` instead."""
    status = NotificationStatus.FAILED if rescue else NotificationStatus.PENDING
    return (
        update(notification_events)
        .where(
            _n.id.in_(_ids),
            eligible_by_id(AuditAction.REQUEUE),
            _n.lease_owner.is_(None),
        )
        .values(
            status=status.value,
            retry_count=0,
            abandoned_count=0,
            wait_count=0,
            waiting_since=None,
            next_retry_at=None,
            rescue_at=_NOW if rescue else None,
            last_error=None,
            error=None,
        )
    )


REQUEUE = {rescue: _requeuing(rescue) for rescue in (False, True)}
"""The statements by whether certctl's server delivers, but this program attempts what it requeues itself."""
MARK_READ = (
    update(notification_events)
    .where(_n.id.in_(_ids), eligible_by_id(AuditAction.MARK_READ), _n.lease_owner.is_(None))
    .values(
        status=NotificationStatus.READ.value,
        read_at=func.coalesce(_n.read_at, _NOW),
        next_retry_at=None,
    )
)
_REQUEUE_ONE = {rescue: requeuing.returning(*NOTIFICATION) for rescue, requeuing in REQUEUE.items()}
_MARK_ONE_READ = MARK_READ.returning(*NOTIFICATION)
_BY_IDS = select(*NOTIFICATION).where(_n.id.in_(_ids))


def lock(transaction: Transaction, ids: Iterable[str]) -> None:
    """Lock the notifications in order, so that transactions on the same ones can't deadlock."""
    transaction.choose(_LOCK)(transaction, ids)


def _locked_already(transaction: Transaction, ids: Iterable[str]) -> None:
    """SQLite locks the whole database for the transaction."""


def _lock_in_order(transaction: Transaction, ids: Iterable[str]) -> None:
    transaction.connection.execute(_LOCKED_IN_ORDER, {"ids": encoded(ids)})


_LOCK = PerDatabase(sqlite=_locked_already, postgresql=_lock_in_order)


def requeue(transaction: Transaction, requests: Sequence[Request]) -> list[Notification | Refused]:
    """Make dead and failed notifications due again, with all their retries."""
    rescue = any(request.rescue for request in requests)
    answers = _each(transaction, requests, _REQUEUE_ONE[rescue], AuditAction.REQUEUE)
    notify_due(transaction)
    return answers


def mark_read(transaction: Transaction, requests: Sequence[Request]) -> list[Notification | Refused]:
    """Mark notifications as read, whatever their status, so that they are no longer delivered. Idempotent."""
    return _each(transaction, requests, _MARK_ONE_READ, AuditAction.MARK_READ)


def _each(
    transaction: Transaction,
    requests: Sequence[Request],
    statement: ReturningUpdate[tuple[object, ...]],
    action: AuditAction,
) -> list[Notification | Refused]:
    connection, now = transaction.connection, transaction.now
    ids = {request.notification_id for request in requests}
    possible = {each for each in ids if is_storable(each)}
    end_expired_leases_of(transaction, possible)
    lock(transaction, possible)
    rows = connection.execute(statement, {"ids": encoded(possible), "now": now})
    changed = {n.id: n for n in map(notification_of, rows)}
    left: dict[str, Notification] = {}
    if missing := possible - changed.keys():
        rows = connection.execute(_BY_IDS, {"ids": encoded(missing)})
        left = {n.id: n for n in map(notification_of, rows)}
    answers = [
        changed.get(request.notification_id)
        or _unchanged(action, request.notification_id, left.get(request.notification_id))
        for request in requests
    ]
    done = [answer for answer in zip(requests, answers, strict=True) if isinstance(answer[1], Notification)]
    record(connection, action, [(request.notification_id, now, request.actor) for request, _ in done])
    return answers


def _unchanged(
    action: AuditAction, notification_id: str, found: Notification | None
) -> Notification | Refused:
    """The result for a notification that the statement did not change."""
    if found is not None and found.lease_owner is None and found.status is ELIGIBLE[action].done_already:
        return found
    return Refused(_refusal(action, notification_id, found))


def _refusal(action: AuditAction, notification_id: str, found: Notification | None) -> NotificationError:
    if found is None:
        return NotificationNotFoundError(notification_id)
    if found.lease_owner is not None:
        return NotificationConflictError(notification_id, found.status, UNDER_WAY)
    return NotificationConflictError(notification_id, found.status, ELIGIBLE[action].refusal)
