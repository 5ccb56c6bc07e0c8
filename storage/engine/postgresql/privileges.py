"""The privileges of a user in a PostgreSQL database, and whether certctl's server uses that database."""

from sqlalchemy import Select, Table, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.read_only import ReadOnly, ReadOnlyReason
from storage.schema.certctl_tables import CERTIFICATES
from storage.schema.inspection import Missing
from storage.schema.location import schema_of
from storage.schema.partial import read_partially
from storage.schema.tables import metadata, notification_events


def _has_privilege(table: Table, privilege: str) -> Select[bool]:
    return select(func.has_table_privilege(literal(table.name), literal(privilege)))


_MAY_WRITE = _has_privilege(notification_events, "UPDATE").add_columns(
    or_(func.pg_is_in_recovery(), func.current_setting("default_transaction_read_only") == "on")
)
_HAS_CERTIFICATES = select(func.to_regclass(literal(CERTIFICATES)).is_not(None))


async def why_read_only(connection: AsyncConnection, readers: AsyncEngine) -> ReadOnly | None:
    """None if this user can change the queue. Tables that it may not even read count as empty."""
    may_write, standby = (await connection.execute(_MAY_WRITE)).one()
    if standby:
        return ReadOnly(ReadOnlyReason.STANDBY)
    if may_write:
        return None
    unreadable = [
        table
        for table in metadata.sorted_tables
        if not (await connection.execute(_has_privilege(table, "SELECT"))).scalar_one()
    ]
    if unreadable and notification_events not in unreadable:
        schema = await connection.run_sync(schema_of, notification_events)
        read_partially(readers.sync_engine, Missing(tables=tuple(unreadable)), schema)
    return ReadOnly(ReadOnlyReason.NO_PRIVILEGE)


async def is_shared_with_certctl(connection: AsyncConnection) -> bool:
    """Whether certctl's server uses the same tables and, unless stopped, delivers what is in them."""
    found: bool = (await connection.execute(_HAS_CERTIFICATES)).scalar_one()
    return found
