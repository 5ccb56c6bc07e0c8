"""Inserts thousands of notifications quickly, each with its own history."""

import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from storage.sql.types import sortable

_NUMBERS = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A row as stored in the database."""

    id: str = field(default_factory=lambda: f"notif-{next(_NUMBERS):06}")
    type: str = "ExpirationWarning"
    channel: str = "Webhook"
    recipient: str = "on-call"
    message: str = "api.example.com expires in 7 days"
    certificate_id: str | None = None
    status: str = "dead"
    retry_count: int = 4
    last_error: str | None = "HTTP 503: upstream connect error"
    error: str | None = None
    age: timedelta = timedelta(hours=1)
    next_in: timedelta | None = None
    """The time to the next attempt of a failed notification; without it, that is due."""
    attempts: tuple[tuple[str, str | None], ...] = ()
    """The outcome and error of each attempt, which are as far apart as by default."""


def store(database: Path, rows: Iterable[Stored]) -> list[str]:
    """Insert `rows` directly into the database, so that nothing attempts them. Returns their ids."""
    rows = list(rows)
    now = datetime.now(UTC)
    with sqlite3.connect(database, timeout=30) as connection:
        connection.executemany(
            "INSERT INTO notification_events (id, type, certificate_id, channel, recipient, message, status,"
            " sent_at, next_retry_at, error, retry_count, last_error, created_at, attempt_count,"
            " abandoned_count) VALUES (:id, :type, :certificate_id, :channel, :recipient, :message, :status,"
            " :sent_at, :next_retry_at, :error, :retry_count, :last_error, :created_at, :attempt_count, 0)",
            [_columns(row, now) for row in rows],
        )
        connection.executemany(
            "INSERT INTO notification_attempts"
            " (notification_id, number, started_at, duration, outcome, error, worker, late, channel)"
            " VALUES (?, ?, ?, ?, ?, ?, 'tests', 0, ?)",
            [
                (
                    row.id,
                    number,
                    sortable(now - row.age + _waited_before(number)),
                    0.05 + (zlib.crc32(f"{row.id} {number}".encode()) % 1000) / 1000,
                    outcome,
                    error,
                    row.channel,
                )
                for row in rows
                for number, (outcome, error) in enumerate(row.attempts, 1)
            ],
        )
    connection.close()
    return [row.id for row in rows]


def _waited_before(number: int) -> timedelta:
    return timedelta(minutes=2 ** (number - 1) - 1)


def _columns(row: Stored, now: datetime) -> dict[str, object]:
    sent = row.status == "sent" and row.error is None
    return asdict(row) | {
        "age": None,
        "next_in": None,
        "attempts": None,
        "attempt_count": len(row.attempts),
        "created_at": sortable(now - row.age),
        "next_retry_at": None if row.next_in is None else sortable(now + row.next_in),
        "sent_at": sortable(now - row.age + timedelta(seconds=1)) if sent else None,
        "last_error": None if row.status in ("pending", "sent") else row.last_error,
    }
