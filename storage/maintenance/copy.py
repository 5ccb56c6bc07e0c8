"""Copies a queue to another database: in batches, resumable, then compared.

Every row is copied unchanged, including those of other programs: each notification with its attempts in one
transaction, then the audit log. A copy can be resumed after changes in the source: rows changed since are
updated. Rows changed in the target are left alone and reported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Table, func, select, true

from storage.database import Database
from storage.engine.transaction import Transaction
from storage.errors import StorageError
from storage.maintenance.comparison import Comparison, contents, key
from storage.maintenance.row_batches import (
    Row,
    attempts_of,
    audit_batches,
    audit_of,
    notification_batches,
    same_audit_entries,
    same_notifications,
    undelivered_batches,
    with_same_keys,
)
from storage.schema.tables import notification_attempts, notification_audit, notification_events
from storage.sql.dialects import INSERTS, Insert
from storage.sql.json_rows import Batch, encoded

Rows = Sequence[tuple[Table, Sequence[Row]]]
"""Rows of several tables, in an order in which they can be inserted."""

_events = notification_events.c
_audit = notification_audit.c


def _upsert(insert: Insert, table: Table) -> Insert:
    values = select(*Batch("rows").fields(table.columns)).where(true())
    insert = insert.from_select([column.name for column in table.columns], values)
    keys = list(table.primary_key.columns)
    changed = {column.name: insert.excluded[column.name] for column in table.columns if column not in keys}
    return insert.on_conflict_do_update(index_elements=keys, set_=changed)


_UPSERT: Mapping[tuple[str, str], Insert] = {
    (dialect, table.name): _upsert(insert(table), table)
    for dialect, insert in INSERTS.items()
    for table in (notification_events, notification_attempts, notification_audit)
}


@dataclass(frozen=True, slots=True)
class Copied:
    """The result of a copy."""

    notifications: int
    attempts: int
    audit_entries: int
    passed_over: int
    """Notifications that the target already had and that were left alone, whether or not they were changed
    there."""
    updated: int
    """Notifications that the target had from an earlier copy, and that were updated."""
    checksum: str
    """The sum of the SHA-256 of all rows of the source, in any order."""
    differing: tuple[str, ...]
    """The rows that differ in the target, each by its table and key."""


async def copy(source: Database, target: Database, advance: Callable[[int], None]) -> Copied:
    """Copy everything, then compare everything. `advance` gets the notifications of each batch, twice.

    Raises:
        StorageError: one of the databases can't be used or is delivering, or the target has its own alerts or
        idempotency keys that conflict with a copy.
    """
    for database in (source, target):
        await _expect_no_deliveries(database)
    await _expect_nothing_else_to_deliver(source, target)
    passed_over = updated = 0
    async for notifications, attempts in notification_batches(source):
        plan = await _plan(source, target, notifications, attempts)
        passed_over += len(plan.left)
        updated += len(plan.updated)
        wanted = [row for row in notifications if row["id"] not in plan.left]
        theirs = [row for row in attempts if row["notification_id"] not in plan.left]
        await target.write(_write, ((notification_events, wanted), (notification_attempts, theirs)))
        advance(len(notifications))
    async for entries in audit_batches(source):
        known = {row["id"] for row in await same_audit_entries(target, entries)}
        await target.write(
            _write, ((notification_audit, [entry for entry in entries if entry["id"] not in known]),)
        )
    await target.write(_continue_numbering, None)
    return await _compared(source, target, passed_over, updated, advance)


async def _expect_no_deliveries(database: Database) -> None:
    leased = select(func.count()).where(
        _events.lease_expires_at.is_not(None), _events.lease_expires_at > database.clock()
    )
    if delivering := await database.read(lambda connection: connection.execute(leased).scalar_one()):
        raise StorageError(
            f"{delivering} notifications are being delivered from {database.location}: they would be "
            "delivered twice if they were copied now; stop the servers and workers on it, and try again when "
            "their leases have expired"
        )


async def _expect_nothing_else_to_deliver(source: Database, target: Database) -> None:
    """Alerts that only the target has may have been purged from the source after an earlier copy."""
    others = 0
    async for rows in undelivered_batches(target):
        others += len(rows) - len(await same_notifications(source, rows))
    if others:
        raise StorageError(
            f"{target.location} holds {others} undelivered notifications that {source.location} does not "
            "have. If they come from an earlier copy, they were purged since and would be sent again: copy "
            "to a new database. If they are its own, have it deliver them first, or mark them as read"
        )


@dataclass(slots=True)
class _Plan:
    """What to do with the notifications of a batch that the target already has."""

    left: set[object] = field(default_factory=set)
    updated: set[object] = field(default_factory=set)


async def _plan(
    source: Database, target: Database, notifications: Sequence[Row], attempts: Sequence[Row]
) -> _Plan:
    """Raises: StorageError: an idempotency key belongs to another notification in the target."""
    existing = {row["id"]: row for row in await same_notifications(target, notifications)}
    await _expect_free_keys(target, [row for row in notifications if row["id"] not in existing])
    plan = _Plan()
    if not existing:
        return plan
    ours = _histories(attempts, await audit_of(source, list(existing.values())))
    theirs = _histories(
        await attempts_of(target, list(existing.values())), await audit_of(target, list(existing.values()))
    )
    for row in notifications:
        id, found = row["id"], existing.get(row["id"])
        if found is None:
            continue
        here, there = ours.get(id, _History()), theirs.get(id, _History())
        same = contents(row) == contents(found) and here.attempts == there.attempts
        # Attempts or actions only in the target mean that its row is the newer one.
        went_on = not (there.attempts.keys() <= here.attempts.keys() and there.acts <= here.acts)
        (plan.left if same or went_on else plan.updated).add(id)
    return plan


@dataclass(slots=True)
class _History:
    """What happened to one notification."""

    attempts: dict[str, bytes] = field(default_factory=dict)
    acts: set[bytes] = field(default_factory=set)


def _histories(attempts: Iterable[Row], audit: Iterable[Row]) -> dict[object, _History]:
    histories: dict[object, _History] = {}
    for row in attempts:
        history = histories.setdefault(row["notification_id"], _History())
        history.attempts[key(notification_attempts, row)] = contents(row)
    for entry in audit:
        history = histories.setdefault(entry["notification_id"], _History())
        history.acts.add(contents({name: value for name, value in entry.items() if name != "id"}))
    return histories


async def _expect_free_keys(target: Database, new: Sequence[Row]) -> None:
    ids = {row["idempotency_key"]: row["id"] for row in new}
    for taken in await with_same_keys(target, new):
        key = taken["idempotency_key"]
        raise StorageError(
            f"the idempotency key {key!r} of notification {ids[key]!r} "
            f"belongs to notification {taken['id']!r} in {target.location}, so one of the two would be lost: "
            "copy to a new database, or purge the one that is not needed"
        )


def _write(transaction: Transaction, batches: Sequence[Rows]) -> list[None]:
    connection = transaction.connection
    for batch in batches:
        for table, rows in batch:
            if rows:
                connection.execute(_UPSERT[connection.dialect.name, table.name], {"rows": encoded(rows)})
    return [None] * len(batches)


def _continue_numbering(transaction: Transaction, items: Sequence[None]) -> list[None]:
    """Advance PostgreSQL's sequence, which copying the numbers of the audit log does not."""
    if transaction.connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(notification_audit.name, _audit.id.name)
        newest = func.coalesce(func.max(_audit.id), 0) + 1
        transaction.connection.execute(select(func.setval(sequence, newest, False)))
    return list(items)


async def _compared(
    source: Database, target: Database, passed_over: int, updated: int, advance: Callable[[int], None]
) -> Copied:
    found = Comparison()
    async for notifications, attempts in notification_batches(source):
        found.compare(notification_events, notifications, await same_notifications(target, notifications))
        found.compare(notification_attempts, attempts, await attempts_of(target, notifications))
        advance(len(notifications))
    async for entries in audit_batches(source):
        found.compare(notification_audit, entries, await same_audit_entries(target, entries))
    return Copied(
        notifications=found.counts.get(notification_events.name, 0),
        attempts=found.counts.get(notification_attempts.name, 0),
        audit_entries=found.counts.get(notification_audit.name, 0),
        passed_over=passed_over,
        updated=updated,
        checksum=found.checksum,
        differing=tuple(found.differing),
    )
