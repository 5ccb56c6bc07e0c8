"""Moving a queue to another database: copied in batches, resumable, then compared.

Every row is copied as it is, also what other programs wrote: a notification and its attempts in one
transaction, then the audit. What the other database has already is passed over.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, Select, Table, func, select, true

from storage.database import Database
from storage.engine.transaction import Transaction
from storage.errors import StorageError
from storage.schema.tables import notification_attempts, notification_audit, notification_events
from storage.sql.dialects import INSERTS
from storage.sql.json_rows import Batch, Value, encoded
from storage.sql.types import sortable

BATCH = 500
"""Notifications, with their attempts, that a transaction takes."""

Row = dict[str, Value]
Rows = Sequence[tuple[Table, Sequence[Row]]]
"""Of several tables, in an order in which they can be inserted."""

_events = notification_events.c
_attempts = notification_attempts.c
_audit = notification_audit.c

_INSERT = {
    (dialect, table.name): insert(table)
    .from_select(
        [column.name for column in table.columns],
        select(*Batch("rows").fields(table.columns)).where(true()),
    )
    .on_conflict_do_nothing(index_elements=list(table.primary_key.columns))
    for dialect, insert in INSERTS.items()
    for table in (notification_events, notification_attempts, notification_audit)
}


@dataclass(frozen=True, slots=True)
class Copied:
    """What the other database now has of this one."""

    notifications: int
    attempts: int
    audit_entries: int
    passed_over: int
    """Notifications that were there already."""
    checksum: str
    """The sum of the SHA-256 of all rows of the source, in whatever order."""
    differing: tuple[str, ...]
    """What is not there as it is here, each row by its table and key."""


async def copy(source: Database, target: Database, advance: Callable[[int], None]) -> Copied:
    """Copy everything, then compare everything. `advance` is told of notifications, each twice.

    Raises:
        StorageError: one of them can't be used, or deliveries are under way in the source.
    """
    await _see_that_nobody_delivers(source)
    passed_over = 0
    async for notifications, attempts in _batches(source):
        there = await _there(target, [str(row["id"]) for row in notifications])
        passed_over += len(there)
        new = [row for row in notifications if row["id"] not in there]
        attempts = [row for row in attempts if row["notification_id"] not in there]
        await target.write(_insert, ((notification_events, new), (notification_attempts, attempts)))
        advance(len(notifications))
    async for entries in _audit_batches(source):
        await target.write(_insert, ((notification_audit, entries),))
    await target.write(_go_on_counting, None)
    return await _compared(source, target, passed_over, advance)


async def count_notifications(database: Database) -> int:
    async with database.read() as connection:
        number = await connection.execute(select(func.count()).select_from(notification_events))
        found: int = number.scalar_one()
    return found


async def _see_that_nobody_delivers(source: Database) -> None:
    held = select(func.count()).where(
        _events.lease_expires_at.is_not(None), _events.lease_expires_at > source.clock()
    )
    async with source.read() as connection:
        under_way = (await connection.execute(held)).scalar_one()
    if under_way:
        raise StorageError(
            f"{under_way} notifications are being delivered from {source.location}: copied now they would be "
            "delivered twice; end the servers and workers on it, and try again when their leases have run out"
        )


async def _batches(database: Database) -> AsyncIterator[tuple[list[Row], list[Row]]]:
    """All notifications, and with them their attempts."""
    last: str | None = None
    while True:
        query = select(notification_events).order_by(_events.id).limit(BATCH)
        if last is not None:
            query = query.where(_events.id > last)
        notifications = await _rows(database, query)
        if not notifications:
            return
        last = str(notifications[-1]["id"])
        yield notifications, await _rows(database, _ATTEMPTS_OF, _ids(notifications))


async def _audit_batches(database: Database) -> AsyncIterator[list[Row]]:
    last = -1
    while entries := await _rows(
        database, select(notification_audit).where(_audit.id > last).order_by(_audit.id).limit(BATCH)
    ):
        yield entries
        last = int(str(entries[-1]["id"]))


_those = select(Batch("ids").values)
_EVENTS_OF = select(notification_events).where(_events.id.in_(_those))
_ATTEMPTS_OF = select(notification_attempts).where(_attempts.notification_id.in_(_those))
_AUDIT_OF = select(notification_audit).where(_audit.id.in_(select(Batch("ids").field("id", Integer()))))


def _ids(notifications: Iterable[Row]) -> dict[str, str]:
    return {"ids": encoded(str(row["id"]) for row in notifications)}


async def _rows(database: Database, query: Select[Any], bound: Mapping[str, str] | None = None) -> list[Row]:
    async with database.read() as connection:
        found = (await connection.execute(query, bound or {})).mappings().all()
    return [{name: _value(value) for name, value in row.items()} for row in found]


def _value(value: Any) -> Value:
    return value.total_seconds() if isinstance(value, timedelta) else value


async def _there(database: Database, ids: list[str]) -> set[str]:
    async with database.read() as connection:
        query = select(_events.id).where(_events.id.in_(_those))
        return set((await connection.execute(query, {"ids": encoded(ids)})).scalars())


def _insert(transaction: Transaction, batches: Sequence[Rows]) -> list[None]:
    connection = transaction.connection
    for batch in batches:
        for table, rows in batch:
            if rows:
                statement = _INSERT[connection.dialect.name, table.name]
                connection.execute(statement, {"rows": encoded(rows)})
    return [None] * len(batches)


def _go_on_counting(transaction: Transaction, items: Sequence[None]) -> list[None]:
    """The audit's numbers were copied; PostgreSQL's sequence knows nothing of them."""
    if transaction.connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(notification_audit.name, _audit.id.name)
        newest = func.coalesce(func.max(_audit.id), 0) + 1
        transaction.connection.execute(select(func.setval(sequence, newest, False)))
    return list(items)


class _Comparison:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.differing: list[str] = []
        self._sum = 0

    def compare(self, table: Table, here: Sequence[Row], there: Sequence[Row]) -> None:
        """Rows of the one, and those that the other has under their keys."""
        theirs = {self._key(table, row): self._written(row) for row in there}
        for row in here:
            key, written = self._key(table, row), self._written(row)
            # A sum: the databases need not agree on the order of the rows.
            self._sum += int.from_bytes(hashlib.sha256(written).digest())
            if theirs.get(key) != written:
                self.differing.append(f"{table.name} {key}")
        self.counts[table.name] = self.counts.get(table.name, 0) + len(here)

    @property
    def checksum(self) -> str:
        return f"{self._sum % (1 << 256):064x}"

    @staticmethod
    def _key(table: Table, row: Row) -> str:
        return " ".join(str(row[column.name]) for column in table.primary_key.columns)

    @staticmethod
    def _written(row: Row) -> bytes:
        values = {name: sortable(v) if isinstance(v, datetime) else v for name, v in row.items()}
        return json.dumps(values, sort_keys=True).encode()


async def _compared(
    source: Database, target: Database, passed_over: int, advance: Callable[[int], None]
) -> Copied:
    found = _Comparison()
    async for notifications, attempts in _batches(source):
        ids = _ids(notifications)
        found.compare(notification_events, notifications, await _rows(target, _EVENTS_OF, ids))
        found.compare(notification_attempts, attempts, await _rows(target, _ATTEMPTS_OF, ids))
        advance(len(notifications))
    async for entries in _audit_batches(source):
        those = {"ids": encoded({"id": entry["id"]} for entry in entries)}
        found.compare(notification_audit, entries, await _rows(target, _AUDIT_OF, those))
    return Copied(
        notifications=found.counts.get(notification_events.name, 0),
        attempts=found.counts.get(notification_attempts.name, 0),
        audit_entries=found.counts.get(notification_audit.name, 0),
        passed_over=passed_over,
        checksum=found.checksum,
        differing=tuple(found.differing),
    )
