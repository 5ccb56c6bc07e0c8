"""Creates SQLite queues of a million notifications in seconds, by bulk inserts into the real schema."""

import asyncio
import sqlite3
from contextlib import closing
from enum import Enum
from pathlib import Path

from storage.database import Database

INTERVAL_SECONDS = 10
"""The interval between accepts; the newest is from now."""

_MOMENT = "%Y-%m-%dT%H:%M:%f000+00:00"


class Life(Enum):
    """The mix of statuses in a queue, as an expression of `k`, which counts from 0 to 99 repeatedly."""

    SETTLED = "CASE WHEN k < 3 THEN 'dead' WHEN k < 8 THEN 'read' ELSE 'sent' END"
    """Nothing is due, so a server only has to respond."""
    DUE = "CASE WHEN k < 50 THEN 'pending' ELSE 'failed' END"


def fill(path: Path, rows: int, life: Life) -> None:
    """Create a database, without crash safety while it is filled."""
    asyncio.run(_create(path))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute(_insertion(life), {"rows": rows})
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("PRAGMA journal_mode = WAL")


async def _create(path: Path) -> None:
    async with Database.open(f"sqlite:///{path}"):
        pass


def _insertion(life: Life) -> str:
    return f"""
        INSERT INTO notification_events
          (id, type, certificate_id, channel, recipient, message, status, sent_at, retry_count,
           next_retry_at, last_error, created_at)
        WITH RECURSIVE
          counter(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n < :rows - 1),
          numbered AS (
            SELECT
              n,
              n % 100 AS k,
              strftime('{_MOMENT}', 'now', printf('-%d seconds', (:rows - n) * {INTERVAL_SECONDS})) AS at
            FROM counter
          ),
          standing AS (SELECT n, at, {life.value} AS status FROM numbered)
        SELECT
          printf('notif-%08d-0000-7000-8000-000000000000', n),
          'RenewalFailure',
          printf('mc-%05d', n % 50000),
          'Webhook',
          printf('team-%03d', n % 500),
          printf('The certificate mc-%05d could not be renewed: %s', n % 50000, printf('%.150c', '.')),
          status,
          CASE WHEN status IN ('sent', 'read') THEN at END,
          CASE WHEN status IN ('dead', 'failed') THEN 4 ELSE 0 END,
          CASE WHEN status = 'failed' THEN at END,
          CASE WHEN status IN ('dead', 'failed') THEN '127.0.0.1 answered 503 Service Unavailable' END,
          at
        FROM standing
    """
