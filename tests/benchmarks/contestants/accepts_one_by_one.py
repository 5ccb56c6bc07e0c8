"""Callers that each commit their own rows, with SQLAlchemy, aiosqlite and the same database settings.

Arguments: the database's path, callers, seconds.
"""

import asyncio
import json
import sys
from dataclasses import asdict

from sqlalchemy import Connection, event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from storage.clock import utc_now
from storage.database import Database
from storage.ids import new_notification_id
from storage.operations.accept import pending
from storage.schema.tables import notification_events
from tests.benchmarks.contestants.callers import accepts_by
from tests.benchmarks.contestants.posts import ALERT

BUSY_TIMEOUT_SECONDS = 60
"""Long enough that no caller times out, which would look like speed."""

_COLUMNS = frozenset(column.name for column in notification_events.columns)


def open_engine(path: str, connections: int) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        connect_args={"timeout": BUSY_TIMEOUT_SECONDS, "isolation_level": None},
        pool_size=connections,
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin_immediately)
    return engine


async def accept(path: str, callers: int, seconds: float) -> dict[str, float]:
    async with Database.open(f"sqlite:///{path}"):
        pass
    engine = open_engine(path, callers)

    async def insert_and_commit() -> None:
        notification = pending(ALERT, new_notification_id(), utc_now())
        async with engine.begin() as connection:
            stored = {name: value for name, value in asdict(notification).items() if name in _COLUMNS}
            await connection.execute(insert(notification_events).values(stored))

    try:
        return await accepts_by(callers, seconds, insert_and_commit)
    finally:
        await engine.dispose()


def _prepare(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_immediately(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


if __name__ == "__main__":
    database_path, number, length = sys.argv[1:]
    print(json.dumps(asyncio.run(accept(database_path, int(number), float(length)))))
