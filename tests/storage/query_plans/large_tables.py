"""A queue with very many notifications, most of them sent long ago."""

import asyncio
from datetime import timedelta
from pathlib import Path

import asyncpg

from storage.database import Database
from storage.schema.counting import correct_counts
from storage.sql.types import sortable
from tests.builders import NOON
from tests.exploration import size
from tests.storage.raw_sql import connected

ROWS = size(short=200_000, long=1_000_000)
"""SQLite plans independently of the number of rows; costs are asserted in instructions."""

ROWS_IN_POSTGRESQL = size(short=300_000, long=3_000_000)
"""With fewer rows some plans would use no index; more rows change no plan."""

BEGINNING = NOON - timedelta(days=365)


def _seconds_apart(rows: int) -> int:
    """The interval between rows that spreads this many over a year."""
    return timedelta(days=360) // rows // timedelta(seconds=1)


# Of a thousand: 2 pending, 3 failed (one of them unscheduled), 5 dead, 10 read, 5 skipped, the rest sent.
_FILL = f"""
INSERT INTO notification_events
  (id, type, certificate_id, channel, recipient, message, status, sent_at, error, retry_count,
   next_retry_at, last_error, created_at, idempotency_key, lease_owner, lease_expires_at, claimed_at)
WITH RECURSIVE
  counter(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n < {ROWS - 1}),
  numbered AS (
    SELECT n, n % 1000 AS k,
      strftime(
        '%Y-%m-%dT%H:%M:%f000+00:00', {BEGINNING.timestamp()} + n * {_seconds_apart(ROWS)}, 'unixepoch'
      ) AS at
    FROM counter
  )
SELECT
  printf('notif-%08d', n),
  CASE n % 3 WHEN 0 THEN 'ExpirationWarning' WHEN 1 THEN 'RenewalSuccess' ELSE 'Revocation' END,
  CASE WHEN n % 5 THEN printf('mc-%04d', n % 5000) END,
  CASE n % 4 WHEN 0 THEN 'Email' WHEN 1 THEN 'Slack' WHEN 2 THEN 'Webhook' ELSE 'PagerDuty' END,
  printf('team-%03d', n % 500),
  'm',
  CASE WHEN k < 2 THEN 'pending' WHEN k < 5 THEN 'failed' WHEN k < 10 THEN 'dead' WHEN k < 20 THEN 'read'
    ELSE 'sent' END,
  CASE WHEN k >= 25 THEN at END,
  CASE WHEN k BETWEEN 20 AND 24 THEN 'no notifier' END,
  CASE WHEN k BETWEEN 2 AND 9 THEN k % 5 ELSE 0 END,
  CASE WHEN k BETWEEN 2 AND 3 THEN at END,
  CASE WHEN k BETWEEN 2 AND 9 THEN 'HTTP 503' END,
  at,
  CASE WHEN n % 10 = 0 THEN printf('key-%08d', n) END,
  CASE WHEN n % 100000 = 1 THEN 'worker-1' END,
  CASE WHEN n % 100000 = 1 THEN '{sortable(NOON + timedelta(seconds=45))}' END,
  CASE WHEN n % 100000 = 1 THEN '{sortable(NOON)}' END
FROM numbered
"""
_ATTEMPTS = """
INSERT INTO notification_attempts
  (notification_id, number, started_at, duration, outcome, worker, late, channel)
SELECT id, 1, created_at, 0.2, CASE status WHEN 'sent' THEN 'sent' WHEN 'dead' THEN 'dead' ELSE 'failed' END,
  'worker-1', 0, channel
FROM notification_events WHERE rowid % 10 = 0
"""
# For the hours and days until ten days before NOON.
_FIGURES = f"""
INSERT INTO notification_figures (hours, begins_at, ends_at, figures)
WITH RECURSIVE
  counter(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counter WHERE n < {355 * 24 - 1}),
  periods AS (
    SELECT hours, {BEGINNING.replace(hour=0).timestamp()} + n * 3600 AS at
    FROM counter JOIN (SELECT 1 AS hours UNION SELECT 24) ON n % hours = 0
  )
SELECT
  hours,
  strftime('%Y-%m-%dT%H:%M:%f000+00:00', at, 'unixepoch'),
  strftime('%Y-%m-%dT%H:%M:%f000+00:00', at + hours * 3600, 'unixepoch'),
  '{{}}'
FROM periods
"""


def fill(path: Path) -> None:
    """Insert the rows directly, which is much faster than accepting them, without crash safety."""

    async def create() -> None:
        async with Database.open(f"sqlite:///{path}"):
            pass

    asyncio.run(create())
    with connected(path) as other:
        indexes = other.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql > ''"
        ).fetchall()
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "cache_size = -262144",
            "temp_store = MEMORY",
        ):
            other.execute(f"PRAGMA {pragma}")
        for name, _ in indexes:
            other.execute(f"DROP INDEX {name}")
        for statement in (_FILL, _ATTEMPTS, _FIGURES, *(sql for _, sql in indexes)):
            other.execute(statement)
        other.execute("PRAGMA journal_mode = WAL")


