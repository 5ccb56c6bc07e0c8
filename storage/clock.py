"""The clock, injected wherever time matters, so that a test can let a day of backoff pass."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the current time, with a time zone."""

BEGINNING = datetime.min.replace(tzinfo=UTC)
"""Earlier than any other time."""


def utc_now() -> datetime:
    return datetime.now(UTC)
