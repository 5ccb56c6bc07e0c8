"""Durable commits on PostgreSQL: a commit must be on the disk before it returns."""

import logging

from sqlalchemy import func, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.functions import Function

from storage.sql.sync import SYNC_FUNCTION, SYNCHRONOUS_COMMIT

logger = logging.getLogger(__name__)

SESSION_STATEMENT = (
    f"SELECT set_config('{SYNCHRONOUS_COMMIT}',"
    f" coalesce(nullif(current_setting('{SYNCHRONOUS_COMMIT}'), 'off'), 'on'), false)"
)
"""Turns synchronous commit on for the session if it is off. Every other value is at least as durable on the
server itself, and is the operator's choice about standbys."""


def for_transaction() -> Function[str]:
    """The same for one transaction."""
    current = func.current_setting(literal(SYNCHRONOUS_COMMIT))
    durable = func.coalesce(func.nullif(current, literal("off")), literal("on"))
    return func.set_config(literal(SYNCHRONOUS_COMMIT), durable, True)


async def warn_of_unsafe_server(connection: AsyncConnection, location: str) -> None:
    """Warn about a setting that makes commits unsafe and that a session can't change."""
    fsync = (await connection.execute(select(func.current_setting(literal("fsync"))))).scalar_one()
    if fsync == "off":
        logger.warning(
            "the server of %s runs with fsync=off: accepted alerts can be lost if its machine crashes",
            location,
        )


_MAY_SYNC_LAST = text(
    "SELECT coalesce(bool_or(has_function_privilege(oid, 'EXECUTE')), false) FROM pg_proc"
    " WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = :name"
    " AND proargtypes[2] = 'text'::regtype"
)


async def may_sync_last(connection: AsyncConnection) -> bool:
    """Whether this user can sync what has already been committed."""
    found: bool = (await connection.execute(_MAY_SYNC_LAST, {"name": SYNC_FUNCTION})).scalar_one()
    return found
