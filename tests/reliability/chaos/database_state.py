"""The database as it stands after a run, read without the program's own code."""

import sqlite3
from dataclasses import dataclass

import asyncpg

_ROWS = (
    "SELECT id, message, channel, status, sent_at, error, retry_count, next_retry_at, last_error, "
    "attempt_count, lease_owner FROM notification_events"
)
_ATTEMPTS = (
    "SELECT notification_id, number, outcome, error, late FROM notification_attempts "
    "ORDER BY notification_id, number"
)


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    message: str
    channel: str
    status: str
    sent_at: object
    error: str | None
    retry_count: int
    next_retry_at: object
    last_error: str | None
    attempt_count: int
    lease_owner: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    notification_id: str
    number: int
    outcome: str
    error: str | None
    late: bool


@dataclass(frozen=True, slots=True)
class DatabaseState:
    rows: list[Row]
    attempts: list[Attempt]
    integrity: list[str]
    """The problems that the database's own checks find."""


async def read_state(url: str) -> DatabaseState:
    return await (_sqlite(url) if url.startswith("sqlite") else _postgresql(url))


async def _sqlite(url: str) -> DatabaseState:
    with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30) as connection:
        integrity = [line for (line,) in connection.execute("PRAGMA integrity_check") if line != "ok"]
        integrity += [f"foreign key: {found}" for found in connection.execute("PRAGMA foreign_key_check")]
        rows = [Row(*row) for row in connection.execute(_ROWS)]
        attempts = [
            Attempt(id_, number, outcome, error, bool(late))
            for id_, number, outcome, error, late in connection.execute(_ATTEMPTS)
        ]
    connection.close()
    return DatabaseState(rows, attempts, integrity)


async def _postgresql(url: str) -> DatabaseState:
    connection = await asyncpg.connect(url)
    try:
        rows = [Row(*row) for row in await connection.fetch(_ROWS)]
        attempts = [Attempt(*row) for row in await connection.fetch(_ATTEMPTS)]
    finally:
        await connection.close()
    return DatabaseState(rows, attempts, [])
