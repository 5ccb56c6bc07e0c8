"""Bulk actions on notifications: the same transitions and rules as for one.

Each call is one transaction for at most `LARGEST_BULK` ids; more ids take several calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Executable, bindparam, delete, func, not_, select
from sqlalchemy.sql.dml import ReturningDelete

from storage.engine.transaction import Transaction
from storage.models import AuditAction, BulkReport, NotificationStatus
from storage.operations.audit import record
from storage.operations.certificates import remembered_by_certctl
from storage.operations.eligible import eligible_by_id
from storage.operations.leases import end_expired_leases_of
from storage.operations.notify import notify_due
from storage.operations.requeue import MARK_READ, REQUEUE, lock
from storage.schema.tables import notification_events
from storage.sql.dialects import unindexed
from storage.sql.json_rows import Batch, encoded
from storage.sql.text import is_storable
from storage.sql.types import UtcDateTime

LARGEST_BULK = 500
"""The most ids in one transaction."""

_n = notification_events.c
_ids = select(Batch("ids").values)

_REQUEUE = {rescue: requeuing.returning(_n.id) for rescue, requeuing in REQUEUE.items()}
_MARK_READ = MARK_READ.returning(_n.id)
_PURGE = delete(notification_events).where(
    _n.id.in_(_ids),
    eligible_by_id(AuditAction.PURGE),
    unindexed(_n.status).in_(select(Batch("statuses").values)),
    _n.created_at < bindparam("until", type_=UtcDateTime),
    _n.lease_owner.is_(None),
)
_PURGES: Mapping[bool, ReturningDelete[str]] = {
    False: _PURGE.returning(_n.id),
    True: _PURGE.where(not_(remembered_by_certctl())).returning(_n.id),
}
"""The statements by whether certctl uses the database."""

_LEFT = select(func.count(), func.count(_n.lease_owner)).where(_n.id.in_(_ids))


@dataclass(frozen=True, slots=True)
class Bulk:
    """A request to change the status of notifications now."""

    ids: tuple[str, ...]
    actor: str | None = None
    """The actor for the audit log."""
    rescue: bool = False
    """For requeueing: certctl's server delivers, but this program attempts what it requeues itself."""
    statuses: tuple[NotificationStatus, ...] = ()
    """For purging: only notifications with one of these statuses."""
    created_until: datetime | None = None
    """For purging: only notifications accepted before this time."""
    beside_certctl: bool = False
    """For purging: keep notifications by which certctl remembers its alerts."""

    def __post_init__(self) -> None:
        if len(self.ids) > LARGEST_BULK:
            raise ValueError(f"{len(self.ids)} ids are too many for one transaction; at most {LARGEST_BULK}")


def requeue_all(transaction: Transaction, bulks: Sequence[Bulk]) -> list[BulkReport]:
    return [_apply(transaction, bulk, _REQUEUE[bulk.rescue], AuditAction.REQUEUE) for bulk in bulks]


def mark_all_read(transaction: Transaction, bulks: Sequence[Bulk]) -> list[BulkReport]:
    return [_apply(transaction, bulk, _MARK_READ, AuditAction.MARK_READ) for bulk in bulks]


def purge_all(transaction: Transaction, bulks: Sequence[Bulk]) -> list[BulkReport]:
    """Delete notifications and their attempts."""
    return [_apply(transaction, bulk, _PURGES[bulk.beside_certctl], AuditAction.PURGE) for bulk in bulks]


def _apply(transaction: Transaction, bulk: Bulk, statement: Executable, action: AuditAction) -> BulkReport:
    connection, now = transaction.connection, transaction.now
    ids = set(bulk.ids)
    possible = set(filter(is_storable, ids))
    end_expired_leases_of(transaction, possible)
    values = {
        "ids": encoded(possible),
        "now": now,
        "statuses": encoded(status.value for status in bulk.statuses),
        "until": bulk.created_until or now,
    }
    lock(transaction, possible)
    changed = {row.id for row in connection.execute(statement, values)}
    record(connection, action, [(changed_id, now, bulk.actor) for changed_id in changed])
    if action is AuditAction.REQUEUE:
        notify_due(transaction)
    there, under_way = connection.execute(_LEFT, {"ids": encoded(possible - changed)}).one()
    return BulkReport(
        changed=len(changed),
        under_way=under_way,
        other_status=there - under_way,
        missing=len(ids) - len(changed) - there,
    )
