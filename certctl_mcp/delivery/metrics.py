"""Metrics of this process's attempts, counted as they end."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from itertools import accumulate

from certctl_mcp.notifiers.failure_kinds import FailureKind
from storage.models import AttemptOutcome, Notification

OTHER = "other"
"""Stands for channels that aren't configured, whose names are untrusted and unlimited in number."""

ATTEMPT_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60)
"""One bound is above the default send timeout, so that attempts that timed out are visible."""


class Durations:
    """A histogram of durations."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.total_seconds = 0.0
        self._bounds = (*bounds, math.inf)
        self._counts = [0] * len(self._bounds)

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.total_seconds += seconds

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound in seconds, with the number of durations up to it. The last bound is infinite."""
        return zip(self._bounds, accumulate(self._counts), strict=True)


class AttemptMeter:
    """The attempts that have ended in this process, by channel."""

    def __init__(self, channels: Collection[str] = ()) -> None:
        self.durations: dict[str, Durations] = {}
        """The durations of attempts that reached a receiver."""
        self._ended: Counter[tuple[str, AttemptOutcome | None, FailureKind | None]] = Counter()
        self.add_channels((*channels, OTHER))

    def add_channels(self, channels: Iterable[str]) -> None:
        """From now on, count the attempts over these channels separately."""
        for channel in channels:
            self.durations.setdefault(channel, Durations(ATTEMPT_SECONDS))

    def ended(
        self,
        channel: str,
        outcome: AttemptOutcome | None,
        duration: timedelta | None,
        failure: FailureKind | None = None,
    ) -> None:
        """`outcome` is None if it was refused; `duration` is None if the attempt reached no receiver."""
        known = channel if channel in self.durations else OTHER
        self._ended[known, outcome, failure] += 1
        if duration is not None:
            self.durations[known].add(duration.total_seconds())

    def count(self, channel: str, outcome: AttemptOutcome | None) -> int:
        """The number of attempts with this outcome, for any failure."""
        return sum(count for kind, count in self._ended.items() if kind[:2] == (channel, outcome))

    def failures(self, channel: str, outcome: AttemptOutcome, kind: FailureKind) -> int:
        """The number of attempts that failed in this way."""
        return self._ended[channel, outcome, kind]

    def total(self, outcome: AttemptOutcome) -> int:
        """The same for all channels together."""
        return sum(count for (_, ended, _), count in self._ended.items() if ended is outcome)


class SuccessorMeter:
    """What this process has accepted because of dead letters."""

    def __init__(self) -> None:
        self.alerts = 0
        """Alerts about dead letters."""
        self.fallbacks: Counter[str] = Counter()
        """Notifications on a fallback, by the channel that took over."""

    def accepted(self, successors: Sequence[Notification]) -> None:
        for successor in successors:
            if successor.origin_id is None:
                self.alerts += 1
            else:
                self.fallbacks[successor.channel] += 1