_FILL_POSTGRESQL = f"""
INSERT INTO notification_events
  (id, type, certificate_id, channel, recipient, message, status, sent_at, error, retry_count,
   next_retry_at, last_error, created_at, idempotency_key, lease_owner, lease_expires_at, claimed_at)
SELECT
  'notif-' || lpad(n::text, 8, '0'),
  (ARRAY['ExpirationWarning', 'RenewalSuccess', 'Revocation'])[n % 3 + 1],
  CASE WHEN n % 5 > 0 THEN 'mc-' || lpad((n % 5000)::text, 4, '0') END,
  (ARRAY['Email', 'Slack', 'Webhook', 'PagerDuty'])[n % 4 + 1],
  'team-' || lpad((n % 500)::text, 3, '0'),
  'm',
  CASE WHEN k < 2 THEN 'pending' WHEN k < 5 THEN 'failed' WHEN k < 10 THEN 'dead' WHEN k < 20 THEN 'read'
    ELSE 'sent' END,
  CASE WHEN k >= 25 THEN at END,
  CASE WHEN k BETWEEN 20 AND 24 THEN 'no notifier' END,
  CASE WHEN k BETWEEN 2 AND 9 THEN k % 5 ELSE 0 END,
  CASE WHEN k BETWEEN 2 AND 3 THEN at END,
  CASE WHEN k BETWEEN 2 AND 9 THEN 'HTTP 503' END,
  at,
  CASE WHEN n % 10 = 0 THEN 'key-' || lpad(n::text, 8, '0') END,
  CASE WHEN n % 100000 = 1 THEN 'worker-1' END,
  CASE WHEN n % 100000 = 1 THEN timestamptz '{NOON + timedelta(seconds=45)}' END,
  CASE WHEN n % 100000 = 1 THEN timestamptz '{NOON}' END
FROM (
  SELECT n, n % 1000 AS k,
    timestamptz '{BEGINNING}' + n * interval '{_seconds_apart(ROWS_IN_POSTGRESQL)} s' AS at
  FROM generate_series(0, {ROWS_IN_POSTGRESQL - 1}) AS n
) AS numbered
"""
_ATTEMPTS_POSTGRESQL = """
INSERT INTO notification_attempts
  (notification_id, number, started_at, duration, outcome, worker, late, channel)
SELECT id, 1, created_at, 0.2, CASE status WHEN 'sent' THEN 'sent' WHEN 'dead' THEN 'dead' ELSE 'failed' END,
  'worker-1', false, channel
FROM notification_events WHERE id LIKE '%9'
"""
_FIGURES_POSTGRESQL = f"""
INSERT INTO notification_figures (hours, begins_at, ends_at, figures)
SELECT hours, at, at + hours * interval '1 hour', '{{}}'
FROM generate_series(0, {355 * 24 - 1}) AS n
JOIN (VALUES (1), (24)) AS of (hours) ON n % hours = 0,
LATERAL (SELECT timestamptz '{BEGINNING.replace(hour=0)}' + n * interval '1 hour') AS beginnings (at)
"""
_AUDIT_POSTGRESQL = """
INSERT INTO notification_audit (at, actor, action, notification_id)
SELECT created_at, 'operator', 'send', id FROM notification_events WHERE id LIKE '%9'
"""
_PROCESSES_POSTGRESQL = """
INSERT INTO notification_processes (name, host, version, channels, started_at, alive_since, seen_at)
SELECT 'process-' || n, 'host', '1.0', '["Fax"]', at, at, at
FROM (SELECT n, now() - n * interval '10 min' AS at FROM generate_series(1, 4000) AS n) AS numbered
"""


async def fill_postgresql(url: str) -> None:
    """Insert the rows into a migrated database that nothing else uses."""
    connection = await asyncpg.connect(url)
    indexes = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'idx_notification_%'"
    )
    # Without foreign key checks and triggers, because there are no listeners.
    await connection.execute("SET session_replication_role = replica")
    for index in indexes:
        await connection.execute(f"DROP INDEX {index['indexname']}")
    for statement in (
        _FILL_POSTGRESQL,
        _ATTEMPTS_POSTGRESQL,
        _FIGURES_POSTGRESQL,
        _AUDIT_POSTGRESQL,
        _PROCESSES_POSTGRESQL,
    ):
        await connection.execute(statement)
    for index in indexes:
        await connection.execute(index["indexdef"])
    async with Database.open(url) as database:
        await database.read(correct_counts)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
