"""Deletes settled notifications and audit entries after their retention period, in batches.

A run is one entry in the audit log. Each batch updates it in its own transaction, so that the entry counts
exactly what was deleted, even if the run is interrupted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Integer,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    not_,
    select,
    update,
)

from storage.clock import BEGINNING
from storage.engine.transaction import Transaction
from storage.models import AuditAction, Retained
from storage.operations.certificates import remembered_by_certctl
from storage.operations.eligible import undelivered
from storage.schema.tables import notification_attempts, notification_audit, notification_events
from storage.sql.dialects import unindexed
from storage.sql.json_rows import Batch, encoded
from storage.sql.text import storable
from storage.sql.types import UtcDateTime

BATCH = 500
"""The most rows that one transaction deletes."""

_n = notification_events.c
_a = notification_attempts.c
_t = notification_audit.c

_before = bindparam("before", type_=UtcDateTime)
_attempted_since = exists().where(_a.notification_id == _n.id, _a.started_at >= _before)


def _status(status: str) -> ColumnElement[bool]:
    return _n.status == literal_column(f"'{status}'")


_SETTLED: dict[Retained, tuple[ColumnElement[bool], ...]] = {
    Retained.SENT: (_status("sent"), _n.sent_at < _before),
    Retained.READ: (_status("read"), func.coalesce(_n.read_at, _n.created_at) < _before),
    Retained.DEAD: (_status("dead"), not_(_attempted_since)),
    Retained.UNDELIVERED: (undelivered(), not_(_attempted_since)),
}
"""The notifications of each kind that were settled, rather than only accepted, before a time."""


def _accepted_at(kind: Retained) -> ColumnElement[datetime]:
    """The time of acceptance, written so that SQLite doesn't search the index of all sent notifications for
    undelivered ones."""
    return unindexed(_n.created_at) if kind is Retained.UNDELIVERED else _n.created_at


_EXPIRED = {
    kind: select(_n.id, _n.created_at)
    .where(
        *settled,
        _accepted_at(kind) < _before,
        _accepted_at(kind) >= bindparam("since", type_=UtcDateTime),
        _n.lease_owner.is_(None),
    )
    .order_by(_n.created_at, _n.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
    for kind, settled in _SETTLED.items()
}
_EXPIRED_BESIDE_CERTCTL = {
    kind: expired.where(not_(remembered_by_certctl())) for kind, expired in _EXPIRED.items()
}
_DELETE = delete(notification_events).where(_n.id.in_(select(Batch("ids").values)))

_OLDEST_ENTRIES = (
    select(_t.id, _t.at)
    .where(_t.id > bindparam("after", type_=Integer))
    .order_by(_t.id)
    .limit(BATCH)
    .with_for_update(skip_locked=True)
)
_DELETE_ENTRIES = delete(notification_audit).where(
    _t.id.in_(select(Batch("ids").field("id", Integer()).label("id")))
)

_BEGIN_ENTRY = insert(notification_audit).returning(_t.id)
_CONTINUE_ENTRY = (
    update(notification_audit)
    .where(_t.id == bindparam("entry", type_=Integer))
    .values(detail=bindparam("counts", type_=_t.detail.type))
)

Position = datetime | int
"""How far the deletion of a kind has got: the last notification's time of acceptance, or an entry's
number."""


@dataclass(frozen=True, slots=True)
class RetentionRun:
    """What a run has deleted so far, and its entry in the audit log."""

    actor: str
    deleted: dict[Retained, int] = field(default_factory=dict)
    entry: int | None = None

    @property
    def counts(self) -> str:
        """Such as `500 sent, 3 dead`."""
        return ", ".join(f"{count} {kind.value}" for kind, count in self.deleted.items())


@dataclass(frozen=True, slots=True)
class Expiry:
    """The next batch of rows settled before a given time."""

    kind: Retained
    before: datetime
    run: RetentionRun
    after: Position | None = None
    """Where the previous batch ended."""
    beside_certctl: bool = False
    """Keep notifications by which certctl remembers its alerts."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What a batch deleted."""

    run: RetentionRun
    after: Position | None
    """None if nothing is left to delete."""


def delete_expired(transaction: Transaction, batches: Sequence[Expiry]) -> list[Expired]:
    """Delete the oldest of each kind. Notifications that are waiting or under a lease are never deleted,
    whatever their age."""
    return [_delete(transaction, batch) for batch in batches]


def _delete(transaction: Transaction, batch: Expiry) -> Expired:
    if batch.kind is Retained.AUDIT:
        deleted, after = _delete_entries(transaction, batch)
    else:
        deleted, after = _delete_notifications(transaction, batch)
    run = batch.run
    if deleted:
        counts = {**run.deleted, batch.kind: run.deleted.get(batch.kind, 0) + deleted}
        run = _audited(transaction, RetentionRun(run.actor, counts, run.entry))
    return Expired(run, after)


def _delete_notifications(transaction: Transaction, batch: Expiry) -> tuple[int, Position | None]:
    since = batch.after if isinstance(batch.after, datetime) else BEGINNING
    parameters = {"before": batch.before, "since": since}
    rows = transaction.connection.execute(
        (_EXPIRED_BESIDE_CERTCTL if batch.beside_certctl else _EXPIRED)[batch.kind], parameters
    ).all()
    if rows:
        transaction.connection.execute(_DELETE, {"ids": encoded(row.id for row in rows)})
    return len(rows), rows[-1].created_at if len(rows) == BATCH else None


def _delete_entries(transaction: Transaction, batch: Expiry) -> tuple[int, Position | None]:
    after = batch.after if isinstance(batch.after, int) else -1
    rows = transaction.connection.execute(_OLDEST_ENTRIES, {"after": after}).all()
    ids = [row.id for row in rows if row.at < batch.before]
    if ids:
        transaction.connection.execute(_DELETE_ENTRIES, {"ids": encoded({"id": each} for each in ids)})
    # Entries are numbered in order of time, except for clock skew.
    return len(ids), rows[-1].id if ids and len(rows) == BATCH else None


def _audited(transaction: Transaction, run: RetentionRun) -> RetentionRun:
    if run.entry is not None:
        transaction.connection.execute(_CONTINUE_ENTRY, {"entry": run.entry, "counts": run.counts})
        return run
    entry = {
        "at": transaction.now,
        "actor": storable(run.actor),
        "action": AuditAction.RETENTION.value,
        "notification_id": "",
        "detail": run.counts,
    }
    number: int = transaction.connection.execute(_BEGIN_ENTRY, entry).scalar_one()
    return RetentionRun(run.actor, run.deleted, number)
