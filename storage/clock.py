"""The clock, passed in wherever time decides something, so that a test can let a day of backoff pass."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present moment, with its time zone."""

BEGINNING = datetime.min.replace(tzinfo=UTC)
"""Everything is after it."""


def utc_now() -> datetime:
    return datetime.now(UTC)
