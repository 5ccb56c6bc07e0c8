"""Acceptance: stores a notification durably."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, select, true
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningInsert

from storage.engine.driver_errors import code_of
from storage.engine.per_database import PerDatabase
from storage.engine.transaction import Refused, Transaction
from storage.errors import IdempotencyConflictError, UnknownCertificateError
from storage.models import Accepted, AuditAction, NewNotification, Notification, NotificationStatus
from storage.operations.audit import record
from storage.schema.rows import NOTIFICATION, notification_of, status_of
from storage.schema.tables import notification_events
from storage.sql.dialects import INSERTS, Insert
from storage.sql.json_rows import Batch, encoded
from storage.sql.notify import NOTIFY_DUE
from storage.sql.prepared import Prepared
from storage.sql.prepared_postgresql import PreparedPostgresql
from storage.sql.sync import WITHOUT_SYNC

ACCEPTED_FIELDS = (
    "id",
    "type",
    "certificate_id",
    "channel",
    "recipient",
    "message",
    "created_at",
    "idempotency_key",
    "traceparent",
)

_FIELDS = {False: ACCEPTED_FIELDS, True: (*ACCEPTED_FIELDS, "status", "rescue_at")}
"""The statements by whether certctl's server delivers, but this program attempts what it accepts itself."""

_NO_SUCH_CERTIFICATE = frozenset({"23503", "SQLITE_CONSTRAINT_FOREIGNKEY"})
"""Foreign key violations; an alert refers to no table except certctl's certificates."""

_batch = Batch("rows")


def insert_unless_known(insert: Insert, fields: Sequence[str]) -> ReturningInsert[str]:
    """Insert the rows whose key and id are new. A row with a known id is the same notification, written again
    because the first write got no response."""
    values = select(*_batch.fields(notification_events.c[name] for name in fields))
    rows = values.select_from(_batch.rows).where(true())
    insert = insert.from_select(list(fields), rows).on_conflict_do_nothing()
    return insert.returning(notification_events.c.id)


def _notifying(insert: ReturningInsert[str], sync_last: bool) -> Select[tuple[str, ...]]:
    """The same statement, which also notifies the processes that deliver."""
    accepted = insert.cte("accepted")
    effects = (NOTIFY_DUE, WITHOUT_SYNC) if sync_last else (NOTIFY_DUE,)
    return select(accepted.c.id, *(effect.scalar_subquery() for effect in effects))


def _accepting(fields: Sequence[str], sync_last: bool) -> PerDatabase[Prepared | PreparedPostgresql]:
    def insert(database: str) -> ReturningInsert[str]:
        return insert_unless_known(INSERTS[database](notification_events), fields)

    return PerDatabase(
        sqlite=Prepared(insert("sqlite")),
        postgresql=PreparedPostgresql(lambda: _notifying(insert("postgresql"), sync_last)),
    )


_ACCEPT = {
    (rescue, sync_last): _accepting(fields, sync_last)
    for rescue, fields in _FIELDS.items()
    for sync_last in (False, True)
}
"""The statements by whether to rescue, and whether the statement commits before it is on the disk."""

_BY_KEYS = select(*NOTIFICATION).where(
    notification_events.c.idempotency_key.in_(select(Batch("keys").values))
)


def pending(new: NewNotification, notification_id: str, created_at: datetime) -> Notification:
    """The row of a new notification."""
    return Notification(
        id=notification_id,
        status=NotificationStatus.PENDING,
        sent_at=None,
        error=None,
        retry_count=0,
        next_retry_at=None,
        last_error=None,
        created_at=created_at,
        read_at=None,
        lease_owner=None,
        lease_expires_at=None,
        claimed_at=None,
        attempt_count=0,
        abandoned_count=0,
        wait_count=0,
        waiting_since=None,
        **new.model_dump(),
    )


def hidden_from_certctl(notification: Notification) -> Notification:
    """The same row for a database on which certctl's server delivers: it would send whatever is `pending`."""
    return replace(notification, status=NotificationStatus.FAILED, rescue_at=notification.created_at)


@dataclass(frozen=True, slots=True)
class Offer:
    """A notification to be accepted."""

    notification: Notification
    actor: str | None = None
    """The actor for the audit log."""


def accept(transaction: Transaction, offers: Sequence[Offer]) -> list[Accepted | Refused]:
    """Insert each. For one whose idempotency key is known, return the notification accepted first.

    Raises:
        UnknownCertificateError: the only offer refers to a certificate that does not exist.
        IntegrityError: one of several offers does.
    """
    connection = transaction.connection
    notifications = [offer.notification for offer in offers]
    try:
        answers = _accept(transaction, notifications)
    except IntegrityError as failure:
        if len(offers) == 1 and code_of(failure) in _NO_SUCH_CERTIFICATE:
            raise UnknownCertificateError(str(notifications[0].certificate_id)) from failure
        raise
    named = [
        (offer.notification.id, offer.notification.created_at, offer.actor)
        for offer, answer in zip(offers, answers, strict=True)
        if isinstance(answer, Accepted) and answer.created
    ]
    record(connection, AuditAction.SEND, named)
    return answers


def _accept(transaction: Transaction, notifications: Sequence[Notification]) -> list[Accepted | Refused]:
    rescue = any(n.rescue_at is not None for n in notifications)
    # A notification that is visible under a key counts as accepted, so it must be on the disk.
    sync_last = all(n.idempotency_key is None for n in notifications) and transaction.sync_last()
    connection, insert = transaction.connection, transaction.choose(_ACCEPT[rescue, sync_last])
    # In order, so that two processes with the same keys can't deadlock.
    left = sorted(notifications, key=lambda n: n.idempotency_key or "")
    created: set[str] = set()
    first: dict[str | None, Row[Any]] = {}
    # The notification with the key may be purged before it is read; then the key is free again.
    while left:
        inserted = insert.execute(connection, rows=_rows(left, rescue))
        created.update((row[0] for row in inserted), (n.id for n in left if n.idempotency_key is None))
        first |= _first_with_keys(connection, [n for n in left if n.id not in created])
        left = [n for n in left if n.id not in created and n.idempotency_key not in first]
    return [
        Accepted(notification=n, created=True) if n.id in created else _again(n, first[n.idempotency_key])
        for n in notifications
    ]


def _rows(notifications: Iterable[Notification], rescue: bool) -> str:
    return encoded({field: getattr(n, field) for field in _FIELDS[rescue]} for n in notifications)


def _first_with_keys(connection: Connection, repeated: list[Notification]) -> dict[str | None, Row[Any]]:
    if not repeated:
        return {}
    keys = {"keys": encoded(str(n.idempotency_key) for n in repeated)}
    return {row.idempotency_key: row for row in connection.execute(_BY_KEYS, keys)}


def _again(offered: Notification, first: Row[Any]) -> Accepted | Refused:
    if _contents(offered) != _contents(first) or status_of(first.status) is NotificationStatus.OTHER:
        return Refused(IdempotencyConflictError(str(offered.idempotency_key), first.id))
    return Accepted(notification=notification_of(first), created=first.id == offered.id)


def _contents(n: Notification | Row[Any]) -> tuple[str | None, ...]:
    return (n.type, n.certificate_id, n.channel, n.recipient, n.message)
