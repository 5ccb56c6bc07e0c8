"""Whole rows of a database, read in batches, for copying and comparing."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Integer, Select, func, select

from storage.database import Database
from storage.schema.tables import notification_attempts, notification_audit, notification_events
from storage.sql.json_rows import Batch, Value, encoded

BATCH = 500
"""Notifications in a batch, each with its attempts."""

Row = dict[str, Value]

_events = notification_events.c
_attempts = notification_attempts.c
_audit = notification_audit.c

_ids = select(Batch("ids").values)
_NOTIFICATIONS = select(notification_events).where(_events.id.in_(_ids))
_ATTEMPTS = select(notification_attempts).where(_attempts.notification_id.in_(_ids))
_AUDIT = select(notification_audit).where(_audit.id.in_(select(Batch("ids").field("id", Integer()))))
_AUDIT_OF_NOTIFICATIONS = select(notification_audit).where(_audit.notification_id.in_(_ids))
_BY_KEYS = select(notification_events).where(_events.idempotency_key.in_(select(Batch("keys").values)))


async def notification_batches(database: Database) -> AsyncIterator[tuple[list[Row], list[Row]]]:
    """All notifications in batches, each with its attempts."""
    last: str | None = None
    while True:
        query = select(notification_events).order_by(_events.id).limit(BATCH)
        if last is not None:
            query = query.where(_events.id > last)
        notifications = await _rows(database, query)
        if not notifications:
            return
        last = str(notifications[-1]["id"])
        yield notifications, await attempts_of(database, notifications)


async def audit_batches(database: Database) -> AsyncIterator[list[Row]]:
    last = -1
    while entries := await _rows(
        database, select(notification_audit).where(_audit.id > last).order_by(_audit.id).limit(BATCH)
    ):
        yield entries
        last = int(str(entries[-1]["id"]))


async def undelivered_batches(database: Database) -> AsyncIterator[list[Row]]:
    """The notifications that wait for an attempt."""
    last = ""
    waiting = select(notification_events).where(_events.status.in_(("pending", "failed")))
    while rows := await _rows(database, waiting.where(_events.id > last).order_by(_events.id).limit(BATCH)):
        yield rows
        last = str(rows[-1]["id"])


async def same_notifications(database: Database, rows: Sequence[Row]) -> list[Row]:
    """The notifications there with the same ids."""
    return await _rows(database, _NOTIFICATIONS, _ids_of(rows))


async def attempts_of(database: Database, notifications: Sequence[Row]) -> list[Row]:
    return await _rows(database, _ATTEMPTS, _ids_of(notifications))


async def audit_of(database: Database, notifications: Sequence[Row]) -> list[Row]:
    return await _rows(database, _AUDIT_OF_NOTIFICATIONS, _ids_of(notifications))


async def same_audit_entries(database: Database, entries: Sequence[Row]) -> list[Row]:
    """The entries there with the same numbers."""
    return await _rows(database, _AUDIT, {"ids": encoded({"id": entry["id"]} for entry in entries)})


async def with_same_keys(database: Database, notifications: Iterable[Row]) -> list[Row]:
    """The notifications there with the same idempotency keys."""
    keys = [str(row["idempotency_key"]) for row in notifications if row["idempotency_key"] is not None]
    return await _rows(database, _BY_KEYS, {"keys": encoded(keys)}) if keys else []


async def count_notifications(database: Database) -> int:
    number = select(func.count()).select_from(notification_events)
    found: int = await database.read(lambda connection: connection.execute(number).scalar_one())
    return found


def _ids_of(notifications: Iterable[Row]) -> dict[str, str]:
    return {"ids": encoded(str(row["id"]) for row in notifications)}


async def _rows(database: Database, query: Select[Any], bound: Mapping[str, str] | None = None) -> list[Row]:
    def rows(connection: Connection) -> list[Row]:
        found = connection.execute(query, bound or {}).mappings()
        return [{name: _value(value) for name, value in row.items()} for row in found]

    return await database.read(rows)


def _value(value: Any) -> Value:
    return value.total_seconds() if isinstance(value, timedelta) else value
