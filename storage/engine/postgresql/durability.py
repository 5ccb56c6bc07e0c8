"""Durable commits on PostgreSQL: a commit must be on the disk before it returns."""

import logging

from sqlalchemy import func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.functions import Function

logger = logging.getLogger(__name__)

SYNCHRONOUS_COMMIT = "synchronous_commit"

SESSION_STATEMENT = (
    f"SELECT set_config('{SYNCHRONOUS_COMMIT}',"
    f" coalesce(nullif(current_setting('{SYNCHRONOUS_COMMIT}'), 'off'), 'on'), false)"
)
"""Turns synchronous commit on for the session if it is off. Every other value is at least as durable on the
server itself, and expresses what the operator wants of standbys."""


def for_transaction() -> Function[str]:
    """The same for one transaction."""
    current = func.current_setting(literal(SYNCHRONOUS_COMMIT))
    durable = func.coalesce(func.nullif(current, literal("off")), literal("on"))
    return func.set_config(literal(SYNCHRONOUS_COMMIT), durable, True)


async def warn_of_unsafe_server(connection: AsyncConnection, location: str) -> None:
    """Warn of a setting that makes commits unsafe and that a session can't change."""
    fsync = (await connection.execute(select(func.current_setting(literal("fsync"))))).scalar_one()
    if fsync == "off":
        logger.warning(
            "the server of %s runs with fsync=off: accepted alerts can be lost if its machine crashes",
            location,
        )
