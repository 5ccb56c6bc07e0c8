"""What may this user do with a PostgreSQL database, and whose is it?"""

from sqlalchemy import Select, Table, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from storage.errors import DatabaseReadOnlyError, StorageError
from storage.schema.certctl_tables import CERTIFICATES
from storage.schema.inspection import Missing
from storage.schema.partial import read_partially
from storage.schema.tables import metadata, notification_events


def _may(table: Table, act: str) -> Select[bool]:
    return select(func.has_table_privilege(literal(table.name), literal(act)))


_MAY_WRITE = _may(notification_events, "UPDATE").add_columns(
    or_(func.pg_is_in_recovery(), func.current_setting("default_transaction_read_only") == "on")
)
_CERTCTL_S = select(func.to_regclass(literal(CERTIFICATES)).is_not(None))


async def unwritable(connection: AsyncConnection, readers: AsyncEngine, location: str) -> StorageError | None:
    """Why this user can't change the queue; None where it can. What it may not even read is read as empty."""
    may, standby = (await connection.execute(_MAY_WRITE)).one()
    if standby:
        return DatabaseReadOnlyError(
            f"the database {location} is read-only, perhaps a standby: it is read, and not changed; name the "
            "primary"
        )
    if may:
        return None
    hidden = [
        table
        for table in metadata.sorted_tables
        if not (await connection.execute(_may(table, "SELECT"))).scalar_one()
    ]
    if notification_events not in hidden:
        read_partially(readers, Missing(tables=tuple(hidden)))
    return DatabaseReadOnlyError(
        f"the database {location} allows this user to read notifications, not to change them"
    )


async def is_certctl_s(connection: AsyncConnection) -> bool:
    """Whether certctl's server works on the same tables, and by itself delivers what is in them."""
    found: bool = (await connection.execute(_CERTCTL_S)).scalar_one()
    return found
