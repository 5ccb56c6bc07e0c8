"""The period that a delivery report covers, and the steps into which it is divided."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from certctl_mcp.config.durations import format_duration
from certctl_mcp.services.filters import FilterError, parse_argument
from storage.models import DeliveryStep

if TYPE_CHECKING:
    from storage.reader import NotificationReader

LONGEST_PERIOD = timedelta(days=366)
MAX_STEPS = 24
"""The most whole steps; the first and the last of a period may be incomplete."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = (
    *(timedelta(seconds=count) for count in (1, 5, 10, 30)),
    *(timedelta(minutes=count) for count in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=count) for count in (1, 2, 3, 4, 6, 8, 12)),
    *(timedelta(days=count) for count in (1, 2, 4, 7, 10, 16)),
)


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` on and before `until`, at most `LONGEST_PERIOD`."""

    since: datetime
    until: datetime

    @property
    def step(self) -> timedelta:
        """The shortest round duration with which `MAX_STEPS` steps cover the period."""
        return next(step for step in _STEPS if step * MAX_STEPS >= self.until - self.since)

    @property
    def beginning(self) -> datetime:
        """When the first step begins: at a round clock time, at or before `since`."""
        return _EPOCH + (self.since - _EPOCH) // self.step * self.step


@dataclass(frozen=True, slots=True)
class Timeline:
    """The attempts of a period in its steps, one after another."""

    period: Period
    steps: tuple[DeliveryStep, ...]


def period_between(since: str, until: str | None, now: datetime) -> Period:
    """The period between two points in time; if `until` is None, it is now.

    Raises:
        FilterError: one can't be read, or the period is empty or too long.
    """
    begin = parse_argument("since", since, now)
    end = now if until is None else parse_argument("until", until, now)
    if begin >= end:
        raise FilterError("since", "must be before the end" if until else "must be in the past")
    if end - begin > LONGEST_PERIOD:
        raise FilterError("since", f"must be at most {format_duration(LONGEST_PERIOD)} before the end")
    return Period(begin, end)


async def timeline_of(repository: "NotificationReader", period: Period) -> Timeline:
    """The attempts of `period` by outcome, in at most about two dozen steps."""
    steps = await repository.deliveries_over_time(
        period.since, period.until, beginning=period.beginning, step=period.step
    )
    return Timeline(period, steps)
