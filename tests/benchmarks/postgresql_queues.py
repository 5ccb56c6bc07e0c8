"""Creates queues of ten million notifications on PostgreSQL in minutes, by bulk inserts into the real
schema."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from storage.database import Database
from storage.schema.counting import correct_counts
from storage.schema.tables import notification_attempts, notification_events
from tests.postgresql import execute

DAYS = 365
"""The time since the oldest accept; the newest is from now."""

_COLUMNS = "id, type, certificate_id, channel, recipient, message, status, sent_at, created_at, attempt_count"
_ROW = """
  'RenewalFailure',
  'mc-' || lpad((n % 50000)::text, 5, '0'),
  'Webhook',
  'team-' || lpad((n % 500)::text, 3, '0'),
  'The certificate mc-' || lpad((n % 50000)::text, 5, '0') || ' could not be renewed: ' || repeat('.', 150)
"""


async def fill(url: str, rows: int) -> None:
    """Migrate an empty database and insert sent notifications, each with one attempt."""
    async with Database.open(url):
        pass
    tables = (notification_attempts.name, notification_events.name)
    async with _connected(url) as connection:
        names = [index.name for t in (notification_events, notification_attempts) for index in t.indexes]
        definitions = await connection.fetch(
            "SELECT indexname, indexdef FROM pg_indexes WHERE indexname = ANY($1)", names
        )
        async with connection.transaction():
            for statement in (
                # Their keys need no check, and they are counted afterwards.
                "SET LOCAL session_replication_role = replica",
                f"TRUNCATE {', '.join(tables)}",
                *(f"DROP INDEX {definition['indexname']}" for definition in definitions),
                _notifications(rows),
                _ATTEMPTS,
            ):
                await connection.execute(statement, timeout=None)
        for definition in definitions:
            await connection.execute(definition["indexdef"], timeout=None)
        async with Database.open(url) as database:
            await database.read(correct_counts)
        await connection.execute("VACUUM (ANALYZE)", timeout=None)
        await connection.execute("CHECKPOINT", timeout=None)


async def add_due(url: str, rows: int) -> None:
    """Insert notifications that wait for their first attempt."""
    await execute(
        url,
        f"""
        INSERT INTO notification_events ({_COLUMNS})
        SELECT 'notif-' || gen_random_uuid(), {_ROW}, 'pending', NULL, now(), 0
        FROM generate_series(1, {rows}) AS n
        """,
    )


async def databases(url: str) -> frozenset[str]:
    """The names of the server's databases."""
    async with _connected(url) as connection:
        return frozenset(row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database"))


async def size(url: str) -> int:
    """Bytes on disk."""
    async with _connected(url) as connection:
        found: int = await connection.fetchval("SELECT pg_database_size(current_database())")
        return found


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def _notifications(rows: int) -> str:
    at = f"now() - ({rows} - n) * (interval '{DAYS} days' / {rows})"
    return f"""
        INSERT INTO notification_events ({_COLUMNS})
        SELECT 'notif-' || lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000', {_ROW},
               CASE WHEN n % 100 < 5 THEN 'read' ELSE 'sent' END, {at}, {at}, 1
        FROM generate_series(1, {rows}) AS n
    """


_ATTEMPTS = """
    INSERT INTO notification_attempts
      (notification_id, number, started_at, duration, outcome, worker, channel)
    SELECT id, 1, created_at, 0.2, 'sent', 'host-1.example.com:4711:0a1b2c3d', channel
    FROM notification_events
"""
