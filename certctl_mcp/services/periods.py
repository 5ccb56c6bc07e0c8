"""The period that a delivery report covers, and the steps that it is divided into."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from storage.models import DeliveryStep

if TYPE_CHECKING:
    from storage.repository import NotificationRepository

LONGEST_PERIOD = timedelta(days=366)
MOST_STEPS = 24
"""Whole ones; the first and the last of a period may be cut."""

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
        """The shortest round time of which `MOST_STEPS` fill the period."""
        return next(step for step in _STEPS if step * MOST_STEPS >= self.until - self.since)

    @property
    def beginning(self) -> datetime:
        """Where the first step begins: at a round time of the clock, at or before `since`."""
        return _EPOCH + (self.since - _EPOCH) // self.step * self.step


@dataclass(frozen=True, slots=True)
class Timeline:
    """The attempts of a period in its steps, one after another."""

    period: Period
    steps: tuple[DeliveryStep, ...]


async def timeline_of(repository: "NotificationRepository", period: Period) -> Timeline:
    """The attempts of `period` by outcome, in at most about two dozen steps."""
    steps = await repository.deliveries_over_time(
        period.since, period.until, beginning=period.beginning, step=period.step
    )
    return Timeline(period, steps)
