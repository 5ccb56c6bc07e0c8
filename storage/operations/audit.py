"""The audit log of who did what to a notification, written in the same transaction as the change itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Select, insert, select

from storage.engine.transaction import Transaction
from storage.models import AuditAction, AuditEntry, AuditRecord
from storage.schema.tables import notification_audit
from storage.sql.json_rows import Batch, encoded
from storage.sql.text import storable

_t = notification_audit.c
_COLUMNS = (_t.at, _t.actor, _t.action, _t.notification_id, _t.detail)

_INSERT = insert(notification_audit).from_select(
    [column.name for column in _COLUMNS], select(*Batch("entries").fields(_COLUMNS))
)


def record(
    connection: Connection,
    action: AuditAction,
    acts: Iterable[tuple[str, datetime, str | None]],
    *,
    detail: str | None = None,
) -> None:
    """`acts`: rows with a notification's id, the time and the actor. Without an actor nothing is recorded."""
    stored_detail = None if detail is None else storable(detail)
    entries = [
        {
            "at": at,
            "actor": storable(actor),
            "action": action.value,
            "notification_id": notification_id,
            "detail": stored_detail,
        }
        for notification_id, at, actor in acts
        if actor is not None
    ]
    if entries:
        connection.execute(_INSERT, {"entries": encoded(entries)})


@dataclass(frozen=True, slots=True)
class Entry:
    """An action that changes no notification."""

    action: AuditAction
    notification_id: str
    at: datetime
    actor: str


def append(transaction: Transaction, entries: Sequence[Entry]) -> list[None]:
    """Record actions that change nothing else, such as tests of channels."""
    for entry in entries:
        record(transaction.connection, entry.action, [(entry.notification_id, entry.at, entry.actor)])
    return [None] * len(entries)


def audit_query(notification_id: str, limit: int) -> Select[tuple[object, ...]]:
    newest = select(_t.at, _t.actor, _t.action).where(_t.notification_id == notification_id)
    return newest.order_by(_t.id.desc()).limit(limit)


def audit(connection: Connection, notification_id: str, limit: int) -> tuple[AuditEntry, ...]:
    """The newest entries, oldest first."""
    rows = connection.execute(audit_query(notification_id, limit)).all()
    return tuple(
        AuditEntry(at=row.at, actor=row.actor, action=AuditAction(row.action)) for row in reversed(rows)
    )


def audit_log(connection: Connection, notification_id: str | None, limit: int) -> tuple[AuditRecord, ...]:
    """The newest entries, newest first."""
    rows = connection.execute(audit_log_query(notification_id, limit))
    return tuple(
        AuditRecord(
            at=row.at,
            actor=row.actor,
            action=AuditAction(row.action),
            notification_id=row.notification_id,
            detail=row.detail,
        )
        for row in rows
    )


def audit_log_query(notification_id: str | None, limit: int) -> Select[tuple[object, ...]]:
    query = select(*_COLUMNS).order_by(_t.id.desc()).limit(limit)
    return query if notification_id is None else query.where(_t.notification_id == notification_id)
