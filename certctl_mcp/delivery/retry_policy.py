"""What becomes of a notification after an attempt? The rule as pure functions, without clock or database.

With the defaults (5 attempts, base 1 minute, cap 1 hour) the waits after failures 1 to 4 are 1, 2, 4 and
8 minutes, and the fifth failure makes a dead letter. The rule is certctl's.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how far apart a failing notification is attempted."""

    max_attempts: int = 5
    backoff_base: timedelta = timedelta(minutes=1)
    backoff_cap: timedelta = timedelta(hours=1)
    jitter: float = 0.0
    """The largest fraction of the wait that is added to it; jitter only lengthens."""

    def wait(self, retry_count: int) -> timedelta:
        """The backoff after the failure that found `retry_count` failures recorded: min(2^n * base, cap).

        Total over all counts: the doubling stops at the cap, so an absurd count can't overflow.
        """
        # Past this exponent the smallest base (a microsecond) exceeds any cap a timedelta can hold.
        if retry_count > 70:
            return self.backoff_cap
        return min(self.backoff_cap, _scaled(self.backoff_base, 2**retry_count))

    def after_failure(
        self, retry_count: int, *, retry_after: timedelta | None = None, random: float = 0.0
    ) -> "Retry | Dead":
        """The transition for a failed attempt that found `retry_count` failures recorded.

        `retry_after` is what the remote end asked for: it lengthens the wait, never past the cap.
        `random` in [0, 1) picks the share of the jitter.
        """
        if retry_count >= self.max_attempts - 1:
            return Dead()
        wait = self.wait(retry_count)
        lengthened = max(wait + wait * (self.jitter * random), retry_after or timedelta(0))
        return Retry(min(lengthened, self.backoff_cap))


@dataclass(frozen=True, slots=True)
class Retry:
    """Attempt again after `wait`."""

    wait: timedelta


@dataclass(frozen=True, slots=True)
class Dead:
    """No further attempt: the notification goes to the dead letters."""


def _scaled(base: timedelta, factor: int) -> timedelta:
    try:
        return base * factor
    except OverflowError:
        return timedelta.max
