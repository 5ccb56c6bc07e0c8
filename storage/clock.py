"""What time is it? Passed in wherever time decides something, so that a day of backoff passes in a test."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present moment, with its time zone."""


def utc_now() -> datetime:
    return datetime.now(UTC)
